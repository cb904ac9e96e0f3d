/* Layer norm and RMS norm, forward and backward: one row at a time, in the cache. This file includes itself
 * once per element type. */
/* cflags: -ffp-contract=fast -Wno-unused-function -Wno-maybe-uninitialized */
#ifndef T
#include "k_norm.h"
#include "map.h"

typedef struct {
    const fbk_plan *p;
    const uintptr_t *at;
    fbk_it rows, cols; /* forward: y, x, mean, rstd; backward: gx, g, x, mean, rstd */
    int rms, bwd, dt, mt, rt;
    int64_t n, chunks, per, rc;
    const void *w, *b;
    double eps, *part; /* part: per chunk of rows, the sums for gw and gb */
    int gwb;
} nctx;
#define T float
#define NAME(x) x##_f32
#include "k_norm.c"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "k_norm.c"

static int64_t prepare(nctx *c, int nd_norm, int nop) {
    const fbk_spec *x = &c->p->t[c->bwd ? 4 : 1];
    int nd = x->ndim;
    it_init(&c->rows, nop), it_init(&c->cols, nop);
    for (int d = 0; d < nd; d++) {
        int64_t st[5] = {0};
        const fbk_spec *t = c->p->t;
        const int fwd_ops[5] = {0, 1, 2, 3, 3}, bwd_ops[5] = {0, 3, 4, 5, 6};
        for (int o = 0; o < nop; o++) {
            int i = c->bwd ? bwd_ops[o] : fwd_ops[o];
            st[o] = t[i].dtype >= 0 && d < t[i].ndim ? t[i].stride[d] : 0;
        }
        it_dim(d < nd - nd_norm ? &c->rows : &c->cols, x->shape[d], st);
    }
    c->n = c->cols.n;
    return 0;
}
/* t: y, x, mean, rstd, weight, bias (the last two as 1-D); ia: normalised dims, rms; fa: eps */
FBK_ENTRY(fbk_layer_norm) {
    nctx c = {.p = p,
              .at = at,
              .rms = (int)p->ia[1],
              .dt = p->t[1].dtype,
              .mt = p->t[2].dtype,
              .rt = p->t[3].dtype,
              .eps = p->fa[0]};
    prepare(&c, (int)p->ia[0], 4);
    if (!c.rows.n || !c.n) return 0;
    char *buf = fbk_scratch(SLOT_A, 2 * c.n * 8);
    if (!buf) return FBK_ENOMEM;
    int f = c.dt != DT_F64;
    c.w = f ? (const void *)vec_f32((float *)buf, &p->t[4], at[4])
            : (const void *)vec_f64((double *)buf, &p->t[4], at[4]);
    c.b = f ? (const void *)vec_f32((float *)buf + c.n, &p->t[5], at[5])
            : (const void *)vec_f64((double *)buf + c.n, &p->t[5], at[5]);
    fbk_par(c.rows.n, MAX(1, 16384 / c.n), f ? forward_f32 : forward_f64, &c);
    return c.rc;
}
/* t: gx, gw, gb, g, x, mean, rstd, weight; ia as above */
FBK_ENTRY(fbk_layer_norm_bwd) {
    nctx c = {.p = p,
              .at = at,
              .rms = (int)p->ia[1],
              .bwd = 1,
              .dt = p->t[4].dtype,
              .mt = p->t[5].dtype,
              .rt = p->t[6].dtype};
    prepare(&c, (int)p->ia[0], 5);
    int gw = p->t[1].dtype >= 0 && at[1], gb = p->t[2].dtype >= 0 && at[2], f = c.dt != DT_F64;
    c.gwb = gw || gb;
    c.per = MAX(16, ceil_div(c.rows.n, 64));
    c.chunks = MAX(1, ceil_div(c.rows.n, c.per));
    char *buf = fbk_scratch(SLOT_A, (c.n + (c.gwb ? 2 * c.chunks * c.n : 0) + 8) * 8);
    if (!buf) return FBK_ENOMEM;
    c.w = f ? (const void *)vec_f32((float *)buf, &p->t[7], at[7])
            : (const void *)vec_f64((double *)buf, &p->t[7], at[7]);
    c.part = (double *)buf + c.n;
    if (c.n && c.rows.n) fbk_par(c.chunks, MAX(1, 8192 / (c.n * c.per)), f ? backward_f32 : backward_f64, &c);
    if (c.rc) return c.rc;
    for (int64_t i = 0; c.gwb && i < c.n; i++) {
        double s[2] = {0, 0};
        for (int64_t k = 0; c.rows.n && k < c.chunks; k++)
            s[0] += c.part[2 * k * c.n + i], s[1] += c.part[(2 * k + 1) * c.n + i];
        if (gw)
            put_f64((char *)at[1] + i * p->t[1].stride[0] * dt_size(p->t[1].dtype), p->t[1].dtype, 1, &s[0],
                    1);
        if (gb)
            put_f64((char *)at[2] + i * p->t[2].stride[0] * dt_size(p->t[2].dtype), p->t[2].dtype, 1, &s[1],
                    1);
    }
    return 0;
}
#else

