/* Depthwise convolutions: every plane goes to a padded scratch plane whose rows are split by the stride's
   phase, so that each tap reads (or adds to) contiguous elements. This file includes itself once per element
   type. */
/* cflags: -ffp-contract=fast */
#ifndef T
#include "k_conv.h"
#define T float
#define V vf
#define VL VW
#define NAME(x) x##_f32
#define LDV ldf
#define STV stf
#define SPLAT splatf
#include "k_conv_dw.c"
#undef T
#undef V
#undef VL
#undef NAME
#undef LDV
#undef STV
#undef SPLAT
#define T double
#define V vd
#define VL VD
#define NAME(x) x##_f64
#define LDV ldd
#define STV std_
#define SPLAT splatd
#include "k_conv_dw.c"
#undef T
int64_t dw_forward(int dt, const geom *g, const plane4 *y, const plane4 *x, const char *w, const char *bias) {
    if (dw3_takes(dt, g)) {
        dw3_forward(g, y, x, w, bias, 0);
        return 0;
    }
    return dt == DT_F32 ? dw_run_f32(g, y, x, w, bias, 0) : dw_run_f64(g, y, x, w, bias, 0);
}
int64_t dw_input(int dt, const geom *g, const plane4 *gx, const plane4 *gy, const char *w, const char *bias) {
    geom f = *g;
    f.ph = (g->kh - 1) * g->dh - g->ph, f.pw = (g->kw - 1) * g->dw - g->pw;
    if (g->sh == 1 && g->sw == 1 && f.ph >= 0 &&
        f.pw >= 0) { /* stride 1: a forward pass with the taps reversed */
        int64_t taps = g->kh * g->kw, z = dt_size(dt), bytes = MAX(64, g->C * taps * z);
        f.H = g->OH, f.W = g->OW, f.OH = g->H, f.OW = g->W;
        if (dw3_takes(dt, &f)) {
            dw3_forward(&f, gx, gy, w, bias, 1);
            return 0;
        }
        char *r = fbc_alloc(bytes);
        if (!r) return FBK_ENOMEM;
        for (int64_t c = 0; c < g->C; c++)
            for (int64_t t = 0; t < taps; t++)
                memcpy(r + (c * taps + t) * z, w + (c * taps + taps - 1 - t) * z, (size_t)z);
        int64_t rc = dw_forward(dt, &f, gx, gy, r, bias);
        fbc_free(r, bytes);
        return rc;
    }
    if (g->sh == 2 && dw3_takes(dt, g)) {
        dw3_input(g, gx, gy, w, bias);
        return 0;
    }
    return dt == DT_F32 ? dw_run_f32(g, gy, gx, w, bias, 1) : dw_run_f64(g, gy, gx, w, bias, 1);
}
int64_t dw_weight(int dt, const geom *g, char *gw, const plane4 *gy, const plane4 *x) {
    if (dw3_takes(dt, g)) {
        dw3_weight(g, gw, gy, x);
        return 0;
    }
    return dt == DT_F32 ? dw_run_f32(g, gy, x, gw, NULL, 2) : dw_run_f64(g, gy, x, gw, NULL, 2);
}
#else

typedef struct {
    const geom *g;
    const plane4 *y, *x;
    T *w;
    const T *bias;
    int64_t Hp, Wp, Wq, row, *off;
    int what;
    int64_t rc;
} NAME(dctx);

