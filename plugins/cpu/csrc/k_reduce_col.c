/* Reductions across rows: the innermost kept dimension is walked in blocks of columns, vectorised over the
 * columns. */
#include "k_reduce.h"

#define CB 4096          /* columns per block */
#define RB 64            /* rows summed in the narrow type before they go to the wide one */
#define ROW_CHUNK 131072 /* elements per task when the rows are split */

/* Partial results of a block of columns; meanings as in rst. */
typedef struct {
    double *a, *b;
    int64_t *i, n;
} colst;
typedef struct {
    const redp *r;
    double *part;
    int64_t ncol, cst, ocst, mcst, nblk, chunks, rows_per, cols,
        width; /* width: reals per column (2: complex as pairs) */
} colctx;

static const void *row_ptr(const colctx *w, const char *base, int64_t row, int64_t nc, char *buf) {
    const redp *r = w->r;
    int64_t off;
    it_off(&r->red, row, &off);
    const char *p = base + off * r->es;
    int dt = r->cls == CF && r->sdt == DT_C64 ? DT_F32 : r->cls == CD && r->sdt == DT_C128 ? DT_F64 : r->sdt;
    if (w->width == 2) return p;
    switch (r->cls) {
    case CF: return get_f32((float *)buf, p, dt, nc, w->cst);
    case CD: return get_f64((double *)buf, p, dt, nc, w->cst);
    default: return get_i64((int64_t *)buf, p, dt, nc, w->cst);
    }
}
/* Sums of rows [r0, r1): RB rows at a time in the narrow type, then into the wide accumulator. */
#define COL_SUM(NAME, T, W, F) \
    static void NAME(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc) { \
        T part[CB] __attribute__((aligned(64))), buf[CB] __attribute__((aligned(64))); \
        W *acc = (W *)(sizeof(W) == 8 && (W)0.5 == 0 ? (void *)s->i : (void *)s->a); \
        memset(acc, 0, sizeof(W) * (size_t)nc); \
        for (int64_t q = r0; q < r1; q += RB) { \
            int64_t e = MIN(q + RB, r1), i = q; \
            memset(part, 0, sizeof(T) * (size_t)nc); \
            while (i + 4 <= e) { /* rows where they lie, four at a time in their order */ \
                const T *x = row_ptr(w, base, i, nc, (char *)buf); \
                if (x == buf) break; \
                const T *x1 = row_ptr(w, base, i + 1, nc, (char *)buf), *x2 = row_ptr(w, base, i + 2, nc, (char *)buf), \
                        *x3 = row_ptr(w, base, i + 3, nc, (char *)buf); \
                for (int64_t c = 0; c < nc; c++) part[c] = part[c] + F(x[c]) + F(x1[c]) + F(x2[c]) + F(x3[c]); \
                i += 4; \
            } \
            for (; i < e; i++) { \
                const T *x = row_ptr(w, base, i, nc, (char *)buf); \
                for (int64_t c = 0; c < nc; c++) part[c] += F(x[c]); \
            } \
            for (int64_t c = 0; c < nc; c++) acc[c] += (W)part[c]; \
        } \
    }
#define ID(v) (v)
#define SQ(v) ((v) * (v))
COL_SUM(cs_f32, float, double, ID)
COL_SUM(cs_f64, double, double, ID)
COL_SUM(cs_i64, uint64_t, uint64_t, ID)
COL_SUM(cq_f32, float, double, SQ)
COL_SUM(cq_f64, double, double, SQ)
COL_SUM(cq_i64, uint64_t, uint64_t, SQ)

#define COL_PROD(NAME, T, W, FIELD) \
    static void NAME(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc) { \
        T buf[CB] __attribute__((aligned(64))); \
        W *acc = (W *)s->FIELD; \
        for (int64_t c = 0; c < nc; c++) acc[c] = 1; \
        for (int64_t i = r0; i < r1; i++) { \
            const T *x = row_ptr(w, base, i, nc, (char *)buf); \
            for (int64_t c = 0; c < nc; c++) acc[c] *= (W)x[c]; \
        } \
    }
COL_PROD(cp_f32, float, double, a)
COL_PROD(cp_f64, double, double, a)
COL_PROD(cp_i64, uint64_t, uint64_t, i)

