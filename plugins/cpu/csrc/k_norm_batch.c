/* Batch norm and group norm, forward and backward. Runs are the contiguous spatial elements of one channel of
   one sample; their sums are merged in a fixed order. Channels-last data (and data without spatial dims) is
   walked across, a block of channels at a time. This file includes itself once per element type. */
/* cflags: -ffp-contract=fast -Wno-unused-function -Wno-maybe-uninitialized */
#ifndef T
#include "k_norm.h"

/* x3: up to three big operands as [N, C, spatial]: forward y, x; backward gx, g, x */
typedef struct {
    fbk_it sp; /* spatial dims */
    char *a[3];
    int dt[3], bwd, training, chan_last;
    int64_t n[3], c[3], N, C, S, G, rc;
    double *sum, *sum2, *mul, *add,
        *slope; /* per statistic: see the passes; per channel: y = x mul + add (+ g slope) */
    double *part;
    int64_t chunks, per;
} bctx;
enum { CHB = 16, COLB = 256 };
#define T float
#define NAME(x) x##_f32
#include "k_norm_batch.c"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "k_norm_batch.c"

static void operands(bctx *b, const fbk_plan *p, const uintptr_t *at, const int *ops, int nop) {
    const fbk_spec *x = &p->t[ops[nop - 1]];
    b->N = x->shape[0], b->C = x->shape[1];
    it_init(&b->sp, 3);
    for (int o = 0; o < nop; o++) {
        const fbk_spec *s = &p->t[ops[o]];
        b->a[o] = s->dtype >= 0 ? (char *)at[ops[o]] : NULL;
        b->dt[o] = s->dtype, b->n[o] = s->stride[0], b->c[o] = s->stride[1];
    }
    for (int d = 2; d < x->ndim; d++) {
        int64_t st[3] = {0};
        for (int o = 0; o < nop; o++) st[o] = p->t[ops[o]].dtype >= 0 ? p->t[ops[o]].stride[d] : 0;
        it_dim(&b->sp, x->shape[d], st);
    }
    b->S = b->sp.n;
    b->chan_last = b->C > 1 && x->stride[1] == 1 && (b->S == 1 || b->sp.st[nop - 1][b->sp.nd - 1] != 1);
}
INL double vec_at(const fbk_spec *s, uintptr_t p, int64_t i, double none) {
    return s->dtype < 0 || !p ? none : stat_get((const char *)p, s->dtype, i * s->stride[0]);
}
INL void vec_set(const fbk_spec *s, uintptr_t p, int64_t i, double v) {
    if (s->dtype >= 0 && p) stat_put((char *)p, s->dtype, i * s->stride[0], v);
}
static double *room(bctx *b, int64_t stats) {
    b->per = MAX(64, ceil_div(b->N * b->S, 64));
    b->chunks = MAX(1, ceil_div(b->N * b->S, b->per));
    double *d = fbk_scratch(SLOT_A,
                            (2 * stats + 3 * b->C + (b->chan_last ? 2 * b->chunks * b->C : 0) + 8) * 8);
    if (!d) return NULL;
    b->sum = d, b->sum2 = d + stats, b->mul = d + 2 * stats, b->add = b->mul + b->C, b->slope = b->add + b->C,
    b->part = b->slope + b->C;
    return d;
}
#define PASS(NAME_, N_, GRAIN) fbk_par(N_, GRAIN, f ? NAME_##_f32 : NAME_##_f64, &b)
INL int64_t grain(const bctx *b, int64_t unit) { return MAX(1, 16384 / MAX(1, unit)); }

