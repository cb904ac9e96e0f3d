/* Scaled dot-product attention, forward and backward, tile by tile with a running softmax: the matrix of scores
   never exists as a whole (Dao et al., FlashAttention, 2022; Milakov and Gimelshein, Online normalizer
   calculation for softmax, 2018). 16-bit floats are computed as float32. Each element's sums have one order,
   whatever the number of threads.

   The products' left operands are read where they lie (rows, or columns of the tile of scores); only right operands
   are packed, once for many queries. Behind the diagonal of a causal mask nothing is computed but what a tile's
   eight rows share. */
/* cflags: -ffp-contract=fast */
#include "k_gemm.h"
#include "k_softmax.h"
#include "k_vmath.h"

#define BQ 64       /* queries in a tile */
#define BK (4 * 48) /* keys in a tile: a multiple of every F32_NR and of 2 VW */
#define GROUP 512   /* queries for which keys and values are packed once, at most */
#define PANELS(n, w) (ceil_div(n, w) * (w))
#define RB PANELS(BQ, F32_MR)
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)
enum { ALL = 1 << 30 };

typedef struct {
    const fbk_plan *p;
    const uintptr_t *at;
    int64_t N, H, L, S, E, V, causal;
    float scale;
    const fbk_spec *mask;
    const char *mask_at;
    int64_t group, groups, rc;
} attention;

/* rows [lo, hi) of matrix (n, h) of operand t as float32 rows of `len` in buf, times `scale` */
static void rows_in(const attention *a, int t, int64_t n, int64_t h, int64_t lo, int64_t hi, int64_t len,
                    float scale, float *buf) {
    const fbk_spec *s = &a->p->t[t];
    int64_t es = dt_size(s->dtype);
    const char *base = (const char *)a->at[t] + (n * s->stride[0] + h * s->stride[1]) * es;
    for (int64_t i = lo; i < hi; i++) {
        float *d = buf + (i - lo) * len;
        const float *x = get_f32(d, base + i * s->stride[2] * es, s->dtype, len, s->stride[3]);
        if (scale != 1 || x != d)
            for (int64_t j = 0; j < len; j++) d[j] = x[j] * scale;
    }
}
/* the same where they lie if they can be read so, else in buf; *stride: from row to row */
static const float *rows_at(const attention *a, int t, int64_t n, int64_t h, int64_t lo, int64_t hi, int64_t len,
                            float *buf, int64_t *stride) {
    const fbk_spec *s = &a->p->t[t];
    if (s->dtype == DT_F32 && s->stride[3] == 1) {
        *stride = s->stride[2];
        return (const float *)a->at[t] + n * s->stride[0] + h * s->stride[1] + lo * s->stride[2];
    }
    rows_in(a, t, n, h, lo, hi, len, 1, buf);
    *stride = len;
    return buf;
}
static void rows_out(const attention *a, int t, int64_t n, int64_t h, int64_t lo, int64_t hi, int64_t len,
                     const float *buf, int64_t stride) {
    const fbk_spec *s = &a->p->t[t];
    int64_t es = dt_size(s->dtype);
    char *base = (char *)a->at[t] + (n * s->stride[0] + h * s->stride[1]) * es;
    for (int64_t i = lo; i < hi; i++)
        put_f32(base + i * s->stride[2] * es, s->dtype, s->stride[3], buf + (i - lo) * stride, len);
}
/* Panels whose lanes are rows (to multiply by their transpose), and whose lanes are columns. */
static void panels_of_rows(float *dst, const float *src, int64_t rs, int64_t rows, int64_t len) {
    for (int64_t i = 0; i < rows; i += F32_NR) PACK(dst + i * len, F32_NR, src + i * rs, MIN(F32_NR, rows - i), rs, len, 1);
}
INL int64_t wide(int64_t len) { return F32_NV == 3 && ceil_div(len, VW) % 3 ? 2 * VW : F32_NR; }
static void panels_of_columns(float *dst, const float *src, int64_t rs, int64_t rows, int64_t len) {
    int64_t w = wide(len);
    for (int64_t j = 0; j < len; j += w) PACK(dst + j * rows, (int)w, src + j, MIN(w, len - j), 1, rows, rs);
}
/* Memory for the columns of `len` numbers in whole panels. */
INL int64_t padded(int64_t len) { return PANELS(len, wide(len)); }

