/* Products of bfloat16 matrices by AVX-512-BF16's dot products of pairs, summed in float32; for CPUs that have
   them (fbc_bf16_ok). Blocked like the float32 GEMM (k_gemm_t.h), a pair of neighbours along k in place of each
   float: every element is summed over k in the same order whatever the number of threads. */
/* cflags: -Wno-maybe-uninitialized */
#include "bf16_gemm.h"
#include "k_common.h"

#ifdef FBC_HAS_BF16
#include <immintrin.h>
enum { MR = 8, NV = 3, NR = NV * 16, KC = 256 /* pairs */, MC = 192 * MR, NC = 64 * NR };
enum { SLOT_GA = SLOT_N, SLOT_GB };
void fbk_pack_f32__avx512(float *dst, int W, const float *src, int64_t n, int64_t ls, int64_t k, int64_t ks);

typedef struct {
    const fbc_bf16_product *g;
    uint32_t *pa, *pb;
    int64_t jc, nc, pc, kc, ic, mc; /* along k in pairs */
} step;

/* dst[k][W]: pairs along k of n lanes; lanes and, for an odd K, the last second halves that are missing are 0 */
static void pack(uint32_t *dst, int W, const uint16_t *src, int64_t n, int64_t ls, int64_t ks, int64_t p0,
                 int64_t k, int64_t K) {
    int64_t whole = MIN(k, MAX(0, K / 2 - p0));
    src += 2 * p0 * ks;
    if (n < W) memset(dst, 0, (size_t)(k * W) * 4);
    if (ks == 1 && ls % 2 == 0 && ((uintptr_t)src & 3) == 0) {
        fbk_pack_f32__avx512((float *)dst, W, (const float *)src, n, ls / 2, whole, 1);
    } else if (ls == 1) {
        for (int64_t p = 0; p < whole; p++) {
            const uint16_t *x = src + 2 * p * ks, *y = x + ks;
            uint32_t *d = dst + p * W;
            int64_t i = 0;
            for (; i + 16 <= n; i += 16) {
                __m512i lo = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + i))),
                        hi = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(y + i)));
                _mm512_storeu_si512(d + i, _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
            }
            for (; i < n; i++) d[i] = x[i] | (uint32_t)y[i] << 16;
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            const uint16_t *x = src + i * ls;
            for (int64_t p = 0; p < whole; p++)
                dst[p * W + i] = x[2 * p * ks] | (uint32_t)x[(2 * p + 1) * ks] << 16;
        }
    }
    if (whole < k)
        for (int64_t i = 0; i < n; i++) dst[whole * W + i] = src[i * ls + 2 * whole * ks];
}
static void pack_b(void *ctx, int64_t lo, int64_t hi) {
    const step *s = ctx;
    const fbc_bf16_product *g = s->g;
    for (int64_t j = lo; j < hi; j++)
        pack(s->pb + j * NR * s->kc, NR, g->b + (s->jc + j * NR) * g->bcs, MIN(NR, s->nc - j * NR), g->bcs,
             g->brs, s->pc, s->kc, g->K);
}
static void pack_a(void *ctx, int64_t lo, int64_t hi) {
    const step *s = ctx;
    const fbc_bf16_product *g = s->g;
    for (int64_t i = lo; i < hi; i++)
        pack(s->pa + i * MR * s->kc, MR, g->a + (s->ic + i * MR) * g->ars, MIN(MR, s->mc - i * MR), g->ars,
             g->acs, s->pc, s->kc, g->K);
}
/* a tile of 8 rows and up to 3 vectors of columns */
FBC_INLINE void tile(const int nv, int64_t k, const uint32_t *a, const uint32_t *b, float *c, int64_t ldc,
                     int64_t m, int64_t n, int acc) {
    __m512 s[MR][NV];
    _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
        s[i][j] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++, a += MR, b += NR) {
        __m512bh v[NV];
        _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
            v[j] = (__m512bh)_mm512_loadu_si512(b + 16 * j);
        _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {
            __m512i x = _mm512_set1_epi32((int)a[i]);
            __asm__("" : "+v"(x)); /* one broadcast for all products of the row */
            _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
                s[i][j] = _mm512_dpbf16_ps(s[i][j], (__m512bh)x, v[j]);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {
        if (i >= m) break;
        _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++) {
            int64_t left = n - 16 * j;
            __mmask16 in = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
            float *q = c + i * ldc + 16 * j;
            __m512 r = acc ? _mm512_add_ps(s[i][j], _mm512_maskz_loadu_ps(in, q)) : s[i][j];
            _mm512_mask_storeu_ps(q, in, r);
        }
    }
}
static void tile1(int64_t k, const uint32_t *a, const uint32_t *b, float *c, int64_t ldc, int64_t m,
                  int64_t n, int acc) {
    tile(1, k, a, b, c, ldc, m, n, acc);
}
static void tile2(int64_t k, const uint32_t *a, const uint32_t *b, float *c, int64_t ldc, int64_t m,
                  int64_t n, int acc) {
    tile(2, k, a, b, c, ldc, m, n, acc);
}
static void tile3(int64_t k, const uint32_t *a, const uint32_t *b, float *c, int64_t ldc, int64_t m,
                  int64_t n, int acc) {
    tile(3, k, a, b, c, ldc, m, n, acc);
}
static void (*const tiles[NV])(int64_t, const uint32_t *, const uint32_t *, float *, int64_t, int64_t,
                               int64_t, int) = {tile1, tile2, tile3};

