/* Loops of the transcendental functions on float64. */
#include "vecmath64.h"
#include "map.h"

double fbc_erfinv(double y);
double fbc_digamma(double x);

#define LN2_26 0x1.62e42f8p-1
#define LN2_REST 0x1.be8e7bcd5e4f2p-27
FBC_INLINE double exp2_d(double x) {
    double c = x > 1025.0 ? 1025.0 : x;
    c = c < -1080.0 ? -1080.0 : c;
    double n = rint(c), r = c - n, h = rint(n * 0.5);
    double hi = vd_from_bits(vd_bits(r) & ~0x7ffffffull), lo = r - hi; /* 26 bits each: hi times 26 bits of ln2 is exact */
    double w = hi * LN2_26, e = hi * LN2_REST + lo * 0x1.62e42fefa39efp-1;
    return (1.0 + (vd_expm1_core(w) * (1.0 + e) + e)) * vd_pow2(h + VD_ROUND) * vd_pow2(n - h + VD_ROUND);
}
FBC_UN(exp_f64, double, double, vd_exp(x))
FBC_UN(exp2_f64, double, double, exp2_d(x))
FBC_UN(expm1_f64, double, double, vd_expm1(x))
FBC_UN(log_f64, double, double, vd_log(x))
FBC_UN(log2_f64, double, double, vd_log2(x))
FBC_UN(log10_f64, double, double, vd_log10(x))
FBC_UN(log1p_f64, double, double, vd_log1p(x))
FBC_UN(tanh_f64, double, double, vd_tanh(x))
FBC_UN(sigmoid_f64, double, double, vd_sigmoid(x))
FBC_UN_SAFE(sin_f64, double, fabs(x) <= VD_TRIG_MAX, vd_trig(x, 0), sin(x))
FBC_UN_SAFE(cos_f64, double, fabs(x) <= VD_TRIG_MAX, vd_trig(x, 1), cos(x))
FBC_UN(tan_f64, double, double, tan(x))
FBC_UN(asin_f64, double, double, asin(x))
FBC_UN(acos_f64, double, double, acos(x))
FBC_UN(atan_f64, double, double, atan(x))
FBC_UN(sinh_f64, double, double, sinh(x))
FBC_UN(cosh_f64, double, double, cosh(x))
FBC_UN(asinh_f64, double, double, asinh(x))
FBC_UN(acosh_f64, double, double, acosh(x))
FBC_UN(atanh_f64, double, double, atanh(x))
FBC_UN(erf_f64, double, double, erf(x))
FBC_UN(erfc_f64, double, double, erfc(x))
FBC_UN(erfinv_f64, double, double, fbc_erfinv(x))
FBC_UN(digamma_f64, double, double, fbc_digamma(x))
FBC_BIN(atan2_f64, double, double, atan2(x, y))
FBC_BIN(hypot_f64, double, double, hypot(x, y))
FBC_BIN(pow_f64, double, double, pow(x, y))
static void lgamma_f64(FBC_ARGS) {
    const double *A = a;
    double *D = d;
    int sign;
    for (int64_t i = 0; i < n; i++) D[i] = lgamma_r(A[i], &sign);
}
static void pow_f64_vs(FBC_ARGS) {
    const double *A = a, y = *(const double *)b;
    double *D = d;
    if (y == 2.0) FBC_LOOP { D[i] = A[i] * A[i]; }
    else if (y == 3.0) FBC_LOOP { D[i] = A[i] * A[i] * A[i]; }
    else if (y == 0.5) FBC_LOOP { D[i] = A[i] == -INFINITY ? INFINITY : sqrt(A[i] + 0.0); }
    else if (y == -1.0) FBC_LOOP { D[i] = 1.0 / A[i]; }
    else FBC_LOOP { D[i] = pow(A[i], y); }
}

FBC_KERNEL(void, fbc_map_math64, (fbc_map_row *t), (t)) {
#define S(op) FBC_SET(op, FBC_F64, op##_f64)
    S(exp), S(exp2), S(expm1), S(log), S(log2), S(log10), S(log1p), S(sin), S(cos), S(tan), S(asin), S(acos), S(atan);
    S(sinh), S(cosh), S(tanh), S(asinh), S(acosh), S(atanh), S(sigmoid), S(erf), S(erfc), S(erfinv), S(lgamma), S(digamma);
    FBC_SET2(atan2, FBC_F64, atan2_f64), FBC_SET2(hypot, FBC_F64, hypot_f64), FBC_SET2(pow, FBC_F64, pow_f64);
    t[FBC_MAP_ID(FBC_OP_pow, FBC_F64)].vs = pow_f64_vs;
}
