/* Conversions between all dtypes. Pairs without a loop of their own go through float32 or float64, a block at a time. */
#include <math.h>
#include "k_half.h"
#include "map.h"

/* Integers, by width: to a width; S is the source type (its sign matters), D any type of the target width. */
#define FROM_INT(s, S)                                \
    FBC_UN(s##_to_8, S, uint8_t, (uint8_t)x)          \
    FBC_UN(s##_to_16, S, uint16_t, (uint16_t)x)       \
    FBC_UN(s##_to_32, S, uint32_t, (uint32_t)x)       \
    FBC_UN(s##_to_64, S, uint64_t, (uint64_t)x)       \
    FBC_UN(s##_to_bool, S, uint8_t, x != 0)           \
    FBC_UN(s##_to_f32, S, float, (float)x)            \
    FBC_UN(s##_to_f64, S, double, (double)x)
FROM_INT(u8, uint8_t)
FROM_INT(u16, uint16_t)
FROM_INT(u32, uint32_t)
FROM_INT(u64, uint64_t)
FROM_INT(i8, int8_t)
FROM_INT(i16, int16_t)
FROM_INT(i32, int32_t)
FROM_INT(i64, int64_t)

/* Floats truncate; what does not fit wraps as the low bits of a wider conversion (out of that range, too, the result is fixed). */
#define TO_U64(x) ((x) >= 0x1p63 ? (uint64_t)(int64_t)((x) - 0x1p63) ^ ((uint64_t)1 << 63) : (uint64_t)(int64_t)(x))
#define FROM_FLOAT(s, S)                                   \
    FBC_UN(s##_to_8, S, uint8_t, (uint8_t)(int32_t)x)      \
    FBC_UN(s##_to_16, S, uint16_t, (uint16_t)(int32_t)x)   \
    FBC_UN(s##_to_i32, S, int32_t, (int32_t)x)             \
    FBC_UN(s##_to_u32, S, uint32_t, (uint32_t)(int64_t)x)  \
    FBC_UN(s##_to_i64, S, int64_t, (int64_t)x)             \
    FBC_UN(s##_to_u64, S, uint64_t, TO_U64(x))             \
    FBC_UN(s##_to_bool, S, uint8_t, x != 0)
FROM_FLOAT(f32, float)
FROM_FLOAT(f64, double)
FBC_UN(f32_to_f64, float, double, x)
FBC_UN(f64_to_f32, double, float, (float)x)

static void f16_to_f32(FBC_ARGS) { fbc_f16_to_f32_n(n, d, a); }
static void f32_to_f16(FBC_ARGS) { fbc_f32_to_f16_n(n, d, a); }
static void bf16_to_f32(FBC_ARGS) { fbc_bf16_to_f32_n(n, d, a); }
static void f32_to_bf16(FBC_ARGS) { fbc_f32_to_bf16_n(n, d, a); }

/* double to float, rounding to odd: a later rounding to fewer bits is then right */
FBC_INLINE float to_odd(double x) {
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, 4);
    double back = f;
    uint32_t away = fabs(back) > fabs(x), inexact = back != x && x == x;
    u = inexact ? (u - away) | 1 : u;
    memcpy(&f, &u, 4);
    return f;
}
FBC_UN(f64_to_odd, double, float, to_odd(x))

#define COMPLEX_CASTS(c, R)                                                                                    \
    static void real_to_##c(FBC_ARGS) {                                                                        \
        const R *A = a;                                                                                        \
        R *D = d;                                                                                              \
        FBC_LOOP { D[2 * i] = A[i], D[2 * i + 1] = 0; }                                                        \
    }                                                                                                          \
    static void c##_to_real(FBC_ARGS) {                                                                        \
        const R *A = a;                                                                                        \
        R *D = d;                                                                                              \
        FBC_LOOP { D[i] = A[2 * i]; }                                                                          \
    }                                                                                                          \
    static void c##_to_bool(FBC_ARGS) {                                                                        \
        const R *A = a;                                                                                        \
        uint8_t *D = d;                                                                                        \
        FBC_LOOP { D[i] = (A[2 * i] != 0) | (A[2 * i + 1] != 0); }                                             \
    }
COMPLEX_CASTS(c64, float)
COMPLEX_CASTS(c128, double)
static void c64_to_c128(FBC_ARGS) { f32_to_f64(2 * n, d, a, b, c); }
static void c128_to_c64(FBC_ARGS) { f64_to_f32(2 * n, d, a, b, c); }

FBC_UN(copy_1, uint8_t, uint8_t, x)
FBC_UN(copy_2, uint16_t, uint16_t, x)
FBC_UN(copy_4, uint32_t, uint32_t, x)
FBC_UN(copy_8, uint64_t, uint64_t, x)
static void copy_16(FBC_ARGS) { memmove(d, a, (size_t)n * 16); }

/* Two conversions through a block on the stack. */
enum { BLOCK = 256 };
#define THROUGH(name, first, second, SSIZE, MSIZE, DSIZE)                                              \
    static void name(FBC_ARGS) {                                                                       \
        _Alignas(64) char mid[BLOCK * MSIZE];                                                          \
        for (int64_t i = 0; i < n; i += BLOCK) {                                                       \
            int64_t m = n - i < BLOCK ? n - i : BLOCK;                                                 \
            first(m, mid, (const char *)a + i * SSIZE, b, c);                                          \
            second(m, (char *)d + i * DSIZE, mid, b, c);                                               \
        }                                                                                              \
    }
/* The half types' other partners: k is a real type, size its width. */
#define HALF_FROM(k, size, W, MSIZE, odd)                                                      \
    THROUGH(k##_odd, W, odd, size, MSIZE, 4)                                                   \
    THROUGH(k##_to_f16, k##_odd, f32_to_f16, size, 4, 2)                                       \
    THROUGH(k##_to_bf16, k##_odd, f32_to_bf16, size, 4, 2)
HALF_FROM(u8, 1, u8_to_f64, 8, f64_to_odd)
HALF_FROM(u16, 2, u16_to_f64, 8, f64_to_odd)
HALF_FROM(u32, 4, u32_to_f64, 8, f64_to_odd)
HALF_FROM(u64, 8, u64_to_f64, 8, f64_to_odd)
HALF_FROM(i8, 1, i8_to_f64, 8, f64_to_odd)
HALF_FROM(i16, 2, i16_to_f64, 8, f64_to_odd)
HALF_FROM(i32, 4, i32_to_f64, 8, f64_to_odd)
HALF_FROM(i64, 8, i64_to_f64, 8, f64_to_odd)
THROUGH(f64_to_f16, f64_to_odd, f32_to_f16, 8, 4, 2)
THROUGH(f64_to_bf16, f64_to_odd, f32_to_bf16, 8, 4, 2)
THROUGH(f16_to_bf16, f16_to_f32, f32_to_bf16, 2, 4, 2)
THROUGH(bf16_to_f16, bf16_to_f32, f32_to_f16, 2, 4, 2)

#define HALF_TO(h)                                        \
    THROUGH(h##_to_8, h##_to_f32, f32_to_8, 2, 4, 1)      \
    THROUGH(h##_to_16, h##_to_f32, f32_to_16, 2, 4, 2)    \
    THROUGH(h##_to_i32, h##_to_f32, f32_to_i32, 2, 4, 4)  \
    THROUGH(h##_to_u32, h##_to_f32, f32_to_u32, 2, 4, 4)  \
    THROUGH(h##_to_i64, h##_to_f32, f32_to_i64, 2, 4, 8)  \
    THROUGH(h##_to_u64, h##_to_f32, f32_to_u64, 2, 4, 8)  \
    THROUGH(h##_to_bool, h##_to_f32, f32_to_bool, 2, 4, 1) \
    THROUGH(h##_to_f64, h##_to_f32, f32_to_f64, 2, 4, 8)  \
    THROUGH(h##_to_c64, h##_to_f32, real_to_c64, 2, 4, 8) \
    THROUGH(h##_to_c128, h##_to_f64, real_to_c128, 2, 8, 16)
HALF_TO(f16)
HALF_TO(bf16)

#define TO_COMPLEX(k, size)                                   \
    THROUGH(k##_to_c64, k##_to_f32, real_to_c64, size, 4, 8)  \
    THROUGH(k##_to_c128, k##_to_f64, real_to_c128, size, 8, 16)
TO_COMPLEX(u8, 1)
TO_COMPLEX(u16, 2)
TO_COMPLEX(u32, 4)
TO_COMPLEX(u64, 8)
TO_COMPLEX(i8, 1)
TO_COMPLEX(i16, 2)
TO_COMPLEX(i32, 4)
TO_COMPLEX(i64, 8)
THROUGH(f32_to_c128, f32_to_f64, real_to_c128, 4, 8, 16)
THROUGH(f64_to_c64, f64_to_f32, real_to_c64, 8, 4, 8)

#define FROM_COMPLEX(c, R, size)                                              \
    THROUGH(c##_to_8, c##_to_real, R##_to_8, 2 * size, size, 1)               \
    THROUGH(c##_to_16, c##_to_real, R##_to_16, 2 * size, size, 2)             \
    THROUGH(c##_to_i32, c##_to_real, R##_to_i32, 2 * size, size, 4)           \
    THROUGH(c##_to_u32, c##_to_real, R##_to_u32, 2 * size, size, 4)           \
    THROUGH(c##_to_i64, c##_to_real, R##_to_i64, 2 * size, size, 8)           \
    THROUGH(c##_to_u64, c##_to_real, R##_to_u64, 2 * size, size, 8)           \
    THROUGH(c##_to_f16, c##_to_real, R##_to_f16, 2 * size, size, 2)           \
    THROUGH(c##_to_bf16, c##_to_real, R##_to_bf16, 2 * size, size, 2)
FROM_COMPLEX(c64, f32, 4)
FROM_COMPLEX(c128, f64, 8)
THROUGH(c64_to_f64, c64_to_real, f32_to_f64, 8, 4, 8)
THROUGH(c128_to_f32, c128_to_real, f64_to_f32, 16, 8, 4)

#define SET(from, to, fn) t[FBC_CAST_ID(from, to)].vv = fn
#define SET_INT(k, code)                                                                                            \
    SET(code, FBC_BOOL, k##_to_bool), SET(code, FBC_U8, k##_to_8), SET(code, FBC_I8, k##_to_8);                     \
    SET(code, FBC_U16, k##_to_16), SET(code, FBC_I16, k##_to_16), SET(code, FBC_U32, k##_to_32);                    \
    SET(code, FBC_I32, k##_to_32), SET(code, FBC_U64, k##_to_64), SET(code, FBC_I64, k##_to_64);                    \
    SET(code, FBC_F16, k##_to_f16), SET(code, FBC_BF16, k##_to_bf16), SET(code, FBC_F32, k##_to_f32);               \
    SET(code, FBC_F64, k##_to_f64), SET(code, FBC_C64, k##_to_c64), SET(code, FBC_C128, k##_to_c128)
#define SET_FLOAT(k, code)                                                                                          \
    SET(code, FBC_BOOL, k##_to_bool), SET(code, FBC_U8, k##_to_8), SET(code, FBC_I8, k##_to_8);                     \
    SET(code, FBC_U16, k##_to_16), SET(code, FBC_I16, k##_to_16), SET(code, FBC_U32, k##_to_u32);                   \
    SET(code, FBC_I32, k##_to_i32), SET(code, FBC_U64, k##_to_u64), SET(code, FBC_I64, k##_to_i64)
#define f32_to_c64 real_to_c64
#define f64_to_c128 real_to_c128

FBC_KERNEL(void, fbc_map_cast, (fbc_map_row *t), (t)) {
    SET_INT(u8, FBC_BOOL);
    SET_INT(u8, FBC_U8);
    SET_INT(u16, FBC_U16);
    SET_INT(u32, FBC_U32);
    SET_INT(u64, FBC_U64);
    SET_INT(i8, FBC_I8);
    SET_INT(i16, FBC_I16);
    SET_INT(i32, FBC_I32);
    SET_INT(i64, FBC_I64);
    SET_FLOAT(f32, FBC_F32), SET_FLOAT(f64, FBC_F64), SET_FLOAT(f16, FBC_F16), SET_FLOAT(bf16, FBC_BF16);
    SET_FLOAT(c64, FBC_C64), SET_FLOAT(c128, FBC_C128);
    SET(FBC_F32, FBC_F16, f32_to_f16), SET(FBC_F32, FBC_BF16, f32_to_bf16), SET(FBC_F32, FBC_F64, f32_to_f64);
    SET(FBC_F32, FBC_C64, f32_to_c64), SET(FBC_F32, FBC_C128, f32_to_c128);
    SET(FBC_F64, FBC_F16, f64_to_f16), SET(FBC_F64, FBC_BF16, f64_to_bf16), SET(FBC_F64, FBC_F32, f64_to_f32);
    SET(FBC_F64, FBC_C64, f64_to_c64), SET(FBC_F64, FBC_C128, f64_to_c128);
    SET(FBC_F16, FBC_BF16, f16_to_bf16), SET(FBC_F16, FBC_F32, f16_to_f32), SET(FBC_F16, FBC_F64, f16_to_f64);
    SET(FBC_F16, FBC_C64, f16_to_c64), SET(FBC_F16, FBC_C128, f16_to_c128);
    SET(FBC_BF16, FBC_F16, bf16_to_f16), SET(FBC_BF16, FBC_F32, bf16_to_f32), SET(FBC_BF16, FBC_F64, bf16_to_f64);
    SET(FBC_BF16, FBC_C64, bf16_to_c64), SET(FBC_BF16, FBC_C128, bf16_to_c128);
    SET(FBC_C64, FBC_F16, c64_to_f16), SET(FBC_C64, FBC_BF16, c64_to_bf16), SET(FBC_C64, FBC_F32, c64_to_real);
    SET(FBC_C64, FBC_F64, c64_to_f64), SET(FBC_C64, FBC_C128, c64_to_c128);
    SET(FBC_C128, FBC_F16, c128_to_f16), SET(FBC_C128, FBC_BF16, c128_to_bf16), SET(FBC_C128, FBC_F32, c128_to_f32);
    SET(FBC_C128, FBC_F64, c128_to_real), SET(FBC_C128, FBC_C64, c128_to_c64);
    for (int k = 0; k < FBC_DTYPES; k++) { /* the same dtype: a copy */
        static const fbc_map_fn copies[] = {copy_1, copy_1, copy_2, copy_4, copy_8, copy_1, copy_2, copy_4, copy_8,
                                            copy_2, copy_2, copy_4, copy_8, copy_8, copy_16};
        SET(k, k, copies[k]);
        FBC_SET(bitcast, k, copies[k]);
    }
}
