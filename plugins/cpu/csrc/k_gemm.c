/* The packed GEMM for float32 and float64 (template in k_gemm_t.h). */
/* cflags: -ffp-contract=fast -Wno-maybe-uninitialized */
#include "k_gemm.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if F32_NV == 3
#define IF_NV3(...) __VA_ARGS__
#else
#define IF_NV3(...)
#endif
#if defined(__x86_64__)
#define KEEP(v) \
    __asm__("" : "+v"(v)) /* a broadcast stays in its register instead of being folded into each product */
#else
#define KEEP(v)
#endif
#define KC 256
#ifndef DIRECT
#define DIRECT 12 /* panels of columns up to which a's rows are read where they lie */
#endif
#define WORTH (1 << 18) /* multiplications that pay a task for another thread */
enum { SLOT_GA = SLOT_N, SLOT_GB };

#if defined(__AVX2__)
/* 8x8 floats: dst[p][0..8) = q[0..8)[p0 + p] */
INL void transpose_f32(float *dst, int64_t w, const float *const *q, int64_t p0) {
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(q[i] + p0);
    for (int i = 0; i < 8; i += 2)
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44), r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44),
              r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * w, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    }
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(dst + (i + 4) * w, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
}
INL void transpose_f64(double *dst, int64_t w, const double *const *q, int64_t p0) {
    __m256d a = _mm256_loadu_pd(q[0] + p0), b = _mm256_loadu_pd(q[1] + p0), c = _mm256_loadu_pd(q[2] + p0),
            d = _mm256_loadu_pd(q[3] + p0);
    __m256d e = _mm256_unpacklo_pd(a, b), f = _mm256_unpackhi_pd(a, b), g = _mm256_unpacklo_pd(c, d),
            h = _mm256_unpackhi_pd(c, d);
    _mm256_storeu_pd(dst, _mm256_permute2f128_pd(e, g, 0x20));
    _mm256_storeu_pd(dst + w, _mm256_permute2f128_pd(f, h, 0x20));
    _mm256_storeu_pd(dst + 2 * w, _mm256_permute2f128_pd(e, g, 0x31));
    _mm256_storeu_pd(dst + 3 * w, _mm256_permute2f128_pd(f, h, 0x31));
}
#endif

#define T float
#define V vf
#define VL VW
#define MR F32_MR
#define NV F32_NV
#define NAME(x) x##_f32
#define LDV ldf
#define STV stf
#define SPLAT splatf
#define TR 8
#define TRANSPOSE transpose_f32
#include "k_gemm_t.h"
void FBC_ISA_NAME(fbk_tile_any_f32)(int64_t k, const float *a, int64_t ari, int64_t ark, const float *b, int64_t bs,
                                    float *c, int64_t ldc, int64_t m, int64_t n, int acc) {
    tiles_f32[rowsel_f32(m)][ceil_div(n, VW) - 1](k, a, ari, ark, b, bs, c, ldc, m, n, acc);
}
#undef T
#undef V
#undef VL
#undef NAME
#undef LDV
#undef STV
#undef SPLAT
#undef TR
#undef TRANSPOSE
#define T double
#define V vd
#define VL VD
#define NAME(x) x##_f64
#define LDV ldd
#define STV std_
#define SPLAT splatd
#define TR 4
#define TRANSPOSE transpose_f64
#include "k_gemm_t.h"

int64_t fbk_gemm_run(int dtype, const fbk_gemm *g0) {
    fbk_gemm g = *g0;
    int f = dtype == DT_F32;
    int64_t work = g.M * g.N * g.K;
    if (!g.M || !g.N) return 0;
    if (!g.K) {
        int64_t z = f ? 4 : 8;
        if (!g.acc)
            for (int64_t i = 0; i < g.M; i++) memset((char *)g.c + i * g.ldc * z, 0, (size_t)(g.N * z));
        if (g.bias) (f ? bias_f32 : bias_f64)(&g, 0, g.M, 0, g.N);
        return 0;
    }
    if (!g.pack_a && !g.pack_b) {
        const fbk_mat *b = g.b;
        if (b->cs == 1 && (g.M <= 2 * F32_MR || (g.K <= KC && work <= 1 << 21)))
            return f ? without_packing_f32(&g) : without_packing_f64(&g);
    }
    if (!g.pack_a) g.pack_a = f ? pack_a_f32 : pack_a_f64;
    if (!g.pack_b) g.pack_b = f ? pack_b_f32 : pack_b_f64;
    return f ? gemm_f32(&g) : gemm_f64(&g);
}
