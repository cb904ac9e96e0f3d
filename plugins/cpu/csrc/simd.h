/* Vectors of float32, as wide as the instruction set has them, for k_*.c files: the few operations that GCC's vector types lack.

VF is a vector of VF_LANES floats (a plain float on unknown machines, where the compiler vectorises loops over it), VI the integers
of its size, VM what a comparison gives. + - * / work on VF as they are; constants must be spread by vf_set. */
#ifndef FBC_SIMD_H
#define FBC_SIMD_H
#include <math.h>
#include <string.h>
#include "fbc.h"

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VF_LANES = 16 };
typedef __m512 VF;
typedef int32_t VI __attribute__((vector_size(64)));
typedef __mmask16 VM;
FBC_INLINE VF vf_set(float x) { return _mm512_set1_ps(x); }
FBC_INLINE VF vf_load(const float *p) { return _mm512_loadu_ps(p); }
FBC_INLINE void vf_store(float *p, VF x) { _mm512_storeu_ps(p, x); }
FBC_INLINE VF vf_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
FBC_INLINE VF vf_min(VF a, VF b) { return _mm512_min_ps(a, b); } /* b if either is NaN */
FBC_INLINE VF vf_max(VF a, VF b) { return _mm512_max_ps(a, b); }
FBC_INLINE VF vf_round(VF x) { return _mm512_roundscale_ps(x, 0); }
FBC_INLINE VM vf_lt(VF a, VF b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
FBC_INLINE VM vf_eq(VF a, VF b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FBC_INLINE VM vf_odd(VI i) { return _mm512_test_epi32_mask((__m512i)i, _mm512_set1_epi32(1)); }
FBC_INLINE VF vf_select(VM m, VF a, VF b) { return _mm512_mask_blend_ps(m, b, a); }
FBC_INLINE VF vf_scale(VF x, VF n) { return _mm512_scalef_ps(x, n); } /* x * 2^n, n whole */
FBC_INLINE VF vf_pow2(VF n) { return _mm512_scalef_ps(vf_set(1.0f), n); }
#elif defined(__SSE4_1__)
#include <immintrin.h>
#ifdef __AVX2__
enum { VF_LANES = 8 };
typedef __m256 VF;
typedef int32_t VI __attribute__((vector_size(32)));
FBC_INLINE VF vf_set(float x) { return _mm256_set1_ps(x); }
FBC_INLINE VF vf_load(const float *p) { return _mm256_loadu_ps(p); }
FBC_INLINE void vf_store(float *p, VF x) { _mm256_storeu_ps(p, x); }
FBC_INLINE VF vf_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
FBC_INLINE VF vf_min(VF a, VF b) { return _mm256_min_ps(a, b); }
FBC_INLINE VF vf_max(VF a, VF b) { return _mm256_max_ps(a, b); }
FBC_INLINE VF vf_round(VF x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FBC_INLINE VF vf_select(VI m, VF a, VF b) { return _mm256_blendv_ps(b, a, (VF)m); }
#else
enum { VF_LANES = 4 };
typedef __m128 VF;
typedef int32_t VI __attribute__((vector_size(16)));
FBC_INLINE VF vf_set(float x) { return _mm_set1_ps(x); }
FBC_INLINE VF vf_load(const float *p) { return _mm_loadu_ps(p); }
FBC_INLINE void vf_store(float *p, VF x) { _mm_storeu_ps(p, x); }
FBC_INLINE VF vf_fma(VF a, VF b, VF c) { return a * b + c; }
FBC_INLINE VF vf_min(VF a, VF b) { return _mm_min_ps(a, b); }
FBC_INLINE VF vf_max(VF a, VF b) { return _mm_max_ps(a, b); }
FBC_INLINE VF vf_round(VF x) { return _mm_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FBC_INLINE VF vf_select(VI m, VF a, VF b) { return _mm_blendv_ps(b, a, (VF)m); }
#endif
typedef VI VM;
FBC_INLINE VM vf_lt(VF a, VF b) { return (VM)(a < b); }
FBC_INLINE VM vf_eq(VF a, VF b) { return (VM)(a == b); }
FBC_INLINE VM vf_odd(VI i) { return -(i & 1); }
FBC_INLINE VF vf_pow2(VF n) { return (VF)((__builtin_convertvector(n, VI) + 127) << 23); } /* -126 <= n <= 127 */
FBC_INLINE VF vf_scale(VF x, VF n) { /* n within twice that */
    VI i = __builtin_convertvector(n, VI), h = i >> 1;
    return x * (VF)((h + 127) << 23) * (VF)((i - h + 127) << 23);
}
#else
enum { VF_LANES = 1 };
typedef float VF;
typedef int32_t VI;
typedef int VM;
FBC_INLINE VF vf_set(float x) { return x; }
FBC_INLINE VF vf_load(const float *p) { return *p; }
FBC_INLINE void vf_store(float *p, VF x) { *p = x; }
FBC_INLINE VF vf_fma(VF a, VF b, VF c) { return __builtin_fmaf(a, b, c); }
FBC_INLINE VF vf_min(VF a, VF b) { return a < b ? a : b; }
FBC_INLINE VF vf_max(VF a, VF b) { return a > b ? a : b; }
FBC_INLINE VF vf_round(VF x) { return rintf(x); }
FBC_INLINE VF vf_select(VM m, VF a, VF b) { return m ? a : b; }
FBC_INLINE VM vf_lt(VF a, VF b) { return a < b; }
FBC_INLINE VM vf_eq(VF a, VF b) { return a == b; }
FBC_INLINE VM vf_odd(VI i) { return i & 1; }
FBC_INLINE VI vf_bits(VF x) { VI i; memcpy(&i, &x, 4); return i; }
FBC_INLINE VF vf_of_bits(VI i) { VF x; memcpy(&x, &i, 4); return x; }
FBC_INLINE VI vf_to_int(VF x) { return (VI)x; }
FBC_INLINE VF vf_of_int(VI i) { return (VF)i; }
FBC_INLINE VF vf_pow2(VF n) { return vf_of_bits(((VI)n + 127) << 23); }
FBC_INLINE VF vf_scale(VF x, VF n) {
    VI i = (VI)n, h = i >> 1;
    return x * vf_of_bits((h + 127) << 23) * vf_of_bits((i - h + 127) << 23);
}
#define FBC_SIMD_SCALAR 1
#endif
#ifndef FBC_SIMD_SCALAR
FBC_INLINE VI vf_bits(VF x) { return (VI)x; }
FBC_INLINE VF vf_of_bits(VI i) { return (VF)i; }
FBC_INLINE VI vf_to_int(VF x) { return __builtin_convertvector(x, VI); } /* towards zero */
FBC_INLINE VF vf_of_int(VI i) { return (VF)__builtin_convertvector(i, VF); }
#endif
#define VF_SIGN ((int32_t)0x80000000)
FBC_INLINE VF vf_abs(VF x) { return vf_of_bits(vf_bits(x) & 0x7fffffff); }
FBC_INLINE VF vf_copysign(VF x, VF s) { return vf_of_bits((vf_bits(x) & 0x7fffffff) | (vf_bits(s) & VF_SIGN)); }

/* A loop over an array by a vector function; the last, partial vector is padded: each element's result depends on it alone. */
#define VF_UN(name, expr)                                                               \
    static void name(int64_t n, void *d, const void *a, const void *b, const void *c) { \
        const float *A = a;                                                             \
        float *D = d;                                                                   \
        int64_t i = 0;                                                                  \
        for (; i + VF_LANES <= n; i += VF_LANES) {                                      \
            VF x = vf_load(A + i);                                                      \
            vf_store(D + i, expr);                                                      \
        }                                                                               \
        if (VF_LANES > 1 && i < n) {                                                    \
            float pad[VF_LANES] = {0};                                                  \
            memcpy(pad, A + i, (size_t)(n - i) * 4);                                    \
            VF x = vf_load(pad);                                                        \
            vf_store(pad, expr);                                                        \
            memcpy(D + i, pad, (size_t)(n - i) * 4);                                    \
        }                                                                               \
    }
#endif
