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
    return dt == DT_F32 ? dw_run_f32(g, y, x, w, bias, 0) : dw_run_f64(g, y, x, w, bias, 0);
}
int64_t dw_input(int dt, const geom *g, const plane4 *gx, const plane4 *gy, const char *w, const char *bias) {
    geom f = *g;
    f.ph = (g->kh - 1) * g->dh - g->ph, f.pw = (g->kw - 1) * g->dw - g->pw;
    if (g->sh == 1 && g->sw == 1 && f.ph >= 0 &&
        f.pw >= 0) { /* stride 1: a forward pass with the taps reversed */
        int64_t taps = g->kh * g->kw, z = dt_size(dt), bytes = MAX(64, g->C * taps * z);
        char *r = fbc_alloc(bytes);
        if (!r) return FBK_ENOMEM;
        for (int64_t c = 0; c < g->C; c++)
            for (int64_t t = 0; t < taps; t++)
                memcpy(r + (c * taps + t) * z, w + (c * taps + taps - 1 - t) * z, (size_t)z);
        f.H = g->OH, f.W = g->OW, f.OH = g->H, f.OW = g->W;
        int64_t rc = dw_forward(dt, &f, gx, gy, r, bias);
        fbc_free(r, bytes);
        return rc;
    }
    return dt == DT_F32 ? dw_run_f32(g, gy, gx, w, bias, 1) : dw_run_f64(g, gy, gx, w, bias, 1);
}
int64_t dw_weight(int dt, const geom *g, char *gw, const plane4 *gy, const plane4 *x) {
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

static void NAME(load_plane)(const NAME(dctx) * d, T *pl, const T *src) {
    const geom *g = d->g;
    memset(pl, 0, (size_t)(d->Hp * d->row) * sizeof(T));
    for (int64_t h = 0; h < g->H; h++) {
        T *o = pl + (h + g->ph) * d->row;
        const T *s = src + h * d->x->h;
        if (g->sw == 1) memcpy(o + g->pw, s, (size_t)g->W * sizeof(T));
        else
            for (int64_t v = 0; v < g->W; v++) o[(v + g->pw) % g->sw * d->Wq + (v + g->pw) / g->sw] = s[v];
    }
}
static void NAME(forward)(const NAME(dctx) * d, const T *pl, T *out, const T *w, T bias) {
    const geom *g = d->g;
    int64_t taps = g->kh * g->kw;
    for (int64_t u = 0; u < g->OH; u++)
        for (int64_t v = 0; v < g->OW; v += VL) {
            const T *base = pl + u * g->sh * d->row + v;
            V s = SPLAT(bias);
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
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / g->C, c = i % g->C;
        T *x = (T *)d->x->p + n * d->x->n + c * d->x->c;
        if (d->what == 0) {
            NAME(load_plane)(d, pl, x);
            memset(pl + d->Hp * d->row, 0, 2 * VL * sizeof(T));
            for (int64_t o = c * mult; o < (c + 1) * mult; o++)
                NAME(forward)
                (d, pl, (T *)d->y->p + n * d->y->n + o * d->y->c, d->w + o * taps, d->bias ? d->bias[o] : 0);
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
        for (int64_t h = 0; h < g->H; h++) {
            const T *s = pl + (h + g->ph) * d->row;
            for (int64_t v = 0; v < g->W; v++)
                x[h * d->x->h + v] = s[(v + g->pw) % g->sw * d->Wq + (v + g->pw) / g->sw] + bias;
        }
    }
}
static void NAME(weight_task)(void *ctx, int64_t lo, int64_t hi) { /* one channel, all images in order */
    NAME(dctx) *d = ctx;
    const geom *g = d->g;
    int64_t size = d->Hp * d->row + 2 * VL, taps = g->kh * g->kw, mult = g->O / g->groups;
    T *pl = fbk_scratch(SLOT_D, (size + 2 * mult * taps) * (int64_t)sizeof(double));
    if (!pl) {
        __atomic_store_n(&d->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    double *sum = (double *)(pl + (size + 1) / 2 * 2);
    for (int64_t c = lo; c < hi; c++) {
        memset(sum, 0, (size_t)(mult * taps) * 8);
        for (int64_t n = 0; n < g->N; n++) {
            NAME(load_plane)(d, pl, (const T *)d->x->p + n * d->x->n + c * d->x->c);
            for (int64_t e = 0; e < mult; e++)
                for (int64_t t = 0; t < taps; t++) {
                    const T *gy = (const T *)d->y->p + n * d->y->n + (c * mult + e) * d->y->c;
                    double total = 0;
                    for (int64_t u = 0; u < g->OH; u++) {
                        const T *a = gy + u * d->y->h, *b = pl + u * g->sh * d->row + d->off[t];
                        V s = {0};
                        int64_t v = 0;
                        for (; v + VL <= g->OW; v += VL) s += LDV(a + v) * LDV(b + v);
                        T q[VL], r = 0;
                        STV(q, s);
                        for (int h = VL / 2; h; h >>= 1)
                            for (int j = 0; j < h; j++) q[j] += q[j + h];
                        for (; v < g->OW; v++) r += a[v] * b[v];
                        total += (double)(q[0] + r);
                    }
                    sum[e * taps + t] += total;
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
