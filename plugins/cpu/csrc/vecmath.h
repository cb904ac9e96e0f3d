/* float32 functions on vectors (simd.h): at most 2 ulp, right on infinities, NaN, denormals, huge arguments (but for the trigonometric
   ones: see VF_TRIG_MAX). The polynomials are minimax fits made for this file. */
#ifndef FBC_VECMATH_H
#define FBC_VECMATH_H
#include "simd.h"

#define C(x) vf_set(x)
#define LN2_HI_F 0.693359375f /* few bits: products with small integers are exact */
#define LN2_LO_F -2.12194440e-4f

/* exp(r) - 1 for |r| <= ln2/2 */
FBC_INLINE VF vf_expm1_core(VF r) {
    VF p = vf_fma(C(0.001394759838f), r, C(0.008367246777f));
    p = vf_fma(p, r, C(0.04166626654f));
    p = vf_fma(p, r, C(0.1666653802f));
    p = vf_fma(p, r, C(0.5000000066f));
    return vf_fma(r * r, p, r);
}
/* x = n ln2 + r */
FBC_INLINE VF vf_reduce(VF x, VF *n) {
    *n = vf_round(x * C(1.44269504f));
    VF r = vf_fma(*n, C(-LN2_HI_F), x);
    return vf_fma(*n, C(-LN2_LO_F), r);
}
FBC_INLINE VF vf_exp(VF x) {
    VF n, r = vf_reduce(vf_max(C(-104.0f), vf_min(C(89.0f), x)), &n); /* a NaN passes */
    return vf_scale(C(1.0f) + vf_expm1_core(r), n);
}
/* exp(x) for x in [-80, 0] */
FBC_INLINE VF vf_exp_small(VF x) {
    VF n, r = vf_reduce(x, &n), s = vf_pow2(n);
    return vf_fma(vf_expm1_core(r), s, s);
}
FBC_INLINE VF vf_exp2(VF x) {
    VF c = vf_max(C(-151.0f), vf_min(C(129.0f), x)), n = vf_round(c), r = c - n;
    VF hi = r * C(0.693147182f);
#if defined(__FMA__) || defined(FBC_SIMD_SCALAR)
    hi = hi + vf_fma(r, C(-1.90465421e-9f), vf_fma(r, C(0.693147182f), C(0.0f) - hi));
#endif
    return vf_scale(C(1.0f) + vf_expm1_core(hi), n);
}
FBC_INLINE VF vf_expm1(VF x) {
    VF n, r = vf_reduce(vf_max(C(-18.0f), vf_min(C(89.0f), x)), &n);
    VM top = vf_lt(C(127.0f), n); /* 2^128 is too large: work with half of it */
    VF one = vf_select(top, C(0.5f), C(1.0f)), s = vf_pow2(vf_select(top, C(127.0f), n));
    VF y = vf_fma(s, vf_expm1_core(r), s - one) * vf_select(top, C(2.0f), C(1.0f));
    return vf_select(vf_lt(vf_abs(x), C(1e-20f)), x, y);
}
FBC_INLINE VF vf_sigmoid(VF x) {
    VF n, r = vf_reduce(vf_max(C(-104.0f), C(0.0f) - vf_abs(x)), &n);
    VF z = vf_scale(C(1.0f) + vf_expm1_core(r), n), d = C(1.0f) + z, lost = (C(1.0f) - d) + z;
    VM below = vf_lt(x, C(0.0f));
    VF y = vf_select(below, z, C(1.0f)) / d; /* 1 / d is y or 1 - y: take off what rounding d has put on */
    return vf_fma(y * lost, vf_select(below, y - C(1.0f), C(0.0f) - y), y);
}
FBC_INLINE VF vf_tanh(VF x) { /* a polynomial near 0; m / (m + 2), m = expm1(2|x|) beyond */
    VF t = vf_min(C(10.0f), vf_abs(x)), z = t * t;
    VF p = vf_fma(C(-0.005515163765f), z, C(0.02046941966f));
    p = vf_fma(p, z, C(-0.05368802324f));
    p = vf_fma(p, z, C(0.1333083063f));
    p = vf_fma(p, z, C(-0.3333325982f));
    VF n, r = vf_reduce(t + t, &n), s = vf_pow2(n);
    VF m = vf_fma(s, vf_expm1_core(r), s - C(1.0f));
    return vf_copysign(vf_select(vf_lt(t, C(0.625f)), vf_fma(p * z, t, t), m / (m + C(2.0f))), x);
}

