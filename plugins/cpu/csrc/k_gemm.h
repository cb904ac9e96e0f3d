/* The packed GEMM as other kernels use it: operands come through packing functions, so a convolution packs
 * straight from the image. */
#ifndef FBK_GEMM_H
#define FBK_GEMM_H
#include "k_load.h"

typedef struct {
    const void *p;
    int64_t rs, cs;
} fbk_mat; /* a strided matrix: row and column strides in elements */
/* dst: a panel, k-major: for A lanes are rows i0.. (m of them), for B columns j0.. (n of them); missing lanes
 * must be zero. */
typedef void (*fbk_pack_a)(const void *a, void *dst, int64_t i0, int64_t m, int64_t k0, int64_t k);
typedef void (*fbk_pack_b)(const void *b, void *dst, int64_t k0, int64_t k, int64_t j0, int64_t n);
typedef struct {
    int64_t M, N, K;
    const void *a, *b;
    fbk_pack_a pack_a; /* NULL: a (b) is an fbk_mat */
    fbk_pack_b pack_b;
    void *c; /* rows of stride ldc, columns contiguous */
    int64_t ldc;
    int acc;          /* add to what is there */
    const void *bias; /* added at the end, or NULL */
    int64_t bias_rs, bias_cs;
} fbk_gemm;
/* Into how many blocks threads divide a product of [M, K] and [K, N]: `down` by rows (in strips of mr) and `across` by columns (in
   vectors of vl). As many as there are threads, more where they are large, so that one held up elsewhere has less to do. A block packs
   its rows and columns itself: of the ways to cut, the one that packs least. dear: packing columns costs much more than rows. */
static inline void fbk_split(int64_t M, int64_t N, int64_t K, int64_t mr, int64_t vl, int dear, int64_t *down, int64_t *across) {
    int64_t threads = fbc_in_parallel() ? 1 : fbc_get_num_threads(), least = 1 << 18;
    double work = (double)M * (double)N * (double)K, best = 0;
    int64_t blocks = threads * (work < (double)(1 << 28) ? 1 : 2);
    *down = *across = 1;
    if (threads == 1) return;
    if ((double)blocks > work / (double)least) blocks = (int64_t)(work / (double)least);
    for (int64_t across_ = 1; across_ <= blocks; across_++) {
        int64_t down_ = blocks / across_, strips = (M + mr - 1) / mr, vectors = (N + vl - 1) / vl;
        if (down_ * across_ != blocks || down_ > strips || across_ > vectors) continue;
        /* packing, and the larger block's share beyond its due */
        double cost = (double)(across_ * M) + (double)(down_ * N) * (dear ? 8 : 1), most = (double)((strips + down_ - 1) / down_ * mr),
               wide = (double)((vectors + across_ - 1) / across_ * vl);
        cost += (most * wide * (double)blocks - (double)M * (double)N) / 16;
        if (best == 0 || cost < best) best = cost, *down = down_, *across = across_;
    }
}
#define fbk_gemm_run FBC_ISA_NAME(fbk_gemm_run_)
int64_t fbk_gemm_run(int dtype, const fbk_gemm *g); /* dtype: DT_F32 or DT_F64 */

#if VB == 64
#define F32_MR 8
#define F32_NV 3
#elif VB == 32
#define F32_MR 6
#define F32_NV 2
#else
#define F32_MR 4
#define F32_NV 2
#endif
#define F64_MR F32_MR
#define F64_NV F32_NV
#define F32_NR (F32_NV * VW)
#define F64_NR (F64_NV * VD)

/* The pieces, for kernels with loops of their own. A tile: c[m][n] (+)= sum over k of a[k][MR] b[k][NR], m <=
   MR, n <= NR. Packing: dst[k][W] = n lanes of stride ls, k steps of stride ks, missing lanes zero. */
#define FBK_PIECES(S, T) \
    void FBC_ISA_NAME(fbk_tile_##S)(int64_t k, const T *a, const T *b, T *c, int64_t ldc, int64_t m, \
                                    int64_t n, int acc); \
    void FBC_ISA_NAME(fbk_pack_##S)(T * dst, int W, const T *src, int64_t n, int64_t ls, int64_t k, \
                                    int64_t ks);
/* The same from where the operands lie: a's rows ari and steps ark elements apart, MR rows readable; b's steps bs
   elements apart, whole vectors readable. */
void FBC_ISA_NAME(fbk_tile_any_f32)(int64_t k, const float *a, int64_t ari, int64_t ark, const float *b, int64_t bs,
                                    float *c, int64_t ldc, int64_t m, int64_t n, int acc);
FBK_PIECES(f32, float)
FBK_PIECES(f64, double)
#endif
