/* Loops of arithmetic, comparison and rounding on float32 and float64. */
#include <math.h>
#include "map.h"

/* fmod in double arithmetic: exact while the quotient stays below 2^29 and the operands have 24 bits. */
FBC_INLINE double fmod_24(double x, double y) {
    double r = x - trunc(x / y) * y;
    double back = copysign(y, x);
    r = (r < 0) != (x < 0) && r != 0 ? r + back : r; /* the quotient was rounded up to the next integer */
    return copysign(r, x);
}
FBC_INLINE int fmod_24_ok(float x, float y) {
    double q = fabs((double)x / (double)y);
    return q < 536870912.0 && fabsf(y) < INFINITY; /* false for NaN */
}
FBC_INLINE double rem_from(double r, double y) {
    double s = (r < 0) != (y < 0) ? r + y : r;
    return r == 0 ? copysign(0.0, y) : s;
}
FBC_INLINE double floordiv_24(double x, double y) {
    double r = fmod_24(x, y), q = rint((x - r) / y);
    q = (r < 0) != (y < 0) && r != 0 ? q - 1 : q;
    return q == 0 ? copysign(0.0, x / y) : q;
}
static double rem_slow(double x, double y) { return rem_from(fmod(x, y), y); }
static double floordiv_slow(double x, double y) {
    if (y == 0) return x / y;
    double r = fmod(x, y), q = (x - r) / y;
    if (r != 0 && (r < 0) != (y < 0)) q -= 1;
    if (q == 0) return copysign(0.0, x / y);
    double f = floor(q);
    return q - f > 0.5 ? f + 1 : f;
}
static float floordiv_slow32(float x, float y) {
    if (y == 0) return x / y;
    float r = fmodf(x, y), q = (x - r) / y;
    if (r != 0 && (r < 0) != (y < 0)) q -= 1;
    if (q == 0) return copysignf(0.0f, x / y);
    float f = floorf(q);
    return q - f > 0.5f ? f + 1 : f;
}
FBC_BIN_SAFE(fmod_f32, float, fmod_24_ok(x, y), (float)fmod_24(x, y), fmodf(x, y))
FBC_BIN_SAFE(rem_f32, float, fmod_24_ok(x, y), (float)rem_from(fmod_24(x, y), y), (float)rem_slow(x, y))
FBC_BIN_SAFE(floordiv_f32, float, fmod_24_ok(x, y), (float)floordiv_24(x, y), floordiv_slow32(x, y))
FBC_BIN(fmod_f64, double, double, fmod(x, y))
FBC_BIN(rem_f64, double, double, rem_slow(x, y))
FBC_BIN(floordiv_f64, double, double, floordiv_slow(x, y))

#define COMMON(s, T, f, BITS, TOP)                                                  \
    FBC_BIN3(add_##s, T, T, x + y)                                                  \
    FBC_BIN3(sub_##s, T, T, x - y)                                                  \
    FBC_BIN3(mul_##s, T, T, x * y)                                                  \
    FBC_BIN3(div_##s, T, T, x / y)                                                  \
    FBC_BIN3(max_##s, T, T, x != x ? x : x > y ? x : y)                             \
    FBC_BIN3(min_##s, T, T, x != x ? x : x < y ? x : y)                             \
    FBC_BIN(fmax_##s, T, T, (x >= y) | (y != y) ? x : y)                            \
    FBC_BIN(fmin_##s, T, T, (x <= y) | (y != y) ? x : y)                            \
    FBC_BIN3(eq_##s, T, uint8_t, x == y)                                            \
    FBC_BIN3(ne_##s, T, uint8_t, x != y)                                            \
    FBC_BIN3(lt_##s, T, uint8_t, x < y)                                             \
    FBC_BIN3(le_##s, T, uint8_t, x <= y)                                            \
    FBC_BIN3(gt_##s, T, uint8_t, x > y)                                             \
    FBC_BIN3(ge_##s, T, uint8_t, x >= y)                                            \
    FBC_BIN(copysign_##s, BITS, BITS, (x & ~TOP) | (y & TOP))                       \
    FBC_BIN(nextafter_##s, T, T, nextafter##f(x, y))                                \
    FBC_UN(neg_##s, BITS, BITS, x ^ TOP)                                            \
    FBC_UN(abs_##s, BITS, BITS, x & ~TOP)                                           \
    FBC_UN(sign_##s, T, T, x != x ? x : (T)((x > 0) - (x < 0)))                     \
    FBC_UN(sqrt_##s, T, T, sqrt##f(x))                                              \
    FBC_UN(rsqrt_##s, T, T, (T)1 / sqrt##f(x))                                      \
    FBC_UN(floor_##s, T, T, floor##f(x))                                            \
    FBC_UN(ceil_##s, T, T, ceil##f(x))                                              \
    FBC_UN(round_##s, T, T, rint##f(x))                                             \
    FBC_UN(trunc_##s, T, T, trunc##f(x))                                            \
    FBC_UN(isnan_##s, T, uint8_t, x != x)                                           \
    FBC_UN(isinf_##s, T, uint8_t, fabs##f(x) == (T)INFINITY)                        \
    FBC_UN(isfinite_##s, T, uint8_t, fabs##f(x) < (T)INFINITY)                      \
    FBC_UN(signbit_##s, BITS, uint8_t, (x & TOP) != 0)
COMMON(f32, float, f, uint32_t, 0x80000000u)
COMMON(f64, double, , uint64_t, 0x8000000000000000u)

#define SET_COMMON(s, dt)                                                                                          \
    FBC_SET3(add, dt, add_##s), FBC_SET3(sub, dt, sub_##s), FBC_SET3(mul, dt, mul_##s), FBC_SET3(div, dt, div_##s); \
    FBC_SET3(maximum, dt, max_##s), FBC_SET3(minimum, dt, min_##s), FBC_SET2(fmax, dt, fmax_##s);                  \
    FBC_SET2(fmin, dt, fmin_##s), FBC_SET3(eq, dt, eq_##s), FBC_SET3(ne, dt, ne_##s), FBC_SET3(lt, dt, lt_##s);    \
    FBC_SET3(le, dt, le_##s), FBC_SET3(gt, dt, gt_##s), FBC_SET3(ge, dt, ge_##s);                                  \
    FBC_SET2(copysign, dt, copysign_##s), FBC_SET2(nextafter, dt, nextafter_##s), FBC_SET(neg, dt, neg_##s);       \
    FBC_SET(abs, dt, abs_##s), FBC_SET(sign, dt, sign_##s), FBC_SET(sqrt, dt, sqrt_##s), FBC_SET(rsqrt, dt, rsqrt_##s); \
    FBC_SET(floor, dt, floor_##s), FBC_SET(ceil, dt, ceil_##s), FBC_SET(round, dt, round_##s);                     \
    FBC_SET(trunc, dt, trunc_##s), FBC_SET(isnan, dt, isnan_##s), FBC_SET(isinf, dt, isinf_##s);                   \
    FBC_SET(isfinite, dt, isfinite_##s), FBC_SET(signbit, dt, signbit_##s), FBC_SET2(fmod, dt, fmod_##s);          \
    FBC_SET2(rem, dt, rem_##s), FBC_SET2(floordiv, dt, floordiv_##s)

FBC_KERNEL(void, fbc_map_float, (fbc_map_row *t), (t)) {
    SET_COMMON(f32, FBC_F32);
    SET_COMMON(f64, FBC_F64);
}
