/* The bundled OpenBLAS, loaded at the first call. Its functions run on the calling thread alone; share work through fbc_parallel. */
#ifndef FBC_BLAS_H
#define FBC_BLAS_H
#include <stdint.h>

enum { FBC_NO_TRANS = 111, FBC_TRANS = 112, FBC_CONJ_TRANS = 113, FBC_ROW_MAJOR = 101, FBC_COL_MAJOR = 102 };
typedef struct {
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                  float beta, float *c, int ldc);
    void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b, int ldb,
                  double beta, double *c, int ldc);
    void (*cgemm)(int order, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int lda, const void *b, int ldb,
                  const void *beta, void *c, int ldc);
    void (*zgemm)(int order, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int lda, const void *b, int ldb,
                  const void *beta, void *c, int ldc);
    void (*sgemv)(int order, int trans, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta,
                  float *y, int incy);
    void (*dgemv)(int order, int trans, int m, int n, double alpha, const double *a, int lda, const double *x, int incx, double beta,
                  double *y, int incy);
    void *handle; /* for dlsym of more: names are scipy_cblas_* */
} fbc_blas_t;
const fbc_blas_t *fbc_blas(void); /* NULL when there is none: fbc_blas_error says why */

//@cdef
void fbc_blas_set_path(const char *path, const char *core);  /* before the first use; core: kernels to force, or NULL */
int fbc_blas_load(void);                                     /* 0 when it is there */
const char *fbc_blas_error(void);
const char *fbc_blas_core(void);                             /* which kernels it picked */
//@end
#endif
