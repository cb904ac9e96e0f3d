/* Pooling in two dimensions: max (with indices), average, adaptive average, and their gradients. A plane is
   copied to a padded scratch plane whose rows are split by the stride's phase, so that every tap of the
   window reads contiguous elements. This file includes itself once per element type. */
#ifndef T
#include "k_load.h"
#include "k_shuffle.h"
typedef int32_t vi_u __attribute__((vector_size(VB), aligned(4), may_alias));

typedef struct {
    int64_t N, C, H, W, OH, OW, kh, kw, sh, sw, ph, pw, dh, dw, Hp, Wq, row, div;
    int include;
} pgeom;
enum { P_MAX, P_MAX_BWD, P_AVG, P_AVG_BWD, P_ADAPT, P_ADAPT_BWD };
typedef struct {
    const fbk_plan *p;
    pgeom g;
    char *a[3];
    int64_t *off;
    int kind, dt;
    int64_t rc;
} pctx;

/* Maxima of 2x2 squares of a float32 plane whose rows are contiguous, straight from the plane. */
static void max_squares(const pctx *c, const float *x, int64_t xh, float *y, int64_t yh, int64_t *idx, int64_t ih) {
    const pgeom *g = &c->g;
    for (int64_t u = 0; u < g->OH; u++)
        for (int64_t v = 0; v < g->OW; v += VW) {
            uint32_t m = inside(v, g->OW);
            vf best = (vf){0} - INFINITY;
            vi at = (vi){LANES(EVEN)} + (int32_t)(2 * (u * g->W + v)), pos = at;
            for (int i = 0; i < 2; i++) {
                const float *q = x + (2 * u + i) * xh + 2 * v;
                vf a = load_part(q, inside(2 * v, g->W)), b = load_part(q + VW, inside(2 * v + VW, g->W));
                vf e = SHUFFLE(a, b, EVEN), o = SHUFFLE(a, b, ODD);
                vi k = (e > best) | (e != e);
                best = self(k, e, best), pos = ((at + (int32_t)(i * g->W)) & k) | (pos & ~k);
                k = (o > best) | (o != o);
                best = self(k, o, best), pos = ((at + (int32_t)(i * g->W + 1)) & k) | (pos & ~k);
            }
            store_part(y + u * yh + v, best, m);
            if (!idx) continue;
            int32_t p[VW];
            memcpy(p, &pos, sizeof p);
            if (v + VW <= g->OW)
                for (int l = 0; l < VW; l++) idx[u * ih + v + l] = p[l];
            else
                for (int64_t l = 0; v + l < g->OW; l++) idx[u * ih + v + l] = p[l];
        }
}
static int squares(const pctx *c) {
    const pgeom *g = &c->g;
    const fbk_spec *y = &c->p->t[0], *x = &c->p->t[1], *i = &c->p->t[2];
    return c->kind == P_MAX && x->dtype == DT_F32 && y->dtype == DT_F32 && g->kh == 2 && g->kw == 2 && g->sh == 2 &&
           g->sw == 2 && g->dh == 1 && g->dw == 1 && !g->ph && !g->pw && 2 * g->OH <= g->H && 2 * g->OW <= g->W &&
           x->stride[3] == 1 && y->stride[3] == 1 && (!c->a[2] || i->stride[3] == 1) && g->H * g->W < INT32_MAX;
}

#define T float
#define NAME(x) x##_f32
#define GET get_f32
#define PUT put_f32
#define FLOAT 1
#include "k_pool2d.c"
#undef T
#undef NAME
#undef GET
#undef PUT
#undef FLOAT
#define FLOAT 0
#define T double
#define NAME(x) x##_f64
#define GET get_f64
#define PUT put_f64
#include "k_pool2d.c"

/* t[0]: the plane-shaped output (y or gx), t[1]: the input (x or gy), t[2]: indices. ia: kernel, stride,
   padding, dilation, count_include_pad, divisor; dy: which operand has the pooled shape. */
