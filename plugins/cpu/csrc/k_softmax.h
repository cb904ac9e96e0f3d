/* Row helpers that softmax and the losses share. */
#ifndef FBK_SOFTMAX_H
#define FBK_SOFTMAX_H
#include "k_common.h"

#define row_max_f32 FBC_ISA_NAME(fbk_row_max_f32)
#define row_exp_f32 FBC_ISA_NAME(fbk_row_exp_f32)
float row_max_f32(const float *x, int64_t n); /* NaN when there is one */
double row_exp_f32(float *y, const float *x, float m,
                   int64_t n); /* sum of e^(x-m); y, unless NULL, receives the terms */

/* CW neighbouring columns, n rows of stride st: per column the shift m (its maximum, 0 if that is infinite)
 * and the sum of e^(x-m). */
#define CW (4 * VW)
#define col_lse_f32 FBC_ISA_NAME(fbk_col_lse_f32)
void col_lse_f32(const float *x, int64_t n, int64_t st, float *m, float *s);
#endif
