/* softmax and log_softmax, forward and backward, over any dimension: along rows where the dimension is
   contiguous, across them where a neighbour is; other layouts go through a row buffer. */
/* cflags: -ffp-contract=fast */
#include "k_load.h"
#include "k_softmax.h"
#include "k_vmath.h"

/* ---- one contiguous row ---- */
float row_max_f32(const float *x, int64_t n) { /* NaN when there is one */
    vf m[4] = {splatf(x[0]), splatf(x[0]), splatf(x[0]), splatf(x[0])};
    vi bad = {0};
    int64_t i = 0;
#if defined(__AVX512F__)
    uint32_t unordered = 0; /* one comparison finds the NaNs of two vectors */
    for (; i + 4 * VW <= n; i += 4 * VW) {
        vf v[4];
        _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++) v[u] = ldf(x + i + u * VW), m[u] = maxf_(v[u], m[u]);
        unordered |= _mm512_cmp_ps_mask((__m512)v[0], (__m512)v[1], _CMP_UNORD_Q);
        unordered |= _mm512_cmp_ps_mask((__m512)v[2], (__m512)v[3], _CMP_UNORD_Q);
    }
    bad[0] = unordered != 0;
#endif
    for (; i + 4 * VW <= n; i += 4 * VW) _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++) {
            vf v = ldf(x + i + u * VW);
            m[u] = maxf_(v, m[u]);
            bad |= v != v;
        }
    float r = hmaxf(maxf_(maxf_(m[0], m[1]), maxf_(m[2], m[3])));
    int nan = x[0] != x[0];
    for (int j = 0; j < VW; j++) nan |= bad[j] != 0;
    for (; i < n; i++) {
        r = x[i] > r ? x[i] : r;
        nan |= x[i] != x[i];
    }
    return nan ? NAN : r;
}
/* sum of e^(x-m); y (may be NULL, may be x) receives the terms */
double row_exp_f32(float *y, const float *x, float m, int64_t n) {
    double sum = 0;
    vf mv = splatf(m);
    for (int64_t b = 0; b < n; b += 4096) {
        int64_t e = MIN(b + 4096, n), i = b;
        vf s0 = {0}, s1 = {0};
        for (; i + 2 * VW <= e; i += 2 * VW) {
            vf a = vexpf_(ldf(x + i) - mv), c = vexpf_(ldf(x + i + VW) - mv);
            s0 += a, s1 += c;
            if (y) stf(y + i, a), stf(y + i + VW, c);
        }
        double t = hsumf(s0 + s1);
        if (i < e) { /* the tail through a padded buffer: the same polynomial for every element */
            float q[2 * VW];
            for (int64_t j = 0; j < 2 * VW; j++) q[j] = i + j < e ? x[i + j] : m;
            stf(q, vexpf_(ldf(q) - mv)), stf(q + VW, vexpf_(ldf(q + VW) - mv));
            for (int64_t j = 0; i + j < e; j++) {
                t += (double)q[j];
                if (y) y[i + j] = q[j];
            }
        }
        sum += t;
    }
    return sum;
}
static double row_exp_f64(double *y, const double *x, double m, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += y[i] = exp(x[i] - m);
    return s;
}
static void fwd_f32(int log_, float *y, const float *x, int64_t n) {
    float m = row_max_f32(x, n);
    if (!isfinite(m)) { /* all -inf, or an inf or NaN: NaN as the formula gives */
        for (int64_t i = 0; i < n; i++) y[i] = m == INFINITY && x[i] < m ? (log_ ? -INFINITY : 0) : NAN;
        return;
    }
    if (log_) {
        float ls = (float)log(row_exp_f32(NULL, x, m, n));
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - ls;
    } else {
        float f = (float)(1 / row_exp_f32(y, x, m, n));
        for (int64_t i = 0; i < n; i++) y[i] *= f;
    }
}
static void fwd_f64(int log_, double *y, const double *x, int64_t n) {
    double m = x[0];
    for (int64_t i = 1; i < n; i++) m = x[i] > m || x[i] != x[i] ? x[i] : m;
    double s = row_exp_f64(y, x, m, n), f = 1 / s, l = log(s);
    if (log_)
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - l;
    else
        for (int64_t i = 0; i < n; i++) y[i] *= f;
}
static double dot_f32(const float *a, const float *b, int64_t n) { /* b NULL: the sum of a */
    double s = 0;
    for (int64_t k = 0; k < n; k += 4096) {
        int64_t e = MIN(k + 4096, n), i = k;
        vf t[4] = {{0}};
        for (; i + 4 * VW <= e; i += 4 * VW)
            _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++)
                t[u] += b ? (vf)(ldf(a + i + u * VW) * ldf(b + i + u * VW)) : ldf(a + i + u * VW);
        s += hsumf((t[0] + t[1]) + (t[2] + t[3]));
        for (; i < e; i++) s += (double)(b ? a[i] * b[i] : a[i]);
    }
    return s;
}
static void bwd_f32(int log_, float *gx, const float *g, const float *y, int64_t n) {
    int64_t i = 0;
    if (log_) {
        float s = (float)dot_f32(g, NULL, n);
        vf sv = splatf(s);
        for (; i + VW <= n; i += VW) stf(gx + i, ldf(g + i) - vexpf_(ldf(y + i)) * sv);
        for (; i < n; i++) gx[i] = g[i] - expf(y[i]) * s;
    } else {
        float s = (float)dot_f32(g, y, n);
        for (; i < n; i++) gx[i] = y[i] * (g[i] - s);
    }
}
static void bwd_f64(int log_, double *gx, const double *g, const double *y, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += log_ ? g[i] : g[i] * y[i];
    for (int64_t i = 0; i < n; i++) gx[i] = log_ ? g[i] - exp(y[i]) * s : y[i] * (g[i] - s);
}

