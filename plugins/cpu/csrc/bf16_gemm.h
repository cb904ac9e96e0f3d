/* The product of bfloat16 matrices in float32: c[M][N] = a[M][K] b[K][N]; strides in elements. */
#ifndef FBC_BF16_GEMM_H
#define FBC_BF16_GEMM_H
#include <stdint.h>
typedef struct {
    int64_t M, N, K;
    const uint16_t *a, *b;
    int64_t ars, acs, brs, bcs;
    float *c;
    int64_t ldc;
} fbc_bf16_product;
int64_t fbc_bf16_gemm(const fbc_bf16_product *g); /* 0, FBK_ENOMEM, or FBK_EUNSUP: only where fbc_bf16_ok */
#endif
