/* Loops of the transcendental functions on float32. */
#include "map.h"
#include "vecmath.h"
#include "vecmath64.h"

double fbc_erfinv(double y);
double fbc_digamma(double x);

VF_UN(exp_f32, vf_exp(x))
VF_UN(exp2_f32, vf_exp2(x))
VF_UN(expm1_f32, vf_expm1(x))
VF_UN(log_f32, vf_log(x))
VF_UN(log1p_f32, vf_log1p(x))
VF_UN(tanh_f32, vf_tanh(x))
VF_UN(sigmoid_f32, vf_sigmoid(x))
VF_UN(erf_f32, vf_erf(x))

/* A block with a huge argument is done by the C library where it must be. */
#define TRIG(name, quarter, slow)                                                        \
    VF_UN(name##_near, vf_trig(x, quarter))                                              \
    static void name(FBC_ARGS) {                                                         \
        const float *A = a;                                                              \
        float *D = d, copy[256];                                                         \
        for (int64_t i0 = 0; i0 < n; i0 += 256, A += 256, D += 256) {                    \
            int64_t m = n - i0 < 256 ? n - i0 : 256;                                     \
            int huge = 0;                                                                \
            for (int64_t i = 0; i < m; i++) huge |= !(fabsf(A[i]) <= VF_TRIG_MAX);       \
            if (huge) memcpy(copy, A, (size_t)m * 4);                                    \
            name##_near(m, D, A, b, c);                                                  \
            for (int64_t i = 0; huge && i < m; i++)                                      \
                if (!(fabsf(copy[i]) <= VF_TRIG_MAX)) D[i] = slow(copy[i]);              \
        }                                                                                \
    }
TRIG(sin_f32, 0, sinf)
TRIG(cos_f32, 1, cosf)
FBC_UN_SAFE(tan_f32, float, fabsf(x) <= (float)VD_TRIG_MAX, (float)vd_tan(x), tanf(x))

/* Rounded from double. */
FBC_INLINE double sinh_d(double x) {
    double e = vd_expm1(fabs(x));
    double y = 0.5 * (e + e / (e + 1.0));
    return copysign(fabs(x) > 700.0 ? INFINITY : y, x);
}
FBC_INLINE double cosh_d(double x) {
    double e = vd_exp(fabs(x));
    return 0.5 * (e + 1.0 / e);
}
FBC_INLINE double acosh_d(double x) {
    double t = x - 1.0;
    double y = vd_log1p(t + sqrt(2.0 * t + t * t));
    return x >= 1.0 ? y : NAN;
}
FBC_INLINE double atanh_d(double x) {
    double t = fabs(x);
    return copysign(0.5 * vd_log1p(2.0 * t / (1.0 - t)), x);
}
FBC_INLINE double asinh_d(double x) { return fabs(x) == INFINITY ? x : vd_asinh(x); }
FBC_INLINE double atan2_d(double y, double x) {
    double ax = fabs(x), ay = fabs(y);
    double hi = ay > ax ? ay : ax, lo = ay > ax ? ax : ay;
    double q = hi == 0.0 ? 0.0 : lo == INFINITY ? 1.0 : lo / hi;
    double p = vd_atan_24(q);
    p = ay > ax ? 0x1.921fb54442d18p+0 - p : p;
    p = (vd_bits(x) >> 63) ? 0x1.921fb54442d18p+1 - p : p;
    return (x != x) | (y != y) ? NAN : copysign(p, y);
}
FBC_INLINE double hypot_d(double x, double y) {
    double r = sqrt(x * x + y * y);
    return (fabs(x) == INFINITY) | (fabs(y) == INFINITY) ? INFINITY : r;
}
FBC_UN(log2_f32, float, float, vd_log2(x))
FBC_UN(log10_f32, float, float, vd_log10(x))
FBC_UN(asin_f32, float, float, vd_asin_24(x))
FBC_UN(acos_f32, float, float, vd_acos_24(x))
FBC_UN(atan_f32, float, float, vd_atan_24(x))
FBC_UN(sinh_f32, float, float, sinh_d(x))
FBC_UN(cosh_f32, float, float, cosh_d(x))
FBC_UN(asinh_f32, float, float, asinh_d(x))
FBC_UN(acosh_f32, float, float, acosh_d(x))
FBC_UN(atanh_f32, float, float, atanh_d(x))
FBC_BIN(atan2_f32, float, float, atan2_d(x, y))
FBC_BIN(hypot_f32, float, float, hypot_d(x, y))
FBC_UN(erfc_f32, float, float, erfc(x))
FBC_UN(erfinv_f32, float, float, fbc_erfinv(x))
FBC_UN(digamma_f32, float, float, fbc_digamma(x))
static void lgamma_f32(FBC_ARGS) {
    const float *A = a;
    float *D = d;
    int sign;
    for (int64_t i = 0; i < n; i++) D[i] = (float)lgamma_r(A[i], &sign); /* lgammaf_r is 3 ulp off near its zeros */
}

/* |x|^y as 2^(y log2|x|) in double, then C's rules for signs and special operands. */
FBC_INLINE float pow_24(float xf, float yf) {
    double x = xf, y = yf, t = fabs(x);
    double v = vd_log2(t) * y;
    v = v > 1000.0 ? 1000.0 : v;
    v = v < -1000.0 ? -1000.0 : v;
    double m = v + VD_ROUND, k = m - VD_ROUND;
    double r = (1.0 + vd_expm1_core((v - k) * 0x1.62e42fefa39efp-1)) * vd_pow2(m);
    r = t == 1.0 ? 1.0 : r;
    int whole = rint(y) == y, odd = whole & (y - 2.0 * floor(y * 0.5) == 1.0);
    r = odd ? copysign(r, x) : r;
    r = (x < 0.0) & !whole & (t != INFINITY) ? NAN : r;
    r = (y == 0.0) | (x == 1.0) ? 1.0 : r;
    return (float)r;
}
FBC_BIN(pow_f32, float, float, pow_24(x, y))
FBC_UN(square_f32, float, float, x * x)
FBC_UN(cube_f32, float, float, x * x * x)
FBC_UN(root_f32, float, float, x == -INFINITY ? INFINITY : sqrtf(x + 0.0f))
FBC_UN(inverse_f32, float, float, 1.0f / x)
static void pow_f32_vs(FBC_ARGS) {
    const float *A = a, y = *(const float *)b;
    float *D = d;
    if (y == 2.0f) square_f32(n, d, a, b, c);
    else if (y == 3.0f) cube_f32(n, d, a, b, c);
    else if (y == 0.5f) root_f32(n, d, a, b, c);
    else if (y == -1.0f) inverse_f32(n, d, a, b, c);
    else FBC_LOOP { D[i] = pow_24(A[i], y); }
}

FBC_KERNEL(void, fbc_map_math32, (fbc_map_row *t), (t)) {
#define S(op) FBC_SET(op, FBC_F32, op##_f32)
    S(exp), S(exp2), S(expm1), S(log), S(log2), S(log10), S(log1p), S(sin), S(cos), S(tan), S(asin), S(acos), S(atan);
    S(sinh), S(cosh), S(tanh), S(asinh), S(acosh), S(atanh), S(sigmoid), S(erf), S(erfc), S(erfinv), S(lgamma), S(digamma);
    FBC_SET2(atan2, FBC_F32, atan2_f32), FBC_SET2(hypot, FBC_F32, hypot_f32), FBC_SET2(pow, FBC_F32, pow_f32);
    t[FBC_MAP_ID(FBC_OP_pow, FBC_F32)].vs = pow_f32_vs;
}
