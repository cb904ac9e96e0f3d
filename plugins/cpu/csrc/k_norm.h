/* Sums along contiguous rows for the normalisations: vector partial sums over stretches of 4,096 elements,
 * then double. */
#ifndef FBK_NORM_H
#define FBK_NORM_H
#include "k_load.h"
#include "k_vmath.h"

INL double hsumd_(vd v) {
    double t[VD];
    std_(t, v);
    for (int h = VD / 2; h; h >>= 1)
        for (int j = 0; j < h; j++) t[j] += t[j + h];
    return t[0];
}
#define ROW_SUM(NAME, T, V, VL, LD, SPLAT, HSUM, VEXPR, SEXPR) \
    static inline double NAME(const T *x, const T *y, const T *z, T s, int64_t n) { \
        double total = 0; \
        V sv = SPLAT(s); \
        (void)sv, (void)y, (void)z; \
        for (int64_t b = 0; b < n; b += 4096) { \
            int64_t e = MIN(b + 4096, n), i = b; \
            V a[4] = {{0}}; \
            for (; i + 4 * VL <= e; i += 4 * VL) _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++) { \
                    const int64_t k = i + u * VL; \
                    (void)k; \
                    a[u] += VEXPR; \
                } \
            for (; i + VL <= e; i += VL) { \
                const int64_t k = i; \
                (void)k; \
                a[0] += VEXPR; \
            } \
            double t = HSUM((a[0] + a[1]) + (a[2] + a[3])); \
            for (; i < e; i++) t += (double)(SEXPR); \
            total += t; \
        } \
        return total; \
    }
/* Both sums that a row's gradient needs, in one pass: of x z, and of x z (y - s); without z, of x and x (y - s). */
#define ROW_PAIR(NAME, T, V, VL, LD, SPLAT, HSUM) \
    INL double NAME(const T *x, const T *y, const T *z, T s, int64_t n, double *first) { \
        double total = 0, plain = 0; \
        V sv = SPLAT(s); \
        for (int64_t b = 0; b < n; b += 4096) { \
            int64_t e = MIN(b + 4096, n), i = b; \
            V a[2] = {{0}}, c[2] = {{0}}; \
            for (; i + 2 * VL <= e; i += 2 * VL) _Pragma("GCC unroll 2") for (int u = 0; u < 2; u++) { \
                    V v = LD(x + i + u * VL); \
                    if (z) v *= LD(z + i + u * VL); \
                    a[u] += v, c[u] += v * (LD(y + i + u * VL) - sv); \
                } \
            double t = HSUM(a[0] + a[1]), q = HSUM(c[0] + c[1]); \
            for (; i < e; i++) { \
                T v = z ? x[i] * z[i] : x[i]; \
                t += (double)v, q += (double)(v * (y[i] - s)); \
            } \
            plain += t, total += q; \
        } \
        *first = plain; \
        return total; \
    }
#define ROW_SUMS(S, T, V, VL, LD, SPLAT, HSUM) \
    ROW_SUM(sum_##S, T, V, VL, LD, SPLAT, HSUM, LD(x + k), x[i]) \
    ROW_SUM(dev_##S, T, V, VL, LD, SPLAT, HSUM, (LD(x + k) - sv) * (LD(x + k) - sv), \
            (x[i] - s) * (x[i] - s)) \
    ROW_SUM(dot_##S, T, V, VL, LD, SPLAT, HSUM, LD(x + k) * LD(y + k), x[i] * y[i]) \
    ROW_SUM(codev_##S, T, V, VL, LD, SPLAT, HSUM, LD(x + k) * (LD(y + k) - sv), x[i] * (y[i] - s)) \
    ROW_PAIR(pair_##S, T, V, VL, LD, SPLAT, HSUM) \
    ROW_SUM(dot3_##S, T, V, VL, LD, SPLAT, HSUM, LD(x + k) * LD(z + k) * (LD(y + k) - sv), \
            x[i] * z[i] * (y[i] - s))
ROW_SUMS(f32, float, vf, VW, ldf, splatf, hsumf)
ROW_SUMS(f64, double, vd, VD, ldd, splatd, hsumd_)

/* A 1-D operand as a dense array of the compute type; the room is buf. NULL when absent. */
INL const float *vec_f32(float *buf, const fbk_spec *s, uintptr_t p) {
    if (s->dtype < 0 || !p) return NULL;
    const float *x = get_f32(buf, (const void *)p, s->dtype, s->shape[0], s->stride[0]);
    return x;
}
INL const double *vec_f64(double *buf, const fbk_spec *s, uintptr_t p) {
    if (s->dtype < 0 || !p) return NULL;
    return get_f64(buf, (const void *)p, s->dtype, s->shape[0], s->stride[0]);
}
/* One statistic: float32, or float64 with float64 data. */
INL void stat_put(char *p, int dt, int64_t off, double v) {
    if (dt == DT_F64) ((double *)p)[off] = v;
    else put_f64(p + off * dt_size(dt), dt, 1, &v, 1);
}
INL double stat_get(const char *p, int dt, int64_t off) {
    double v;
    return *get_f64(&v, p + off * dt_size(dt), dt, 1, 1);
}
#endif
