/* The engine's common ground: dtypes, instruction sets, threads, memory. Every C file may include it. */
#ifndef FBC_H
#define FBC_H
#include <stddef.h>
#include <stdint.h>

/* dtype codes, in the order of the core's DType.code */
enum {
    FBC_BOOL, FBC_U8, FBC_U16, FBC_U32, FBC_U64, FBC_I8, FBC_I16, FBC_I32, FBC_I64,
    FBC_F16, FBC_BF16, FBC_F32, FBC_F64, FBC_C64, FBC_C128, FBC_DTYPES
};
static inline int fbc_itemsize(int dtype) {
    static const uint8_t size[FBC_DTYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
    return size[dtype];
}

/* Instruction sets, in rising order. */
enum { FBC_BASE, FBC_AVX2, FBC_AVX512 };
extern int fbc_isa;      /* the one in use */
extern int fbc_bf16_ok;  /* the CPU has AVX-512-BF16 and fbc_isa is FBC_AVX512 */

/* Parallel for: fn(ctx, chunk, worker) for every chunk in 0..n_chunks-1, each once, in no order. The caller works too (worker 0);
   worker < fbc_get_num_threads() and is unique among those running at once in this call: use it to index scratch space.
   Nested calls and n_chunks == 1 run inline. Make chunks of 5 us or more. */
typedef void (*fbc_chunk_fn)(void *ctx, int64_t chunk, int worker);
void fbc_parallel(int64_t n_chunks, fbc_chunk_fn fn, void *ctx);
int fbc_in_parallel(void);
/* Steps that depend on one another: fn(ctx, step, part) for every part of step 0, then for every part of step 1, and so on, by at
   most `threads` threads that stay together until the end. A thread takes the same parts in every step as far as it can, so what
   they read stays in its caches. parts <= FBC_PARTS. */
typedef void (*fbc_part_fn)(void *ctx, int64_t step, int64_t part);
enum { FBC_PARTS = 256 };
void fbc_lockstep(int64_t steps, int64_t parts, int threads, fbc_part_fn fn, void *ctx);

//@cdef
int fbc_get_isa(void);
int fbc_max_isa(void);
int fbc_set_isa(int level);

int fbc_get_num_threads(void);
void fbc_set_num_threads(int n);

void *fbc_alloc(int64_t nbytes);           /* 64-byte aligned, not cleared; NULL when it can't */
void fbc_free(void *ptr, int64_t nbytes);  /* nbytes as asked */
typedef struct {
    int64_t allocated, peak, reserved, cached;  /* bytes asked for now and at most; taken from the system; kept for reuse */
    int64_t allocations, frees, system_allocations, live;
    int64_t limit;                              /* bytes, 0 = none */
} fbc_memory_stats;
void fbc_get_memory_stats(fbc_memory_stats *out);
void fbc_reset_peak(void);
void fbc_set_memory_limit(int64_t nbytes);
void fbc_empty_cache(void);
int fbc_injected(int64_t nbytes);  /* whether the test of the next line wants an allocation to fail that isn't fbc_alloc's */
void fbc_inject_failure(int64_t countdown, int64_t above);  /* tests: the countdown-th allocation (0 = off) fails; those > above too */
int64_t fbc_echo(const int64_t *context, const int64_t *args);  /* tests: the sum of two numbers in each */
//@end

/* Kernels (k_*.c) are compiled once per instruction set. FBC_KERNEL(ret, name, (params), (args)) { body } defines the variant of the
   file's set and, once, the plain function `name` that jumps to the variant for fbc_isa. All else in such files must be static. */
#define FBC_CAT_(a, b) a##b
#define FBC_CAT(a, b) FBC_CAT_(a, b)
#if defined(FBC_ISA_avx512)
#define FBC_SUFFIX __avx512
#elif defined(FBC_ISA_avx2)
#define FBC_SUFFIX __avx2
#else
#define FBC_SUFFIX __base
#endif
#define FBC_ISA_NAME(name) FBC_CAT(name, FBC_SUFFIX)
#if defined(FBC_ISA_base) && defined(__x86_64__)
#define FBC_TRAMPOLINE(ret, name, params, args)                \
    ret FBC_CAT(name, __avx2) params;                          \
    ret FBC_CAT(name, __avx512) params;                        \
    ret name params {                                          \
        if (fbc_isa == FBC_AVX512) return FBC_CAT(name, __avx512) args; \
        if (fbc_isa == FBC_AVX2) return FBC_CAT(name, __avx2) args;     \
        return FBC_CAT(name, __base) args;                     \
    }
#elif defined(FBC_ISA_base)
#define FBC_TRAMPOLINE(ret, name, params, args) \
    ret name params { return FBC_CAT(name, __base) args; }
#else
#define FBC_TRAMPOLINE(ret, name, params, args)
#endif
#define FBC_KERNEL(ret, name, params, args)   \
    ret FBC_ISA_NAME(name) params;                \
    FBC_TRAMPOLINE(ret, name, params, args)   \
    ret FBC_ISA_NAME(name) params

#define FBC_INLINE static inline __attribute__((always_inline))
#define FBC_LIKELY(x) __builtin_expect(!!(x), 1)
#define FBC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#endif