/* log of 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)) */
FBC_INLINE VF vf_log_of(VF e, VF f) {
    VF p = vf_fma(C(0.06746639084f), f, C(-0.1167565031f));
    p = vf_fma(p, f, C(0.1188816206f));
    p = vf_fma(p, f, C(-0.1240558915f));
    p = vf_fma(p, f, C(0.1421955242f));
    p = vf_fma(p, f, C(-0.1666799584f));
    p = vf_fma(p, f, C(0.2000211866f));
    p = vf_fma(p, f, C(-0.250000096f));
    p = vf_fma(p, f, C(0.333333126f));
    VF z = f * f;
    VF t = vf_fma(e, C(LN2_LO_F), p * f * z);
    t = vf_fma(z, C(-0.5f), t);
    return vf_fma(e, C(LN2_HI_F), f + t);
}
FBC_INLINE VF vf_split(VF x, VF *f) { /* x normal and positive */
    VI u = (vf_bits(x) & 0x7fffffff) - 0x3f3504f3; /* sqrt(1/2) */
    *f = vf_of_bits((u & 0x7fffff) + 0x3f3504f3) - C(1.0f);
    return vf_of_int(u >> 23);
}
FBC_INLINE VF vf_log(VF x) {
#ifdef __AVX512DQ__
    if (!_mm512_fpclass_ps_mask(x, 0xff)) { /* none is NaN, infinite, 0, denormal or negative */
        VF f, e = vf_split(x, &f);
        return vf_log_of(e, f);
    }
#endif
    VM tiny = vf_lt(x, C(1.17549435e-38f));
    VF f, e = vf_split(vf_select(tiny, x * C(8388608.0f), x), &f);
    e = vf_select(tiny, e - C(23.0f), e);
    VF y = vf_log_of(e, f);
    y = vf_select(vf_lt(x, C(INFINITY)), y, x); /* infinity and NaN */
    y = vf_select(vf_eq(x, C(0.0f)), C(-INFINITY), y);
    return vf_select(vf_lt(x, C(0.0f)), C(NAN), y);
}
FBC_INLINE VF vf_log1p(VF x) {
    VF u = C(1.0f) + x;
    VF lost = vf_select(vf_lt(C(2.0f), u), C(1.0f) - (u - x), x - (u - C(1.0f)));
    VF f, e = vf_split(u, &f);
    f = f + lost * vf_pow2(C(0.0f) - vf_min(C(126.0f), e));
    VF y = vf_log_of(e, f);
    y = vf_select(vf_lt(x, C(INFINITY)), y, x);
    y = vf_select(vf_eq(x, C(-1.0f)), C(-INFINITY), y);
    y = vf_select(vf_lt(vf_abs(x), C(1e-20f)), x, y);
    return vf_select(vf_lt(x, C(-1.0f)), C(NAN), y);
}
FBC_INLINE VF vf_erf(VF x) { /* a polynomial near 0, 1 - exp(-polynomial) beyond */
    VF t = vf_abs(x), z = t * t;
    VF p = vf_fma(C(8.316778013e-5f), z, C(-0.0008130013516f));
    p = vf_fma(p, z, C(0.005199906764f));
    p = vf_fma(p, z, C(-0.02685894156f));
    p = vf_fma(p, z, C(0.1128368719f));
    p = vf_fma(p, z, C(-0.3761263319f));
    p = vf_fma(p, z, C(0.128379167f));
    VF u = vf_min(C(4.0f), t);
    VF q = vf_fma(C(1.123148658e-5f), u, C(-0.0003228053925f));
    q = vf_fma(q, u, C(0.003642464244f));
    q = vf_fma(q, u, C(-0.02376207193f));
    q = vf_fma(q, u, C(0.1062368859f));
    q = vf_fma(q, u, C(0.6351513126f));
    q = vf_fma(q, u, C(1.128648491f));
    VF far = C(1.0f) - vf_exp_small((C(0.0f) - u) * q);
    return vf_copysign(vf_select(vf_lt(t, C(0.92f)), vf_fma(p, t, t), far), x);
}

/* sin (quarter 0) and cos (quarter 1) for |x| <= VF_TRIG_MAX: pi/2 in three parts, of which products with n lose nothing that matters */
#if defined(__FMA__) || defined(FBC_SIMD_SCALAR)
#define VF_TRIG_MAX 65536.0f
#define PIO2_1_F 0x1.921fb6p+0f
#define PIO2_2_F -0x1.777a5cp-25f
#define PIO2_3_F -0x1.ee59dap-50f
#else
#define VF_TRIG_MAX 8192.0f
#define PIO2_1_F 0x1.92p+0f
#define PIO2_2_F 0x1.fb4p-12f
#define PIO2_3_F 0x1.4442d2p-24f
#endif
FBC_INLINE VF vf_trig(VF x, int quarter) {
    VF n = vf_round(x * C(0.636619772f));
    VF r = vf_fma(n, C(-PIO2_1_F), x);
    r = vf_fma(n, C(-PIO2_2_F), r);
    r = vf_fma(n, C(-PIO2_3_F), r);
    VF z = r * r;
    VI q = vf_to_int(n) + quarter;
    VF s = vf_fma(C(2.717564396e-6f), z, C(-0.0001983925663f));
    s = vf_fma(s, z, C(0.008333329144f));
    s = vf_fma(s, z, C(-0.1666666664f));
    s = vf_fma(s * z, r, r);
    VF c = vf_fma(C(2.443120517e-5f), z, C(-0.001388730605f));
    c = vf_fma(c, z, C(0.04166664565f));
    c = vf_fma(z * z, c, vf_fma(z, C(-0.5f), C(1.0f)));
    VF y = vf_select(vf_odd(q), c, s);
    y = vf_of_bits(vf_bits(y) ^ ((q & 2) << 30));
    return quarter ? y : vf_select(vf_eq(x, C(0.0f)), x, y); /* -0 */
}
#undef C
#endif