/* t: y, save_mean, save_rstd, x, weight, bias, running_mean, running_var; ia: training; fa: momentum, eps */
FBK_ENTRY(fbk_batch_norm) {
    bctx b = {.training = (int)p->ia[0]};
    operands(&b, p, at, (const int[]){0, 3}, 2);
    int f = p->t[3].dtype != DT_F64;
    double n = (double)(b.N * b.S);
    if (!room(&b, b.C)) return FBK_ENOMEM;
    if (b.training && b.chan_last) {
        PASS(col_sum, b.chunks, 1);
        for (int64_t c = 0; c < b.C; c++) {
            b.sum[c] = 0;
            for (int64_t k = 0; k < b.chunks; k++) b.sum[c] += b.part[k * b.C + c];
            b.sum[c] /= n;
        }
        PASS(col_dev, b.chunks, 1);
        for (int64_t c = 0; c < b.C; c++) {
            b.sum2[c] = 0;
            for (int64_t k = 0; k < b.chunks; k++) b.sum2[c] += b.part[k * b.C + c];
        }
    } else if (b.training) PASS(run_stats, ceil_div(b.C, CHB), 1);
    if (b.rc) return b.rc;
    for (int64_t c = 0; c < b.C; c++) {
        double mean = b.training ? b.sum[c] : vec_at(&p->t[6], at[6], c, 0),
               var = b.training ? b.sum2[c] / n : vec_at(&p->t[7], at[7], c, 1);
        double rstd = 1 / sqrt(var + p->fa[1]), w = vec_at(&p->t[4], at[4], c, 1) * rstd;
        b.mul[c] = w, b.add[c] = vec_at(&p->t[5], at[5], c, 0) - mean * w;
        vec_set(&p->t[1], at[1], c, mean), vec_set(&p->t[2], at[2], c, rstd);
        if (b.training) {
            double m = p->fa[0];
            vec_set(&p->t[6], at[6], c, (1 - m) * vec_at(&p->t[6], at[6], c, 0) + m * mean);
            vec_set(&p->t[7], at[7], c,
                    (1 - m) * vec_at(&p->t[7], at[7], c, 0) +
                        m * (n > 1 ? b.sum2[c] / (n - 1) : (double)NAN));
        }
    }
    if (b.chan_last) PASS(col_apply, b.chunks, 1);
    else PASS(run_apply, b.N * b.C, grain(&b, b.S));
    return b.rc;
}
/* t: gx, gw, gb, g, x, weight, save_mean, save_rstd; ia: training */
FBK_ENTRY(fbk_batch_norm_bwd) {
    bctx b = {.training = (int)p->ia[0], .bwd = 1};
    operands(&b, p, at, (const int[]){0, 3, 4}, 3);
    int f = p->t[4].dtype != DT_F64;
    double n = (double)(b.N * b.S);
    if (!room(&b, b.C)) return FBK_ENOMEM;
    for (int64_t c = 0; c < b.C; c++) b.add[c] = vec_at(&p->t[6], at[6], c, 0); /* the means, for the sums */
    if (b.chan_last) {
        PASS(col_gsum, b.chunks, 1);
        for (int64_t c = 0; c < b.C; c++) {
            b.sum[c] = b.sum2[c] = 0;
            for (int64_t k = 0; k < b.chunks; k++)
                b.sum[c] += b.part[2 * k * b.C + c], b.sum2[c] += b.part[(2 * k + 1) * b.C + c];
        }
    } else PASS(run_gsum, ceil_div(b.C, CHB), 1);
    if (b.rc) return b.rc;
    for (int64_t c = 0; c < b.C; c++) {
        double mean = b.add[c], rstd = vec_at(&p->t[7], at[7], c, 1),
               w = vec_at(&p->t[5], at[5], c, 1) * rstd;
        vec_set(&p->t[1], at[1], c, b.sum2[c] * rstd), vec_set(&p->t[2], at[2], c, b.sum[c]);
        b.slope[c] = w; /* gx = g slope + x mul + add */
        b.mul[c] = b.training ? -w * rstd * rstd * b.sum2[c] / n : 0;
        b.add[c] = b.training ? -w * b.sum[c] / n - b.mul[c] * mean : 0;
    }
    if (b.a[0] && b.chan_last) PASS(col_apply, b.chunks, 1);
    else if (b.a[0]) PASS(run_apply, b.N * b.C, grain(&b, b.S));
    return b.rc;
}
/* t: y, mean [N,G], rstd [N,G], x, weight, bias; ia: groups; fa: eps */
FBK_ENTRY(fbk_group_norm) {
    bctx b = {.G = p->ia[0]};
    operands(&b, p, at, (const int[]){0, 3}, 2);
    int f = p->t[3].dtype != DT_F64;
    int64_t D = b.C / MAX(1, b.G);
    double n = (double)(D * b.S);
    if (!room(&b, b.N * b.C)) return FBK_ENOMEM;
    PASS(sample_stats, b.N * b.C, grain(&b, b.S)); /* mean and M2 of every run */
    if (b.rc) return b.rc;
    for (int64_t i = 0; i < b.N * b.G; i++) {
        double mean = 0, m2 = 0, seen = 0, *rm = b.sum + i * D, *rq = b.sum2 + i * D;
        for (int64_t c = 0; c < D; c++) {
            double d = rm[c] - mean, t = seen + (double)b.S;
            m2 += rq[c] + d * d * seen * (double)b.S / t, mean += d * (double)b.S / t, seen = t;
        }
        double rstd = 1 / sqrt(m2 / n + p->fa[0]);
        int64_t s = i / b.G, g = i % b.G;
        if (p->t[1].dtype >= 0 && at[1])
            stat_put((char *)at[1], p->t[1].dtype, s * p->t[1].stride[0] + g * p->t[1].stride[1], mean);
        if (p->t[2].dtype >= 0 && at[2])
            stat_put((char *)at[2], p->t[2].dtype, s * p->t[2].stride[0] + g * p->t[2].stride[1], rstd);
        for (int64_t c = 0; c < D; c++) { /* from here on: y = x sum + sum2 of the run */
            double w = vec_at(&p->t[4], at[4], g * D + c, 1) * rstd;
            rm[c] = w, rq[c] = vec_at(&p->t[5], at[5], g * D + c, 0) - mean * w;
        }
    }
    PASS(run_apply, b.N * b.C, grain(&b, b.S));
    return b.rc;
}
/* t: gx, gw, gb, g, x, mean, rstd | a[7]: weight; ia: groups */
FBK_ENTRY(fbk_group_norm_bwd) {
    bctx b = {.G = p->ia[0], .bwd = 1};
    operands(&b, p, at, (const int[]){0, 3, 4}, 3);
    int f = p->t[4].dtype != DT_F64;
    int64_t D = b.C / MAX(1, b.G);
    double n = (double)(D * b.S);
    if (!room(&b, 2 * b.N * b.C)) return FBK_ENOMEM;
    double *slope = b.sum + b.N * b.C;            /* per run: gx = g slope + x sum + sum2 */
    PASS(sample_gsum, b.N * b.C, grain(&b, b.S)); /* per run: sum of g, sum of g x */
    if (b.rc) return b.rc;
    for (int64_t c = 0; c < b.C; c++) {
        double gw = 0, gb = 0;
        for (int64_t s = 0; s < b.N; s++) {
            double mean = stat_get((const char *)at[5], p->t[5].dtype,
                                   s * p->t[5].stride[0] + c / D * p->t[5].stride[1]);
            double rstd = stat_get((const char *)at[6], p->t[6].dtype,
                                   s * p->t[6].stride[0] + c / D * p->t[6].stride[1]);
            gb += b.sum[s * b.C + c], gw += (b.sum2[s * b.C + c] - mean * b.sum[s * b.C + c]) * rstd;
        }
        vec_set(&p->t[1], at[1], c, gw), vec_set(&p->t[2], at[2], c, gb);
    }
    if (!b.a[0]) return 0;
    for (int64_t i = 0; i < b.N * b.G; i++) {
        int64_t s = i / b.G, g = i % b.G;
        double mean = stat_get((const char *)at[5], p->t[5].dtype,
                               s * p->t[5].stride[0] + g * p->t[5].stride[1]);
        double rstd = stat_get((const char *)at[6], p->t[6].dtype,
                               s * p->t[6].stride[0] + g * p->t[6].stride[1]),
               m1 = 0, m2 = 0;
        for (int64_t c = 0; c < D; c++) {
            double w = vec_at(&p->t[7], at[7], g * D + c, 1);
            m1 += w * b.sum[i * D + c], m2 += w * (b.sum2[i * D + c] - mean * b.sum[i * D + c]) * rstd;
        }
        for (int64_t c = 0; c < D; c++) {
            slope[i * D + c] = vec_at(&p->t[7], at[7], g * D + c, 1) * rstd;
            b.sum[i * D + c] = -rstd * rstd * m2 / n;
            b.sum2[i * D + c] = -rstd * m1 / n - b.sum[i * D + c] * mean;
        }
    }
    b.slope = slope;
    PASS(run_apply, b.N * b.C, grain(&b, b.S));
    return b.rc;
}
#else

