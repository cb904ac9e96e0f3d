/* Running sums, products, logsumexps, maxima and minima along a dimension. Long rows are cut in fixed chunks:
   totals first, then each chunk goes on from the total before it, so the result does not depend on the number
   of threads. This file includes itself once per compute type. */
#ifndef T
#include "k_load.h"
enum { S_SUM, S_PROD, S_LSE, S_MAX, S_MIN };
typedef struct {
    fbk_it it; /* the other dims: out, indices, src */
    char *o, *src;
    int64_t *ix;
    int64_t n, ost, ist, sst, chunks, rc;
    int kind, odt, sdt, uns;
    char *part; /* per row and chunk: total */
} scanctx;
#define CHUNK 16384
#define T double
#define NAME(x) x##_f64
#define FLOAT 1
#include "k_scan.c"
#undef T
#undef NAME
#undef FLOAT
#define T int64_t
#define NAME(x) x##_i64
#define FLOAT 0
#include "k_scan.c"
#undef T

/* ---- sums and products across: the scanned dimension apart, a neighbouring one contiguous; 256 columns at a
 * time ---- */
#define COLS 256
#define ACROSS(NAME, T, GET, PUT, OP) \
    static void NAME(scanctx *w, char *o, const char *s, int64_t nc) { \
        T acc[COLS], buf[COLS]; \
        for (int64_t j = 0; j < nc; j++) acc[j] = w->kind == S_PROD; \
        for (int64_t i = 0; i < w->n; i++) { \
            const T *x = GET(buf, s + i * w->sst * dt_size(w->sdt), w->sdt, nc, 1); \
            if (w->kind == S_SUM) \
                for (int64_t j = 0; j < nc; j++) acc[j] = OP(acc[j], +, x[j]); \
            else \
                for (int64_t j = 0; j < nc; j++) acc[j] = OP(acc[j], *, x[j]); \
            PUT(o + i * w->ost * dt_size(w->odt), w->odt, 1, acc, nc); \
        } \
    }
#define PLAIN(a, op, b) ((a)op(b))
#define WRAP(a, op, b) ((int64_t)((uint64_t)(a)op(uint64_t)(b)))
ACROSS(across_f64, double, get_f64, put_f64, PLAIN)
ACROSS(across_i64, int64_t, get_i64, put_i64, WRAP)
static void across_task(void *ctx, int64_t lo, int64_t hi) {
    scanctx *w = ctx;
    int64_t nc = w->it.shape[w->it.nd - 1], blocks = ceil_div(nc, COLS);
    fbk_it outer = w->it;
    outer.nd--;
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3], j = t % blocks * COLS;
        it_off(&outer, t / blocks, off);
        (dt_is_int(w->odt) ? across_i64 : across_f64)(w, w->o + (off[0] + j) * dt_size(w->odt),
                                                      w->src + (off[2] + j) * dt_size(w->sdt),
                                                      MIN(COLS, nc - j));
    }
}

/* ---- sums along rows of float32: four rows at a time, because each waits for its own last sum ---- */
static void four_rows(scanctx *w, int64_t row) {
    const float *x[4];
    float *y[4];
    for (int r = 0; r < 4; r++) {
        int64_t off[3];
        it_off(&w->it, row + r, off);
        x[r] = (const float *)w->src + off[2], y[r] = (float *)w->o + off[0];
    }
    double a = 0, b = 0, c = 0, d = 0;
    for (int64_t i = 0; i < w->n; i++) {
        a += (double)x[0][i], b += (double)x[1][i], c += (double)x[2][i], d += (double)x[3][i];
        y[0][i] = (float)a, y[1][i] = (float)b, y[2][i] = (float)c, y[3][i] = (float)d;
    }
}
static void sums_task(void *ctx, int64_t lo, int64_t hi) {
    scanctx *w = ctx;
    for (; lo + 4 <= hi; lo += 4) four_rows(w, lo);
    if (lo < hi) rows_f64(w, lo, hi);
}

