/* Products of bfloat16 matrices by AVX-512-BF16's dot products of pairs, summed in float32; for CPUs that have
   them (fbc_bf16_ok). Blocked like the float32 GEMM (k_gemm_t.h), a pair of neighbours along k in place of each
   float: every element is summed over k in the same order whatever the number of threads. */
/* cflags: -Wno-maybe-uninitialized */
#include "bf16_gemm.h"
#include "k_gemm.h"

#ifdef FBC_HAS_BF16
#include <immintrin.h>
enum { MR = 8, NV = 3, NR = NV * 16, KC = FBC_BF16_DEPTH / 2 /* pairs */, MC = 192 * MR, NC = 64 * NR };
enum { SLOT_GA = SLOT_N, SLOT_GB };
void fbk_pack_f32__avx512(float *dst, int W, const float *src, int64_t n, int64_t ls, int64_t k, int64_t ks);

/* where panel j of n columns begins: three vectors each, but two and two rather than three and one at the end */
static int64_t cut(int64_t j, int64_t n) {
    int64_t at = j * NR;
    if (at >= n) return n;
    return ceil_div(n, 16) % NV == 1 && j > 0 && at + 16 >= n ? at - 16 : at;
}

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
/* where a tile's sums go: added to c if acc; to out, rounded, in the last step */
typedef struct {
    float *c;
    int64_t ldc;
    uint16_t *out;
    int64_t ors;
    int acc;
} target;
FBC_INLINE __m256i rounded(__m512 x) { /* to nearest even; NaN stays NaN */
    __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}
/* a tile of R rows and nv vectors of columns, the last with n - 16 (nv - 1) columns; a's rows ari and pairs ark apart */
FBC_INLINE void tile(const int R, const int nv, int64_t k, const uint16_t *a, int64_t ari, int64_t ark, const uint32_t *b,
                     target to, int64_t n) {
    __m512 s[MR][NV];
    _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
        s[i][j] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++, a += ark, b += NR) {
        __m512bh v[NV];
        _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
            v[j] = (__m512bh)_mm512_loadu_si512(b + 16 * j);
        _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) {
            int pair;
            memcpy(&pair, a + i * ari, 4);
            __m512i x = _mm512_set1_epi32(pair);
            __asm__("" : "+v"(x)); /* one broadcast for all products of the row */
            _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++)
                s[i][j] = _mm512_dpbf16_ps(s[i][j], (__m512bh)x, v[j]);
        }
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) _Pragma("GCC unroll 3") for (int j = 0; j < nv; j++) {
        int64_t left = n - 16 * j;
        __mmask16 in = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
        float *q = to.c + i * to.ldc + 16 * j;
        uint16_t *o = to.out + i * to.ors + 16 * j;
        __m512 r = to.acc ? _mm512_add_ps(s[i][j], _mm512_maskz_loadu_ps(in, q)) : s[i][j];
        if (to.out && left >= 16) _mm256_storeu_si256((__m256i *)o, rounded(r));
        else if (to.out) _mm256_mask_storeu_epi16(o, in, rounded(r));
        else if (left >= 16) _mm512_storeu_ps(q, r);
        else _mm512_mask_storeu_ps(q, in, r);
    }
}
#define TILE(R, W) \
    static void tile_##R##_##W(int64_t k, const uint16_t *a, int64_t ari, int64_t ark, const uint32_t *b, target to, \
                               int64_t n) { \
        tile(R, W, k, a, ari, ark, b, to, n); \
    }
#define TILES(R) TILE(R, 1) TILE(R, 2) TILE(R, 3)
TILES(1) TILES(2) TILES(4) TILES(8)
/* eight rows of a packed panel: distances that the compiler knows */
#define PACKED(W) \
    static void packed_##W(int64_t k, const uint16_t *a, int64_t ari, int64_t ark, const uint32_t *b, target to, \
                           int64_t n) { \
        tile(MR, W, k, a, 2, 2 * MR, b, to, n); \
    }
PACKED(1) PACKED(2) PACKED(3)
#define OF(R) {tile_##R##_1, tile_##R##_2, tile_##R##_3}
static void (*const tiles[5][NV])(int64_t, const uint16_t *, int64_t, int64_t, const uint32_t *, target,
                                  int64_t) = {OF(1), OF(2), OF(4), OF(8), {packed_1, packed_2, packed_3}};