static int64_t run(const fbk_plan *p, const uintptr_t *at, int kind) {
    int bwd = kind & 1, adapt = kind >= P_ADAPT;
    const fbk_spec *x = &p->t[!bwd], *y = &p->t[bwd];
    const int64_t *i = p->ia;
    pctx c = {.p = p, .a = {(char *)at[0], (char *)at[1], (char *)at[2]}, .kind = kind, .dt = x->dtype};
    pgeom *g = &c.g;
    *g = (pgeom){.N = x->shape[0],
                 .C = x->shape[1],
                 .H = x->shape[2],
                 .W = x->shape[3],
                 .OH = y->shape[2],
                 .OW = y->shape[3],
                 .kh = i[0],
                 .kw = i[1],
                 .sh = i[2],
                 .sw = i[3],
                 .ph = i[4],
                 .pw = i[5],
                 .dh = i[6],
                 .dw = i[7],
                 .include = (int)i[8],
                 .div = i[9]};
    if (adapt || kind == P_MAX_BWD) g->kh = g->kw = g->sh = g->sw = g->dh = g->dw = 1, g->ph = g->pw = 0;
    g->Hp = MAX(g->H + 2 * g->ph, (g->OH - 1) * g->sh + (g->kh - 1) * g->dh + 1);
    g->Wq = ceil_div(MAX(g->W + 2 * g->pw, (g->OW - 1) * g->sw + (g->kw - 1) * g->dw + 1), g->sw);
    g->row = g->Wq * g->sw;
    int64_t taps = g->kh * g->kw, bytes = MAX(64, taps * 8);
    if (!(c.off = fbc_alloc(bytes))) return FBK_ENOMEM;
    for (int64_t t = 0; t < taps; t++) {
        int64_t s = t % g->kw * g->dw;
        c.off[t] = t / g->kw * g->dh * g->row + s % g->sw * g->Wq + s / g->sw;
    }
    fbk_par(g->N * g->C, MAX(1, 16384 / MAX(1, g->H * g->W)),
            c.dt == DT_F64 ? plane_task_f64 : plane_task_f32, &c);
    fbc_free(c.off, bytes);
    return c.rc;
}
FBK_ENTRY(fbk_max_pool) { return run(p, at, P_MAX); }
FBK_ENTRY(fbk_max_pool_bwd) { return run(p, at, P_MAX_BWD); }
FBK_ENTRY(fbk_avg_pool) { return run(p, at, p->ia[10] ? P_ADAPT : P_AVG); }
FBK_ENTRY(fbk_avg_pool_bwd) { return run(p, at, p->ia[10] ? P_ADAPT_BWD : P_AVG_BWD); }
#else