/* The run of channel c of sample n of operand o. */
static const T *NAME(run)(const bctx *b, T *buf, int o, int64_t n, int64_t c) {
    const char *base = b->a[o] + (n * b->n[o] + c * b->c[o]) * dt_size(b->dt[o]);
    for (int64_t i = 0; i < b->S;) {
        int64_t off[3], st[3], m = it_seg(&b->sp, i, b->S, off, st);
        const T *x = NAME(get)(buf + i, base + off[o] * dt_size(b->dt[o]), b->dt[o], m, st[o]);
        if (m == b->S) return x;
        if (x != buf + i) memcpy(buf + i, x, (size_t)m * sizeof(T));
        i += m;
    }
    return buf;
}
static T *NAME(buffer)(bctx *b, int64_t n) {
    T *t = fbk_scratch(SLOT_B, n * (int64_t)sizeof(T) + 64);
    if (!t) __atomic_store_n(&b->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
    return t;
}
INL void NAME(stats)(const T *x, int64_t n, double *mean, double *m2) {
    *mean = NAME(sum)(x, NULL, NULL, 0, n) / (double)n;
    T s = (T)*mean;
    double e = *mean - (double)s, q = NAME(dev)(x, NULL, NULL, s, n) - e * e * (double)n;
    *m2 = q > 0 || q != q ? q : 0;
}
static void NAME(run_stats)(void *ctx, int64_t lo,
                            int64_t hi) { /* blocks of CHB channels, samples in order */
    bctx *b = ctx;
    T *buf = NAME(buffer)(b, b->S);
    if (!buf) return;
    for (int64_t k = lo; k < hi; k++) {
        int64_t c1 = MIN((k + 1) * CHB, b->C);
        for (int64_t c = k * CHB; c < c1; c++) b->sum[c] = b->sum2[c] = 0;
        for (int64_t n = 0; n < b->N && b->S; n++)
            for (int64_t c = k * CHB; c < c1; c++) {
                double mean, m2, w = 1. / (double)(n + 1);
                NAME(stats)(NAME(run)(b, buf, 1, n, c), b->S, &mean, &m2);
                double d = mean - b->sum[c];
                b->sum2[c] += m2 + d * d * (double)n * w * (double)b->S;
                b->sum[c] += d * w;
            }
    }
}
static void NAME(sample_stats)(void *ctx, int64_t lo, int64_t hi) {
    bctx *b = ctx;
    T *buf = NAME(buffer)(b, b->S);
    for (int64_t i = lo; i < hi && buf; i++)
        if (b->S) NAME(stats)(NAME(run)(b, buf, 1, i / b->C, i % b->C), b->S, &b->sum[i], &b->sum2[i]);
        else b->sum[i] = b->sum2[i] = 0;
}
static void NAME(run_gsum)(void *ctx, int64_t lo, int64_t hi) { /* sum of g, sum of g (x - mean) */
    bctx *b = ctx;
    T *buf = NAME(buffer)(b, 2 * b->S);
    if (!buf) return;
    for (int64_t k = lo; k < hi; k++) {
        int64_t c1 = MIN((k + 1) * CHB, b->C);
        for (int64_t c = k * CHB; c < c1; c++) b->sum[c] = b->sum2[c] = 0;
        for (int64_t n = 0; n < b->N; n++)
            for (int64_t c = k * CHB; c < c1; c++) {
                const T *g = NAME(run)(b, buf, 1, n, c), *x = NAME(run)(b, buf + b->S, 2, n, c);
                double s = NAME(sum)(g, NULL, NULL, 0, b->S);
                T m = (T)b->add[c];
                b->sum[c] += s;
                b->sum2[c] += NAME(codev)(g, x, NULL, m, b->S) - (b->add[c] - (double)m) * s;
            }
    }
}
static void NAME(sample_gsum)(void *ctx, int64_t lo, int64_t hi) { /* sum of g, sum of g x */
    bctx *b = ctx;
    T *buf = NAME(buffer)(b, 2 * b->S);
    for (int64_t i = lo; i < hi && buf; i++) {
        const T *g = NAME(run)(b, buf, 1, i / b->C, i % b->C),
                *x = NAME(run)(b, buf + b->S, 2, i / b->C, i % b->C);
        b->sum[i] = NAME(sum)(g, NULL, NULL, 0, b->S);
        b->sum2[i] = NAME(dot)(g, x, NULL, 0, b->S);
    }
}
/* out = x mul + add (+ g slope), run by run; with groups the factors are per run (in sum, sum2), else per
 * channel. */
static void NAME(run_apply)(void *ctx, int64_t lo, int64_t hi) {
    bctx *b = ctx;
    int64_t S = b->S;
    T *buf = NAME(buffer)(b, 3 * S);
    if (!buf) return;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / b->C, c = i % b->C, f = b->G ? i : c;
        T mul = (T)(b->G ? b->sum[f] : b->mul[f]), add = (T)(b->G ? b->sum2[f] : b->add[f]);
        const T *x = NAME(run)(b, buf, b->bwd ? 2 : 1, n, c);
        char *o = b->a[0] + (n * b->n[0] + c * b->c[0]) * dt_size(b->dt[0]);
        int direct = b->dt[0] == (sizeof(T) == 4 ? DT_F32 : DT_F64) &&
                     (b->sp.nd == 0 || (b->sp.nd == 1 && b->sp.st[0][0] == 1));
        T *y = direct ? (T *)o : buf + S;
        if (b->bwd) {
            const T *g = NAME(run)(b, buf + 2 * S, 1, n, c);
            T slope = (T)b->slope[f];
            for (int64_t s = 0; s < S; s++) y[s] = x[s] * mul + (g[s] * slope + add);
        } else
            for (int64_t s = 0; s < S; s++) y[s] = x[s] * mul + add;
        if (direct) continue;
        for (int64_t s = 0; s < S;) {
            int64_t off[3], st[3], m = it_seg(&b->sp, s, S, off, st);
            NAME(put)(o + off[0] * dt_size(b->dt[0]), b->dt[0], st[0], y + s, m);
            s += m;
        }
    }
}
/* ---- across: rows are (sample, position), the channels contiguous; chunks of rows are summed apart and
 * merged in order ---- */