/* s[m][c] = q k; columns in whole vectors; row i sees the keys before sees + i */
static void scores(int64_t E, const float *q, const float *k, float *s, int64_t m, int64_t c, int64_t sees) {
    for (int64_t j = 0; j < c; j += F32_NR)
        for (int64_t i = 0; i < m; i += F32_MR) {
            int64_t rows = MIN(F32_MR, m - i), n = MIN(c, sees + i + rows - 1) - j;
            if (n > 0) TILE(E, q + i * E, E, 1, k + j * E, F32_NR, s + i * BK + j, BK, rows, PANELS(MIN(n, F32_NR), VW), 0);
        }
}
/* o[m][len] += s v, s [m][c] */
static void weighted(int64_t c, const float *s, const float *v, float *o, int64_t m, int64_t len, int64_t sees) {
    const int64_t w = wide(len), ldo = padded(len);
    for (int64_t j = 0; j < len; j += w)
        for (int64_t i = 0; i < m; i += F32_MR) {
            int64_t rows = MIN(F32_MR, m - i), k = MIN(c, sees + i + rows - 1);
            if (k > 0) TILE(k, s + i * BK, BK, 1, v + j * c, w, o + i * ldo + j, ldo, rows, w, 1);
        }
}
/* o[c][len] += s^T b, s [m][c] */
static void gathered(int64_t m, const float *s, const float *b, float *o, int64_t c, int64_t len, int64_t sees) {
    const int64_t w = wide(len), ldo = padded(len);
    for (int64_t j = 0; j < len; j += w)
        for (int64_t i = 0; i < c; i += F32_MR) {
            int64_t first = MAX(0, i + 1 - sees); /* the first row that sees key i */
            if (first < m)
                TILE(m - first, s + first * BK + i, 1, BK, b + j * m + first * w, w, o + i * ldo + j, ldo,
                     MIN(F32_MR, c - i), w, 1);
        }
}
/* the mask applied to row i of queries against keys j0.. */
static void masked(const attention *a, int64_t n, int64_t h, int64_t i, int64_t j0, int64_t w, float *r) {
    float buf[BK];
    const fbk_spec *t = a->mask;
    int64_t es = dt_size(t->dtype);
    const char *q = a->mask_at + (n * t->stride[0] + h * t->stride[1] + i * t->stride[2] + j0 * t->stride[3]) * es;
    const float *x = get_f32(buf, q, t->dtype, w, t->stride[3]);
    if (t->dtype == DT_BOOL)
        for (int64_t j = 0; j < w; j++) r[j] = x[j] != 0 ? r[j] : -INFINITY;
    else
        for (int64_t j = 0; j < w; j++) r[j] += x[j];
}
/* Of c keys, the first `w` count for a row: the rest of the last vector becomes -INFINITY; returns where that ends. */
INL int64_t closed(float *r, int64_t w) {
    int64_t end = PANELS(w, VW);
    for (int64_t j = w; j < end; j++) r[j] = -INFINITY;
    return end;
}
/* Behind it, as far as the row's neighbours in a tile may see, there are zeros. */
INL void cleared(float *r, int64_t from, int64_t w, int64_t c) {
    for (int64_t j = from; j < MIN(c, w + F32_MR - 1); j++) r[j] = 0;
}
INL float most_of(const float *r, int64_t end) { /* NaN doesn't count */
    vf a = splatf(-INFINITY), b = a;
    int64_t j = 0;
    for (; j + 2 * VW <= end; j += 2 * VW) a = maxf_(ldf(r + j), a), b = maxf_(ldf(r + j + VW), b);
    if (j < end) a = maxf_(ldf(r + j), a);
    return hmaxf(maxf_(a, b));
}
INL float exp_row(float *r, float top, int64_t end) {
    const vf t = splatf(top);
    vf s0 = {0}, s1 = {0};
    int64_t j = 0;
    for (; j + 2 * VW <= end; j += 2 * VW) {
        vf x = vexpf_(ldf(r + j) - t), y = vexpf_(ldf(r + j + VW) - t);
        s0 += x, s1 += y;
        stf(r + j, x), stf(r + j + VW, y);
    }
    if (j < end) {
        vf x = vexpf_(ldf(r + j) - t);
        s0 += x;
        stf(r + j, x);
    }
    return hsumf(s0 + s1);
}
static float *carve(float **from, int64_t n) {
    float *p = *from;
    *from += (n + 15) / 16 * 16;
    return p;
}

