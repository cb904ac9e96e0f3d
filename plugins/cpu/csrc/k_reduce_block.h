/* Reductions: one block of contiguous elements of the compute type into a partial result. */
#ifndef FBK_REDUCE_BLOCK_H
#define FBK_REDUCE_BLOCK_H
#include "k_reduce.h"

/* ---- one block (n <= RED_BLOCK, contiguous, compute type) into a partial result; pos: position of x[0] in
 * the reduced space ---- */
#define BLOCK_SUM_F32(NAME, F) \
    static double NAME(const float *x, int64_t n, float sh) { \
        (void)sh; \
        if (n < 32) { \
            double d = 0; \
            for (int64_t i = 0; i < n; i++) { \
                float v = x[i]; \
                d += F; \
            } \
            return d; \
        } \
        vf acc[NLV] = {{0}}; \
        int64_t i = 0; \
        for (; i + LANES <= n; i += LANES) _Pragma("GCC unroll 16") for (int u = 0; u < NLV; u++) { \
                vf v = ldf(x + i + u * VW); \
                acc[u] += F; \
            } \
        if (i == n) { /* fold64's order */ \
            for (int h = NLV / 2; h; h >>= 1) \
                for (int u = 0; u < h; u++) acc[u] += acc[u + h]; \
            return hsumf(acc[0]); \
        } \
        float t[LANES]; \
        for (int u = 0; u < NLV; u++) stf(t + u * VW, acc[u]); \
        for (int64_t j = 0; i + j < n; j++) { \
            float v = x[i + j]; \
            t[j] += F; \
        } \
        return fold64(t); \
    }
BLOCK_SUM_F32(bs_f32, v)
BLOCK_SUM_F32(bq_f32, v *v)
BLOCK_SUM_F32(bv_f32, (v - sh) * (v - sh))
BLOCK_SUM_F32(bd_f32, v - sh)
#define BLOCK_SUM_F64(NAME, F) \
    static double NAME(const double *x, int64_t n, double sh) { \
        (void)sh; \
        double t[32] = {0}; \
        int64_t i = 0; \
        for (; i + 32 <= n; i += 32) \
            for (int j = 0; j < 32; j++) { \
                double v = x[i + j]; \
                t[j] += F; \
            } \
        for (int64_t j = 0; i + j < n; j++) { \
            double v = x[i + j]; \
            t[j] += F; \
        } \
        for (int h = 16; h; h >>= 1) \
            for (int j = 0; j < h; j++) t[j] += t[j + h]; \
        return t[0]; \
    }
BLOCK_SUM_F64(bs_f64, v)
BLOCK_SUM_F64(bq_f64, v *v)
BLOCK_SUM_F64(bv_f64, (v - sh) * (v - sh))

/* Complex sums: n complex numbers as 2n reals; even and odd lanes are folded apart. */
#define BLOCK_SUM_C(NAME, T) \
    static void NAME(const T *x, int64_t n, double *re, double *im) { \
        T t[32] = {0}; \
        int64_t i = 0, m = 2 * n; \
        for (; i + 32 <= m; i += 32) \
            for (int j = 0; j < 32; j++) t[j] += x[i + j]; \
        for (int64_t j = 0; i + j < m; j++) t[j] += x[i + j]; \
        for (int h = 16; h > 1; h >>= 1) \
            for (int j = 0; j < h; j++) t[j] += t[j + h]; \
        *re = t[0]; \
        *im = t[1]; \
    }
BLOCK_SUM_C(bs_c64, float)
BLOCK_SUM_C(bs_c128, double)

/* The extreme of a block; *nan tells that a NaN was seen. 32 lanes so that the compiler keeps them in
 * vectors. */