/* ---- complex: sums and products, row by row ---- */
static void cplx_task(void *ctx, int64_t lo, int64_t hi) {
    scanctx *w = ctx;
    for (int64_t r = lo; r < hi; r++) {
        int64_t off[3];
        it_off(&w->it, r, off);
        double re = w->kind == S_PROD, im = 0;
        for (int64_t i = 0; i < w->n; i++) {
            int64_t s = 2 * (off[2] + i * w->sst), o = 2 * (off[0] + i * w->ost);
            double a, b = 0, t = re;
            if (w->sdt == DT_C64) a = ((float *)w->src)[s], b = ((float *)w->src)[s + 1];
            else if (w->sdt == DT_C128) a = ((double *)w->src)[s], b = ((double *)w->src)[s + 1];
            else get_f64(&a, w->src + s / 2 * dt_size(w->sdt), w->sdt, 1, 2);
            if (w->kind == S_SUM) re += a, im += b;
            else re = re * a - im * b, im = t * b + im * a;
            if (w->odt == DT_C64) ((float *)w->o)[o] = (float)re, ((float *)w->o)[o + 1] = (float)im;
            else ((double *)w->o)[o] = re, ((double *)w->o)[o + 1] = im;
        }
    }
}
/* t: out, indices, src; ia: dim, kind */
FBK_ENTRY(fbk_scan) {
    const fbk_spec *s = &p->t[2], *o = &p->t[0];
    int d = (int)p->ia[0], has_i = p->t[1].dtype >= 0 && at[1];
    scanctx w = {.o = (char *)at[0],
                 .ix = has_i ? (int64_t *)at[1] : NULL,
                 .src = (char *)at[2],
                 .n = 1,
                 .kind = (int)p->ia[1],
                 .odt = o->dtype,
                 .sdt = s->dtype,
                 .uns = s->dtype == DT_U64};
    it_init(&w.it, 3);
    for (int e = 0; e < s->ndim; e++) {
        int64_t st[3] = {o->stride[e], has_i ? p->t[1].stride[e] : 0, s->stride[e]};
        if (e == d) w.n = s->shape[e], w.ost = st[0], w.ist = st[1], w.sst = st[2];
        else it_dim(&w.it, s->shape[e], st);
    }
    if (!w.n || !w.it.n) return 0;
    if (dt_is_cplx(w.odt)) {
        if (w.kind > S_PROD) return FBK_EUNSUP;
        fbk_par(w.it.n, MAX(1, 8192 / w.n), cplx_task, &w);
        return 0;
    }
    int f = w.kind >= S_MAX ? !dt_is_int(w.sdt) : !dt_is_int(w.odt);
    int last = w.it.nd - 1;
    if (w.kind <= S_PROD && w.sst != 1 && last >= 0 && w.it.shape[last] >= 16 && w.it.st[0][last] == 1 &&
        w.it.st[2][last] == 1) {
        fbk_par(w.it.n / w.it.shape[last] * ceil_div(w.it.shape[last], COLS), MAX(1, 8192 / (w.n * COLS)),
                across_task, &w);
        return 0;
    }
    w.chunks = ceil_div(w.n, CHUNK);
    if (w.chunks > 1 && w.kind < S_MAX && w.it.n < 16) {
        if (!(w.part = fbk_scratch(SLOT_A, w.it.n * w.chunks * 16))) return FBK_ENOMEM;
        fbk_par(w.it.n * w.chunks, 1, f ? totals_f64 : totals_i64, &w);
        (f ? prefixes_f64 : prefixes_i64)(&w);
        fbk_par(w.it.n * w.chunks, 1, f ? rows_f64 : rows_i64, &w);
    } else {
        w.chunks = 1;
        if (w.kind == S_SUM && w.sdt == DT_F32 && w.odt == DT_F32 && w.sst == 1 && w.ost == 1 && w.it.n >= 8)
            fbk_par(w.it.n, MAX(4, 8192 / w.n / 4 * 4), sums_task, &w);
        else fbk_par(w.it.n, MAX(1, 8192 / w.n), f ? rows_f64 : rows_i64, &w);
    }
    return w.rc;
}
#else

