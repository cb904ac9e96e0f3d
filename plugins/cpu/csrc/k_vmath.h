/* Vector exp and maximum for the kernels, and sums of a vector's lanes. */
#ifndef FBK_VMATH_H
#define FBK_VMATH_H
#include "k_common.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

#if defined(__SSE4_1__)
#include "vecmath.h"
INL vf vexpf_(vf x) { return (vf)vf_exp((VF)x); }
INL vf maxf_(vf a, vf b) { return (vf)vf_max((VF)a, (VF)b); } /* b when either is NaN */
INL vf minf_(vf a, vf b) { return (vf)vf_min((VF)a, (VF)b); }
#else
INL vf maxf_(vf a, vf b) { return self(a > b, a, b); }
INL vf minf_(vf a, vf b) { return self(a < b, a, b); }
/* e^x: x = n ln2 + r, a degree-6 polynomial for e^r, scaling by 2^n in two exact steps so that subnormals
 * come out right. */
INL vf vexpf_(vf x) {
    const vf lo = splatf(-104.f), hi = splatf(89.f), magic = splatf(12582912.f);
    vf xc = self(x < lo, lo, x);
    xc = self(xc > hi, hi, xc); /* NaN compares false: passes through */
    vf n = (xc * splatf(1.44269504f) + magic) - magic;
    vf r = xc - n * splatf(0.693359375f);
    r = r - n * splatf(-2.12194440e-4f);
    vf p = splatf(1.9875691e-4f);
    p = p * r + splatf(1.3981999e-3f);
    p = p * r + splatf(8.3334519e-3f);
    p = p * r + splatf(4.1665795e-2f);
    p = p * r + splatf(1.6666665e-1f);
    p = p * r + splatf(0.5f);
    vf y = p * (r * r) + r + splatf(1.f);
    vi e = __builtin_convertvector(n, vi), h = e >> 1;
    vf s1 = (vf)((h + 127) << 23), s2 = (vf)((e - h + 127) << 23);
    y = y * s1 * s2;
    return self(x != x, x, y);
}
#endif
INL vi imax_(vi a, vi b) {
#if defined(__AVX512F__)
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#elif defined(__SSE4_1__)
    return (vi)_mm_max_epi32((__m128i)a, (__m128i)b);
#else
    vi m = a > b;
    return (a & m) | (b & ~m);
#endif
}
/* Sum of a vector's lanes by a fixed tree. */
INL float hsumf(vf v) {
#if defined(__AVX512F__)
    const __m512 x = (__m512)v;
    __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
#endif
    float t[VW];
    stf(t, v);
    for (int h = VW / 2; h; h >>= 1)
        for (int j = 0; j < h; j++) t[j] += t[j + h];
    return t[0];
}
INL float hmaxf(vf v) { /* NaN-free lanes */
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)v);
#endif
    float t[VW];
    stf(t, v);
    for (int h = VW / 2; h; h >>= 1)
        for (int j = 0; j < h; j++) t[j] = t[j] > t[j + h] ? t[j] : t[j + h];
    return t[0];
}
/* The sum of n floats over 64 virtual lanes, the same for every ISA; n small enough (some thousands) for
 * float32 lanes. */
#define LANES 64
#define NLV (LANES / VW)
INL float fold64(float *t) {
    for (int h = LANES / 2; h >= VW; h >>= 1)
        for (int j = 0; j < h; j++) t[j] += t[j + h];
    return hsumf(ldf(t));
}
#endif