static const T *NAME(line)(const bctx *b, T *buf, int o, int64_t r, int64_t c0, int64_t nc) {
    int64_t off[3];
    it_off(&b->sp, r % b->S, off);
    return NAME(get)(buf, b->a[o] + (r / b->S * b->n[o] + off[o] + c0 * b->c[o]) * dt_size(b->dt[o]),
                     b->dt[o], nc, b->c[o]);
}
#define LINES(OUT2, BODY) \
    bctx *b = ctx; \
    for (int64_t k = lo; k < hi; k++) \
        for (int64_t c0 = 0; c0 < b->C; c0 += COLB) { \
            int64_t nc = MIN(COLB, b->C - c0), e = MIN((k + 1) * b->per, b->N * b->S); \
            T s1[COLB], s2[COLB], bx[COLB], bg[COLB], m[COLB]; \
            (void)s2, (void)bg, (void)m; \
            double *p1 = b->part + (OUT2 ? 2 * k : k) * b->C + c0, *p2 = p1 + b->C; \
            (void)p2; \
            for (int64_t c = 0; c < nc; c++) { \
                p1[c] = 0; \
                if (OUT2) p2[c] = 0; \
            } \
            for (int64_t q = k * b->per; q < e; q += 64) { \
                for (int64_t c = 0; c < nc; c++) s1[c] = s2[c] = 0; \
                for (int64_t r = q; r < MIN(q + 64, e); r++) BODY for (int64_t c = 0; c < nc; c++) { \
                        p1[c] += (double)s1[c]; \
                        if (OUT2) p2[c] += (double)s2[c]; \
                    } \
            } \
        }
