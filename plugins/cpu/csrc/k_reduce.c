/* Reductions along runs: blocks of 2,048 elements in the compute type, chunks of fixed size over threads,
 * partial results merged in order. */
#include "k_index.h"
#include "k_reduce_block.h"

static void start(const redp *r, rst *s) {
    *s = (rst){0};
    if (r->kind == R_PROD) s->a = 1, s->i = 1;
    if (r->kind == R_ALL) s->i = 1;
}
void red_merge(const redp *r, rst *s, const rst *t) {
    switch (r->kind) {
    case R_SUM:
    case R_MEAN:
    case R_SUMSQ:
    case R_NORM2:
        if (r->cls == CD) {
            neumaier(&s->a, &s->b, t->a);
            s->b += t->b;
        } else s->a += t->a, s->b += t->b;
        s->i = (int64_t)((uint64_t)s->i + (uint64_t)t->i);
        break;
    case R_PROD: {
        double a = s->a;
        s->a = r->cls >= CC ? a * t->a - s->b * t->b : a * t->a;
        if (r->cls >= CC) s->b = a * t->b + s->b * t->a;
        s->i = (int64_t)((uint64_t)s->i * (uint64_t)t->i);
        break;
    }
    case R_ANY: s->i |= t->i; break;
    case R_ALL: s->i &= t->i; break;
    case R_VAR:
    case R_STD: merge_var(s, t->n, t->a, t->b); break;
    case R_LSE:
        if (t->n) merge_lse(s, t->n, t->a, t->b);
        break;
    default: {
        int up = r->kind == R_MAX || r->kind == R_ARGMAX, better;
        if (!t->n) break;
        if (r->cls <= CD) better = s->a == s->a && (t->a != t->a || (up ? t->a > s->a : t->a < s->a));
        else if (r->cls == CI) better = up ? t->i > s->i : t->i < s->i;
        else better = up ? (uint64_t)t->i > (uint64_t)s->i : (uint64_t)t->i < (uint64_t)s->i;
        if (!s->n || better) {
            int64_t n = s->n;
            *s = *t;
            s->n += n;
        }
    }
    }
}
void red_finish(const redp *r, int64_t ooff, int64_t moff, const rst *s) {
    char *o = r->out + ooff * r->os;
    double v = s->a, n = (double)r->count;
    switch (r->kind) {
    case R_SUM:
    case R_SUMSQ:
        if (r->cls == CD && isfinite(v)) v += s->b;
        break;
    case R_MEAN:
        if (r->cls == CD && isfinite(v)) v += s->b;
        v /= n;
        break;
    case R_NORM2: v = sqrt(r->cls == CD && isfinite(v) ? v + s->b : v); break;
    case R_VAR:
    case R_STD:
        v = n > r->corr ? s->b / (n - r->corr) : s->b > 0 ? (double)INFINITY : (double)NAN;
        if (!r->count) v = (double)NAN;
        if (r->kind == R_STD) v = sqrt(v);
        if (r->out2) put_f64(r->out2 + moff * r->os, r->odt, 1, r->count ? &s->a : &v, 1);
        break;
    case R_LSE: v = !s->n ? -(double)INFINITY : isinf(s->a) || s->a != s->a ? s->a : s->a + log(s->b); break;
    case R_ARGMAX:
    case R_ARGMIN: put_i64(o, r->odt, 1, &s->k, 1); return;
    case R_ANY:
    case R_ALL: *(uint8_t *)o = (uint8_t)s->i; return;
    default:;
    }
    if (r->cls >= CC) {
        double d = r->kind == R_MEAN ? s->b / n : s->b;
        if (r->odt == DT_C64) ((float *)o)[0] = (float)v, ((float *)o)[1] = (float)d;
        else ((double *)o)[0] = v, ((double *)o)[1] = d;
    } else if (r->cls >= CI) put_i64(o, r->odt, 1, &s->i, 1);
    else if (r->odt == DT_F32) *(float *)o = (float)v;
    else put_f64(o, r->odt, 1, &v, 1);
}

/* ---- loading blocks ---- */
/* n elements (stride st) into the block buffer at element offset `at`, or the source itself when the block is
 * just that. */