/* ---- forward: operands out, lse, q, k, v, mask ---- */
typedef struct {
    float *q, *o, *top, *total; /* of all queries of the group */
    float *s, *k, *v, *rows;
} forward_memory;

/* The queries [i0, i0 + m) of a head and the keys [j0, j0 + c): scores, their exponentials, the values' sum. */
static void forward_tile(const attention *a, const forward_memory *w, int64_t n, int64_t h, int64_t at, int64_t i0,
                         int64_t m, int64_t j0, int64_t c) {
    const int64_t E = a->E, V = a->V, ldo = padded(V), sees = a->causal ? i0 - j0 + 1 : ALL;
    float *o = w->o + at * ldo, *top = w->top + at, *total = w->total + at, before[RB], factor[RB];
    scores(E, w->q + at * E, w->k, w->s, m, c, sees);
    for (int64_t i = 0; i < m; i++) {
        float *r = w->s + i * BK;
        int64_t keys = MAX(0, MIN(c, sees + i)), end = closed(r, keys);
        if (a->mask) masked(a, n, h, i0 + i, j0, keys, r);
        float most = most_of(r, end);
        if (most == -INFINITY)
            for (int64_t j = 0; j < keys; j++) most = r[j] != r[j] ? r[j] : most;
        before[i] = top[i];
        top[i] = most > top[i] || most != most ? most : top[i];
    }
    for (int64_t i = 0; i < m; i += VW) stf(factor + i, vexpf_(ldf(before + i) - ldf(top + i)));
    for (int64_t i = 0; i < m; i++) {
        float *r = w->s + i * BK;
        int64_t keys = MAX(0, MIN(c, sees + i)), end = PANELS(keys, VW);
        cleared(r, end, keys, c);
        if (top[i] == -INFINITY) { /* nothing to see yet */
            memset(r, 0, (size_t)end * 4);
            continue;
        }
        total[i] = total[i] * factor[i] + exp_row(r, top[i], end);
        if (before[i] != top[i])
            for (int64_t j = 0; j < ldo; j++) o[i * ldo + j] *= factor[i];
    }
    weighted(c, w->s, w->v, o, m, V, sees);
}
static void forward(void *ctx, int64_t lo, int64_t hi) {
    attention *a = ctx;
    const int64_t E = a->E, V = a->V, ldo = padded(V), all = a->group + RB;
    const int64_t floats = all * (E + ldo + 2) + RB * BK + PANELS(BK, F32_NR) * E + BK * ldo + BK * MAX(E, V) + 16 * 8;
    float *from = fbk_scratch(SLOT_A, floats * 4);
    if (!from) {
        a->rc = FBK_ENOMEM;
        return;
    }
    forward_memory w;
    w.q = carve(&from, all * E), w.o = carve(&from, all * ldo), w.top = carve(&from, all), w.total = carve(&from, all);
    w.s = carve(&from, RB * BK), w.k = carve(&from, PANELS(BK, F32_NR) * E), w.v = carve(&from, BK * ldo);
    w.rows = carve(&from, BK * MAX(E, V));
    memset(w.s, 0, RB * BK * 4);
    for (int64_t task = lo; task < hi; task++) {
        /* the last queries first: with a causal mask they have the most to do */
        int64_t heads = a->N * a->H, head = task % heads, h = head % a->H, n = head / a->H,
                g0 = (a->groups - 1 - task / heads) * a->group, g1 = MIN(g0 + a->group, a->L);
        rows_in(a, 2, n, h, g0, g1, E, a->scale, w.q);
        for (int64_t i = 0; i < g1 - g0; i++) w.top[i] = -INFINITY, w.total[i] = 0;
        memset(w.o, 0, (size_t)(all * ldo) * 4);
        int64_t end = a->causal ? MIN(a->S, g1) : a->S, rs;
        for (int64_t j0 = 0; j0 < end; j0 += BK) {
            int64_t c = MIN(BK, end - j0);
            const float *k = rows_at(a, 3, n, h, j0, j0 + c, E, w.rows, &rs);
            panels_of_rows(w.k, k, rs, c, E);
            const float *v = rows_at(a, 4, n, h, j0, j0 + c, V, w.rows, &rs);
            panels_of_columns(w.v, v, rs, c, V);
            for (int64_t i0 = a->causal ? MAX(g0, j0 / BQ * BQ) : g0; i0 < g1; i0 += BQ)
                forward_tile(a, &w, n, h, i0 - g0, i0, MIN(BQ, g1 - i0), j0, c);
        }
        float *lse = (float *)a->at[1] + head * a->L + g0;
        for (int64_t i = 0; i < g1 - g0; i++) {
            float f = w.total[i] == 0 ? 0 : 1 / w.total[i];
            for (int64_t j = 0; j < V; j++) w.o[i * ldo + j] *= f;
            lse[i] = w.total[i] == 0 ? INFINITY : w.top[i] + logf(w.total[i]); /* INFINITY: its weights are 0 */
        }
        rows_out(a, 0, n, h, g0, g1, V, w.o, ldo);
    }
}

