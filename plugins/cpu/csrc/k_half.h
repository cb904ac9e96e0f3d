/* float16 and bfloat16 to and from float32, n contiguous elements, round to nearest even. For k_*.c files. */
#ifndef FBC_HALF_H
#define FBC_HALF_H
#include <string.h>
#include "fbc.h"
#ifdef __F16C__
#include <immintrin.h>
#endif

FBC_INLINE float fbc_bf16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
FBC_INLINE uint16_t fbc_f32_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t r = (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
    return (uint16_t)(f != f ? (u >> 16) | 0x40u : r);
}
FBC_INLINE float fbc_f16_to_f32(uint16_t h) {
#ifdef __F16C__
    return _cvtsh_ss(h);
#else
    /* the exponent is set right by a multiplication, which also normalises denormals */
    uint32_t u = (uint32_t)(h & 0x7fff) << 13, s = (uint32_t)(h & 0x8000) << 16;
    float f;
    memcpy(&f, &u, 4);
    f *= 0x1p112f;
    memcpy(&u, &f, 4);
    u |= (h & 0x7fff) >= 0x7c00 ? 0x7f800000u : 0;
    u |= s;
    memcpy(&f, &u, 4);
    return f;
#endif
}
FBC_INLINE uint16_t fbc_f32_to_f16(float f) {
#ifdef __F16C__
    return _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
#else
    uint32_t u, s, r;
    memcpy(&u, &f, 4);
    s = (u >> 16) & 0x8000;
    u &= 0x7fffffffu;
    uint32_t normal = (u - 0x38000000u + 0xfffu + ((u >> 13) & 1)) >> 13;
    float t, half = 0.5f;
    memcpy(&t, &u, 4);
    t += half; /* rounds a denormal result to the units of float16 */
    memcpy(&r, &t, 4);
    uint32_t tiny = r - 0x3f000000u;
    r = u < 0x38800000u ? tiny : normal;
    r = u >= 0x477ff000u ? 0x7c00 : r;
    r = u > 0x7f800000u ? 0x7e00 | ((u >> 13) & 0x3ff) : r;
    return (uint16_t)(r | s);
#endif
}
static inline void fbc_f16_to_f32_n(int64_t n, float *d, const uint16_t *a) {
    int64_t i = 0;
#ifdef __AVX512F__
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(d + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(a + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(a + i))));
#endif
    for (; i < n; i++) d[i] = fbc_f16_to_f32(a[i]);
}
static inline void fbc_f32_to_f16_n(int64_t n, uint16_t *d, const float *a) {
    int64_t i = 0;
#ifdef __AVX512F__
    for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(d + i), _mm512_cvtps_ph(_mm512_loadu_ps(a + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(a + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) d[i] = fbc_f32_to_f16(a[i]);
}
static inline void fbc_bf16_to_f32_n(int64_t n, float *d, const uint16_t *a) {
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) d[i] = fbc_bf16_to_f32(a[i]);
}
static inline void fbc_f32_to_bf16_n(int64_t n, uint16_t *d, const float *a) {
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) d[i] = fbc_f32_to_bf16(a[i]);
}
#endif
