/* Scaled dot-product attention, forward and backward, tile by tile with a running softmax: the matrix of scores
   never exists as a whole (Dao et al., FlashAttention, 2022; Milakov and Gimelshein, Online normalizer
   calculation for softmax, 2018). 16-bit floats are computed as float32. Each element's sums have one order,
   whatever the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_gemm.h"
#include "k_softmax.h"
#include "k_vmath.h"

#define BQ 128      /* queries in a tile */
#define BK (4 * 48) /* keys in a tile: a multiple of every F32_NR */
#define PANELS(n, w) (ceil_div(n, w) * (w))

typedef struct {
    const fbk_plan *p;
    const uintptr_t *at;
    int64_t N, H, L, S, E, V, causal;
    float scale;
    const fbk_spec *mask;
    const char *mask_at;
    int64_t qblocks, rc;
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
static void rows_out(const attention *a, int t, int64_t n, int64_t h, int64_t lo, int64_t hi, int64_t len,
                     const float *buf) {
    const fbk_spec *s = &a->p->t[t];
    int64_t es = dt_size(s->dtype);
    char *base = (char *)a->at[t] + (n * s->stride[0] + h * s->stride[1]) * es;
    for (int64_t i = lo; i < hi; i++)
        put_f32(base + i * s->stride[2] * es, s->dtype, s->stride[3], buf + (i - lo) * len, len);
}
/* panels of W lanes: n lanes of stride ls, k steps of stride ks */
static void panels(float *dst, int W, const float *src, int64_t n, int64_t ls, int64_t k, int64_t ks) {
    for (int64_t i = 0; i < n; i += W)
        FBC_ISA_NAME(fbk_pack_f32)(dst + i * k, W, src + i * ls, MIN(W, n - i), ls, k, ks);
}
/* c[m][n] (+)= A B from panels */
static void product(int64_t k, const float *a, const float *b, float *c, int64_t ldc, int64_t m, int64_t n,
                    int acc) {
    for (int64_t j = 0; j < n; j += F32_NR)
        for (int64_t i = 0; i < m; i += F32_MR)
            FBC_ISA_NAME(fbk_tile_f32)(k, a + i * k, b + j * k, c + i * ldc + j, ldc, MIN(F32_MR, m - i),
                                       MIN(F32_NR, n - j), acc);
}
/* the mask and causality applied to scores of queries i0.. and keys j0.. */
static void masked(const attention *a, int64_t n, int64_t h, int64_t i0, int64_t m, int64_t j0, int64_t w,
                   float *s, int64_t lds) {
    float buf[BK];
    for (int64_t i = 0; i < m; i++) {
        float *r = s + i * lds;
        if (a->mask) {
            const fbk_spec *t = a->mask;
            int64_t es = dt_size(t->dtype);
            const char *q = a->mask_at + (n * t->stride[0] + h * t->stride[1] + (i0 + i) * t->stride[2] +
                                          j0 * t->stride[3]) * es;
            const float *x = get_f32(buf, q, t->dtype, w, t->stride[3]);
            if (t->dtype == DT_BOOL)
                for (int64_t j = 0; j < w; j++) r[j] = x[j] != 0 ? r[j] : -INFINITY;
            else
                for (int64_t j = 0; j < w; j++) r[j] += x[j];
        }
        if (a->causal)
            for (int64_t j = MAX(0, i0 + i + 1 - j0); j < w; j++) r[j] = -INFINITY;
    }
}

/* ---- forward: operands out, lse, q, k, v, mask ---- */
static void forward(void *ctx, int64_t lo, int64_t hi) {
    attention *a = ctx;
    const int64_t E = a->E, V = a->V, nb = PANELS(BK, F32_NR), big = MAX(E, V);
    const int64_t floats = BQ * (big + PANELS(V, F32_NR) + 3) + PANELS(BQ, F32_MR) * MAX(E, BK) + BQ * nb +
                           BK * big + MAX(nb * E, PANELS(V, F32_NR) * BK) + PANELS(BQ, F32_MR) * E + 64;
    float *w = fbk_scratch(SLOT_A, floats * 4);
    if (!w) {
        a->rc = FBK_ENOMEM;
        return;
    }
    float *rows = w, *o = rows + BQ * big, *top = o + BQ * PANELS(V, F32_NR), *total = top + BQ,
          *qp = total + 2 * BQ, *pp = qp + PANELS(BQ, F32_MR) * E, *s = pp + PANELS(BQ, F32_MR) * MAX(E, BK),
          *kv = s + BQ * nb, *bp = kv + BK * big;
    for (int64_t task = lo; task < hi; task++) {
        int64_t i0 = task % a->qblocks * BQ, head = task / a->qblocks, h = head % a->H, n = head / a->H,
                m = MIN(BQ, a->L - i0);
        rows_in(a, 2, n, h, i0, i0 + m, E, a->scale, rows);
        panels(qp, F32_MR, rows, m, E, E, 1);
        for (int64_t i = 0; i < m; i++) top[i] = -INFINITY, total[i] = 0;
        memset(o, 0, (size_t)(m * V) * 4);
        int64_t end = a->causal ? MIN(a->S, i0 + m) : a->S;
        for (int64_t j0 = 0; j0 < end; j0 += BK) {
            int64_t c = MIN(BK, end - j0);
            rows_in(a, 3, n, h, j0, j0 + c, E, 1, kv);
            panels(bp, F32_NR, kv, c, E, E, 1);
            product(E, qp, bp, s, nb, m, c, 0);
            if (a->mask || (a->causal && j0 + c > i0 + 1)) masked(a, n, h, i0, m, j0, c, s, nb);
            for (int64_t i = 0; i < m; i++) {
                float *r = s + i * nb, most = row_max_f32(r, c);
                most = most > top[i] || most != most ? most : top[i];
                if (most == -INFINITY) { /* nothing to see yet */
                    memset(r, 0, (size_t)c * 4);
                    continue;
                }
                float old = top[i] == -INFINITY ? 0 : expf(top[i] - most);
                total[i] = total[i] * old + (float)row_exp_f32(r, r, most, c);
                top[i] = most;
                if (old != 1)
                    for (int64_t j = 0; j < V; j++) o[i * V + j] *= old;
            }
            panels(pp, F32_MR, s, m, nb, c, 1);
            rows_in(a, 4, n, h, j0, j0 + c, V, 1, kv);
            panels(bp, F32_NR, kv, V, 1, c, V);
            product(c, pp, bp, o, V, m, V, 1);
        }
        float *lse = (float *)a->at[1] + head * a->L + i0;
        for (int64_t i = 0; i < m; i++) {
            float f = total[i] == 0 ? 0 : 1 / total[i];
            for (int64_t j = 0; j < V; j++) o[i * V + j] *= f;
            lse[i] = total[i] == 0 ? INFINITY : top[i] + logf(total[i]); /* INFINITY: its weights are 0 */
        }
        rows_out(a, 0, n, h, i0, i0 + m, V, o);
    }
}

/* ---- backward: operands gq, gk, gv, g, q, k, v, out, lse, mask; a task is a head ---- */
typedef struct {
    float *qa, *qb, *ga, *gb; /* queries (scaled) and gradients of the result, as panels of rows and of columns */
    float *gq, *dot;          /* the queries' gradient; what softmax's gradient takes off each row */
    float *s, *d, *rows, *ka, *kb, *va, *pa, *gk, *gv;
} backward_memory;

static float *carve(float **from, int64_t n) {
    float *p = *from;
    *from += (n + 15) / 16 * 16;
    return p;
}
static void backward(void *ctx, int64_t lo, int64_t hi) {
    attention *a = ctx;
    enum { B = 64 }; /* queries in a tile */
    const int64_t E = a->E, V = a->V, L = PANELS(a->L, B), big = MAX(E, V), ec = PANELS(E, F32_NR),
                  vc = PANELS(V, F32_NR), rb = PANELS(B, F32_MR);
    const int64_t blocks = L / B;
    const int64_t floats = blocks * (rb * (E + V) + B * (ec + vc)) + L * (E + 1) + 2 * B * BK + BK * big +
                           BK * (E + ec + V + E + V) + MAX(rb * BK, PANELS(BK, F32_MR) * B) +
                           PANELS(BK, F32_NR) * 4 + 16 * 20;
    float *w = fbk_scratch(SLOT_A, floats * 4);
    if (!w) {
        a->rc = FBK_ENOMEM;
        return;
    }
    backward_memory m;
    m.qa = carve(&w, blocks * rb * E), m.ga = carve(&w, blocks * rb * V), m.qb = carve(&w, blocks * B * ec);
    m.gb = carve(&w, blocks * B * vc), m.gq = carve(&w, L * E), m.dot = carve(&w, L), m.s = carve(&w, B * BK);
    m.d = carve(&w, B * BK), m.rows = carve(&w, BK * big), m.ka = carve(&w, BK * E), m.kb = carve(&w, BK * ec);
    m.va = carve(&w, BK * V), m.gk = carve(&w, BK * E), m.gv = carve(&w, BK * V);
    m.pa = carve(&w, MAX(rb * BK, PANELS(BK, F32_MR) * B));
    for (int64_t head = lo; head < hi; head++) {
        int64_t h = head % a->H, n = head / a->H;
        const float *lse = (const float *)a->at[8] + head * a->L;
        memset(m.gq, 0, (size_t)(L * E) * 4);
        for (int64_t b = 0; b < blocks; b++) {
            int64_t i0 = b * B, q = MIN(B, a->L - i0);
            rows_in(a, 3, n, h, i0, i0 + q, V, 1, m.rows);
            panels(m.ga + b * rb * V, F32_MR, m.rows, q, V, V, 1);
            panels(m.gb + b * B * vc, F32_NR, m.rows, V, 1, q, V);
            float *out = m.rows + B * big;
            rows_in(a, 7, n, h, i0, i0 + q, V, 1, out);
            for (int64_t i = 0; i < q; i++) {
                double t = 0;
                for (int64_t j = 0; j < V; j++) t += (double)m.rows[i * V + j] * (double)out[i * V + j];
                m.dot[i0 + i] = (float)t;
            }
            rows_in(a, 4, n, h, i0, i0 + q, E, a->scale, m.rows);
            panels(m.qa + b * rb * E, F32_MR, m.rows, q, E, E, 1);
            panels(m.qb + b * B * ec, F32_NR, m.rows, E, 1, q, E);
        }
        for (int64_t j0 = 0; j0 < a->S; j0 += BK) {
            int64_t c = MIN(BK, a->S - j0);
            rows_in(a, 5, n, h, j0, j0 + c, E, 1, m.rows);
            panels(m.ka, F32_NR, m.rows, c, E, E, 1);
            panels(m.kb, F32_NR, m.rows, E, 1, c, E);
            rows_in(a, 6, n, h, j0, j0 + c, V, 1, m.rows);
            panels(m.va, F32_NR, m.rows, c, V, V, 1);
            memset(m.gk, 0, (size_t)(c * E) * 4);
            memset(m.gv, 0, (size_t)(c * V) * 4);
            for (int64_t b = a->causal ? j0 / B : 0; b < blocks; b++) {
                int64_t i0 = b * B, q = MIN(B, a->L - i0);
                product(E, m.qa + b * rb * E, m.ka, m.s, BK, q, c, 0);
                if (a->mask || (a->causal && j0 + c > i0 + 1)) masked(a, n, h, i0, q, j0, c, m.s, BK);
                product(V, m.ga + b * rb * V, m.va, m.d, BK, q, c, 0);
                for (int64_t i = 0; i < q; i++) {
                    float *s = m.s + i * BK, *d = m.d + i * BK, t = m.dot[i0 + i];
                    row_exp_f32(s, s, lse[i0 + i], c);
                    for (int64_t j = 0; j < c; j++) d[j] = s[j] * (d[j] - t);
                }
                panels(m.pa, F32_MR, m.s, c, 1, q, BK);
                product(q, m.pa, m.gb + b * B * vc, m.gv, V, c, V, 1);
                panels(m.pa, F32_MR, m.d, c, 1, q, BK);
                product(q, m.pa, m.qb + b * B * ec, m.gk, E, c, E, 1);
                panels(m.pa, F32_MR, m.d, q, BK, c, 1);
                product(c, m.pa, m.kb, m.gq + i0 * E, E, q, E, 1);
            }
            rows_out(a, 1, n, h, j0, j0 + c, E, m.gk);
            rows_out(a, 2, n, h, j0, j0 + c, V, m.gv);
        }
        for (int64_t i = 0; i < a->L * E; i++) m.gq[i] *= a->scale;
        rows_out(a, 0, n, h, 0, a->L, E, m.gq);
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
    a.qblocks = ceil_div(a.L, BQ);
    if (!taken(&p->t[q]) || !taken(&p->t[k]) || !taken(&p->t[v])) a.rc = FBK_EUNSUP;
    return a;
}
FBK_ENTRY(fbk_attention) {
    attention a = described(p, at, 2, 3, 4, 5);
    if (!a.rc) fbk_par(a.N * a.H * a.qblocks, 1, forward, &a);
    return a.rc;
}
FBK_ENTRY(fbk_attention_bwd) {
    attention a = described(p, at, 4, 5, 6, 9);
    if (!a.rc) fbk_par(a.N * a.H, 1, backward, &a);
    return a.rc;
}