/* ---- backward: operands gq, gk, gv, g, q, k, v, out, lse, mask; a task is a head ---- */
typedef struct {
    float *q, *g;       /* queries (scaled) and gradients of the result, as rows */
    float *qb, *gb;     /* the same, each block of BQ as panels of columns */
    float *gq, *dot;    /* the queries' gradient; what softmax's gradient takes off each row */
    float *s, *d, *rows, *ka, *kb, *va, *gk, *gv;
} backward_memory;

INL float dot(const float *x, const float *y, int64_t n) {
    vf s[2] = {{0}, {0}};
    int64_t j = 0;
    for (; j + 2 * VW <= n; j += 2 * VW) s[0] += ldf(x + j) * ldf(y + j), s[1] += ldf(x + j + VW) * ldf(y + j + VW);
    float t = hsumf(s[0] + s[1]);
    for (; j < n; j++) t += x[j] * y[j];
    return t;
}
static void backward_tile(const attention *a, const backward_memory *w, const float *lse, int64_t n, int64_t h, int64_t i0,
                          int64_t m, int64_t j0, int64_t c) {
    const int64_t E = a->E, V = a->V, ec = padded(E), vc = padded(V), sees = a->causal ? i0 - j0 + 1 : ALL;
    scores(E, w->q + i0 * E, w->ka, w->s, m, c, sees);
    scores(V, w->g + i0 * V, w->va, w->d, m, c, sees);
    for (int64_t i = 0; i < m; i++) {
        float *s = w->s + i * BK, *d = w->d + i * BK;
        int64_t keys = MAX(0, MIN(c, sees + i)), end = closed(s, keys);
        if (a->mask) masked(a, n, h, i0 + i, j0, keys, s);
        const vf off = splatf(lse[i0 + i]), t = splatf(w->dot[i0 + i]);
        for (int64_t j = 0; j < end; j += VW) {
            vf x = vexpf_(ldf(s + j) - off);
            stf(s + j, x), stf(d + j, x * (ldf(d + j) - t));
        }
        cleared(s, end, keys, c), cleared(d, keys, keys, c); /* whatever stood there */
    }
    gathered(m, w->s, w->gb + i0 * vc, w->gv, c, V, sees);
    gathered(m, w->d, w->qb + i0 * ec, w->gk, c, E, sees);
    weighted(c, w->d, w->kb, w->gq + i0 * ec, m, E, sees);
}
static void backward(void *ctx, int64_t lo, int64_t hi) {
    attention *a = ctx;
    const int64_t E = a->E, V = a->V, L = PANELS(a->L, BQ) + F32_MR, big = MAX(E, V), ec = padded(E), vc = padded(V),
                  lanes = PANELS(BK, F32_NR);
    const int64_t floats = L * (E + V + ec + vc + ec + 1) + 2 * RB * BK + BK * big + lanes * (E + V) + BK * ec +
                           BK * (ec + vc) + 16 * 16;
    float *from = fbk_scratch(SLOT_A, floats * 4);
    if (!from) {
        a->rc = FBK_ENOMEM;
        return;
    }
    backward_memory w;
    w.q = carve(&from, L * E), w.g = carve(&from, L * V), w.qb = carve(&from, L * ec), w.gb = carve(&from, L * vc);
    w.gq = carve(&from, L * ec), w.dot = carve(&from, L), w.s = carve(&from, RB * BK), w.d = carve(&from, RB * BK);
    w.rows = carve(&from, BK * big), w.ka = carve(&from, lanes * E), w.va = carve(&from, lanes * V);
    w.kb = carve(&from, BK * ec), w.gk = carve(&from, BK * ec), w.gv = carve(&from, BK * vc);
    memset(w.s, 0, RB * BK * 4), memset(w.d, 0, RB * BK * 4);
    for (int64_t head = lo; head < hi; head++) {
        int64_t h = head % a->H, n = head / a->H, rs;
        const float *lse = (const float *)a->at[8] + head * a->L;
        memset(w.gq, 0, (size_t)(L * ec) * 4);
        rows_in(a, 3, n, h, 0, a->L, V, 1, w.g);
        rows_in(a, 4, n, h, 0, a->L, E, a->scale, w.q);
        for (int64_t i0 = 0; i0 < a->L; i0 += BQ) {
            int64_t m = MIN(BQ, a->L - i0);
            panels_of_columns(w.gb + i0 * vc, w.g + i0 * V, V, m, V);
            panels_of_columns(w.qb + i0 * ec, w.q + i0 * E, E, m, E);
            const float *out = rows_at(a, 7, n, h, i0, i0 + m, V, w.rows, &rs);
            for (int64_t i = 0; i < m; i++) w.dot[i0 + i] = dot(w.g + (i0 + i) * V, out + i * rs, V);
        }
        for (int64_t j0 = 0; j0 < a->S; j0 += BK) {
            int64_t c = MIN(BK, a->S - j0);
            const float *k = rows_at(a, 5, n, h, j0, j0 + c, E, w.rows, &rs);
            panels_of_rows(w.ka, k, rs, c, E);
            panels_of_columns(w.kb, k, rs, c, E);
            const float *v = rows_at(a, 6, n, h, j0, j0 + c, V, w.rows, &rs);
            panels_of_rows(w.va, v, rs, c, V);
            memset(w.gk, 0, (size_t)(BK * ec) * 4);
            memset(w.gv, 0, (size_t)(BK * vc) * 4);
            for (int64_t i0 = a->causal ? j0 / BQ * BQ : 0; i0 < a->L; i0 += BQ)
                backward_tile(a, &w, lse, n, h, i0, MIN(BQ, a->L - i0), j0, c);
            rows_out(a, 1, n, h, j0, j0 + c, E, w.gk, ec);
            rows_out(a, 2, n, h, j0, j0 + c, V, w.gv, vc);
        }
        for (int64_t i = 0; i < a->L * ec; i++) w.gq[i] *= a->scale;
        rows_out(a, 0, n, h, 0, a->L, E, w.gq, ec);
    }
}

