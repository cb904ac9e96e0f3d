/* Loops of the opcodes on complex64 and complex128. */
/* cflags: -fcx-limited-range */
#include <complex.h>
#include <math.h>
#include "map.h"
#undef I

typedef float complex c64;
typedef double complex c128;

#define COMPLEX(s, C, R, f, dt, MAKE)                                                                    \
    FBC_BIN3(add_##s, C, C, x + y)                                                                       \
    FBC_BIN3(sub_##s, C, C, x - y)                                                                       \
    FBC_INLINE C mul1_##s(C x, C y) {                                                                    \
        R a = __real__ x, b = __imag__ x, c = __real__ y, d = __imag__ y;                                \
        return MAKE(a * c - b * d, a * d + b * c);                                                       \
    }                                                                                                    \
    FBC_BIN3(mul_##s, C, C, mul1_##s(x, y))                                                              \
    /* Smith's method: scale by the greater part of the divisor */                                       \
    FBC_INLINE C div1_##s(C x, C y) {                                                                    \
        R a = __real__ x, b = __imag__ x, c = __real__ y, d = __imag__ y;                                \
        if (fabs##f(c) >= fabs##f(d)) {                                                                  \
            if (c == 0 && d == 0) return MAKE(a / fabs##f(c), b / fabs##f(d));                           \
            R q = d / c, w = 1 / (c + d * q);                                                            \
            return MAKE((a + b * q) * w, (b - a * q) * w);                                               \
        }                                                                                                \
        R q = c / d, w = 1 / (c * q + d);                                                                \
        return MAKE((a * q + b) * w, (b * q - a) * w);                                                   \
    }                                                                                                    \
    FBC_BIN(div_##s, C, C, div1_##s(x, y))                                                               \
    static C pow1_##s(C x, C y) {                                                                        \
        R a = __real__ x, b = __imag__ x, c = __real__ y, d = __imag__ y;                                \
        if (c == 0 && d == 0) return MAKE(1, 0);                                                         \
        if (a == 0 && b == 0) return c > 0 && d == 0 ? MAKE(0, 0) : MAKE(NAN, NAN);                      \
        if (d == 0 && c == (int)c && fabs##f(c) < 100) {                                                 \
            C r = MAKE(1, 0), p = x;                                                                     \
            for (int k = c < 0 ? -(int)c : (int)c; k; k >>= 1, p = mul1_##s(p, p))                       \
                if (k & 1) r = mul1_##s(r, p);                                                           \
            return c < 0 ? div1_##s(MAKE(1, 0), r) : r;                                                  \
        }                                                                                                \
        return cpow##f(x, y);                                                                            \
    }                                                                                                    \
    static C expm11_##s(C x) {                                                                           \
        R a = __real__ x, h = sin##f(__imag__ x * (R)0.5);                                               \
        return MAKE(expm1##f(a) * cos##f(__imag__ x) - 2 * h * h, exp##f(a) * sin##f(__imag__ x));       \
    }                                                                                                    \
    static C log1p1_##s(C x) {                                                                           \
        R a = __real__ x, b = __imag__ x;                                                                \
        if (fabs##f(a) < (R)0.5 && fabs##f(b) < (R)0.5)                                                  \
            return MAKE((R)0.5 * log1p##f(a * (2 + a) + b * b), atan2##f(b, 1 + a));                     \
        return clog##f(MAKE(1 + a, b));                                                                  \
    }                                                                                                    \
    static C sigmoid1_##s(C x) { return div1_##s(MAKE(1, 0), MAKE(1, 0) + cexp##f(-x)); }                \
    FBC_BIN(pow_##s, C, C, pow1_##s(x, y))                                                               \
    FBC_UN(neg_##s, C, C, -x)                                                                            \
    FBC_UN(conj_##s, C, C, MAKE(__real__ x, -__imag__ x))                                                \
    FBC_UN(abs_##s, C, R, hypot##f(__real__ x, __imag__ x))                                              \
    FBC_UN(angle_##s, C, R, atan2##f(__imag__ x, __real__ x))                                            \
    FBC_UN(real_##s, C, R, __real__ x)                                                                   \
    FBC_UN(imag_##s, C, R, __imag__ x)                                                                   \
    FBC_BIN(complex_##s, R, C, MAKE(x, y))                                                               \
    FBC_BIN(eq_##s, C, uint8_t, (__real__ x == __real__ y) & (__imag__ x == __imag__ y))                 \
    FBC_BIN(ne_##s, C, uint8_t, (__real__ x != __real__ y) | (__imag__ x != __imag__ y))                 \
    FBC_UN(isnan_##s, C, uint8_t, (__real__ x != __real__ x) | (__imag__ x != __imag__ x))               \
    FBC_UN(isinf_##s, C, uint8_t, (fabs##f(__real__ x) == INFINITY) | (fabs##f(__imag__ x) == INFINITY)) \
    FBC_UN(isfinite_##s, C, uint8_t, (fabs##f(__real__ x) < INFINITY) & (fabs##f(__imag__ x) < INFINITY)) \
    FBC_UN(exp_##s, C, C, cexp##f(x))                                                                    \
    FBC_UN(exp2_##s, C, C, cexp##f(MAKE(__real__ x * (R)M_LN2, __imag__ x * (R)M_LN2)))                  \
    FBC_UN(expm1_##s, C, C, expm11_##s(x))                                                               \
    FBC_UN(log_##s, C, C, clog##f(x))                                                                    \
    FBC_UN(log2_##s, C, C, clog##f(x) * (R)M_LOG2E)                                                      \
    FBC_UN(log10_##s, C, C, clog##f(x) * (R)M_LOG10E)                                                    \
    FBC_UN(log1p_##s, C, C, log1p1_##s(x))                                                               \
    FBC_UN(sqrt_##s, C, C, csqrt##f(x))                                                                  \
    FBC_UN(rsqrt_##s, C, C, div1_##s(MAKE(1, 0), csqrt##f(x)))                                           \
    FBC_UN(sin_##s, C, C, csin##f(x))                                                                    \
    FBC_UN(cos_##s, C, C, ccos##f(x))                                                                    \
    FBC_UN(tan_##s, C, C, ctan##f(x))                                                                    \
    FBC_UN(asin_##s, C, C, casin##f(x))                                                                  \
    FBC_UN(acos_##s, C, C, cacos##f(x))                                                                  \
    FBC_UN(atan_##s, C, C, catan##f(x))                                                                  \
    FBC_UN(sinh_##s, C, C, csinh##f(x))                                                                  \
    FBC_UN(cosh_##s, C, C, ccosh##f(x))                                                                  \
    FBC_UN(tanh_##s, C, C, ctanh##f(x))                                                                  \
    FBC_UN(asinh_##s, C, C, casinh##f(x))                                                                \
    FBC_UN(acosh_##s, C, C, cacosh##f(x))                                                                \
    FBC_UN(atanh_##s, C, C, catanh##f(x))                                                                \
    FBC_UN(sigmoid_##s, C, C, sigmoid1_##s(x))                                                           \
    static void fill_##s(fbc_map_row *t) {                                                               \
        FBC_SET3(add, dt, add_##s), FBC_SET3(sub, dt, sub_##s), FBC_SET3(mul, dt, mul_##s);              \
        FBC_SET2(div, dt, div_##s), FBC_SET2(pow, dt, pow_##s), FBC_SET2(eq, dt, eq_##s);                \
        FBC_SET2(ne, dt, ne_##s), FBC_SET(neg, dt, neg_##s), FBC_SET(conj, dt, conj_##s);                \
        FBC_SET(abs, dt, abs_##s), FBC_SET(angle, dt, angle_##s), FBC_SET(real, dt, real_##s);           \
        FBC_SET(imag, dt, imag_##s), FBC_SET2(complex, (dt == FBC_C64 ? FBC_F32 : FBC_F64), complex_##s); \
        FBC_SET(isnan, dt, isnan_##s), FBC_SET(isinf, dt, isinf_##s), FBC_SET(isfinite, dt, isfinite_##s); \
        FBC_SET(exp, dt, exp_##s), FBC_SET(exp2, dt, exp2_##s), FBC_SET(expm1, dt, expm1_##s);           \
        FBC_SET(log, dt, log_##s), FBC_SET(log2, dt, log2_##s), FBC_SET(log10, dt, log10_##s);           \
        FBC_SET(log1p, dt, log1p_##s), FBC_SET(sqrt, dt, sqrt_##s), FBC_SET(rsqrt, dt, rsqrt_##s);       \
        FBC_SET(sin, dt, sin_##s), FBC_SET(cos, dt, cos_##s), FBC_SET(tan, dt, tan_##s);                 \
        FBC_SET(asin, dt, asin_##s), FBC_SET(acos, dt, acos_##s), FBC_SET(atan, dt, atan_##s);           \
        FBC_SET(sinh, dt, sinh_##s), FBC_SET(cosh, dt, cosh_##s), FBC_SET(tanh, dt, tanh_##s);           \
        FBC_SET(asinh, dt, asinh_##s), FBC_SET(acosh, dt, acosh_##s), FBC_SET(atanh, dt, atanh_##s);     \
        FBC_SET(sigmoid, dt, sigmoid_##s);                                                               \
    }
COMPLEX(c64, c64, float, f, FBC_C64, CMPLXF)
COMPLEX(c128, c128, double, , FBC_C128, CMPLX)

FBC_KERNEL(void, fbc_map_complex, (fbc_map_row *t), (t)) {
    fill_c64(t);
    fill_c128(t);
}