enum { BM = 16 * MR, BN = 10 * NR }; /* a task's rows and columns */
static void tile_task(void *ctx, int64_t lo, int64_t hi) {
    const step *s = ctx;
    const fbc_bf16_product *g = s->g;
    int64_t down = ceil_div(s->mc, BM);
    for (int64_t t = lo; t < hi; t++) {
        int64_t i0 = t % down * BM, j0 = t / down * BN, i1 = MIN(i0 + BM, s->mc), j1 = MIN(j0 + BN, s->nc);
        for (int64_t j = j0; j < j1; j += NR) {
            int64_t n = MIN(NR, j1 - j);
            for (int64_t i = i0; i < i1; i += MR)
                tiles[ceil_div(n, 16) - 1](s->kc, s->pa + i * s->kc, s->pb + j * s->kc,
                                           g->c + (s->ic + i) * g->ldc + s->jc + j, g->ldc, MIN(MR, i1 - i), n,
                                           s->pc > 0);
        }
    }
}
int64_t fbc_bf16_gemm(const fbc_bf16_product *g) {
    int64_t pairs = (g->K + 1) / 2, steps = ceil_div(pairs, KC), long_ = ceil_div(pairs, steps);
    step s = {.g = g};
    s.pa = fbk_scratch(SLOT_GA, (ceil_div(MIN(g->M, MC), MR) * MR * long_ + 64) * 4);
    s.pb = fbk_scratch(SLOT_GB, (ceil_div(MIN(g->N, NC), NR) * NR * long_ + 64) * 4);
    if (!s.pa || !s.pb) return FBK_ENOMEM;
    for (s.jc = 0; s.jc < g->N; s.jc += NC) {
        s.nc = MIN(NC, g->N - s.jc);
        for (s.pc = 0; s.pc < pairs; s.pc += long_) {
            s.kc = MIN(long_, pairs - s.pc);
            fbk_par(ceil_div(s.nc, NR), MAX(1, 32768 / (NR * s.kc)), pack_b, &s);
            for (s.ic = 0; s.ic < g->M; s.ic += MC) {
                s.mc = MIN(MC, g->M - s.ic);
                fbk_par(ceil_div(s.mc, MR), MAX(1, 32768 / (MR * s.kc)), pack_a, &s);
                fbk_par(ceil_div(s.mc, BM) * ceil_div(s.nc, BN), MAX(1, 1000000 / (BM * BN * s.kc)), tile_task,
                        &s);
            }
        }
    }
    return 0;
}
#else
int64_t fbc_bf16_gemm(const fbc_bf16_product *g) { return FBK_EUNSUP; }
#endif