#define BLOCK_EXT(NAME, T, OP, ISNAN) \
    static T NAME(const T *x, int64_t n, int *nan) { \
        T m = x[0]; \
        int bad = 0; \
        int64_t i = 0; \
        if (n >= 64) { \
            T t[32]; \
            int32_t b[32] = {0}; \
            for (int j = 0; j < 32; j++) t[j] = x[0]; \
            for (; i + 32 <= n; i += 32) \
                for (int j = 0; j < 32; j++) { \
                    T v = x[i + j]; \
                    t[j] = v OP t[j] ? v : t[j]; \
                    b[j] |= ISNAN; \
                } \
            for (int j = 0; j < 32; j++) { \
                m = t[j] OP m ? t[j] : m; \
                bad |= b[j]; \
            } \
            { \
                T v = x[0]; \
                (void)v; \
                bad |= ISNAN; \
            } \
        } \
        for (; i < n; i++) { \
            T v = x[i]; \
            m = v OP m ? v : m; \
            bad |= ISNAN; \
        } \
        *nan = bad; \
        return m; \
    }
/* m: the extreme of t[0]; bad: whether some element of big[0] is that of a NaN */
#if defined(__AVX512F__)
#define FOLD_EXT(CHOOSE, OP) \
    const __m512 v0 = (__m512)t[0]; \
    const __m256 v1 = CHOOSE##256(_mm512_extractf32x8_ps(v0, 1), _mm512_castps512_ps256(v0)); \
    __m128 v2 = CHOOSE##128(_mm256_extractf128_ps(v1, 1), _mm256_castps256_ps128(v1)); \
    v2 = CHOOSE##128(_mm_movehl_ps(v2, v2), v2); \
    float m = _mm_cvtss_f32(CHOOSE##128(_mm_movehdup_ps(v2), v2)); \
    int bad = _mm512_cmpgt_epi32_mask((__m512i)big[0], _mm512_set1_epi32(0x7f800000)) != 0;
#define maxf_256 _mm256_max_ps
#define minf_256 _mm256_min_ps
#define maxf_128 _mm_max_ps
#define minf_128 _mm_min_ps
#else
#define FOLD_EXT(CHOOSE, OP) \
    float lanes[VW]; \
    int bad = 0; \
    stf(lanes, t[0]); \
    for (int h = VW / 2; h; h >>= 1) \
        for (int j = 0; j < h; j++) lanes[j] = lanes[j + h] OP lanes[j] ? lanes[j + h] : lanes[j]; \
    float m = lanes[0]; \
    for (int j = 0; j < VW; j++) bad |= big[0][j] > 0x7f800000;
#endif
/* The same for float32 by vectors: NaNs are seen by their bits, which takes no comparison of floats. */
#define BLOCK_EXT_F32(NAME, SLOW, CHOOSE, OP) \
    BLOCK_EXT(SLOW, float, OP, (v != v)) \
    static float NAME(const float *x, int64_t n, int *nan) { \
        enum { U = 4 }; \
        if (n < U * VW) return SLOW(x, n, nan); \
        vf t[U]; \
        vi big[U]; \
        const vi rest = (vi){0} + 0x7fffffff; \
        for (int u = 0; u < U; u++) t[u] = ldf(x), big[u] = (vi)t[u] & rest; \
        int64_t i = 0; \
        for (; i + U * VW <= n; i += U * VW) _Pragma("GCC unroll 4") for (int u = 0; u < U; u++) { \
                vf v = ldf(x + i + u * VW); \
                t[u] = CHOOSE(v, t[u]); \
                big[u] = imax_((vi)v & rest, big[u]); \
            } \
        for (int u = 1; u < U; u++) t[0] = CHOOSE(t[u], t[0]), big[0] = imax_(big[u], big[0]); \
        FOLD_EXT(CHOOSE, OP) \
        for (; i < n; i++) { \
            float v = x[i]; \
            m = v OP m ? v : m; \
            bad |= v != v; \
        } \
        *nan = bad; \
        return m; \
    }
BLOCK_EXT_F32(bmax_f32, bmax_f32_slow, maxf_, >)
BLOCK_EXT_F32(bmin_f32, bmin_f32_slow, minf_, <)
BLOCK_EXT(bmax_f64, double, >, (v != v))
BLOCK_EXT(bmin_f64, double, <, (v != v))
BLOCK_EXT(bmax_i64, int64_t, >, 0)
BLOCK_EXT(bmin_i64, int64_t, <, 0)
BLOCK_EXT(bmax_u64, uint64_t, >, 0)
BLOCK_EXT(bmin_u64, uint64_t, <, 0)

/* Where the first of n floats stands that equals v, or is NaN; there is one. */
static int64_t first_f32(const float *x, int64_t n, float v, int nan) {
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) { /* until a block of which some element is the one */
        int some = 0;
        if (nan)
            for (int j = 0; j < 64; j++) some |= x[i + j] != x[i + j];
        else
            for (int j = 0; j < 64; j++) some |= x[i + j] == v;
        if (some) break;
    }
    while (nan ? x[i] == x[i] : x[i] != v) i++;
    return i;
}
static void ext_f(const redp *r, rst *s, const void *x, int64_t n, int64_t pos) {
    int nan, up = r->kind == R_MAX || r->kind == R_ARGMAX, f = r->cls == CF;
    if (s->n && s->a != s->a) {
        s->n += n;
        return;
    }
    double m = f ? (up ? bmax_f32 : bmin_f32)(x, n, &nan) : (up ? bmax_f64 : bmin_f64)(x, n, &nan);
    if (nan || !s->n || (up ? m > s->a : m < s->a)) {
        if (r->kind == R_ARGMAX || r->kind == R_ARGMIN) {
            int64_t j = 0;
            if (f) {
                j = first_f32(x, n, (float)m, nan);
            } else {
                const double *y = x;
                while (nan ? y[j] == y[j] : y[j] != m) j++;
            }
            s->k = pos + j;
        }
        s->a = nan ? (double)NAN : m;
    }
    s->n += n;
}
static void ext_i(const redp *r, rst *s, const void *x, int64_t n, int64_t pos) {
    int nan, up = r->kind == R_MAX || r->kind == R_ARGMAX;
    int64_t m;
    int better;
    if (r->cls == CI) {
        m = (up ? bmax_i64 : bmin_i64)(x, n, &nan);
        better = up ? m > s->i : m < s->i;
    } else {
        uint64_t u = (up ? bmax_u64 : bmin_u64)(x, n, &nan);
        m = (int64_t)u;
        better = up ? u > (uint64_t)s->i : u < (uint64_t)s->i;
    }
    if (!s->n || better) {
        if (r->kind == R_ARGMAX || r->kind == R_ARGMIN) {
            int64_t j = 0;
            while (((const int64_t *)x)[j] != m) j++;
            s->k = pos + j;
        }
        s->i = m;
    }
    s->n += n;
}
static void merge_var(rst *s, int64_t n, double mean, double m2) {
    if (!n) return;
    double d = mean - s->a, t = (double)(s->n + n), w = (double)n / t;
    s->b += m2 + d * d * (double)s->n * w;
    s->a = s->n ? s->a + d * w : mean;
    s->n += n;
}
static void merge_lse(rst *s, int64_t n, double m, double sum) {
    if (!s->n || m > s->a || m != m) { /* rescale what we have to the new maximum */
        s->b = (s->n && m == m ? s->b * exp(s->a == m ? 0 : s->a - m) : 0) + sum;
        s->a = s->n && s->a != s->a ? s->a : m;
    } else s->b += sum * (m == s->a ? 1 : exp(m - s->a));
    s->n += n;
}
static void lse_block(const redp *r, rst *s, const void *x, int64_t n) {
    int nan;
    double m, sum = 0;
    if (r->cls == CF) {
        const float *y = x;
        float mf = bmax_f32(y, n, &nan), sh = isinf(mf) ? 0 : mf;
        if (nan) {
            merge_lse(s, n, (double)NAN, (double)NAN);
            return;
        }
        vf acc = {0}, shv = splatf(sh);
        int64_t i = 0;
        for (; i + VW <= n; i += VW) acc += vexpf_(ldf(y + i) - shv);
        sum = hsumf(acc);
        for (; i < n; i++) sum += expf(y[i] - sh);
        m = mf;
        if (isinf(mf)) sum = mf > 0 ? 1 : 0;
    } else {
        const double *y = x;
        m = bmax_f64(y, n, &nan);
        if (nan) {
            merge_lse(s, n, (double)NAN, (double)NAN);
            return;
        }
        if (isinf(m)) sum = m > 0 ? 1 : 0;
        else
            for (int64_t i = 0; i < n; i++) sum += exp(y[i] - m);
    }
    merge_lse(s, n, m, sum);
}
static void block(const redp *r, rst *s, const void *x, int64_t n, int64_t pos) {
    switch (r->kind) {
    case R_SUM:
    case R_MEAN:
    case R_SUMSQ:
    case R_NORM2: {
        int sq = r->kind == R_SUMSQ || r->kind == R_NORM2;
        double re, im;
        switch (r->cls) {
        case CF: s->a += (sq ? bq_f32 : bs_f32)(x, n, 0); break;
        case CD: neumaier(&s->a, &s->b, (sq ? bq_f64 : bs_f64)(x, n, 0)); break;
        case CC:
            bs_c64(x, n, &re, &im);
            s->a += re;
            s->b += im;
            break;
        case CZ:
            bs_c128(x, n, &re, &im);
            s->a += re;
            s->b += im;
            break;
        default: {
            uint64_t t = 0;
            for (int64_t i = 0; i < n; i++) t += ((const uint64_t *)x)[i];
            s->i = (int64_t)((uint64_t)s->i + t);
        }
        }
        break;
    }
    case R_PROD: {
        if (r->cls == CF || r->cls == CD) {
            double t[8] = {1, 1, 1, 1, 1, 1, 1, 1};
            int64_t i = 0;
            if (r->cls == CF) {
                const float *y = x;
                for (; i + 8 <= n; i += 8)
                    for (int j = 0; j < 8; j++) t[j] *= (double)y[i + j];
                for (; i < n; i++) t[i & 7] *= (double)y[i];
            } else {
                const double *y = x;
                for (; i + 8 <= n; i += 8)
                    for (int j = 0; j < 8; j++) t[j] *= y[i + j];
                for (; i < n; i++) t[i & 7] *= y[i];
            }
            s->a *= ((t[0] * t[4]) * (t[2] * t[6])) * ((t[1] * t[5]) * (t[3] * t[7]));
        } else if (r->cls == CI) {
            uint64_t t = (uint64_t)s->i;
            for (int64_t i = 0; i < n; i++) t *= ((const uint64_t *)x)[i];
            s->i = (int64_t)t;
        } else
            for (int64_t i = 0; i < n; i++) {
                double re = r->cls == CC ? ((const float *)x)[2 * i] : ((const double *)x)[2 * i];
                double im = r->cls == CC ? ((const float *)x)[2 * i + 1] : ((const double *)x)[2 * i + 1],
                       a = s->a;
                s->a = a * re - s->b * im;
                s->b = a * im + s->b * re;
            }
        break;
    }
    case R_MAX:
    case R_MIN:
    case R_ARGMAX:
    case R_ARGMIN: (r->cls <= CD ? ext_f : ext_i)(r, s, x, n, pos); break;
    case R_ANY:
    case R_ALL: {
        int any = r->kind == R_ANY;
        const uint8_t *q = x;
        uint8_t some = 0, every = 1;
        if (s->i == any) break; /* decided already */
        for (int64_t i = 0; i < n; i++) some |= q[i], every &= q[i] != 0;
        if (any ? some != 0 : !every) s->i = any;
        break;
    }
    case R_VAR:
    case R_STD: {
        if (r->cls == CF) {
            /* the first mean is as exact as a sum of floats; that of the differences from it has their size's error */
            float sh = (float)(bs_f32(x, n, 0) / (double)n);
            double q = 0, e = 0;
            for (int64_t i = 0; i < n; i += 512) { /* few to a lane: squares of data with few bits all round down */
                int64_t m = MIN(512, n - i);
                q += bv_f32((const float *)x + i, m, sh), e += bd_f32((const float *)x + i, m, sh);
            }
            e /= (double)n;
            merge_var(s, n, (double)sh + e, q - (double)n * e * e > 0 || q != q ? q - (double)n * e * e : 0);
        } else {
            double m = bs_f64(x, n, 0) / (double)n;
            merge_var(s, n, m, bv_f64(x, n, m));
        }
        break;
    }
    default: lse_block(r, s, x, n);
    }
}
#endif