/* Extremes; with POS the row index too (int32: rows are counted from r0). */
#define COL_EXT(NAME, T, FIELD, OP, ISNAN) \
    static void NAME(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc, \
                     int arg) { \
        T m[CB] __attribute__((aligned(64))), buf[CB] __attribute__((aligned(64))); \
        int32_t k[CB]; \
        memcpy(m, row_ptr(w, base, r0, nc, (char *)buf), sizeof(T) * (size_t)nc); \
        memset(k, 0, (size_t)nc * 4); \
        for (int64_t i = r0 + 1; i < r1; i++) { \
            const T *x = row_ptr(w, base, i, nc, (char *)buf); \
            if (arg) \
                for (int64_t c = 0; c < nc; c++) { \
                    T v = x[c]; \
                    int t = (v OP m[c]) | (ISNAN); \
                    m[c] = t ? v : m[c]; \
                    k[c] = t ? (int32_t)(i - r0) : k[c]; \
                } \
            else \
                for (int64_t c = 0; c < nc; c++) { \
                    T v = x[c]; \
                    m[c] = (v OP m[c]) | (ISNAN) ? v : m[c]; \
                } \
        } \
        for (int64_t c = 0; c < nc; c++) { s->FIELD[c] = m[c]; } \
        if (arg) \
            for (int64_t c = 0; c < nc; c++) s->b[c] = (double)(r0 + k[c]); \
    }
#define FNAN ((v != v) & (m[c] == m[c]))
COL_EXT(cmax_f32, float, a, >, FNAN)
COL_EXT(cmin_f32, float, a, <, FNAN)
COL_EXT(cmax_f64, double, a, >, FNAN)
COL_EXT(cmin_f64, double, a, <, FNAN)
COL_EXT(cmax_i64, int64_t, i, >, 0)
COL_EXT(cmin_i64, int64_t, i, <, 0)
COL_EXT(cmax_u64, uint64_t, i, >, 0)
COL_EXT(cmin_u64, uint64_t, i, <, 0)

/* Mean and M2 of RB rows at a time, merged into the running ones. */
#define COL_VAR(NAME, T) \
    static void NAME(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc) { \
        T mean[CB] __attribute__((aligned(64))), m2[CB] __attribute__((aligned(64))), \
            dev[CB] __attribute__((aligned(64))), buf[CB] __attribute__((aligned(64))); \
        memset(s->a, 0, (size_t)nc * 8); \
        memset(s->b, 0, (size_t)nc * 8); \
        int64_t seen = 0, \
                rb = 16; /* rows that stay in the cache between the two passes, and few to a sum of floats */ \
        for (int64_t q = r0; q < r1; q += rb) { \
            int64_t e = MIN(q + rb, r1), nb = e - q; \
            memset(mean, 0, sizeof(T) * (size_t)nc); \
            memset(m2, 0, sizeof(T) * (size_t)nc); \
            memset(dev, 0, sizeof(T) * (size_t)nc); \
            for (int64_t i = q; i < e; i++) { \
                const T *x = row_ptr(w, base, i, nc, (char *)buf); \
                for (int64_t c = 0; c < nc; c++) mean[c] += x[c]; \
            } \
            T f = (T)1 / (T)nb; \
            for (int64_t c = 0; c < nc; c++) mean[c] *= f; \
            for (int64_t i = q; i < e; i++) { \
                const T *x = row_ptr(w, base, i, nc, (char *)buf); \
                for (int64_t c = 0; c < nc; c++) { \
                    T d = x[c] - mean[c]; \
                    m2[c] += d * d; \
                    dev[c] += d; /* what the mean, a sum of T, is off by */ \
                } \
            } \
            double t = (double)(seen + nb), wt = (double)nb / t; \
            for (int64_t c = 0; c < nc; c++) { \
                double off = (double)dev[c] / (double)nb, d = (double)mean[c] + off - s->a[c]; \
                s->b[c] += (double)m2[c] - off * (double)dev[c] + d * d * (double)seen * wt; \
                s->a[c] += d * wt; \
            } \
            seen += nb; \
        } \
    }
COL_VAR(cv_f32, float)
COL_VAR(cv_f64, double)

