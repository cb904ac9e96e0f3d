/* Reductions along runs: blocks of 2,048 elements in the compute type, chunks of fixed size over threads, partial results merged in order. */
#include "k_index.h"
#include "k_reduce.h"

/* ---- one block (n <= RED_BLOCK, contiguous, compute type) into a partial result; pos: position of x[0] in the reduced space ---- */
#define BLOCK_SUM_F32(NAME, F) \
    static double NAME(const float *x, int64_t n, float sh) { \
        (void)sh; \
        if (n < 32) { \
            double d = 0; \
            for (int64_t i = 0; i < n; i++) { float v = x[i]; d += F; } \
            return d; \
        } \
        vf acc[NLV] = {{0}}; \
        int64_t i = 0; \
        for (; i + LANES <= n; i += LANES) \
            _Pragma("GCC unroll 16") for (int u = 0; u < NLV; u++) { vf v = ldf(x + i + u * VW); acc[u] += F; } \
        float t[LANES]; \
        for (int u = 0; u < NLV; u++) stf(t + u * VW, acc[u]); \
        for (int64_t j = 0; i + j < n; j++) { float v = x[i + j]; t[j] += F; } \
        return fold64(t); \
    }
BLOCK_SUM_F32(bs_f32, v)
BLOCK_SUM_F32(bq_f32, v * v)
BLOCK_SUM_F32(bv_f32, (v - sh) * (v - sh))
#define BLOCK_SUM_F64(NAME, F) \
    static double NAME(const double *x, int64_t n, double sh) { \
        (void)sh; \
        double t[32] = {0}; \
        int64_t i = 0; \
        for (; i + 32 <= n; i += 32) \
            for (int j = 0; j < 32; j++) { double v = x[i + j]; t[j] += F; } \
        for (int64_t j = 0; i + j < n; j++) { double v = x[i + j]; t[j] += F; } \
        for (int h = 16; h; h >>= 1) \
            for (int j = 0; j < h; j++) t[j] += t[j + h]; \
        return t[0]; \
    }
BLOCK_SUM_F64(bs_f64, v)
BLOCK_SUM_F64(bq_f64, v * v)
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
        *re = t[0]; *im = t[1]; \
    }
BLOCK_SUM_C(bs_c64, float)
BLOCK_SUM_C(bs_c128, double)

/* The extreme of a block; *nan tells that a NaN was seen. 32 lanes so that the compiler keeps them in vectors. */
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
                for (int j = 0; j < 32; j++) { T v = x[i + j]; t[j] = v OP t[j] ? v : t[j]; b[j] |= ISNAN; } \
            for (int j = 0; j < 32; j++) { m = t[j] OP m ? t[j] : m; bad |= b[j]; } \
            { T v = x[0]; (void)v; bad |= ISNAN; } \
        } \
        for (; i < n; i++) { T v = x[i]; m = v OP m ? v : m; bad |= ISNAN; } \
        *nan = bad; \
        return m; \
    }
BLOCK_EXT(bmax_f32, float, >, (v != v))
BLOCK_EXT(bmin_f32, float, <, (v != v))
BLOCK_EXT(bmax_f64, double, >, (v != v))
BLOCK_EXT(bmin_f64, double, <, (v != v))
BLOCK_EXT(bmax_i64, int64_t, >, 0)
BLOCK_EXT(bmin_i64, int64_t, <, 0)
BLOCK_EXT(bmax_u64, uint64_t, >, 0)
BLOCK_EXT(bmin_u64, uint64_t, <, 0)

