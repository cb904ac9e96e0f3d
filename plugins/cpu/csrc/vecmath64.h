/* float64 functions as branch-free inline code that the compiler turns into vector loops; the rarer float32 ones are rounded from them.
   At most 2 ulp. The polynomials are minimax fits made for this file. */
#ifndef FBC_VECMATH64_H
#define FBC_VECMATH64_H
#include <math.h>
#include <string.h>
#include "fbc.h"

#ifdef __FMA__
#define FMAD(a, b, c) __builtin_fma(a, b, c)
#else
#define FMAD(a, b, c) ((a) * (b) + (c))
#endif

FBC_INLINE double vd_from_bits(uint64_t u) { double f; memcpy(&f, &u, 8); return f; }
FBC_INLINE uint64_t vd_bits(double f) { uint64_t u; memcpy(&u, &f, 8); return u; }
#define VD_ROUND 0x1.8p52 /* added and taken away: rounds to an integer, which then stands in the low bits */
#define LOG2E_D 0x1.71547652b82fep+0
#define LN2_HI_D 0x1.62e42feep-1 /* 32 bits */
#define LN2_LO_D 0x1.a39ef35793c76p-33

/* 2^n for the integer that stands in the low bits of m = n + VD_ROUND; -1022 <= n <= 1023 */
FBC_INLINE double vd_pow2(double m) { return vd_from_bits((vd_bits(m) + 1023) << 52); }

