/* The opcodes and the table of loops that the tile engine runs: one loop per opcode and dtype, the same signature for all.

A loop may be called with d equal to a, b or c when the item sizes are equal, never with a partial overlap. */
#ifndef FBC_MAP_H
#define FBC_MAP_H
#include "fbc.h"

#define FBC_OPS(X)                                                                                                  \
    X(add) X(sub) X(mul) X(div) X(floordiv) X(rem) X(fmod) X(pow) X(neg) X(abs) X(sign) X(maximum) X(minimum)       \
    X(fmax) X(fmin) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sqrt) X(rsqrt) X(sin) X(cos) X(tan)  \
    X(asin) X(acos) X(atan) X(sinh) X(cosh) X(tanh) X(asinh) X(acosh) X(atanh) X(sigmoid) X(erf) X(erfc) X(erfinv)  \
    X(lgamma) X(digamma) X(floor) X(ceil) X(round) X(trunc) X(atan2) X(hypot) X(copysign) X(nextafter) X(eq) X(ne)  \
    X(lt) X(le) X(gt) X(ge) X(isnan) X(isinf) X(isfinite) X(signbit) X(and) X(or) X(xor) X(not) X(shl) X(shr)       \
    X(where) X(bitcast) X(real) X(imag) X(conj) X(complex) X(angle) X(iota) X(philox32) X(philox64)
enum {
#define X(name) FBC_OP_##name,
    FBC_OPS(X)
#undef X
    FBC_N_OPS
};
enum { FBC_CASTS = FBC_N_OPS * 16, FBC_MAP_ROWS = FBC_CASTS + 256 };
#define FBC_MAP_ID(op, dtype) ((op) * 16 + (dtype))
#define FBC_CAST_ID(from, to) (FBC_CASTS + (from) * 16 + (to))

typedef void (*fbc_map_fn)(int64_t n, void *d, const void *a, const void *b, const void *c);
/* The row of an opcode: all operands are arrays; the second one, or the first one, is a single element (NULL: no such loop). */
typedef struct { fbc_map_fn vv, vs, sv; } fbc_map_row;
extern fbc_map_row fbc_map[FBC_MAP_ROWS]; /* for fbc_isa; fbc_set_isa fills it */

/* Convert n contiguous elements. */
static inline void fbc_cast(int from, int to, int64_t n, void *d, const void *s) {
    fbc_map[FBC_CAST_ID(from, to)].vv(n, d, s, NULL, NULL);
}
void fbc_map_fill(void); /* dispatch.c: fill fbc_map for fbc_isa */

/* The parts that fill the table, one per file (k_map_*.c). */
void fbc_map_int(fbc_map_row *t);
void fbc_map_float(fbc_map_row *t);
void fbc_map_math32(fbc_map_row *t);
void fbc_map_math64(fbc_map_row *t);
void fbc_map_complex(fbc_map_row *t);
void fbc_map_cast(fbc_map_row *t);
void fbc_map_misc(fbc_map_row *t);

//@cdef
const char *fbc_op_name(int op);  /* NULL past the last */
int fbc_has_map(int op, int dtype);
int fbc_has_cast(int from, int to);
//@end

/* How the k_map_*.c files write their loops. */
#define FBC_LOOP _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)
#define FBC_ARGS int64_t n, void *d, const void *a, const void *b, const void *c
#define FBC_UN(name, T, R, expr)                                \
    static void name(FBC_ARGS) {                                \
        const T *A = a;                                         \
        R *D = d;                                               \
        FBC_LOOP { T x = A[i]; D[i] = (R)(expr); }              \
    }
#define FBC_BIN(name, T, R, expr)                               \
    static void name##_vv(FBC_ARGS) {                           \
        const T *A = a, *B = b;                                 \
        R *D = d;                                               \
        FBC_LOOP { T x = A[i], y = B[i]; D[i] = (R)(expr); }    \
    }
#define FBC_BIN3(name, T, R, expr)                              \
    FBC_BIN(name, T, R, expr)                                   \
    static void name##_vs(FBC_ARGS) {                           \
        const T *A = a;                                         \
        const T y = *(const T *)b;                              \
        R *D = d;                                               \
        FBC_LOOP { T x = A[i]; D[i] = (R)(expr); }              \
    }                                                           \
    static void name##_sv(FBC_ARGS) {                           \
        const T *B = b;                                         \
        const T x = *(const T *)a;                              \
        R *D = d;                                               \
        FBC_LOOP { T y = B[i]; D[i] = (R)(expr); }              \
    }
/* Loops whose vector form holds for ordinary operands only: a block with any other is done one by one. */
#define FBC_BLOCKS(ok, fast, slow, LOAD)                                                     \
    for (int64_t i0 = 0; i0 < n; i0 += 128) {                                                \
        int64_t i1 = i0 + 128 < n ? i0 + 128 : n;                                            \
        int bad = 0;                                                                         \
        for (int64_t i = i0; i < i1; i++) { LOAD; bad |= !(ok); }                            \
        if (FBC_LIKELY(!bad)) {                                                              \
            _Pragma("GCC ivdep") for (int64_t i = i0; i < i1; i++) { LOAD; D[i] = (fast); }  \
        } else                                                                               \
            for (int64_t i = i0; i < i1; i++) { LOAD; if (ok) D[i] = (fast); else D[i] = (slow); } \
    }
#define FBC_UN_SAFE(name, T, ok, fast, slow)                    \
    static void name(FBC_ARGS) {                                \
        const T *A = a;                                         \
        T *D = d;                                               \
        FBC_BLOCKS(ok, fast, slow, T x = A[i])                  \
    }
#define FBC_BIN_SAFE(name, T, ok, fast, slow)                   \
    static void name##_vv(FBC_ARGS) {                           \
        const T *A = a, *B = b;                                 \
        T *D = d;                                               \
        FBC_BLOCKS(ok, fast, slow, T x = A[i]; T y = B[i])      \
    }
#define FBC_SET(op, dtype, fn) t[FBC_MAP_ID(FBC_OP_##op, dtype)].vv = fn
#define FBC_SET3(op, dtype, fn) t[FBC_MAP_ID(FBC_OP_##op, dtype)] = (fbc_map_row){fn##_vv, fn##_vs, fn##_sv}
#define FBC_SET2(op, dtype, fn) t[FBC_MAP_ID(FBC_OP_##op, dtype)].vv = fn##_vv
#endif