static const void *load(const redp *r, char *buf, int64_t at, const char *p, int64_t n, int64_t st) {
    if (r->kind == R_ANY || r->kind == R_ALL) {
        uint8_t *b = (uint8_t *)buf + at;
        const uint8_t *f = flags(b, p, r->sdt, n, st);
        if (f != b && at) memcpy(b, f, (size_t)n);
        return at || f == b ? buf : (const char *)f;
    }
    const void *x;
    switch (r->cls) {
    case CF:
        x = get_f32((float *)buf + at, p, r->sdt, n, st);
        if (at && x == p) memcpy(buf + 4 * at, p, (size_t)(4 * n));
        break;
    case CD:
        x = get_f64((double *)buf + at, p, r->sdt, n, st);
        if (at && x == p) memcpy(buf + 8 * at, p, (size_t)(8 * n));
        break;
    case CC:
    case CZ: {
        int64_t z = r->cls == CC ? 8 : 16;
        if (r->es == z && st == 1 && !at) return p;
        for (int64_t i = 0; i < n; i++) {
            const char *q = p + i * st * r->es;
            double re = r->sdt == DT_C64 ? ((const float *)q)[0] : ((const double *)q)[0];
            double im = r->sdt == DT_C64 ? ((const float *)q)[1] : ((const double *)q)[1];
            if (z == 8)
                ((float *)buf)[2 * (at + i)] = (float)re, ((float *)buf)[2 * (at + i) + 1] = (float)im;
            else ((double *)buf)[2 * (at + i)] = re, ((double *)buf)[2 * (at + i) + 1] = im;
        }
        return buf;
    }
    default:
        x = get_i64((int64_t *)buf + at, p, r->sdt, n, st);
        if (at && x == p) memcpy(buf + 8 * at, p, (size_t)(8 * n));
    }
    return at ? buf : x;
}
/* The reduced elements [e0, e1) (positions in the order of r->red) of the result whose first element lies at
 * p. */
static void run(const redp *r, rst *s, const char *p, int64_t e0, int64_t e1) {
    char buf[RED_BLOCK * 16] __attribute__((aligned(64)));
    const fbk_it *d = &r->red;
    int64_t n = d->nd ? d->shape[d->nd - 1] : 1, st = d->nd ? d->st[0][d->nd - 1] : 0;
    while (e0 < e1) {
        int64_t b = MIN(RED_BLOCK, e1 - e0), at = 0, off;
        const void *x = buf;
        if (d->nd <= 1) x = load(r, buf, 0, p + e0 * st * r->es, b, st);
        else
            while (at < b) { /* a block may gather several runs */
                int64_t row = (e0 + at) / n, j = e0 + at - row * n, m = MIN(n - j, b - at);
                it_off(d, row * n, &off);
                const void *y = load(r, buf, at, p + (off + j * st) * r->es, m, st);
                if (m == b) x = y;
                else if (!at && y != (const void *)buf) {
                    int64_t z = r->kind == R_ANY || r->kind == R_ALL ? 1
                                : r->cls == CF                       ? 4
                                : r->cls == CZ                       ? 16
                                                                     : 8;
                    memcpy(buf, y, (size_t)(m * z));
                }
                at += m;
            }
        block(r, s, x, b, e0);
        e0 += b;
    }
}