typedef struct {
    T a, b;
} NAME(state); /* logsumexp: maximum, sum */
INL void NAME(start)(const scanctx *w, NAME(state) * s) {
    s->a = w->kind == S_PROD, s->b = 0;
#if FLOAT
    if (w->kind == S_LSE) s->a = -(double)INFINITY;
#endif
}
INL void NAME(step)(int kind, NAME(state) * s, T x) {
#if FLOAT
    if (kind == S_LSE) {
        if (x > s->a || x != x)
            s->b = (isinf(s->a) ? (s->a > 0 ? 1 : 0) : s->b * exp(s->a - x)) + 1, s->a = x;
        else s->b += isinf(x) && x == s->a ? (x > 0 ? 1 : 0) : s->a != s->a ? 0 : exp(x - s->a);
        return;
    }
    if (kind == S_SUM) s->a += x;
    else s->a *= x;
#else
    if (kind == S_SUM) s->a = (T)((uint64_t)s->a + (uint64_t)x);
    else s->a = (T)((uint64_t)s->a * (uint64_t)x);
#endif
}
INL T NAME(value)(int kind, const NAME(state) * s) {
#if FLOAT
    if (kind == S_LSE) return isinf(s->a) || s->a != s->a ? s->a : s->a + log(s->b);
#endif
    (void)kind;
    return s->a;
}
static void NAME(totals)(void *ctx, int64_t lo, int64_t hi) {
    scanctx *w = ctx;
    T buf[512];
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3], c = t % w->chunks;
        it_off(&w->it, t / w->chunks, off);
        NAME(state) s;
        NAME(start)(w, &s);
        for (int64_t i = c * CHUNK; i < MIN((c + 1) * CHUNK, w->n); i += 512) {
            int64_t m = MIN(512, MIN((c + 1) * CHUNK, w->n) - i);
            const T *x = NAME(get)(buf, w->src + (off[2] + i * w->sst) * dt_size(w->sdt), w->sdt, m, w->sst);
            for (int64_t j = 0; j < m; j++) NAME(step)(w->kind, &s, x[j]);
        }
        ((NAME(state) *)w->part)[t] = s;
    }
}
static void NAME(prefixes)(scanctx *w) { /* totals become the states before each chunk */
    for (int64_t r = 0; r < w->it.n; r++) {
        NAME(state) *p = (NAME(state) *)w->part + r * w->chunks, s;
        NAME(start)(w, &s);
        for (int64_t c = 0; c < w->chunks; c++) {
            NAME(state) t = p[c];
            p[c] = s;
#if FLOAT
            if (w->kind == S_LSE) {
                double m = s.a > t.a || s.a != s.a ? s.a : t.a;
                if (isinf(m) || m != m) s.b = 1;
                else s.b = (isinf(s.a) ? 0 : s.b * exp(s.a - m)) + (isinf(t.a) ? 0 : t.b * exp(t.a - m));
                s.a = m;
                continue;
            }
#endif
            NAME(step)(w->kind, &s, t.a);
        }
    }
}
static void NAME(rows)(void *ctx, int64_t lo, int64_t hi) {
    scanctx *w = ctx;
    T buf[512], y[512];
    int64_t k[512];
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3], c = t % w->chunks, from = w->part ? c * CHUNK : 0,
                        to = w->part ? MIN((c + 1) * CHUNK, w->n) : w->n;
        it_off(&w->it, t / w->chunks, off);
        NAME(state) s;
        NAME(start)(w, &s);
        if (w->part) s = ((NAME(state) *)w->part)[t];
        T best = 0;
        int64_t at = 0;
        for (int64_t i = from; i < to; i += 512) {
            int64_t m = MIN(512, to - i);
            const T *x = NAME(get)(buf, w->src + (off[2] + i * w->sst) * dt_size(w->sdt), w->sdt, m, w->sst);
            if (w->kind >= S_MAX) { /* the last of equal values wins; NaN stays */
                int up = w->kind == S_MAX;
                for (int64_t j = 0; j < m; j++) {
                    int take;
                    if (w->uns)
                        take = up ? (uint64_t)x[j] >= (uint64_t)best : (uint64_t)x[j] <= (uint64_t)best;
                    else take = x[j] != x[j] || (up ? x[j] >= best : x[j] <= best);
                    if (take || i + j == 0) best = x[j], at = i + j;
                    y[j] = best, k[j] = at;
                }
                if (w->ix) put_i64(w->ix + off[1] + i * w->ist, DT_I64, w->ist, k, m);
            } else if (w->kind == S_SUM)
                for (int64_t j = 0; j < m; j++) {
                    NAME(step)(S_SUM, &s, x[j]);
                    y[j] = s.a;
                }
            else
                for (int64_t j = 0; j < m; j++) {
                    NAME(step)(w->kind, &s, x[j]);
                    y[j] = NAME(value)(w->kind, &s);
                }
            NAME(put)(w->o + (off[0] + i * w->ost) * dt_size(w->odt), w->odt, w->ost, y, m);
        }
    }
}
#endif