/* ---- rows of any stride and dtype ---- */
typedef struct {
    fbk_it it; /* the other dims: out, in 1, in 2 */
    char *a[3];
    int64_t n, st[3], es;
    int dt, log_, bwd, cols;
    int64_t rc;
} smctx;
#define ROW(T, GET, PUT, FWD, BWD, DT) \
    do { \
        T *b = fbk_scratch(SLOT_B, 3 * w->n * (int64_t)sizeof(T)); \
        if (!b) { \
            __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED); \
            return; \
        } \
        for (int64_t r = lo; r < hi; r++) { \
            int64_t off[3]; \
            it_off(&w->it, r, off); \
            char *o = w->a[0] + off[0] * w->es; \
            int direct = w->st[0] == 1 && w->dt == DT; \
            T *y = direct ? (T *)o : b; \
            const T *x = GET(b + w->n, w->a[1] + off[1] * w->es, w->dt, w->n, w->st[1]); \
            if (w->bwd) \
                BWD(w->log_, y, x, GET(b + 2 * w->n, w->a[2] + off[2] * w->es, w->dt, w->n, w->st[2]), \
                    w->n); \
            else FWD(w->log_, y, x, w->n); \
            if (!direct) PUT(o, w->dt, w->st[0], y, w->n); \
        } \
    } while (0)
static void row_task(void *ctx, int64_t lo, int64_t hi) {
    smctx *w = ctx;
    if (w->dt == DT_F64) ROW(double, get_f64, put_f64, fwd_f64, bwd_f64, DT_F64);
    else ROW(float, get_f32, put_f32, fwd_f32, bwd_f32, DT_F32);
}

