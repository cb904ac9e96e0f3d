/* The product of bfloat16 matrices, summed in float32: a[M][K] b[K][N]; strides in elements. */
#ifndef FBC_BF16_GEMM_H
#define FBC_BF16_GEMM_H
#include <stdint.h>
enum { FBC_BF16_DEPTH = 1024 }; /* sums of at most so many terms are made in registers */
typedef struct {
    int64_t M, N, K;
    const uint16_t *a, *b;
    int64_t ars, acs, brs, bcs;
    float *c; /* the result, or with `out` room for partial sums where K > FBC_BF16_DEPTH; rows of stride ldc */
    int64_t ldc;
    uint16_t *out; /* the rounded result, or NULL; rows of stride ors, columns contiguous */
    int64_t ors;
} fbc_bf16_product;
int64_t fbc_bf16_gemm(const fbc_bf16_product *g); /* 0, FBK_ENOMEM, or FBK_EUNSUP: only where fbc_bf16_ok */
#endif