/* ---- driver ---- */
#define CHUNK 32768
typedef struct {
    const redp *r;
    rst *part;
    int64_t units, per;
} rowctx;
/* Rows of float32 to float32 that are one block, where `run` would cost as much as the block itself. */
static int is_plain(const redp *r) {
    return r->cls == CF && r->sdt == DT_F32 && r->odt == DT_F32 && r->count > 0 && r->count <= RED_BLOCK &&
           (r->red.nd == 0 || (r->red.nd == 1 && r->red.st[0][0] == 1)) &&
           (r->kind == R_SUM || r->kind == R_MEAN || r->kind == R_NORM2 || r->kind == R_MAX || r->kind == R_MIN);
}
static void plain_rows(const redp *r, int64_t lo, int64_t hi) {
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3];
        int nan = 0;
        it_off(&r->kept, t, off);
        const float *x = (const float *)r->src + off[0];
        float *o = (float *)r->out + off[1], m;
        switch (r->kind) {
        case R_SUM: *o = (float)bs_f32(x, r->count, 0); break;
        case R_MEAN: *o = (float)(bs_f32(x, r->count, 0) / (double)r->count); break;
        case R_NORM2: *o = (float)sqrt(bq_f32(x, r->count, 0)); break;
        default:
            m = (r->kind == R_MAX ? bmax_f32 : bmin_f32)(x, r->count, &nan);
            *o = nan ? NAN : m;
        }
    }
}
static void row_task(void *c, int64_t lo, int64_t hi) {
    const rowctx *w = c;
    const redp *r = w->r;
    if (is_plain(r)) {
        plain_rows(r, lo, hi);
        return;
    }
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3];
        rst s;
        start(r, &s);
        if (w->units == 1) {
            it_off(&r->kept, t, off);
            run(r, &s, r->src + off[0] * r->es, 0, r->count);
            red_finish(r, off[1], off[2], &s);
        } else {
            int64_t row = t / w->units, u = t % w->units;
            it_off(&r->kept, row, off);
            run(r, &s, r->src + off[0] * r->es, u * w->per, MIN((u + 1) * w->per, r->count));
            w->part[t] = s;
        }
    }
}
static int64_t red_rows(redp *r) {
    int64_t rows = r->kept.n, units = MAX(1, ceil_div(r->count, CHUNK));
    rowctx w = {r, NULL, units, CHUNK};
    if (units == 1) {
        fbk_par(rows, MAX(1, CHUNK / MAX(1, r->count)), row_task, &w);
        return 0;
    }
    w.part = fbk_scratch(SLOT_A, rows * units * (int64_t)sizeof(rst));
    if (!w.part) return FBK_ENOMEM;
    fbk_par(rows * units, 1, row_task, &w);
    for (int64_t row = 0; row < rows; row++) {
        int64_t off[3];
        rst *s = w.part + row * units;
        for (int64_t u = 1; u < units; u++) red_merge(r, s, s + u);
        it_off(&r->kept, row, off);
        red_finish(r, off[1], off[2], s);
    }
    return 0;
}
static int class_of(int kind, int sdt, int odt) {
    if (kind == R_ANY || kind == R_ALL) return CI;
    if (kind >= R_MAX && kind <= R_ARGMIN)
        return sdt == DT_U64 ? CU : dt_is_int(sdt) ? CI : sdt == DT_F64 ? CD : CF;
    if (dt_is_int(odt)) return CI;
    if (dt_is_cplx(odt)) return dt_is_cplx(sdt) ? (odt == DT_C64 ? CC : CZ) : CD;
    return odt == DT_F64 ? CD : CF;
}
FBK_ENTRY(fbk_reduce) {
    const fbk_spec *o = &p->t[0], *s = &p->t[1];
    int keep = o->ndim == s->ndim, nred = 0, mean = p->nt > 2 && at[2];
    int64_t mask = p->ia[1], bestk = INT64_MAX, bestr = INT64_MAX;
    int red[FBK_MAXD], kcol = -1;
    redp r = {.kind = (int)p->ia[0],
              .sdt = s->dtype,
              .odt = o->dtype,
              .es = dt_size(s->dtype),
              .os = dt_size(o->dtype),
              .count = 1,
              .corr = p->fa[0],
              .src = (const char *)at[1],
              .out = (char *)at[0],
              .out2 = mean ? (char *)at[2] : NULL};
    r.cls = class_of(r.kind, s->dtype, o->dtype);
    it_init(&r.kept, 3);
    it_init(&r.red, 1);
    for (int d = 0; d < s->ndim; d++) {
        int64_t z = llabs(s->stride[d]);
        if (mask >> d & 1) {
            int i = nred++;
            r.count *= s->shape[d];
            if (r.kind != R_ARGMAX &&
                r.kind !=
                    R_ARGMIN) /* largest stride outermost; the order doesn't matter to the result's meaning */
                for (; i > 0 && llabs(s->stride[red[i - 1]]) < z; i--) red[i] = red[i - 1];
            red[i] = d;
            if (s->shape[d] > 1) bestr = MIN(bestr, z);
        } else if (s->shape[d] > 1 && z < bestk) bestk = z, kcol = d;
    }
    for (int pass = 0; pass < 2;
         pass++) { /* kept dims; the column dimension goes innermost when columns will be walked */
        int last = bestk < bestr ? kcol : -1, od = 0;
        for (int d = 0; d < s->ndim; d++) {
            if (mask >> d & 1) {
                od += keep;
                continue;
            }
            int64_t st[3] = {s->stride[d], o->stride[od], mean ? p->t[2].stride[od] : 0};
            od++;
            if ((d == last) == pass) it_dim(&r.kept, s->shape[d], st);
        }
        if (last < 0) break;
    }
    if (!r.kept.n) return 0;
    for (int i = 0; i < nred; i++) it_dim(&r.red, s->shape[red[i]], &s->stride[red[i]]);
    if (bestk < bestr && r.count && r.kept.nd && r.kept.shape[r.kept.nd - 1] > 3) {
        int64_t rc = red_cols(&r);
        if (rc != FBK_EUNSUP) return rc;
    }
    return red_rows(&r);
}