static void col_lse(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc) {
    char buf[CB * 8] __attribute__((aligned(64)));
    if (w->r->cls == CF) {
        float m[CB], sh[CB], t[CB];
        memset(t, 0, (size_t)nc * 4);
        cmax_f32(w, s, base, r0, r1, nc, 0);
        for (int64_t c = 0; c < nc; c++) {
            m[c] = (float)s->a[c];
            sh[c] = isinf(m[c]) ? 0 : m[c];
        }
        for (int64_t i = r0; i < r1; i++) {
            const float *x = row_ptr(w, base, i, nc, buf);
            int64_t c = 0;
            for (; c + VW <= nc; c += VW) stf(t + c, ldf(t + c) + vexpf_(ldf(x + c) - ldf(sh + c)));
            for (; c < nc; c++) t[c] += expf(x[c] - sh[c]);
        }
        for (int64_t c = 0; c < nc; c++) s->b[c] = isinf(m[c]) ? 1 : t[c];
    } else {
        cmax_f64(w, s, base, r0, r1, nc, 0);
        memset(s->b, 0, (size_t)nc * 8);
        for (int64_t i = r0; i < r1; i++) {
            const double *x = row_ptr(w, base, i, nc, buf);
            for (int64_t c = 0; c < nc; c++) s->b[c] += isinf(s->a[c]) ? 1 : exp(x[c] - s->a[c]);
        }
    }
}
static void col_block(const colctx *w, colst *s, const char *base, int64_t r0, int64_t r1, int64_t nc) {
    const redp *r = w->r;
    int f = r->cls == CF, d = r->cls == CD;
    s->n = r1 - r0;
    if (r->cls >= CC) f = r->cls == CC, d = r->cls == CZ;
    switch (r->kind) {
    case R_SUM:
    case R_MEAN: (f ? cs_f32 : d ? cs_f64 : cs_i64)(w, s, base, r0, r1, nc); break;
    case R_SUMSQ:
    case R_NORM2: (f ? cq_f32 : d ? cq_f64 : cq_i64)(w, s, base, r0, r1, nc); break;
    case R_PROD: (f ? cp_f32 : d ? cp_f64 : cp_i64)(w, s, base, r0, r1, nc); break;
    case R_MAX:
    case R_ARGMAX:
        (f              ? cmax_f32
         : d            ? cmax_f64
         : r->cls == CI ? cmax_i64
                        : cmax_u64)(w, s, base, r0, r1, nc, r->kind == R_ARGMAX);
        break;
    case R_MIN:
    case R_ARGMIN:
        (f              ? cmin_f32
         : d            ? cmin_f64
         : r->cls == CI ? cmin_i64
                        : cmin_u64)(w, s, base, r0, r1, nc, r->kind == R_ARGMIN);
        break;
    case R_VAR:
    case R_STD: (f ? cv_f32 : cv_f64)(w, s, base, r0, r1, nc); break;
    default: col_lse(w, s, base, r0, r1, nc);
    }
}
static rst col_get(const colctx *w, const colst *s, int64_t c) {
    const redp *r = w->r;
    if (w->width == 2) return (rst){.a = s->a[2 * c], .b = s->a[2 * c + 1], .n = s->n};
    rst t = {.a = s->a[c], .n = s->n, .i = s->i[c]};
    if (r->kind == R_VAR || r->kind == R_STD || r->kind == R_LSE) t.b = s->b[c];
    if (r->kind == R_ARGMAX || r->kind == R_ARGMIN) t.k = (int64_t)s->b[c];
    return t;
}
/* Column-wise s = s + t: the plain cases as vectors. */
static void col_merge(const colctx *w, colst *s, const colst *t, int64_t nc) {
    const redp *r = w->r;
    int f = r->cls != CI && r->cls != CU;
    if (r->kind == R_SUM || r->kind == R_MEAN || r->kind == R_SUMSQ || r->kind == R_NORM2) {
        if (f)
            for (int64_t c = 0; c < nc * w->width; c++) s->a[c] += t->a[c];
        else
            for (int64_t c = 0; c < nc; c++) s->i[c] += t->i[c];
    } else if (f && r->kind == R_MAX)
        for (int64_t c = 0; c < nc; c++)
            s->a[c] = (t->a[c] > s->a[c]) | (t->a[c] != t->a[c]) ? t->a[c] : s->a[c];
    else if (f && r->kind == R_MIN)
        for (int64_t c = 0; c < nc; c++)
            s->a[c] = (t->a[c] < s->a[c]) | (t->a[c] != t->a[c]) ? t->a[c] : s->a[c];
    else
        for (int64_t c = 0; c < nc; c++) {
            rst x = col_get(w, s, c), y = col_get(w, t, c);
            red_merge(r, &x, &y);
            s->a[c] = x.a, s->b[c] = r->kind == R_ARGMAX || r->kind == R_ARGMIN ? (double)x.k : x.b,
            s->i[c] = x.i;
        }
    s->n += t->n;
}
static colst col_state(const colctx *w, double *p, int64_t u) {
    int64_t n = w->cols;
    return (colst){p, p + n, (int64_t *)(p + 2 * n),
                   MIN((u + 1) * w->rows_per, w->r->count) - u * w->rows_per};
}
static void col_write(const colctx *w, int64_t outer, int64_t b, const colst *s) {
    const redp *r = w->r;
    int64_t off[3], c0 = b * (CB / w->width), nc = MIN(CB / w->width, w->ncol - c0);
    it_off(&r->kept, outer, off);
    if (r->cls == CF && r->odt == DT_F32 && w->ocst == 1 && (r->kind <= R_MIN || r->kind == R_MEAN)) {
        float *o = (float *)r->out + off[1] + c0;
        const double n = r->kind == R_MEAN ? (double)r->count : 1;
        for (int64_t c = 0; c < nc; c++) o[c] = (float)(s->a[c] / n);
        return;
    }
    for (int64_t c = 0; c < nc; c++) {
        rst x = col_get(w, s, c);
        red_finish(r, off[1] + (c0 + c) * w->ocst, off[2] + (c0 + c) * w->mcst, &x);
    }
}
static void col_task(void *ctx, int64_t lo, int64_t hi) {
    const colctx *w = ctx;
    const redp *r = w->r;
    double local[3 * CB];
    for (int64_t t = lo; t < hi; t++) {
        int64_t u = t % w->chunks, b = t / w->chunks % w->nblk, outer = t / w->chunks / w->nblk, off[3];
        int64_t c0 = b * (CB / w->width), nc = MIN(CB / w->width, w->ncol - c0) * w->width;
        it_off(&r->kept, outer, off);
        colst s = col_state(w, w->part ? w->part + t * 3 * w->cols : local, u);
        col_block(w, &s, r->src + (off[0] + c0 * w->cst) * r->es, u * w->rows_per,
                  MIN((u + 1) * w->rows_per, r->count), nc);
        if (!w->part) col_write(w, outer, b, &s);
    }
}
/* Merges the row chunks of one block of columns, in order. */
static void merge_task(void *ctx, int64_t lo, int64_t hi) {
    const colctx *w = ctx;
    for (int64_t t = lo; t < hi; t++) {
        int64_t b = t % w->nblk, nc = MIN(CB / w->width, w->ncol - b * (CB / w->width));
        double *p = w->part + t * w->chunks * 3 * w->cols;
        colst s = col_state(w, p, 0);
        for (int64_t u = 1; u < w->chunks; u++) {
            colst x = col_state(w, p + u * 3 * w->cols, u);
            col_merge(w, &s, &x, nc);
        }
        col_write(w, t / w->nblk, b, &s);
    }
}
/* FBK_EUNSUP: let the row file do it. r->kept's innermost dimension is the columns. */
int64_t red_cols(redp *r) {
    int last = r->kept.nd - 1;
    colctx w = {.r = r,
                .ncol = r->kept.shape[last],
                .cst = r->kept.st[0][last],
                .ocst = r->kept.st[1][last],
                .mcst = r->kept.st[2][last],
                .width = 1,
                .chunks = 1,
                .rows_per = r->count};
    if (r->kind == R_ANY || r->kind == R_ALL) return FBK_EUNSUP;
    if (r->cls >= CC) {
        if (r->kind > R_MEAN || (r->kind != R_SUM && r->kind != R_MEAN) || w.cst != 1 ||
            r->sdt != (r->cls == CC ? DT_C64 : DT_C128))
            return FBK_EUNSUP;
        w.width = 2;
    }
    if (r->count > INT32_MAX) return FBK_EUNSUP;
    int64_t nd = r->kept.nd;
    r->kept.nd = last; /* from here on: the outer kept dims */
    r->kept.n /= w.ncol;
    w.nblk = ceil_div(w.ncol * w.width, CB);
    int64_t tasks = r->kept.n * w.nblk, parts;
    w.cols = MIN(CB, w.ncol * w.width);
    parts = MIN(32 / MAX(1, tasks), r->count * w.cols / ROW_CHUNK);
    if (parts > 1 && r->kind != R_LSE) {
        w.rows_per = ceil_div(ceil_div(r->count, parts), RB) * RB;
        w.chunks = ceil_div(r->count, w.rows_per);
    }
    if (w.chunks > 1 && !(w.part = fbk_scratch(SLOT_A, tasks * w.chunks * 3 * w.cols * 8))) {
        r->kept.nd = (int)nd;
        return FBK_ENOMEM;
    }
    fbk_par(tasks * w.chunks, w.part ? 1 : MAX(1, 32768 / MAX(1, r->count * w.cols)), col_task, &w);
    if (w.part) fbk_par(tasks, 1, merge_task, &w);
    return 0;
}