/* The rows [m0, m1) and columns [n0, n1) of the product, by one thread. */
static int64_t block(const fbc_bf16_product *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    enum { BM = 16 * MR, BP = 5 }; /* rows, panels of a round of tiles */
    int64_t pairs = (g->K + 1) / 2, kstep = ceil_div(pairs, ceil_div(pairs, KC));
    const int direct = g->acs == 1 && g->K % 2 == 0 && n1 - n0 <= 4 * NR; /* a is read where it lies */
    uint32_t *pa = fbk_scratch(SLOT_GA, (ceil_div(MIN(m1 - m0, MC), MR) * MR * kstep + 64) * 4);
    uint32_t *pb = fbk_scratch(SLOT_GB, (ceil_div(MIN(n1 - n0, NC), NR) * NR * kstep + 64) * 4);
    if (!pa || !pb) return FBK_ENOMEM;
    for (int64_t jc = n0; jc < n1; jc += NC) {
        int64_t nc = MIN(NC, n1 - jc), panels = ceil_div(nc, NR);
        for (int64_t pc = 0; pc < pairs; pc += kstep) {
            int64_t kc = MIN(kstep, pairs - pc);
            int64_t few = g->bcs == 1 ? 16 : kc; /* some of b's rows after another, all panels: whole lines and pages */
            for (int64_t k0 = 0; k0 < kc; k0 += few)
                for (int64_t p = 0; p < panels; p++) {
                    int64_t j = cut(p, nc);
                    pack(pb + p * NR * kc + k0 * NR, NR, g->b + (jc + j) * g->bcs, cut(p + 1, nc) - j, g->bcs, g->brs, pc + k0,
                         MIN(few, kc - k0), g->K);
                }
            for (int64_t ic = m0; ic < m1; ic += MC) {
                int64_t mc = MIN(MC, m1 - ic);
                for (int64_t i = 0; i < mc && !direct; i += MR)
                    pack(pa + i * kc, MR, g->a + (ic + i) * g->ars, MIN(MR, mc - i), g->ars, g->acs, pc, kc, g->K);
                for (int64_t p0 = 0; p0 < panels; p0 += BP)
                    for (int64_t i0 = 0; i0 < mc; i0 += BM) {
                        int64_t i1 = MIN(i0 + BM, mc), j1 = cut(p0 + BP, nc);
                        for (int64_t p = p0, j = cut(p0, nc), n; j < j1; p++, j += n) {
                            n = cut(p + 1, nc) - j;
                            for (int64_t i = i0, r; i < i1; i += r) {
                                int64_t left = i1 - i, row = ic + i, column = jc + j;
                                int size = left >= 8 ? 3 : left >= 4 ? 2 : left >= 2 ? 1 : 0;
                                r = 1 << size;
                                target to = {g->c ? g->c + row * g->ldc + column : NULL, g->ldc,
                                             g->out && pc + kc >= pairs ? g->out + row * g->ors + column : NULL, g->ors, pc > 0};
                                /* in a packed panel of eight rows, those from i on */
                                const uint16_t *a = direct ? g->a + row * g->ars + 2 * pc
                                                           : (const uint16_t *)(pa + i / MR * MR * kc + i % MR);
                                tiles[size == 3 && !direct ? 4 : size][ceil_div(n, 16) - 1](
                                    kc, a, direct ? g->ars : 2, direct ? 2 : 2 * MR, pb + p * NR * kc, to, n);
                            }
                        }
                    }
            }
        }
    }
    return 0;
}
typedef struct {
    const fbc_bf16_product *g;
    int64_t down, across, rc;
} split;
static void block_task(void *ctx, int64_t lo, int64_t hi) {
    split *s = ctx;
    const fbc_bf16_product *g = s->g;
    int64_t strips = ceil_div(g->M, MR), vectors = ceil_div(g->N, 16);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t % s->down, c = t / s->down;
        int64_t rc = block(g, r * strips / s->down * MR, MIN(g->M, (r + 1) * strips / s->down * MR), c * vectors / s->across * 16,
                           MIN(g->N, (c + 1) * vectors / s->across * 16));
        if (rc) __atomic_store_n(&s->rc, rc, __ATOMIC_RELAXED);
    }
}
int64_t fbc_bf16_gemm(const fbc_bf16_product *g) {
    split s = {.g = g};
    fbk_split(g->M, g->N, g->K / 2, MR, 16, 0, &s.down, &s.across);
    fbk_par(s.down * s.across, 1, block_task, &s);
    return s.rc;
}
#else
int64_t fbc_bf16_gemm(const fbc_bf16_product *g) { return FBK_EUNSUP; }
#endif