static void ext_f(const redp *r, rst *s, const void *x, int64_t n, int64_t pos) {
    int nan, up = r->kind == R_MAX || r->kind == R_ARGMAX, f = r->cls == CF;
    if (s->n && s->a != s->a) { s->n += n; return; }
    double m = f ? (up ? bmax_f32 : bmin_f32)(x, n, &nan) : (up ? bmax_f64 : bmin_f64)(x, n, &nan);
    if (nan || !s->n || (up ? m > s->a : m < s->a)) {
        if (r->kind == R_ARGMAX || r->kind == R_ARGMIN) {
            int64_t j = 0;
            if (f) { const float *y = x; float v = (float)m; while (nan ? y[j] == y[j] : y[j] != v) j++; }
            else { const double *y = x; while (nan ? y[j] == y[j] : y[j] != m) j++; }
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
    if (!s->n || m > s->a || m != m) {           /* rescale what we have to the new maximum */
        s->b = (s->n && m == m ? s->b * exp(s->a == m ? 0 : s->a - m) : 0) + sum;
        s->a = s->n && s->a != s->a ? s->a : m;
    } else
        s->b += sum * (m == s->a ? 1 : exp(m - s->a));
    s->n += n;
}
static void lse_block(const redp *r, rst *s, const void *x, int64_t n) {
    int nan;
    double m, sum = 0;
    if (r->cls == CF) {
        const float *y = x;
        float mf = bmax_f32(y, n, &nan), sh = isinf(mf) ? 0 : mf;
        if (nan) { merge_lse(s, n, (double)NAN, (double)NAN); return; }
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
        if (nan) { merge_lse(s, n, (double)NAN, (double)NAN); return; }
        if (isinf(m)) sum = m > 0 ? 1 : 0;
        else for (int64_t i = 0; i < n; i++) sum += exp(y[i] - m);
    }
    merge_lse(s, n, m, sum);
}
static void block(const redp *r, rst *s, const void *x, int64_t n, int64_t pos) {
    switch (r->kind) {
    case R_SUM: case R_MEAN: case R_SUMSQ: case R_NORM2: {
        int sq = r->kind == R_SUMSQ || r->kind == R_NORM2;
        double re, im;
        switch (r->cls) {
        case CF: s->a += (sq ? bq_f32 : bs_f32)(x, n, 0); break;
        case CD: neumaier(&s->a, &s->b, (sq ? bq_f64 : bs_f64)(x, n, 0)); break;
        case CC: bs_c64(x, n, &re, &im); s->a += re; s->b += im; break;
        case CZ: bs_c128(x, n, &re, &im); s->a += re; s->b += im; break;
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
                for (; i + 8 <= n; i += 8) for (int j = 0; j < 8; j++) t[j] *= (double)y[i + j];
                for (; i < n; i++) t[i & 7] *= (double)y[i];
            } else {
                const double *y = x;
                for (; i + 8 <= n; i += 8) for (int j = 0; j < 8; j++) t[j] *= y[i + j];
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
                double im = r->cls == CC ? ((const float *)x)[2 * i + 1] : ((const double *)x)[2 * i + 1], a = s->a;
                s->a = a * re - s->b * im;
                s->b = a * im + s->b * re;
            }
        break;
    }
    case R_MAX: case R_MIN: case R_ARGMAX: case R_ARGMIN: (r->cls <= CD ? ext_f : ext_i)(r, s, x, n, pos); break;
    case R_ANY: case R_ALL: {
        int any = r->kind == R_ANY;
        const uint8_t *q = x;
        uint8_t some = 0, every = 1;
        if (s->i == any) break;                  /* decided already */
        for (int64_t i = 0; i < n; i++) some |= q[i], every &= q[i] != 0;
        if (any ? some != 0 : !every) s->i = any;
        break;
    }
    case R_VAR: case R_STD: {
        if (r->cls == CF) {
            double m = bs_f32(x, n, 0) / (double)n;
            float sh = (float)m;
            double q = bv_f32(x, n, sh), e = m - (double)sh;
            merge_var(s, n, m, q - (double)n * e * e > 0 || q != q ? q - (double)n * e * e : 0);
        } else {
            double m = bs_f64(x, n, 0) / (double)n;
            merge_var(s, n, m, bv_f64(x, n, m));
        }
        break;
    }
    default: lse_block(r, s, x, n);
    }
}
static void start(const redp *r, rst *s) {
    *s = (rst){0};
    if (r->kind == R_PROD) s->a = 1, s->i = 1;
    if (r->kind == R_ALL) s->i = 1;
}
void red_merge(const redp *r, rst *s, const rst *t) {
    switch (r->kind) {
    case R_SUM: case R_MEAN: case R_SUMSQ: case R_NORM2:
        if (r->cls == CD) { neumaier(&s->a, &s->b, t->a); s->b += t->b; }
        else s->a += t->a, s->b += t->b;
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
    case R_VAR: case R_STD: merge_var(s, t->n, t->a, t->b); break;
    case R_LSE: if (t->n) merge_lse(s, t->n, t->a, t->b); break;
    default: {
        int up = r->kind == R_MAX || r->kind == R_ARGMAX, better;
        if (!t->n) break;
        if (r->cls <= CD) better = s->a == s->a && (t->a != t->a || (up ? t->a > s->a : t->a < s->a));
        else if (r->cls == CI) better = up ? t->i > s->i : t->i < s->i;
        else better = up ? (uint64_t)t->i > (uint64_t)s->i : (uint64_t)t->i < (uint64_t)s->i;
        if (!s->n || better) { int64_t n = s->n; *s = *t; s->n += n; }
    }
    }
}
void red_finish(const redp *r, int64_t ooff, int64_t moff, const rst *s) {
    char *o = r->out + ooff * r->os;
    double v = s->a, n = (double)r->count;
    switch (r->kind) {
    case R_SUM: case R_SUMSQ: if (r->cls == CD && isfinite(v)) v += s->b; break;
    case R_MEAN: if (r->cls == CD && isfinite(v)) v += s->b; v /= n; break;
    case R_NORM2: v = sqrt(r->cls == CD && isfinite(v) ? v + s->b : v); break;
    case R_VAR: case R_STD:
        v = n > r->corr ? s->b / (n - r->corr) : s->b > 0 ? (double)INFINITY : (double)NAN;
        if (!r->count) v = (double)NAN;
        if (r->kind == R_STD) v = sqrt(v);
        if (r->out2) put_f64(r->out2 + moff * r->os, r->odt, 1, r->count ? &s->a : &v, 1);
        break;
    case R_LSE: v = !s->n ? -(double)INFINITY : isinf(s->a) || s->a != s->a ? s->a : s->a + log(s->b); break;
    case R_ARGMAX: case R_ARGMIN: put_i64(o, r->odt, 1, &s->k, 1); return;
    case R_ANY: case R_ALL: *(uint8_t *)o = (uint8_t)s->i; return;
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
/* n elements (stride st) into the block buffer at element offset `at`, or the source itself when the block is just that. */
static const void *load(const redp *r, char *buf, int64_t at, const char *p, int64_t n, int64_t st) {
    if (r->kind == R_ANY || r->kind == R_ALL) {
        uint8_t *b = (uint8_t *)buf + at;
        const uint8_t *f = flags(b, p, r->sdt, n, st);
        if (f != b && at) memcpy(b, f, (size_t)n);
        return at || f == b ? buf : (const char *)f;
    }
    const void *x;
    switch (r->cls) {
    case CF: x = get_f32((float *)buf + at, p, r->sdt, n, st); if (at && x == p) memcpy(buf + 4 * at, p, (size_t)(4 * n)); break;
    case CD: x = get_f64((double *)buf + at, p, r->sdt, n, st); if (at && x == p) memcpy(buf + 8 * at, p, (size_t)(8 * n)); break;
    case CC: case CZ: {
        int64_t z = r->cls == CC ? 8 : 16;
        if (r->es == z && st == 1 && !at) return p;
        for (int64_t i = 0; i < n; i++) {
            const char *q = p + i * st * r->es;
            double re = r->sdt == DT_C64 ? ((const float *)q)[0] : ((const double *)q)[0];
            double im = r->sdt == DT_C64 ? ((const float *)q)[1] : ((const double *)q)[1];
            if (z == 8) ((float *)buf)[2 * (at + i)] = (float)re, ((float *)buf)[2 * (at + i) + 1] = (float)im;
            else ((double *)buf)[2 * (at + i)] = re, ((double *)buf)[2 * (at + i) + 1] = im;
        }
        return buf;
    }
    default: x = get_i64((int64_t *)buf + at, p, r->sdt, n, st); if (at && x == p) memcpy(buf + 8 * at, p, (size_t)(8 * n));
    }
    return at ? buf : x;
}
/* The reduced elements [e0, e1) (positions in the order of r->red) of the result whose first element lies at p. */
static void run(const redp *r, rst *s, const char *p, int64_t e0, int64_t e1) {
    char buf[RED_BLOCK * 16] __attribute__((aligned(64)));
    const fbk_it *d = &r->red;
    int64_t n = d->nd ? d->shape[d->nd - 1] : 1, st = d->nd ? d->st[0][d->nd - 1] : 0;
    while (e0 < e1) {
        int64_t b = MIN(RED_BLOCK, e1 - e0), at = 0, off;
        const void *x = buf;
        if (d->nd <= 1) x = load(r, buf, 0, p + e0 * st * r->es, b, st);
        else
            while (at < b) {                     /* a block may gather several runs */
                int64_t row = (e0 + at) / n, j = e0 + at - row * n, m = MIN(n - j, b - at);
                it_off(d, row * n, &off);
                const void *y = load(r, buf, at, p + (off + j * st) * r->es, m, st);
                if (m == b) x = y;
                else if (!at && y != (const void *)buf) {
                    int64_t z = r->kind == R_ANY || r->kind == R_ALL ? 1 : r->cls == CF ? 4 : r->cls == CZ ? 16 : 8;
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
typedef struct { const redp *r; rst *part; int64_t units, per; } rowctx;
static void row_task(void *c, int64_t lo, int64_t hi) {
    const rowctx *w = c;
    const redp *r = w->r;
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
    if (kind >= R_MAX && kind <= R_ARGMIN) return sdt == DT_U64 ? CU : dt_is_int(sdt) ? CI : sdt == DT_F64 ? CD : CF;
    if (dt_is_int(odt)) return CI;
    if (dt_is_cplx(odt)) return dt_is_cplx(sdt) ? (odt == DT_C64 ? CC : CZ) : CD;
    return odt == DT_F64 ? CD : CF;
}
FBK_ENTRY(fbk_reduce) {
    const fbk_spec *o = &p->t[0], *s = &p->t[1];
    int keep = o->ndim == s->ndim, nred = 0, mean = p->nt > 2 && at[2];
    int64_t mask = p->ia[1], bestk = INT64_MAX, bestr = INT64_MAX;
    int red[FBK_MAXD], kcol = -1;
    redp r = {.kind = (int)p->ia[0], .sdt = s->dtype, .odt = o->dtype, .es = dt_size(s->dtype), .os = dt_size(o->dtype),
              .count = 1, .corr = p->fa[0], .src = (const char *)at[1], .out = (char *)at[0], .out2 = mean ? (char *)at[2] : NULL};
    r.cls = class_of(r.kind, s->dtype, o->dtype);
    it_init(&r.kept, 3);
    it_init(&r.red, 1);
    for (int d = 0; d < s->ndim; d++) {
        int64_t z = llabs(s->stride[d]);
        if (mask >> d & 1) {
            int i = nred++;
            r.count *= s->shape[d];
            if (r.kind != R_ARGMAX && r.kind != R_ARGMIN)   /* largest stride outermost; the order doesn't matter to the result's meaning */
                for (; i > 0 && llabs(s->stride[red[i - 1]]) < z; i--) red[i] = red[i - 1];
            red[i] = d;
            if (s->shape[d] > 1) bestr = MIN(bestr, z);
        } else if (s->shape[d] > 1 && z < bestk) bestk = z, kcol = d;
    }
    for (int pass = 0; pass < 2; pass++) {       /* kept dims; the column dimension goes innermost when columns will be walked */
        int last = bestk < bestr ? kcol : -1, od = 0;
        for (int d = 0; d < s->ndim; d++) {
            if (mask >> d & 1) { od += keep; continue; }
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