FBC_INLINE double vd_expm1_core(double r) {
    double p = 0x1.1f98a930647ccp-29;
    p = FMAD(p, r, 0x1.af63bc6176157p-26);
    p = FMAD(p, r, 0x1.27e4c382b7079p-22);
    p = FMAD(p, r, 0x1.71ddf5abb348dp-19);
    p = FMAD(p, r, 0x1.a01a01b1b408ap-16);
    p = FMAD(p, r, 0x1.a01a01b0db97bp-13);
    p = FMAD(p, r, 0x1.6c16c16c14123p-10);
    p = FMAD(p, r, 0x1.111111110f484p-7);
    p = FMAD(p, r, 0x1.555555555555bp-5);
    p = FMAD(p, r, 0x1.5555555555559p-3);
    p = FMAD(p, r, 0.5);
    return FMAD(r * r, p, r);
}
FBC_INLINE double vd_reduce(double x, double *n) {
    *n = rint(x * LOG2E_D);
    double r = FMAD(*n, -LN2_HI_D, x);
    return FMAD(*n, -LN2_LO_D, r);
}
FBC_INLINE double vd_exp(double x) {
    double c = x > 710.0 ? 710.0 : x;
    c = c < -746.0 ? -746.0 : c;
    double n, r = vd_reduce(c, &n);
    double h = rint(n * 0.5);
    return (1.0 + vd_expm1_core(r)) * vd_pow2(h + VD_ROUND) * vd_pow2(n - h + VD_ROUND);
}
FBC_INLINE double vd_expm1(double x) {
    double c = x > 710.0 ? 710.0 : x;
    c = c < -40.0 ? -40.0 : c;
    double n, r = vd_reduce(c, &n), p = vd_expm1_core(r);
    double k = n > 1023.0 ? 1.0 : 0.0;
    double s = vd_pow2(n - k + VD_ROUND), one = n > 1023.0 ? 0.5 : 1.0;
    double y = FMAD(s, p, s - one) * (1.0 + k);
    return fabs(x) < 1e-30 ? x : y;
}
/* x = 2^e * (1 + f); x normal and positive */
FBC_INLINE double vd_split(double x, double *f) {
    const uint64_t low = 0x3fe6a09e667f3bcdull; /* sqrt(1/2) */
    uint64_t u = vd_bits(x) - low;
    *f = vd_from_bits((u & 0xfffffffffffffull) + low) - 1.0;
    /* the exponent, signed: biased to be positive, then put in the low bits of a double */
    uint64_t e = (u + (1024ull << 52)) >> 52;
    return vd_from_bits(e | 0x4330000000000000ull) - (0x1p52 + 1024.0);
}
/* log(1+f) - f, as f^2/2 is subtracted from s*(f^2/2 + R) */
FBC_INLINE double vd_log_core(double f) {
    double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double p = 0x1.2f575c3043565p-3;
    p = FMAD(p, z, 0x1.3999f194ab04fp-3);
    p = FMAD(p, z, 0x1.7466887f05ed2p-3);
    p = FMAD(p, z, 0x1.c71c50b58feaep-3);
    p = FMAD(p, z, 0x1.249249437a8ccp-2);
    p = FMAD(p, z, 0x1.999999997e3cdp-2);
    p = FMAD(p, z, 0x1.5555555555597p-1);
    return FMAD(s, FMAD(p, z, h), -h);
}
FBC_INLINE double vd_log_special(double x, double y) {
    y = x == INFINITY ? INFINITY : y;
    y = x == 0.0 ? -INFINITY : y;
    return x >= 0.0 ? y : NAN;
}
FBC_INLINE double vd_log(double x) {
    int tiny = x < 0x1p-1022;
    double f, e = vd_split(tiny ? x * 0x1p54 : x, &f);
    e -= tiny ? 54.0 : 0.0;
    double t = FMAD(e, LN2_LO_D, vd_log_core(f));
    return vd_log_special(x, FMAD(e, LN2_HI_D, f + t));
}
FBC_INLINE double vd_log2(double x) {
    int tiny = x < 0x1p-1022;
    double f, e = vd_split(tiny ? x * 0x1p54 : x, &f);
    e -= tiny ? 54.0 : 0.0;
    double t = vd_log_core(f);
    /* (f + t) * log2(e) with the head of f apart */
    double hi = vd_from_bits(vd_bits(f) & ~0xffffffffull), lo = (f - hi) + t;
    double y = FMAD(hi, 0x1.71547652p+0, FMAD(lo, LOG2E_D, hi * 0x1.705fc2eefa2p-33));
    return vd_log_special(x, e + y);
}
FBC_INLINE double vd_log10(double x) {
    int tiny = x < 0x1p-1022;
    double f, e = vd_split(tiny ? x * 0x1p54 : x, &f);
    e -= tiny ? 54.0 : 0.0;
    double t = vd_log_core(f);
    double hi = vd_from_bits(vd_bits(f) & ~0xffffffffull), lo = (f - hi) + t;
    double y = FMAD(hi, 0x1.bcb7b152p-2, FMAD(lo, 0x1.bcb7b1526e50ep-2, hi * 0x1.b9438ca9aadd5p-36));
    y = FMAD(e, 0x1.34413508p-2, FMAD(e, 0x1.f79fef311f12bp-34, y));
    return vd_log_special(x, y);
}
FBC_INLINE double vd_log1p(double x) {
    double u = 1.0 + x;
    double lost = u > 2.0 ? 1.0 - (u - x) : x - (u - 1.0);
    double f, e = vd_split(u, &f);
    double back = vd_pow2(VD_ROUND - (e > 1000.0 ? 1000.0 : e));
    f += lost * back;
    double t = FMAD(e, LN2_LO_D, vd_log_core(f));
    double y = FMAD(e, LN2_HI_D, f + t);
    y = x == INFINITY ? INFINITY : y;
    y = x == -1.0 ? -INFINITY : y;
    y = fabs(x) < 1e-30 ? x : y;
    return x >= -1.0 ? y : NAN;
}
FBC_INLINE double vd_sigmoid(double x) {
    double z = vd_exp(-fabs(x));
    return (x < 0.0 ? z : 1.0) / (1.0 + z);
}
FBC_INLINE double vd_tanh(double x) {
    double t = fabs(x);
    t = t > 22.0 ? 44.0 : t + t;
    double m = vd_expm1(t);
    return copysign(m / (m + 2.0), x);
}
/* |x| <= 2^20; quarter = 0: sin, 1: cos */
#define VD_TRIG_MAX 1048576.0
FBC_INLINE double vd_trig_reduce(double x, double *m) {
    *m = x * 0.63661977236758134 + VD_ROUND;
    double n = *m - VD_ROUND;
    double r = (x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34;
    return r - n * 0x1.3198a2e037073p-69;
}
FBC_INLINE double vd_sin_core(double r, double z) {
    double s = 0x1.5d80ebce3ab0bp-33;
    s = FMAD(s, z, -0x1.ae5e295621d0ep-26);
    s = FMAD(s, z, 0x1.71de352c1002bp-19);
    s = FMAD(s, z, -0x1.a01a019bbd201p-13);
    s = FMAD(s, z, 0x1.111111110f5f0p-7);
    s = FMAD(s, z, -0x1.5555555555547p-3);
    return FMAD(s * z, r, r);
}
FBC_INLINE double vd_cos_core(double z) {
    double c = -0x1.8f9acbc5b2e62p-37;
    c = FMAD(c, z, 0x1.1ee9c69cd9904p-29);
    c = FMAD(c, z, -0x1.27e4f7d4a3d92p-22);
    c = FMAD(c, z, 0x1.a01a019c6a5e0p-16);
    c = FMAD(c, z, -0x1.6c16c16c14ebep-10);
    c = FMAD(c, z, 0x1.555555555554ap-5);
    return FMAD(z * z, c, FMAD(z, -0.5, 1.0));
}
FBC_INLINE double vd_trig(double x, int quarter) {
    double m, r = vd_trig_reduce(x, &m), z = r * r;
    uint64_t q = vd_bits(m) + (uint64_t)quarter;
    double y = (q & 1) ? vd_cos_core(z) : vd_sin_core(r, z);
    y = vd_from_bits(vd_bits(y) ^ ((q & 2) << 62));
    return quarter || x != 0.0 ? y : x; /* -0 */
}
FBC_INLINE double vd_tan(double x) { /* for float32: no care for the last bits of double */
    double m, r = vd_trig_reduce(x, &m), z = r * r;
    double s = vd_sin_core(r, z), c = vd_cos_core(z);
    double y = (vd_bits(m) & 1) ? -c / s : s / c;
    return x == 0.0 ? x : y;
}
/* atan and asin to float32 accuracy */
FBC_INLINE double vd_atan_24(double x) {
    double t = fabs(x), w = t > 1.0 ? 1.0 / t : t, z = w * w;
    double p = -0x1.defda851d8803p-10;
    p = FMAD(p, z, 0x1.6a8efb4a26f54p-7);
    p = FMAD(p, z, -0x1.01af45137f2a5p-5);
    p = FMAD(p, z, 0x1.dd0e9973c4c51p-5);
    p = FMAD(p, z, -0x1.58dc6721a33f1p-4);
    p = FMAD(p, z, 0x1.c0d2822a851e9p-4);
    p = FMAD(p, z, -0x1.2426f835261aap-3);
    p = FMAD(p, z, 0x1.99927665a171fp-3);
    p = FMAD(p, z, -0x1.5555403782202p-2);
    p = FMAD(p * z, w, w);
    return copysign(t > 1.0 ? 0x1.921fb54442d18p+0 - p : p, x);
}
FBC_INLINE double vd_asin_half_24(double w, double z) { /* w = sqrt(z) <= 0.5 */
    double p = 0x1.1c5200eec63b0p-5;
    p = FMAD(p, z, 0x1.e8c01b1084334p-8);
    p = FMAD(p, z, 0x1.9367e7f5d8f50p-6);
    p = FMAD(p, z, 0x1.ed513ecd8f620p-6);
    p = FMAD(p, z, 0x1.6ddb3d912e16ap-5);
    p = FMAD(p, z, 0x1.3332a7a1303d1p-4);
    p = FMAD(p, z, 0x1.55555609b1e4ep-3);
    return FMAD(p * z, w, w);
}
FBC_INLINE double vd_asin_24(double x) { /* |x| > 1: NaN */
    double t = fabs(x), z = t > 0.5 ? 0.5 - 0.5 * t : t * t, w = t > 0.5 ? sqrt(z) : t;
    double p = vd_asin_half_24(w, z);
    return copysign(t > 0.5 ? 0x1.921fb54442d18p+0 - 2.0 * p : p, x);
}
FBC_INLINE double vd_acos_24(double x) {
    double t = fabs(x), z = t > 0.5 ? 0.5 - 0.5 * t : t * t, w = t > 0.5 ? sqrt(z) : t;
    double p = vd_asin_half_24(w, z);
    double far = x > 0.0 ? 2.0 * p : 0x1.921fb54442d18p+1 - 2.0 * p;
    return t > 0.5 ? far : 0x1.921fb54442d18p+0 - copysign(p, x);
}
FBC_INLINE double vd_asinh(double x) {
    double t = fabs(x), z = t * t;
    return copysign(vd_log1p(t + z / (1.0 + sqrt(1.0 + z))), x);
}
#endif