static void NAME(load)(const pctx *c, T *pl, const char *src, T pad) {
    const pgeom *g = &c->g;
    const int64_t W = g->W; /* a local: stores through T* could change the struct */
    const fbk_spec *s = &c->p->t[1];
    int64_t es = dt_size(s->dtype);
    T *line = pl + g->Hp * g->row;
    for (int64_t i = 0, size = g->Hp * g->row; i < size; i++) pl[i] = pad;
    for (int64_t h = 0; h < g->H; h++) {
        const T *x = GET(line, src + h * s->stride[2] * es, s->dtype, g->W, s->stride[3]);
        T *o = pl + (h + g->ph) * g->row;
        if (g->sw == 1) memcpy(o + g->pw, x, (size_t)g->W * sizeof(T));
        else if (g->sw == 2) {
            T *p0 = o + g->pw % 2 * g->Wq + g->pw / 2, *p1 = o + (g->pw + 1) % 2 * g->Wq + (g->pw + 1) / 2;
            for (int64_t v = 0; v < W / 2; v++) p0[v] = x[2 * v], p1[v] = x[2 * v + 1];
            if (g->W & 1) p0[g->W / 2] = x[g->W - 1];
        } else
            for (int64_t v = 0; v < W; v++) o[(v + g->pw) % g->sw * g->Wq + (v + g->pw) / g->sw] = x[v];
    }
}
/* The padded, phase-split plane back to rows of the output. */
static void NAME(store)(const pctx *c, const T *pl, char *dst, T *line) {
    const pgeom *g = &c->g;
    const int64_t W = g->W;
    const fbk_spec *s = &c->p->t[0];
    int64_t es = dt_size(s->dtype);
    for (int64_t h = 0; h < g->H; h++) {
        const T *o = pl + (h + g->ph) * g->row;
        if (g->sw == 1) line = (T *)o + g->pw;
        else
            for (int64_t v = 0; v < W; v++) line[v] = o[(v + g->pw) % g->sw * g->Wq + (v + g->pw) / g->sw];
        PUT(dst + h * s->stride[2] * es, s->dtype, s->stride[3], line, g->W);
    }
}
static void NAME(max_plane)(const pctx *c, const T *pl, T *line, int32_t *pos, int64_t *wide, char *y,
                            char *idx) {
    const pgeom *g = &c->g;
    const int64_t OW = g->OW;
    const fbk_spec *s = &c->p->t[0], *is = &c->p->t[2];
    for (int64_t u = 0; u < g->OH; u++) {
        int64_t h0 = u * g->sh - g->ph;
        const T *base = pl + u * g->sh * g->row;
        while (h0 < 0) h0 += g->dh;
        for (int64_t v = 0; v < OW; v++) line[v] = (T)-INFINITY;
        if (idx)
            for (int64_t v = 0; v < OW; v++) {
                int64_t w0 = v * g->sw - g->pw;
                while (w0 < 0) w0 += g->dw;
                pos[v] = (int32_t)(h0 * g->W + w0);
            }
        for (int64_t t = 0; t < g->kh * g->kw; t++) {
            const T *x = base + c->off[t];
            int32_t at = (int32_t)((u * g->sh - g->ph + t / g->kw * g->dh) * g->W - g->pw +
                                   t % g->kw * g->dw),
                    step = (int32_t)g->sw;
            int64_t v0 = 0;
#if FLOAT
            vi lane, wide_step = (vi){0} + step * VW;
            for (int j = 0; j < VW; j++) lane[j] = at + j * step;
            if (idx)
                for (; v0 + VW <= OW; v0 += VW, lane += wide_step) {
                    vf a = ldf(x + v0), b = ldf(line + v0);
                    vi m = (a > b) | (a != a), q = *(vi_u *)(pos + v0);
                    stf(line + v0, self(m, a, b));
                    *(vi_u *)(pos + v0) = (lane & m) | (q & ~m);
                }
            else
                for (; v0 + VW <= OW; v0 += VW) {
                    vf a = ldf(x + v0), b = ldf(line + v0);
                    stf(line + v0, self((a > b) | (a != a), a, b));
                }
#endif
            if (idx)
                for (int64_t v = v0; v < OW; v++) {
                    int m = (x[v] > line[v]) | (x[v] != x[v]);
                    line[v] = m ? x[v] : line[v];
                    pos[v] = m ? at + (int32_t)v * step : pos[v];
                }
            else
                for (int64_t v = v0; v < OW; v++)
                    line[v] = (x[v] > line[v]) | (x[v] != x[v]) ? x[v] : line[v];
        }
        PUT(y + u * s->stride[2] * dt_size(s->dtype), s->dtype, s->stride[3], line, g->OW);
        if (!idx) continue;
        for (int64_t v = 0; v < OW; v++) wide[v] = pos[v];
        put_i64(idx + u * is->stride[2] * 8, DT_I64, is->stride[3], wide, g->OW);
    }
}
/* Reciprocal of the divisor of output row u / column v: counts along one axis. */
static int64_t NAME(count)(int64_t i, int64_t k, int64_t s, int64_t p, int64_t n, int include) {
    int64_t a = i * s - p, b = MIN(a + k, n + p);
    return include ? b - a : MIN(b, n) - MAX(a, 0);
}
static void NAME(avg_rows)(const pctx *c, T *pl, T *line, T *inv, const T *gy, char *io, const fbk_spec *s) {
    const pgeom *g = &c->g;
    const int64_t OW = g->OW;
    int64_t es = dt_size(s->dtype);
    for (int64_t u = 0; u < g->OH; u++) {
        int64_t ch = NAME(count)(u, g->kh, g->sh, g->ph, g->H, g->include);
        T *base = pl + u * g->sh * g->row;
        for (int64_t v = 0; v < OW; v++)
            inv[v] = (T)1 / (T)(g->div ? g->div : ch * NAME(count)(v, g->kw, g->sw, g->pw, g->W, g->include));
        if (c->kind == P_AVG) {
            for (int64_t v = 0; v < OW; v++) line[v] = 0;
            for (int64_t t = 0; t < g->kh * g->kw; t++)
                for (int64_t v = 0; v < OW; v++) line[v] += base[c->off[t] + v];
            for (int64_t v = 0; v < OW; v++) line[v] *= inv[v];
            PUT(io + u * s->stride[2] * es, s->dtype, s->stride[3], line, g->OW);
        } else {
            gy = GET(line, io + u * s->stride[2] * es, s->dtype, g->OW, s->stride[3]);
            for (int64_t v = 0; v < OW; v++) inv[v] *= gy[v];
            for (int64_t t = 0; t < g->kh * g->kw; t++)
                for (int64_t v = 0; v < OW; v++) base[c->off[t] + v] += inv[v];
        }
    }
}
static void NAME(adaptive)(const pctx *c, T *pl, T *line, T *out, char *io, const fbk_spec *s) {
    const pgeom *g = &c->g;
    const int64_t OW = g->OW, W = g->W;
    int64_t es = dt_size(s->dtype);
    for (int64_t u = 0; u < g->OH; u++) {
        int64_t h0 = u * g->H / g->OH, h1 = ceil_div((u + 1) * g->H, g->OH);
        char *q = io + u * s->stride[2] * es;
        if (c->kind == P_ADAPT) {
            memcpy(line, pl + h0 * g->row, (size_t)g->W * sizeof(T));
            for (int64_t h = h0 + 1; h < h1; h++)
                for (int64_t w = 0; w < W; w++) line[w] += pl[h * g->row + w];
            for (int64_t v = 0; v < OW; v++) {
                int64_t w0 = v * g->W / g->OW, w1 = ceil_div((v + 1) * g->W, g->OW);
                double t = 0;
                for (int64_t w = w0; w < w1; w++) t += (double)line[w];
                out[v] = (T)(t / (double)((h1 - h0) * (w1 - w0)));
            }
            PUT(q, s->dtype, s->stride[3], out, g->OW);
        } else {
            const T *gy = GET(out, q, s->dtype, g->OW, s->stride[3]);
            for (int64_t w = 0; w < W; w++) line[w] = 0;
            for (int64_t v = 0; v < OW; v++) {
                int64_t w0 = v * g->W / g->OW, w1 = ceil_div((v + 1) * g->W, g->OW);
                T d = gy[v] / (T)((h1 - h0) * (w1 - w0));
                for (int64_t w = w0; w < w1; w++) line[w] += d;
            }
            for (int64_t h = h0; h < h1; h++)
                for (int64_t w = 0; w < W; w++) pl[h * g->row + w] += line[w];
        }
    }
}
static void NAME(plane_task)(void *ctx, int64_t lo, int64_t hi) {
    pctx *c = ctx;
    const pgeom *g = &c->g;
    int bwd = c->kind & 1;
    const fbk_spec *os = &c->p->t[0], *xs = &c->p->t[1], *is = &c->p->t[2];
    int64_t size = g->Hp * g->row, wide = MAX(g->W, g->OW) + 64;
    T *pl = fbk_scratch(SLOT_D, (size + 5 * wide) * 8);
    if (!pl) {
        __atomic_store_n(&c->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    T *line = pl + size + wide, *line2 = line + wide;
#if FLOAT
    int direct = squares(c);
#endif
    /* gradients of maxima go where they belong at once: in that case a plane has no padding */
    int there = c->kind == P_MAX_BWD && dt_size(os->dtype) == sizeof(T) && os->stride[3] == 1 &&
                os->stride[2] == g->W && g->row == g->W && size == g->H * g->W;
    int64_t *w64 = (int64_t *)((double *)pl + size + 3 * wide);
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / g->C, ch = i % g->C;
        char *o = c->a[0] + (n * os->stride[0] + ch * os->stride[1]) * dt_size(os->dtype);
        char *x = c->a[1] + (n * xs->stride[0] + ch * xs->stride[1]) * dt_size(xs->dtype);
        char *idx = c->a[2] ? c->a[2] + (n * is->stride[0] + ch * is->stride[1]) * 8 : NULL;
#if FLOAT
        if (direct) {
            max_squares(c, (float *)x, xs->stride[2], (float *)o, os->stride[2], (int64_t *)idx, is->stride[2]);
            continue;
        }
#endif
        if (there) pl = (T *)o;
        if (bwd) memset(pl, 0, (size_t)size * sizeof(T));
        else NAME(load)(c, pl, x, c->kind == P_MAX ? (T)-INFINITY : 0);
        switch (c->kind) {
        case P_MAX: NAME(max_plane)(c, pl, line, (int32_t *)(w64 + wide), w64, o, idx); break;
        case P_MAX_BWD:
            for (int64_t u = 0; u < g->OH; u++) {
                const T *gy = GET(line, x + u * xs->stride[2] * dt_size(xs->dtype), xs->dtype, g->OW,
                                  xs->stride[3]);
                const int64_t *k = get_i64(w64, idx + u * is->stride[2] * 8, DT_I64, g->OW, is->stride[3]);
                for (int64_t v = 0; v < g->OW; v++)
                    if ((uint64_t)k[v] < (uint64_t)(g->H * g->W))
                        pl[there ? k[v] : k[v] / g->W * g->row + k[v] % g->W] += gy[v];
            }
            break;
        case P_AVG: NAME(avg_rows)(c, pl, line, line2, NULL, o, os); break;
        case P_AVG_BWD: NAME(avg_rows)(c, pl, line, line2, NULL, x, xs); break;
        case P_ADAPT: NAME(adaptive)(c, pl, line, line2, o, os); break;
        default: NAME(adaptive)(c, pl, line, line2, x, xs);
        }
        if (bwd && !there) NAME(store)(c, pl, o, line);
    }
}
#endif
