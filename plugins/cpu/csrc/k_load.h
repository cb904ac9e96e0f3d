/* Runs of elements of any dtype in and out of a compute type: float, double, int64. The contiguous same-type
 * case returns the source itself. */
#ifndef FBK_LOAD_H
#define FBK_LOAD_H
#include "k_common.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

INL float f32_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
INL uint32_t bits_f32(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
INL float bf16_f32(uint16_t h) { return f32_bits((uint32_t)h << 16); }
INL uint16_t f32_bf16(float f) {
    uint32_t u = bits_f32(f), r = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return f != f ? (uint16_t)(u >> 16 | 0x40) : (uint16_t)r;
}
INL float f16_f32(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    uint32_t s = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023;
    if (e == 31) return f32_bits(s | 0x7f800000u | m << 13);
    if (e) return f32_bits(s | (e + 112) << 23 | m << 13);
    float f = (float)m * 0x1p-24f;
    return s ? -f : f;
#endif
}
INL uint16_t f32_f16(float f) {
#if defined(__F16C__)
    return _cvtss_sh(f, 0);
#else
    uint32_t u = bits_f32(f), s = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000u) return (uint16_t)(s | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x47800000u) return (uint16_t)(s | 0x7c00);
    if (a < 0x38800000u) { /* subnormal half: let the float adder round */
        float r = f32_bits(a) + 0.5f;
        return (uint16_t)(s | (bits_f32(r) - 0x3f000000u));
    }
    a += 0xc8000fffu + (a >> 13 & 1);
    return (uint16_t)(s | a >> 13);
#endif
}
static inline void row_f16_f32(float *d, const uint16_t *s, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(d + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(s + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(s + i))));
#endif
    for (; i < n; i++) d[i] = f16_f32(s[i]);
}
static inline void row_f32_f16(uint16_t *d, const float *s, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(d + i), _mm512_cvtps_ph(_mm512_loadu_ps(s + i), 0));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), 0));
#endif
    for (; i < n; i++) d[i] = f32_f16(s[i]);
}

#define LD_CASE(DT, S, X, EXPR) \
    case DT: { \
        const S *q = (const S *)p; \
        if (st == 1) \
            for (int64_t i = 0; i < n; i++) { \
                S v = q[i]; \
                buf[i] = (X)(EXPR); \
            } \
        else \
            for (int64_t i = 0; i < n; i++) { \
                S v = q[i * st]; \
                buf[i] = (X)(EXPR); \
            } \
        break; \
    }
#define LD_BODY(X, FROM_C) \
    switch (dt) { \
    LD_CASE(DT_BOOL, uint8_t, X, v != 0) \
    LD_CASE(DT_U8, uint8_t, X, v) LD_CASE(DT_U16, uint16_t, X, v) LD_CASE(DT_U32, uint32_t, X, v) \
        LD_CASE(DT_U64, uint64_t, X, v) LD_CASE(DT_I8, int8_t, X, v) LD_CASE(DT_I16, int16_t, X, v) \
            LD_CASE(DT_I32, int32_t, X, v) LD_CASE(DT_I64, int64_t, X, v) \
                LD_CASE(DT_BF16, uint16_t, X, bf16_f32(v)) LD_CASE(DT_F32, float, X, v) \
                    LD_CASE(DT_F64, double, X, v) case DT_F16: { \
        const uint16_t *q = (const uint16_t *)p; \
        for (int64_t i = 0; i < n; i++) buf[i] = (X)f16_f32(q[i * st]); \
        break; \
    } \
    case DT_C64: \
        for (int64_t i = 0; i < n; i++) buf[i] = (X)((const float *)p)[2 * i * st]; \
        break; \
    default: \
        for (int64_t i = 0; i < n; i++) buf[i] = (X)((const double *)p)[2 * i * st]; \
        break; \
    }
/* n elements with stride st (elements) as X; buf (room for n) is used unless the source will do as it is. */
static inline const float *get_f32(float *buf, const void *p, int dt, int64_t n, int64_t st) {
    if (dt == DT_F32 && st == 1) return (const float *)p;
    if (dt == DT_F16 && st == 1) {
        row_f16_f32(buf, (const uint16_t *)p, n);
        return buf;
    }
    LD_BODY(float, )
    return buf;
}
static inline const double *get_f64(double *buf, const void *p, int dt, int64_t n, int64_t st) {
    if (dt == DT_F64 && st == 1) return (const double *)p;
    LD_BODY(double, )
    return buf;
}
static inline const int64_t *get_i64(int64_t *buf, const void *p, int dt, int64_t n, int64_t st) {
    if ((dt == DT_I64 || dt == DT_U64) && st == 1) return (const int64_t *)p;
    LD_BODY(int64_t, )
    return buf;
}
#define ST_CASE(DT, S, EXPR) \
    case DT: { \
        S *q = (S *)p; \
        if (st == 1) \
            for (int64_t i = 0; i < n; i++) { q[i] = (S)(EXPR); } \
        else \
            for (int64_t i = 0; i < n; i++) { q[i * st] = (S)(EXPR); } \
        break; \
    }
#define ST_BODY(NARROW) \
    switch (dt) { \
    ST_CASE(DT_BOOL, uint8_t, x[i] != 0) \
    ST_CASE(DT_U8, uint8_t, NARROW x[i]) ST_CASE(DT_U16, uint16_t, NARROW x[i]) \
        ST_CASE(DT_U32, uint32_t, NARROW x[i]) ST_CASE(DT_U64, uint64_t, x[i]) \
            ST_CASE(DT_I8, int8_t, NARROW x[i]) ST_CASE(DT_I16, int16_t, NARROW x[i]) \
                ST_CASE(DT_I32, int32_t, NARROW x[i]) ST_CASE(DT_I64, int64_t, x[i]) \
                    ST_CASE(DT_BF16, uint16_t, f32_bf16((float)x[i])) \
                        ST_CASE(DT_F16, uint16_t, f32_f16((float)x[i])) ST_CASE(DT_F32, float, x[i]) \
                            ST_CASE(DT_F64, double, x[i]) case DT_C64: \
        for (int64_t i = 0; i < n; i++) { \
            ((float *)p)[2 * i * st] = (float)x[i]; \
            ((float *)p)[2 * i * st + 1] = 0; \
        } \
        break; \
    default: \
        for (int64_t i = 0; i < n; i++) { \
            ((double *)p)[2 * i * st] = (double)x[i]; \
            ((double *)p)[2 * i * st + 1] = 0; \
        } \
        break; \
    }
static inline void put_f32(void *p, int dt, int64_t st, const float *x, int64_t n) {
    if (dt == DT_F16 && st == 1) {
        row_f32_f16((uint16_t *)p, x, n);
        return;
    }
    if (dt == DT_F32 && st == 1) {
        memcpy(p, x, (size_t)n * 4);
        return;
    }
    ST_BODY((int64_t))
}
static inline void put_f64(void *p, int dt, int64_t st, const double *x, int64_t n) { ST_BODY((int64_t)) }
static inline void put_i64(void *p, int dt, int64_t st, const int64_t *x, int64_t n) { ST_BODY() }
#endif