static void NAME(col_sum)(void *ctx, int64_t lo, int64_t hi) {
    LINES(0, {
        const T *x = NAME(line)(b, bx, 1, r, c0, nc);
        for (int64_t c = 0; c < nc; c++) s1[c] += x[c];
    })
}
static void NAME(col_dev)(void *ctx, int64_t lo, int64_t hi) {
    LINES(0, {
        const T *x = NAME(line)(b, bx, 1, r, c0, nc);
        if (r == q)
            for (int64_t c = 0; c < nc; c++) m[c] = (T)b->sum[c0 + c];
        for (int64_t c = 0; c < nc; c++) {
            T d = x[c] - m[c];
            s1[c] += d * d;
        }
    })
}
static void NAME(col_gsum)(void *ctx, int64_t lo, int64_t hi) {
    LINES(1, {
        const T *g = NAME(line)(b, bg, 1, r, c0, nc);
        const T *x = NAME(line)(b, bx, 2, r, c0, nc);
        if (r == q)
            for (int64_t c = 0; c < nc; c++) m[c] = (T)b->add[c0 + c];
        for (int64_t c = 0; c < nc; c++) {
            s1[c] += g[c];
            s2[c] += g[c] * (x[c] - m[c]);
        }
    })
}
static void NAME(col_apply)(void *ctx, int64_t lo, int64_t hi) {
    bctx *b = ctx;
    for (int64_t k = lo; k < hi; k++)
        for (int64_t c0 = 0; c0 < b->C; c0 += COLB) {
            int64_t nc = MIN(COLB, b->C - c0);
            T bx[COLB], bg[COLB], y[COLB], mul[COLB], add[COLB], slope[COLB];
            for (int64_t c = 0; c < nc; c++)
                mul[c] = (T)b->mul[c0 + c], add[c] = (T)b->add[c0 + c],
                slope[c] = b->bwd ? (T)b->slope[c0 + c] : 0;
            for (int64_t r = k * b->per; r < MIN((k + 1) * b->per, b->N * b->S); r++) {
                const T *x = NAME(line)(b, bx, b->bwd ? 2 : 1, r, c0, nc),
                        *g = b->bwd ? NAME(line)(b, bg, 1, r, c0, nc) : x;
                int64_t off[3];
                it_off(&b->sp, r % b->S, off);
                for (int64_t c = 0; c < nc; c++) y[c] = x[c] * mul[c] + (g[c] * slope[c] + add[c]);
                NAME(put)
                (b->a[0] + (r / b->S * b->n[0] + off[0] + c0 * b->c[0]) * dt_size(b->dt[0]), b->dt[0],
                 b->c[0], y, nc);
            }
        }
}
#undef LINES
#endif