/* a row split by the stride's phase into the padded plane, or put together again */
INL void NAME(split)(const geom *g, int64_t Wq, T *o, const T *s) {
    if (g->sw == 1) {
        memcpy(o + g->pw, s, (size_t)g->W * sizeof(T));
        return;
    }
    for (int64_t b = 0; b < g->sw; b++) { /* the columns v with (v + pw) % sw == b */
        int64_t v0 = ((b - g->pw) % g->sw + g->sw) % g->sw, n = v0 < g->W ? ceil_div(g->W - v0, g->sw) : 0;
        T *d = o + b * Wq + (v0 + g->pw) / g->sw;
        const T *q = s + v0;
        if (g->sw == 2)
            for (int64_t k = 0; k < n; k++) d[k] = q[2 * k];
        else
            for (int64_t k = 0; k < n; k++) d[k] = q[k * g->sw];
    }
}
INL void NAME(merge)(const geom *g, int64_t Wq, T *o, const T *s, T bias) {
    for (int64_t b = 0; b < g->sw; b++) {
        int64_t v0 = ((b - g->pw) % g->sw + g->sw) % g->sw, n = v0 < g->W ? ceil_div(g->W - v0, g->sw) : 0;
        const T *d = s + b * Wq + (v0 + g->pw) / g->sw;
        T *q = o + v0;
        if (g->sw == 2)
            for (int64_t k = 0; k < n; k++) q[2 * k] = d[k] + bias;
        else
            for (int64_t k = 0; k < n; k++) q[k * g->sw] = d[k] + bias;
    }
}
/* the plane's inside; the padding around it was cleared before */
static void NAME(load_plane)(const NAME(dctx) * d, T *pl, const T *src) {
    for (int64_t h = 0; h < d->g->H; h++)
        NAME(split)(d->g, d->Wq, pl + (h + d->g->ph) * d->row, src + h * d->x->h);
}
/* count: the number of taps where it is known when compiling, else 0 */
INL void NAME(forward)(const int count, const NAME(dctx) * d, const T *pl, T *out, const T *w, T bias) {
    const geom *g = d->g;
    int64_t taps = count ? count : g->kh * g->kw;
    V wv[count ? count : 1];
    for (int t = 0; t < count; t++) wv[t] = SPLAT(w[t]);
    for (int64_t u = 0; u < g->OH; u++)
        for (int64_t v = 0; v < g->OW; v += VL) {
            const T *base = pl + u * g->sh * d->row + v;
            V s = SPLAT(bias);
            if (count)
                _Pragma("GCC unroll 9") for (int t = 0; t < count; t++) s += wv[t] * LDV(base + d->off[t]);
            else
                for (int64_t t = 0; t < taps; t++) s += SPLAT(w[t]) * LDV(base + d->off[t]);
            T *o = out + u * g->OW + v;
            if (v + VL <= g->OW) {
                STV(o, s);
                continue;
            }
            T q[VL];
            STV(q, s);
            memcpy(o, q, (size_t)(g->OW - v) * sizeof(T));
        }
}
/* 3x3, stride and dilation 1 down: four output rows at a time share the loads of six input rows */
static void NAME(forward_rows)(const NAME(dctx) * d, const T *pl, T *out, const T *w, T bias) {
    const geom *g = d->g;
    enum { R = 4 };
    V wv[9];
    for (int t = 0; t < 9; t++) wv[t] = SPLAT(w[t]);
    for (int64_t u = 0; u < g->OH; u += R) {
        int64_t rows = MIN(R, g->OH - u);
        for (int64_t v = 0; v < g->OW; v += VL) {
            const T *base = pl + u * d->row + v;
            V s[R] = {SPLAT(bias), SPLAT(bias), SPLAT(bias), SPLAT(bias)};
            _Pragma("GCC unroll 6") for (int i = 0; i < R + 2; i++) {
                const T *q = base + MIN(i, rows + 1) * d->row;
                V x[3] = {LDV(q + d->off[0]), LDV(q + d->off[1]), LDV(q + d->off[2])};
                _Pragma("GCC unroll 4") for (int r = 0; r < R; r++)
                    if (i - r >= 0 && i - r < 3)
                        for (int j = 0; j < 3; j++) s[r] += wv[3 * (i - r) + j] * x[j];
            }
            for (int64_t r = 0; r < rows; r++) {
                T *o = out + (u + r) * g->OW + v;
                if (v + VL <= g->OW) {
                    STV(o, s[r]);
                    continue;
                }
                T q[VL];
                STV(q, s[r]);
                memcpy(o, q, (size_t)(g->OW - v) * sizeof(T));
            }
        }
    }
}
static void NAME(plane_task)(void *ctx, int64_t lo,
                             int64_t hi) { /* forward: an output plane; input gradient: an input plane */
    NAME(dctx) *d = ctx;
    const geom *g = d->g;
    int64_t size = d->Hp * d->row + 2 * VL, taps = g->kh * g->kw, mult = g->O / g->groups;
    T *pl = fbk_scratch(SLOT_D, size * (int64_t)sizeof(T));
    if (!pl) {
        __atomic_store_n(&d->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    memset(pl, 0, (size_t)size * sizeof(T));
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / g->C, c = i % g->C;
        T *x = (T *)d->x->p + n * d->x->n + c * d->x->c;
        if (d->what == 0) {
            NAME(load_plane)(d, pl, x);
            for (int64_t o = c * mult; o < (c + 1) * mult; o++) {
                T *y = (T *)d->y->p + n * d->y->n + o * d->y->c, bias = d->bias ? d->bias[o] : 0;
                if (g->kh == 3 && g->kw == 3 && g->sh == 1 && g->dh == 1)
                    NAME(forward_rows)(d, pl, y, d->w + o * taps, bias);
                else if (taps == 9) NAME(forward)(9, d, pl, y, d->w + o * taps, bias);
                else NAME(forward)(0, d, pl, y, d->w + o * taps, bias);
            }
            continue;
        }
        const T *gy = (const T *)d->y->p + n * d->y->n + c * d->y->c, *w = d->w + c * taps;
        memset(pl, 0, (size_t)size * sizeof(T));
        for (int64_t u = 0; u < g->OH; u++)
            for (int64_t t = 0; t < taps; t++) {
                T *o = pl + u * g->sh * d->row + d->off[t], f = w[t];
                const T *s = gy + u * d->y->h;
                for (int64_t v = 0, OW = g->OW; v < OW; v++) o[v] += f * s[v];
            }
        T bias = d->bias ? d->bias[c] : 0;
        for (int64_t h = 0; h < g->H; h++)
            NAME(merge)(g, d->Wq, x + h * d->x->h, pl + (h + g->ph) * d->row, bias);
    }
}
/* sum[t] += the products of gy, rows of OQ numbers padded with zeros, with each tap's view of the plane */
INL void NAME(weight_sums)(const int count, const NAME(dctx) * d, const T *pl, const T *gy, int64_t OQ, int64_t t0,
                           double *sum) {
    V s[count];
    for (int t = 0; t < count; t++) s[t] = (V){0};
    for (int64_t u = 0; u < d->g->OH; u++)
        for (int64_t v = 0; v < OQ; v += VL) {
            V a = LDV(gy + u * OQ + v);
            const T *base = pl + u * d->g->sh * d->row + v;
            _Pragma("GCC unroll 9") for (int t = 0; t < count; t++) s[t] += a * LDV(base + d->off[t0 + t]);
        }
    for (int t = 0; t < count; t++) {
        T q[VL];
        STV(q, s[t]);
        for (int h = VL / 2; h; h >>= 1)
            for (int k = 0; k < h; k++) q[k] += q[k + h];
        sum[t0 + t] += (double)q[0];
    }
}
static void NAME(weight_task)(void *ctx, int64_t lo, int64_t hi) { /* one channel, all images in order */
    NAME(dctx) *d = ctx;
    const geom *g = d->g;
    int64_t size = d->Hp * d->row + 2 * VL, taps = g->kh * g->kw, mult = g->O / g->groups,
            OQ = ceil_div(g->OW, VL) * VL;
    T *pl = fbk_scratch(SLOT_D, (size + g->OH * OQ + 2 * mult * taps) * (int64_t)sizeof(double)), *gy = pl + size;
    if (!pl) {
        __atomic_store_n(&d->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    double *sum = (double *)(pl + (size + g->OH * OQ + 1) / 2 * 2);
    memset(pl, 0, (size_t)(size + g->OH * OQ) * sizeof(T));
    for (int64_t c = lo; c < hi; c++) {
        memset(sum, 0, (size_t)(mult * taps) * 8);
        for (int64_t n = 0; n < g->N; n++) {
            NAME(load_plane)(d, pl, (const T *)d->x->p + n * d->x->n + c * d->x->c);
            for (int64_t e = 0; e < mult; e++) {
                const T *from = (const T *)d->y->p + n * d->y->n + (c * mult + e) * d->y->c;
                for (int64_t u = 0; u < g->OH; u++)
                    memcpy(gy + u * OQ, from + u * d->y->h, (size_t)g->OW * sizeof(T));
                int64_t t = 0;
                for (; t + 9 <= taps; t += 9) NAME(weight_sums)(9, d, pl, gy, OQ, t, sum + e * taps);
                for (; t < taps; t++) NAME(weight_sums)(1, d, pl, gy, OQ, t, sum + e * taps);
            }
        }
        for (int64_t e = 0; e < mult * taps; e++) d->w[c * mult * taps + e] = (T)sum[e];
    }
}
static int64_t NAME(dw_run)(const geom *g, const plane4 *y, const plane4 *x, const char *w, const char *bias,
                            int what) {
    NAME(dctx)
    d = {.g = g,
         .y = y,
         .x = x,
         .w = (T *)w,
         .bias = (const T *)bias,
         .Hp = g->H + 2 * g->ph,
         .Wp = g->W + 2 * g->pw,
         .what = what};
    int64_t taps = g->kh * g->kw, bytes = MAX(64, taps * 8);
    d.Wq = ceil_div(d.Wp, g->sw) + VL;
    d.row = g->sw == 1 ? d.Wp : d.Wq * g->sw;
    if (!(d.off = fbc_alloc(bytes))) return FBK_ENOMEM;
    for (int64_t t = 0; t < taps; t++) {
        int64_t s = t % g->kw * g->dw;
        d.off[t] = t / g->kw * g->dh * d.row + (g->sw == 1 ? s : s % g->sw * d.Wq + s / g->sw);
    }
    if (what == 2) fbk_par(g->C, 1, NAME(weight_task), &d);
    else fbk_par(g->N * g->C, MAX(1, 16384 / MAX(1, d.Hp * d.row)), NAME(plane_task), &d);
    fbc_free(d.off, bytes);
    return d.rc;
}
#endif