/* ---- across: CW neighbouring rows at a time, their elements side by side, in registers (float32) ---- */
#define EACH(U) _Pragma("GCC unroll 4") for (int U = 0; U < 4; U++)
void col_lse_f32(const float *x, int64_t n, int64_t st, float *mo, float *so) {
    vf m[4], s[4];
    EACH(u) m[u] = ldf(x + u * VW), s[u] = (vf){0};
    for (int64_t i = 1; i < n; i++) EACH(u) {
            vf v = ldf(x + i * st + u * VW);
            m[u] = maxf_(m[u], v);
        } /* a NaN in v is seen by the sum below */
    EACH(u) m[u] = self((m[u] == splatf(INFINITY)) | (m[u] == splatf(-INFINITY)), splatf(0), m[u]);
    for (int64_t i = 0; i < n; i++) EACH(u) s[u] += vexpf_(ldf(x + i * st + u * VW) - m[u]);
    EACH(u) stf(mo + u * VW, m[u]), stf(so + u * VW, s[u]);
}
static void col_forward(int log_, float *o, int64_t os, const float *x, int64_t n, int64_t st) {
    float mo[CW], so[CW];
    vf m[4], f[4];
    col_lse_f32(x, n, st, mo, so);
    for (int j = 0; j < CW; j++) so[j] = log_ ? logf(so[j]) : 1 / so[j];
    EACH(u) m[u] = ldf(mo + u * VW), f[u] = ldf(so + u * VW);
    for (int64_t i = 0; i < n; i++) EACH(u) {
            vf v = ldf(x + i * st + u * VW) - m[u];
            stf(o + i * os + u * VW, log_ ? (vf)(v - f[u]) : (vf)(vexpf_(v) * f[u]));
        }
}
static void col_backward(int log_, float *o, int64_t os, const float *g, int64_t gs, const float *y,
                         int64_t ys, int64_t n) {
    vf s[4] = {{0}};
    for (int64_t i = 0; i < n; i++)
        EACH(u)
        s[u] += log_ ? ldf(g + i * gs + u * VW) : (vf)(ldf(g + i * gs + u * VW) * ldf(y + i * ys + u * VW));
    for (int64_t i = 0; i < n; i++) EACH(u) {
            vf a = ldf(g + i * gs + u * VW), b = ldf(y + i * ys + u * VW);
            stf(o + i * os + u * VW, log_ ? (vf)(a - vexpf_(b) * s[u]) : (vf)(b * (a - s[u])));
        }
}
static void col_task(void *ctx, int64_t lo, int64_t hi) {
    smctx *w = ctx;
    int64_t nc = w->cols, blocks = ceil_div(nc, CW);
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[3], j = t % blocks * CW, m = MIN(CW, nc - j), st[3] = {w->st[0], w->st[1], w->st[2]};
        it_off(&w->it, t / blocks, off);
        float *a[3] = {(float *)w->a[0] + off[0] + j, (float *)w->a[1] + off[1] + j,
                       (float *)w->a[2] + off[2] + j},
              *out = a[0];
        if (m < CW) { /* a narrow block goes through padded copies */
            float *b = fbk_scratch(SLOT_B, 3 * w->n * CW * 4);
            if (!b) {
                __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
                return;
            }
            for (int o = 0; o < 2 + w->bwd; o++) {
                float *d = b + o * w->n * CW;
                for (int64_t i = 0; o && i < w->n; i++)
                    for (int64_t c = 0; c < CW; c++) d[i * CW + c] = c < m ? a[o][i * st[o] + c] : 0;
                a[o] = d, st[o] = CW;
            }
        }
        if (w->bwd) col_backward(w->log_, a[0], st[0], a[1], st[1], a[2], st[2], w->n);
        else col_forward(w->log_, a[0], st[0], a[1], w->n, st[1]);
        for (int64_t i = 0; m < CW && i < w->n; i++) memcpy(out + i * w->st[0], a[0] + i * CW, (size_t)m * 4);
    }
}
static int64_t run(const fbk_plan *p, const uintptr_t *at, int bwd) {
    int nd = p->t[0].ndim, d = (int)p->ia[0], nop = bwd ? 3 : 2;
    smctx w = {.a = {(char *)at[0], (char *)at[1], (char *)at[2]},
               .n = nd ? p->t[0].shape[d] : 1,
               .dt = p->t[0].dtype,
               .es = dt_size(p->t[0].dtype),
               .log_ = (int)p->ia[1],
               .bwd = bwd};
    it_init(&w.it, 3);
    for (int e = 0; e < nd; e++) {
        int64_t st[3] = {p->t[0].stride[e], p->t[1].stride[e], bwd ? p->t[2].stride[e] : 0};
        if (e == d) memcpy(w.st, st, sizeof st);
        else it_dim(&w.it, p->t[0].shape[e], st);
    }
    if (!w.n || !w.it.n) return 0;
    int64_t l = w.it.nd - 1;
    if (w.dt == DT_F32 && w.st[0] != 1 && l >= 0 && w.it.shape[l] >= 8) {
        int ok = 1;
        for (int o = 0; o < nop; o++) ok &= w.it.st[o][l] == 1;
        if (ok) {
            w.cols = (int)MIN(w.it.shape[l], INT32_MAX);
            w.it.n /= w.it.shape[l], w.it.nd--;
            fbk_par(w.it.n * ceil_div(w.cols, CW), MAX(1, 8192 / (w.n * CW)), col_task, &w);
            return 0;
        }
    }
    fbk_par(w.it.n, MAX(1, 8192 / w.n), row_task, &w);
    return w.rc;
}
/* t: y, x. ia: dim, log */
FBK_ENTRY(fbk_softmax) { return run(p, at, 0); }
/* t: gx, g, y. ia: dim, log */
FBK_ENTRY(fbk_softmax_bwd) { return run(p, at, 1); }
