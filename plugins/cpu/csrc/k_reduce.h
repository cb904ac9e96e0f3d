/* Reductions: what the row file (runs along the reduced dimension) and the column file (across it) share. */
#ifndef FBK_REDUCE_H
#define FBK_REDUCE_H
#include "k_load.h"
#include "k_vmath.h"

enum {
    R_SUM,
    R_PROD,
    R_MAX,
    R_MIN,
    R_ARGMAX,
    R_ARGMIN,
    R_ANY,
    R_ALL,
    R_MEAN,
    R_SUMSQ,
    R_NORM2,
    R_VAR,
    R_STD,
    R_LSE
};
enum { CF, CD, CI, CU, CC, CZ }; /* compute class: float, double, int64, uint64, complex64, complex128 */

/* Partial result. sums: a + b (b: error term, or imaginary part); var: n, a = mean, b = M2; logsumexp: a =
   max, b = sum; max/min: a, or i for integers, n = elements seen; arg: k = position. */
typedef struct {
    double a, b;
    int64_t n, i, k;
} rst;

typedef struct {
    int kind, cls, sdt, odt;
    int64_t es, os, count; /* element sizes; elements per result */
    double corr;
    const char *src;
    char *out, *out2; /* out2: the mean of var_mean */
    fbk_it kept, red; /* kept: strides of src, out, out2; red: of src */
} redp;
void FBC_ISA_NAME(fbk_red_finish)(const redp *r, int64_t ooff, int64_t moff, const rst *s);
void FBC_ISA_NAME(fbk_red_merge)(const redp *r, rst *s, const rst *t);
int64_t FBC_ISA_NAME(fbk_red_cols)(redp *r);
#define red_finish FBC_ISA_NAME(fbk_red_finish)
#define red_merge FBC_ISA_NAME(fbk_red_merge)
#define red_cols FBC_ISA_NAME(fbk_red_cols)
#define RED_BLOCK 2048
INL void neumaier(double *a, double *b, double x) {
    double t = *a + x;
    if (isfinite(t)) *b += fabs(*a) >= fabs(x) ? (*a - t) + x : (x - t) + *a;
    *a = t;
}
#endif
