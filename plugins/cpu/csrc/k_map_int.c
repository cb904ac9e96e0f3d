/* Loops of the opcodes on bool and the integers. */
#include "map.h"

/* Arithmetic modulo 2^bits is the same for signed and unsigned: W is an unsigned type at least as wide as int. */
#define MODULAR(s, U, W)                                                                       \
    FBC_BIN3(add_##s, U, U, (W)x + (W)y)                                                       \
    FBC_BIN3(sub_##s, U, U, (W)x - (W)y)                                                       \
    FBC_BIN3(mul_##s, U, U, (W)x * (W)y)                                                       \
    FBC_BIN3(and_##s, U, U, x & y)                                                             \
    FBC_BIN(or_##s, U, U, x | y)                                                               \
    FBC_BIN(xor_##s, U, U, x ^ y)                                                              \
    FBC_BIN3(eq_##s, U, uint8_t, x == y)                                                       \
    FBC_BIN3(ne_##s, U, uint8_t, x != y)                                                       \
    FBC_BIN3(shl_##s, U, U, y < 8 * sizeof(U) ? (U)((W)x << (y & (8 * sizeof(U) - 1))) : (U)0)  \
    FBC_UN(neg_##s, U, U, 0 - (W)x)                                                            \
    FBC_UN(not_##s, U, U, ~x)                                                                  \
    FBC_UN(copy_##s, U, U, x)
MODULAR(8, uint8_t, uint32_t)
MODULAR(16, uint16_t, uint32_t)
MODULAR(32, uint32_t, uint32_t)
MODULAR(64, uint64_t, uint64_t)

#define ORDERED(s, T)                              \
    FBC_BIN3(lt_##s, T, uint8_t, x < y)            \
    FBC_BIN3(le_##s, T, uint8_t, x <= y)           \
    FBC_BIN3(max_##s, T, T, x > y ? x : y)         \
    FBC_BIN3(min_##s, T, T, x < y ? x : y)         \
    FBC_UN(sign_##s, T, T, (x > 0) - (x < 0))      \
    FBC_UN(signbit_##s, T, uint8_t, x < 0)         \
    static void gt_##s##_vv(FBC_ARGS) { lt_##s##_vv(n, d, b, a, c); }  \
    static void gt_##s##_vs(FBC_ARGS) { lt_##s##_sv(n, d, b, a, c); }  \
    static void gt_##s##_sv(FBC_ARGS) { lt_##s##_vs(n, d, b, a, c); }  \
    static void ge_##s##_vv(FBC_ARGS) { le_##s##_vv(n, d, b, a, c); }  \
    static void ge_##s##_vs(FBC_ARGS) { le_##s##_sv(n, d, b, a, c); }  \
    static void ge_##s##_sv(FBC_ARGS) { le_##s##_vs(n, d, b, a, c); }

/* Powers by squaring; a negative exponent gives 0 except for base 1 and -1. */
#define POWER(s, T, U)                                                             \
    static inline T power_##s(T x, T y) {                                          \
        if (y < 0) return x == 1 ? 1 : x == (T)-1 ? ((y & 1) ? (T)-1 : (T)1) : 0;  \
        U r = 1, p = (U)x;                                                         \
        for (U k = (U)y; k; k = (U)(k >> 1)) {                                     \
            if (k & 1) r = (U)((uint64_t)r * p);                                   \
            p = (U)((uint64_t)p * p);                                              \
        }                                                                          \
        return (T)r;                                                               \
    }                                                                              \
    FBC_BIN(pow_##s, T, T, power_##s(x, y))

/* Division of up to 32 bits is exact in double, which vectorises; by zero it gives 0, by -1 it is a wrapping negation. */
#define TRAPS(y, MINUS1) ((y) == 0 || (MINUS1 && (y) == (__typeof__(y))-1))
#define QUOTIENT(T, x, y, MINUS1) ((T)(int64_t)((double)(x) / (double)(TRAPS(y, MINUS1) ? (T)1 : (y))))
#define DIVIDE_SIGNED(s, T, U, W, DIV)                                                                             \
    FBC_INLINE T floordiv1_##s(T x, T y) {                                                                         \
        T q = DIV(T, x, y, 1);                                                                                     \
        T r = (T)((W)x - (W)q * (W)y);                                                                             \
        T f = (T)(q - ((r != 0) & ((r < 0) != (y < 0))));                                                          \
        return y == 0 ? (T)0 : y == (T)-1 ? (T)(0 - (W)x) : f;                                                     \
    }                                                                                                              \
    FBC_INLINE T fmod1_##s(T x, T y) {                                                                             \
        T q = DIV(T, x, y, 1);                                                                                     \
        return TRAPS(y, 1) ? (T)0 : (T)((W)x - (W)q * (W)y);                                                       \
    }                                                                                                              \
    FBC_INLINE T rem1_##s(T x, T y) {                                                                              \
        T r = fmod1_##s(x, y);                                                                                     \
        return (T)(r + (((r != 0) & ((r < 0) != (y < 0))) ? y : (T)0));                                            \
    }                                                                                                              \
    FBC_BIN(floordiv_##s, T, T, floordiv1_##s(x, y))                                                               \
    FBC_BIN(fmod_##s, T, T, fmod1_##s(x, y))                                                                       \
    FBC_BIN(rem_##s, T, T, rem1_##s(x, y))                                                                         \
    FBC_UN(abs_##s, T, T, x < 0 ? 0 - (W)x : (W)x)                                                                 \
    FBC_BIN3(shr_##s, T, T, x >> ((U)y < 8 * sizeof(T) ? (int)y : (int)(8 * sizeof(T) - 1)))                        \
    ORDERED(s, T)                                                                                                  \
    POWER(s, T, U)
#define DIVIDE_UNSIGNED(s, T, W, DIV)                                                         \
    FBC_BIN(floordiv_##s, T, T, y == 0 ? (T)0 : DIV(T, x, y, 0))                              \
    FBC_BIN(fmod_##s, T, T, y == 0 ? (T)0 : (T)((W)x - (W)DIV(T, x, y, 0) * (W)y))            \
    FBC_BIN3(shr_##s, T, T, y < 8 * sizeof(T) ? (T)(x >> (y & (8 * sizeof(T) - 1))) : (T)0)    \
    ORDERED(s, T)                                                                             \
    POWER(s, T, T)
#define QUOTIENT64(T, x, y, MINUS1) ((T)((x) / (TRAPS(y, MINUS1) ? (T)1 : (y))))
DIVIDE_UNSIGNED(u8, uint8_t, uint32_t, QUOTIENT)
DIVIDE_UNSIGNED(u16, uint16_t, uint32_t, QUOTIENT)
DIVIDE_UNSIGNED(u32, uint32_t, uint32_t, QUOTIENT)
DIVIDE_UNSIGNED(u64, uint64_t, uint64_t, QUOTIENT64)
DIVIDE_SIGNED(i8, int8_t, uint8_t, uint32_t, QUOTIENT)
DIVIDE_SIGNED(i16, int16_t, uint16_t, uint32_t, QUOTIENT)
DIVIDE_SIGNED(i32, int32_t, uint32_t, uint32_t, QUOTIENT)
DIVIDE_SIGNED(i64, int64_t, uint64_t, uint64_t, QUOTIENT64)

FBC_UN(not_bool, uint8_t, uint8_t, x ^ 1)

#define SET_MODULAR(s, dt)                                                                                     \
    FBC_SET3(add, dt, add_##s), FBC_SET3(sub, dt, sub_##s), FBC_SET3(mul, dt, mul_##s),                        \
    FBC_SET3(and, dt, and_##s), FBC_SET2(or, dt, or_##s), FBC_SET2(xor, dt, xor_##s),                          \
    FBC_SET3(eq, dt, eq_##s), FBC_SET3(ne, dt, ne_##s), FBC_SET3(shl, dt, shl_##s),                            \
    FBC_SET(neg, dt, neg_##s), FBC_SET(not, dt, not_##s)
#define SET_ORDERED(s, dt)                                                                                     \
    FBC_SET3(lt, dt, lt_##s), FBC_SET3(le, dt, le_##s), FBC_SET3(gt, dt, gt_##s), FBC_SET3(ge, dt, ge_##s),    \
    FBC_SET3(maximum, dt, max_##s), FBC_SET3(minimum, dt, min_##s), FBC_SET3(fmax, dt, max_##s),               \
    FBC_SET3(fmin, dt, min_##s), FBC_SET(sign, dt, sign_##s), FBC_SET(signbit, dt, signbit_##s),               \
    FBC_SET2(floordiv, dt, floordiv_##s), FBC_SET2(fmod, dt, fmod_##s), FBC_SET2(pow, dt, pow_##s),            \
    FBC_SET3(shr, dt, shr_##s)
#define SET_SIGNED(s, w, dt) SET_MODULAR(w, dt), SET_ORDERED(s, dt), FBC_SET2(rem, dt, rem_##s), FBC_SET(abs, dt, abs_##s)
#define SET_UNSIGNED(s, w, dt) SET_MODULAR(w, dt), SET_ORDERED(s, dt), FBC_SET2(rem, dt, fmod_##s), FBC_SET(abs, dt, copy_##w)

FBC_KERNEL(void, fbc_map_int, (fbc_map_row *t), (t)) {
    SET_UNSIGNED(u8, 8, FBC_U8), SET_UNSIGNED(u16, 16, FBC_U16);
    SET_UNSIGNED(u32, 32, FBC_U32), SET_UNSIGNED(u64, 64, FBC_U64);
    SET_SIGNED(i8, 8, FBC_I8), SET_SIGNED(i16, 16, FBC_I16);
    SET_SIGNED(i32, 32, FBC_I32), SET_SIGNED(i64, 64, FBC_I64);
    FBC_SET2(add, FBC_BOOL, or_8), FBC_SET3(mul, FBC_BOOL, and_8), FBC_SET2(or, FBC_BOOL, or_8), FBC_SET3(and, FBC_BOOL, and_8);
    FBC_SET2(xor, FBC_BOOL, xor_8), FBC_SET(not, FBC_BOOL, not_bool), FBC_SET3(eq, FBC_BOOL, eq_8), FBC_SET3(ne, FBC_BOOL, ne_8);
    FBC_SET3(lt, FBC_BOOL, lt_u8), FBC_SET3(le, FBC_BOOL, le_u8), FBC_SET3(gt, FBC_BOOL, gt_u8), FBC_SET3(ge, FBC_BOOL, ge_u8);
    FBC_SET2(maximum, FBC_BOOL, or_8), FBC_SET2(fmax, FBC_BOOL, or_8);
    FBC_SET3(minimum, FBC_BOOL, and_8), FBC_SET3(fmin, FBC_BOOL, and_8);
}