/* The row of operand o: in place when contiguous and of the compute type, else gathered into buf. */
static const T *NAME(row)(const nctx *c, T *buf, int o, const char *base, int dt) {
    int64_t es = dt_size(dt);
    for (int64_t i = 0; i < c->n;) {
        int64_t off[5], st[5], m = it_seg(&c->cols, i, c->n, off, st);
        const T *x = NAME(get)(buf + i, base + off[o] * es, dt, m, st[o]);
        if (m == c->n) return x;
        if (x != buf + i) memcpy(buf + i, x, (size_t)m * sizeof(T));
        i += m;
    }
    return buf;
}
static void NAME(unrow)(const nctx *c, const T *buf, int o, char *base, int dt) {
    for (int64_t i = 0; i < c->n;) {
        int64_t off[5], st[5], m = it_seg(&c->cols, i, c->n, off, st);
        NAME(put)(base + off[o] * dt_size(dt), dt, st[o], buf + i, m);
        i += m;
    }
}
INL int NAME(direct)(const nctx *c, int o, int dt) {
    return dt == (sizeof(T) == 4 ? DT_F32 : DT_F64) &&
           (c->cols.nd == 0 || (c->cols.nd == 1 && c->cols.st[o][0] == 1));
}
static void NAME(forward)(void *ctx, int64_t lo, int64_t hi) {
    nctx *c = ctx;
    int64_t n = c->n;
    T *buf = fbk_scratch(SLOT_B, 2 * n * (int64_t)sizeof(T));
    if (!buf) {
        __atomic_store_n(&c->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    const T *w = c->w, *b = c->b;
    for (int64_t r = lo; r < hi; r++) {
        int64_t off[4];
        it_off(&c->rows, r, off);
        const T *x = NAME(row)(c, buf, 1, (const char *)c->at[1] + off[1] * dt_size(c->dt), c->dt);
        char *yp = (char *)c->at[0] + off[0] * dt_size(c->p->t[0].dtype);
        int dir = NAME(direct)(c, 0, c->p->t[0].dtype);
        T *y = dir ? (T *)yp : buf + n;
        double mean = c->rms ? 0 : NAME(sum)(x, NULL, NULL, 0, n) / (double)n;
        T m = (T)mean;
        double var = NAME(dev)(x, NULL, NULL, m, n) / (double)n, e = mean - (double)m;
        var = var > e * e ? var - e * e : var != var ? var : 0;
        double rstd = 1 / sqrt(var + c->eps);
        T s = (T)rstd;
        if (w && b) FBC_LOOP { y[i] = (x[i] - m) * s * w[i] + b[i]; }
        else if (w) FBC_LOOP { y[i] = (x[i] - m) * s * w[i]; }
        else if (b) FBC_LOOP { y[i] = (x[i] - m) * s + b[i]; }
        else FBC_LOOP { y[i] = (x[i] - m) * s; }
        if (!dir) NAME(unrow)(c, y, 0, yp, c->p->t[0].dtype);
        if (c->mt >= 0 && c->at[2]) stat_put((char *)c->at[2], c->mt, off[2], mean);
        if (c->rt >= 0 && c->at[3]) stat_put((char *)c->at[3], c->rt, off[3], rstd);
    }
}
static void NAME(backward)(void *ctx, int64_t lo, int64_t hi) {
    nctx *c = ctx;
    int64_t n = c->n;
    T *buf = fbk_scratch(SLOT_B, 6 * n * (int64_t)sizeof(T) + 64);
    if (!buf) {
        __atomic_store_n(&c->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    const T *w = c->w;
    T *sw = buf + 3 * n, *sb = buf + 4 * n;
    int gdt = c->p->t[3].dtype, odt = c->p->t[0].dtype, want = odt >= 0 && c->at[0];
    for (int64_t k = lo; k < hi; k++) {
        double *pw = c->part + 2 * k * n, *pb = pw + n;
        if (c->gwb) memset(pw, 0, (size_t)(2 * n) * 8);
        for (int64_t r = k * c->per; r < MIN((k + 1) * c->per, c->rows.n); r++) {
            int64_t off[5];
            it_off(&c->rows, r, off);
            const T *g = NAME(row)(c, buf, 1, (const char *)c->at[3] + off[1] * dt_size(gdt), gdt);
            const T *x = NAME(row)(c, buf + n, 2, (const char *)c->at[4] + off[2] * dt_size(c->dt), c->dt);
            T m = c->rms ? 0 : (T)stat_get((const char *)c->at[5], c->mt, off[3]),
              s = (T)stat_get((const char *)c->at[6], c->rt, off[4]);
            int summed = 0;
            if (want) {
                char *op = (char *)c->at[0] + off[0] * dt_size(odt);
                int dir = NAME(direct)(c, 0, odt);
                T *gx = dir ? (T *)op : buf + 2 * n;
                double a, d = w ? NAME(pair)(g, x, w, m, n, &a) : NAME(pair)(g, x, NULL, m, n, &a);
                T m1 = c->rms ? 0 : (T)(a / (double)n), m2 = (T)(d * (double)s * (double)s / (double)n);
                int64_t q = (r - k * c->per) % 64;
                if (w && c->gwb && q) { /* all in one pass, once the sums have begun */
                    FBC_LOOP {
                        T gi = g[i], xi = x[i] - m;
                        gx[i] = s * (gi * w[i] - m1 - xi * m2);
                        sw[i] += gi * (xi * s), sb[i] += gi;
                    }
                    summed = 1;
                } else if (w) FBC_LOOP { gx[i] = s * (g[i] * w[i] - m1 - (x[i] - m) * m2); }
                else FBC_LOOP { gx[i] = s * (g[i] - m1 - (x[i] - m) * m2); }
                if (!dir) NAME(unrow)(c, gx, 0, op, odt);
            }
            if (!c->gwb) continue;
            int64_t q = (r - k * c->per) % 64; /* 64 rows in the narrow type, then into the wide one */
            if (q == 0) memset(sw, 0, (size_t)(2 * n) * sizeof(T));
            if (!summed) FBC_LOOP { T gi = g[i]; sw[i] += gi * ((x[i] - m) * s), sb[i] += gi; }
            if (q == 63 || r + 1 == MIN((k + 1) * c->per, c->rows.n))
                for (int64_t i = 0; i < n; i++) pw[i] += (double)sw[i], pb[i] += (double)sb[i];
        }
    }
}
#endif