static int taken(const fbk_spec *s) {
    return s->ndim == 4 && (s->dtype == DT_F32 || s->dtype == DT_F16 || s->dtype == DT_BF16);
}
static attention described(const fbk_plan *p, const uintptr_t *at, int q, int k, int v, int mask) {
    attention a = {.p = p, .at = at};
    a.N = p->t[q].shape[0], a.H = p->t[q].shape[1], a.L = p->t[q].shape[2], a.E = p->t[q].shape[3];
    a.S = p->t[k].shape[2], a.V = p->t[v].shape[3];
    a.causal = p->ia[0], a.scale = (float)p->fa[0];
    if (p->t[mask].dtype >= 0) a.mask = &p->t[mask], a.mask_at = (const char *)at[mask];
    int64_t tasks = 4 * fbc_get_num_threads() / MAX(1, a.N * a.H);
    a.group = MIN(GROUP, PANELS(ceil_div(MAX(1, a.L), MAX(1, tasks)), BQ)), a.groups = ceil_div(a.L, a.group);
    if (!taken(&p->t[q]) || !taken(&p->t[k]) || !taken(&p->t[v])) a.rc = FBK_EUNSUP;
    return a;
}
FBK_ENTRY(fbk_attention) {
    attention a = described(p, at, 2, 3, 4, 5);
    if (!a.rc) fbk_par(a.N * a.H * a.groups, 1, forward, &a);
    return a.rc;
}
FBK_ENTRY(fbk_attention_bwd) {
    attention a = described(p, at, 4, 5, 6, 9);
    if (!a.rc) fbk_par(a.N * a.H, 1, backward, &a);
    return a.rc;
}
