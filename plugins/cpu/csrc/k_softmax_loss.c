/* Cross-entropy straight from logits (one pass, no probabilities kept) and negative log likelihood, forward
 * and backward. */
/* cflags: -ffp-contract=fast */
#include <stddef.h>
#include <string.h>
#include "k_load.h"
#include "k_softmax.h"
#include "k_vmath.h"

enum { NONE, MEAN, SUM };
typedef struct {
    fbk_it it;           /* samples: logits (or gx), target, lse, loss (or g) */
    char *x, *gx, *loss; /* loss: the output, or the incoming gradient */
    const char *target;
    char *lse, *tw;
    double *w, *rows, wsum, eps,
        scale; /* class weights as double (NULL: ones) and their sum; per-sample loss and weight */
    int64_t C, cs, gcs, ignore, es, bad, rc;
    int dt, ldt, red, i32, nll;
} cectx;

INL int64_t target_at(cectx *w, int64_t lin, const int64_t *off, int *skip) {
    int64_t t = w->i32 ? ((const int32_t *)w->target)[off[1]] : ((const int64_t *)w->target)[off[1]];
    *skip = t == w->ignore;
    if (!*skip && (uint64_t)t >= (uint64_t)w->C) {
        int64_t old = __atomic_load_n(&w->bad, __ATOMIC_RELAXED);
        while (lin < old &&
               !__atomic_compare_exchange_n(&w->bad, &old, lin, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
        *skip = 1;
    }
    return t;
}
static void put_stat(char *base, int dt, int64_t off, double v) {
    if (dt == DT_F64) ((double *)base)[off] = v;
    else ((float *)base)[off] = (float)v;
}
static double get_one(const char *base, int dt, int64_t off) {
    double v;
    return *get_f64(&v, base + off * dt_size(dt), dt, 1, 1);
}
static void ce_task(void *ctx, int64_t lo, int64_t hi) {
    cectx *w = ctx;
    void *buf = fbk_scratch(SLOT_B, w->C * 8);
    if (!buf) {
        __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t i = lo; i < hi; i++) {
        int64_t off[5];
        int skip;
        it_off(&w->it, i, off);
        int64_t t = target_at(w, i, off, &skip);
        const char *row = w->x + off[0] * w->es;
        double loss = 0, wt = skip ? 0 : w->w ? w->w[t] : 1;
        if (w->nll) {
            if (!skip) loss = -wt * get_one(row, w->dt, t * w->cs);
        } else {
            double lse, dot = 0, xt = 0;
            if (w->dt == DT_F64) {
                const double *x = get_f64(buf, row, w->dt, w->C, w->cs);
                double m = x[0], s = 0;
                for (int64_t c = 1; c < w->C; c++) m = x[c] > m || x[c] != x[c] ? x[c] : m;
                for (int64_t c = 0; c < w->C; c++) s += exp(x[c] - m);
                lse = m + log(s);
                if (!skip) xt = x[t];
                if (w->eps)
                    for (int64_t c = 0; c < w->C; c++) dot += w->w ? w->w[c] * x[c] : x[c];
            } else {
                const float *x = get_f32(buf, row, w->dt, w->C, w->cs);
                float m = row_max_f32(x, w->C);
                lse = (double)m + log(row_exp_f32(NULL, x, m, w->C));
                if (m == INFINITY) lse = (double)INFINITY;
                if (!skip) xt = x[t];
                if (w->eps)
                    for (int64_t c = 0; c < w->C; c++) dot += w->w ? w->w[c] * (double)x[c] : (double)x[c];
            }
            put_stat(w->lse, w->ldt, off[2], lse);
            if (!skip)
                loss = (1 - w->eps) * wt * (lse - xt) +
                       (w->eps ? w->eps / (double)w->C * (w->wsum * lse - dot) : 0);
        }
        w->rows[2 * i] = loss, w->rows[2 * i + 1] = wt;
        if (w->red == NONE) put_f64(w->loss + off[3] * w->es, w->dt, 1, &loss, 1);
    }
}
/* float32 with the classes apart and the samples side by side (images): CW samples at a time. lin: the first
 * of m samples of a stretch. */
static void ce_cols(cectx *w, int64_t lin, int64_t m, const int64_t *off, const int64_t *st) {
    const float *x = (const float *)w->x + off[0];
    for (int64_t j0 = 0; j0 < m; j0 += CW) {
        int64_t nc = MIN(CW, m - j0);
        float mx[CW], sum[CW], *pad;
        if (nc == CW) col_lse_f32(x + j0, w->C, w->cs, mx, sum);
        else {
            if (!(pad = fbk_scratch(SLOT_B, w->C * CW * 4))) {
                __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
                return;
            }
            for (int64_t c = 0; c < w->C; c++)
                for (int64_t j = 0; j < CW; j++) pad[c * CW + j] = j < nc ? x[c * w->cs + j0 + j] : 0;
            col_lse_f32(pad, w->C, CW, mx, sum);
        }
        for (int64_t j = j0; j < j0 + nc; j++) {
            int skip;
            int64_t i = lin + j, o[2] = {0, off[1] + j * st[1]}, t = target_at(w, i, o, &skip);
            double lse = (double)mx[j - j0] + log((double)sum[j - j0]),
                   wt = skip   ? 0
                        : w->w ? w->w[t]
                               : 1,
                   loss = 0, dot = 0;
            if (w->eps && !skip)
                for (int64_t c = 0; c < w->C; c++) dot += (w->w ? w->w[c] : 1) * (double)x[c * w->cs + j];
            put_stat(w->lse, w->ldt, off[2] + j * st[2], lse);
            if (!skip)
                loss = (1 - w->eps) * wt * (lse - (double)x[t * w->cs + j]) +
                       (w->eps ? w->eps / (double)w->C * (w->wsum * lse - dot) : 0);
            w->rows[2 * i] = loss, w->rows[2 * i + 1] = wt;
            if (w->red == NONE) ((float *)w->loss)[off[3] + j * st[3]] = (float)loss;
        }
    }
}
static void ce_bwd_cols(cectx *w, int64_t lin, int64_t m, const int64_t *off, const int64_t *st) {
    const float *x = (const float *)w->x + off[0];
    float *gx = (float *)w->gx + off[4];
    for (int64_t j0 = 0; j0 < m; j0 += CW) {
        int64_t nc = MIN(CW, m - j0), tg[CW];
        float mul[CW] = {0}, sm[CW], hit[CW], lse[CW] = {0};
        for (int64_t j = j0; j < j0 + nc; j++) {
            int skip;
            int64_t k = j - j0, o[2] = {0, off[1] + j * st[1]};
            tg[k] = target_at(w, lin + j, o, &skip);
            double g = skip ? 0 : get_one(w->loss, w->dt, w->red == NONE ? off[3] + j * st[3] : 0) * w->scale,
                   wt = skip   ? 0
                        : w->w ? w->w[tg[k]]
                               : 1;
            mul[k] = (float)(g * ((1 - w->eps) * wt + w->eps / (double)w->C * w->wsum));
            sm[k] = (float)(g * w->eps / (double)w->C), hit[k] = (float)(g * (1 - w->eps) * wt);
            lse[k] = (float)get_one(w->lse, w->ldt, off[2] + j * st[2]);
            if (skip) tg[k] = -1;
        }
        for (int64_t c = 0; c < w->C; c++) {
            const float *p = x + c * w->cs + j0;
            float *o = gx + c * w->gcs + j0, f = w->w ? (float)w->w[c] : 1, q[CW];
            if (nc == CW)
                for (int k = 0; k < CW; k += VW) stf(o + k, vexpf_(ldf(p + k) - ldf(lse + k)) * ldf(mul + k));
            else {
                for (int64_t k = 0; k < CW; k++) q[k] = k < nc ? p[k] - lse[k] : 0;
                for (int k = 0; k < CW; k += VW) stf(q + k, vexpf_(ldf(q + k)) * ldf(mul + k));
                memcpy(o, q, (size_t)nc * 4);
            }
            if (w->eps)
                for (int64_t k = 0; k < nc; k++) o[k] -= sm[k] * f;
        }
        for (int64_t k = 0; k < nc; k++)
            if (tg[k] >= 0) gx[tg[k] * w->gcs + j0 + k] -= hit[k];
    }
}
static void cols_task(void *ctx, int64_t lin, int64_t hi) {
    cectx *w = ctx;
    while (lin < hi) {
        int64_t off[5], st[5], m = it_seg(&w->it, lin, hi, off, st);
        (w->gx ? ce_bwd_cols : ce_cols)(w, lin, m, off, st);
        lin += m;
    }
}
/* Whether the samples lie side by side, in x and in gx if there is one. */
static int side_by_side(const cectx *w) {
    int d = w->it.nd - 1;
    return !w->nll && w->dt == DT_F32 && w->C > 1 && w->cs != 1 && d >= 0 && w->it.st[0][d] == 1 &&
           (!w->gx || w->it.st[4][d] == 1) && w->it.shape[d] >= 16;
}
static int64_t setup(cectx *w, const fbk_plan *p, int x, int target, int weight, int lse, int loss,
                     const uintptr_t *at, int gx) {
    const fbk_spec *xs = &p->t[x], *ts = &p->t[target], *ls = lse >= 0 ? &p->t[lse] : NULL, *os = &p->t[loss],
                   *ws = &p->t[weight];
    int cd = xs->ndim > 1; /* the class dimension */
    w->x = (char *)at[x], w->target = (const char *)at[target], w->loss = (char *)at[loss],
    w->lse = ls ? (char *)at[lse] : NULL;
    w->C = xs->shape[cd], w->cs = xs->stride[cd], w->dt = xs->dtype, w->es = dt_size(xs->dtype),
    w->i32 = ts->dtype == DT_I32;
    w->ldt = ls ? ls->dtype : DT_F32, w->ignore = p->ia[0], w->red = (int)p->ia[1], w->eps = p->fa[0],
    w->bad = INT64_MAX;
    it_init(&w->it, 5);
    for (int d = 0; d < ts->ndim; d++) {
        int e = xs->ndim > 1 ? d + (d > 0) : d;
        int64_t st[5] = {xs->stride[e], ts->stride[d], ls ? ls->stride[d] : 0,
                         w->red == NONE ? os->stride[d] : 0, gx >= 0 ? p->t[gx].stride[e] : 0};
        it_dim(&w->it, ts->shape[d], st);
    }
    if (gx >= 0) w->gx = (char *)at[gx], w->gcs = p->t[gx].stride[cd];
    w->rows = fbk_scratch(SLOT_C, (2 * w->it.n + w->C + 8) * 8);
    if (!w->rows) return FBK_ENOMEM;
    w->wsum = (double)w->C;
    if (ws->dtype >= 0 && at[weight]) {
        double *d = w->rows + 2 * w->it.n;
        const double *q = get_f64(d, (const void *)at[weight], ws->dtype, w->C, ws->stride[0]);
        if (q != d) memcpy(d, q, (size_t)w->C * 8);
        w->w = d, w->wsum = 0;
        for (int64_t c = 0; c < w->C; c++) w->wsum += d[c];
    }
    return 0;
}
static int64_t forward(const fbk_plan *p, const uintptr_t *at, int nll) {
    /* t: loss, lse, total weight, logits, target, weight */
    cectx w = {.nll = nll};
    int64_t rc = setup(&w, p, 3, 4, 5, nll ? -1 : 1, 0, at, -1);
    if (rc) return rc;
    if (side_by_side(&w)) fbk_par(w.it.n, ceil_div(MAX(CW, 16384 / w.C), CW) * CW, cols_task, &w);
    else fbk_par(w.it.n, nll ? 8192 : MAX(1, 8192 / MAX(1, w.C)), ce_task, &w);
    if (w.rc) return w.rc;
    if (w.bad != INT64_MAX) return FBK_EINDEX - w.bad;
    double sum = 0, tw = 0;
    for (int64_t i = 0; i < w.it.n; i++) sum += w.rows[2 * i], tw += w.rows[2 * i + 1];
    if (at[2]) put_stat((char *)at[2], p->t[2].dtype, 0, tw);
    if (w.red == MEAN) sum /= tw;
    if (w.red != NONE) put_f64(w.loss, p->t[0].dtype, 1, &sum, 1);
    return 0;
}
/* ia: ignore index, reduction; fa: label smoothing */
FBK_ENTRY(fbk_cross_entropy) { return forward(p, at, 0); }
FBK_ENTRY(fbk_nll) { return forward(p, at, 1); }

static void ce_bwd_task(void *ctx, int64_t lo, int64_t hi) {
    cectx *w = ctx;
    char *buf = fbk_scratch(SLOT_B, w->C * 16);
    if (!buf) {
        __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t i = lo; i < hi; i++) {
        int64_t off[5];
        int skip;
        it_off(&w->it, i, off);
        int64_t t = target_at(w, i, off, &skip);
        double g = skip ? 0 : get_one(w->loss, w->dt, w->red == NONE ? off[3] : 0) * w->scale,
               wt = skip   ? 0
                    : w->w ? w->w[t]
                           : 1;
        char *o = w->gx + off[4] * w->es;
        double mul = g * ((1 - w->eps) * wt + w->eps / (double)w->C * w->wsum),
               sm = g * w->eps / (double)w->C, hit = g * (1 - w->eps) * wt;
        if (w->dt == DT_F64) {
            double *y = w->gcs == 1 ? (double *)o : (double *)buf;
            if (w->nll || skip) memset(y, 0, (size_t)w->C * 8);
            else {
                const double *x = get_f64((double *)buf + w->C, w->x + off[0] * w->es, w->dt, w->C, w->cs);
                double lse = get_one(w->lse, w->ldt, off[2]);
                for (int64_t c = 0; c < w->C; c++) y[c] = exp(x[c] - lse) * mul - (w->w ? sm * w->w[c] : sm);
            }
            if (!skip) y[t] -= hit;
            if (y != (double *)o) put_f64(o, w->dt, w->gcs, y, w->C);
        } else {
            float *y = w->gcs == 1 && w->dt == DT_F32 ? (float *)o : (float *)buf;
            if (w->nll || skip) memset(y, 0, (size_t)w->C * 4);
            else {
                const float *x = get_f32((float *)buf + w->C, w->x + off[0] * w->es, w->dt, w->C, w->cs);
                float lse = (float)get_one(w->lse, w->ldt, off[2]), m = (float)mul, s = (float)sm;
                vf lv = splatf(lse), mv = splatf(m), sv = splatf(w->w ? 0 : s);
                int64_t c = 0;
                for (; c + VW <= w->C; c += VW) stf(y + c, vexpf_(ldf(x + c) - lv) * mv - sv);
                if (c < w->C) {
                    float q[VW];
                    for (int64_t j = 0; j < VW; j++) q[j] = c + j < w->C ? x[c + j] : lse;
                    stf(q, vexpf_(ldf(q) - lv) * mv - sv);
                    for (int64_t j = 0; c + j < w->C; j++) y[c + j] = q[j];
                }
                if (w->w && w->eps)
                    for (c = 0; c < w->C; c++) y[c] -= s * (float)w->w[c];
            }
            if (!skip) y[t] -= (float)hit;
            if (y != (float *)o) put_f32(o, w->dt, w->gcs, y, w->C);
        }
    }
}
static int64_t backward(const fbk_plan *p, const uintptr_t *at, int nll) {
    /* cross-entropy t: gx, g, logits, target, weight, lse, total weight; nll t: gx, g, -, target, weight, -,
     * total weight */
    cectx w = {.nll = nll};
    fbk_plan q;
    if (nll) memcpy(&q, p, offsetof(fbk_plan, t) + sizeof(fbk_spec) * (size_t)p->nt), q.t[2] = q.t[0], p = &q; /* a plan ends with its last operand */
    int64_t rc = setup(&w, p, 2, 3, 4, nll ? -1 : 5, 1, at, 0);
    if (rc) return rc;
    if (nll) w.eps = 0;
    w.scale = w.red == MEAN ? 1 / get_one((const char *)at[6], p->t[6].dtype, 0) : 1;
    if (side_by_side(&w)) fbk_par(w.it.n, ceil_div(MAX(CW, 16384 / w.C), CW) * CW, cols_task, &w);
    else fbk_par(w.it.n, MAX(1, 8192 / MAX(1, w.C)), ce_bwd_task, &w);
    return w.rc ? w.rc : w.bad != INT64_MAX ? FBK_EINDEX - w.bad : 0;
}
FBK_ENTRY(fbk_cross_entropy_bwd) { return backward(p, at, 0); }
FBK_ENTRY(fbk_nll_bwd) { return backward(p, at, 1); }
