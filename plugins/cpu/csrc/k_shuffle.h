/* Parts of vectors, and vectors taken apart and put together by even and odd lanes: SHUFFLE(a, b, EVEN) has the even lanes of a and b, LOW and
   HIGH the halves of a and b interleaved. For float32. */
#ifndef FBK_SHUFFLE_H
#define FBK_SHUFFLE_H
#include "k_common.h"
#if VB == 64
#include <immintrin.h>
#endif

/* lanes i with m's bit i set; the others are zero and not read (written) */
INL vf load_part(const float *p, uint32_t m) {
#if VB == 64
    return (vf)_mm512_maskz_loadu_ps((__mmask16)m, p);
#else
    if (m == (1u << VW) - 1) return ldf(p);
    vf v = {0};
    for (int i = 0; i < VW; i++)
        if (m >> i & 1) v[i] = p[i];
    return v;
#endif
}
INL void store_part(float *p, vf v, uint32_t m) {
#if VB == 64
    _mm512_mask_storeu_ps(p, (__mmask16)m, (__m512)v);
#else
    if (m == (1u << VW) - 1) stf(p, v);
    else
        for (int i = 0; i < VW; i++)
            if (m >> i & 1) p[i] = v[i];
#endif
}
/* the lanes i for which 0 <= at + i < n */
INL uint32_t inside(int64_t at, int64_t n) {
    int64_t lo = MIN(MAX(-at, 0), VW), hi = MIN(MAX(n - at, 0), VW);
    return hi > lo ? (uint32_t)((1ull << hi) - (1ull << lo)) : 0;
}

#if VB == 64
#define LANES(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
#elif VB == 32
#define LANES(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)
#else
#define LANES(f) f(0), f(1), f(2), f(3)
#endif
#define EVEN(i) 2 * (i)
#define ODD(i) 2 * (i) + 1
#define LOW(i) (i) / 2 + (i) % 2 * VW
#define HIGH(i) (i) / 2 + (i) % 2 * VW + VW / 2
#define SHUFFLE(a, b, f) __builtin_shuffle(a, b, (vi){LANES(f)})
/* d[i] = row[w + i s], 0 past the row's n numbers; d is written in whole vectors. s: 1 or 2 */
INL void stretch(float *d, const float *row, int64_t w, int64_t s, int64_t n, int64_t len) {
    for (int64_t i = 0; i < len; i += VW, w += s * VW) {
        int whole = w >= 0 && w + s * VW <= n; /* masks cost more than loads */
        vf a = whole ? ldf(row + w) : load_part(row + w, inside(w, n));
        if (s == 2) {
            vf b = whole ? ldf(row + w + VW) : load_part(row + w + VW, inside(w + VW, n));
            a = SHUFFLE(a, b, EVEN);
        }
        stf(d + i, a);
    }
}
#endif
