/* The gradient of a convolution's weights by the transforms of k_winograd.h: for r x r taps, 36 products per tile of n x n
   outputs instead of n^2 r^2; a stride of 2 makes four convolutions of the image's even and odd rows and columns. Each of the 36 coefficients is a matrix product [outputs, tiles] x [tiles, channels]; tiles are
   summed in blocks of rows of tiles, one after the other, so sums don't depend on the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_winograd.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum { WT = 64 }; /* tiles in a block: longer sums would raise the error */

typedef struct {
    const geom *g;
    int r, n; /* taps and outputs along a tile */
    blocked x, y;
    int64_t CV, TY, TX, CP, KP, vs, gs, ve, ge; /* channels, phases counted; tiles; padded channels and outputs; distances of tiles, of coefficients */
    int64_t kc, u0, u1, rc, shares, xshares; /* outputs per task; the tile rows of this block; parts of y's and x's rows */
    int first, last;
    float *v, *d, *m, *gw; /* coefficients of the image and of the gradient [36][tile][..]; sums [36][KP][CP] */
} run;

static void prepare(void *ctx, int64_t lo, int64_t hi) {
    run *r = ctx;
    for (int64_t i = lo; i < hi; i++) {
        blocked *b = i < r->xshares ? &r->x : &r->y;
        int64_t n = i < r->xshares ? r->xshares : r->shares, q = i < r->xshares ? i : i - r->xshares;
        int64_t rows = r->g->N * b->CB * b->H;
        blocked_rows(b, q * rows / n, (q + 1) * rows / n);
    }
}
INL void grad_as(const int n, const run *r, const float *s, float *to) {
    vf d[25], o[E];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) d[n * i + j] = ldf(s + (i * r->y.W + j) * VW);
    wino_taps_2d(n, o, d);
    for (int e = 0; e < E; e++) stf(to + e * r->ge, o[e]), __builtin_prefetch(to + e * r->ge + 2 * r->gs, 1);
}
static void forth(void *ctx, int64_t lo, int64_t hi) { /* coefficients of a channel block of x or y in a row of tiles */
    run *r = ctx;
    int64_t all = r->x.CB + r->y.CB;
    vf d[E], o[E];
    for (int64_t i = lo; i < hi; i++) {
        int64_t u = i / all + r->u0, b = i % all, t = (u - r->u0) * r->TX, n = u / r->TY, y = u % r->TY * r->n;
        if (b < r->x.CB) {
            const float *s = blocked_at(&r->x, n, b, y);
            float *to = r->v + t * r->vs + b * VW;
            for (int64_t x = 0; x < r->TX; x++, s += r->n * VW, to += r->vs) {
                for (int i = 0; i < 6; i++)
                    for (int j = 0; j < 6; j++) d[6 * i + j] = ldf(s + (i * r->x.W + j) * VW);
                wino_in_2d(o, d);
                for (int e = 0; e < E; e++) stf(to + e * r->ve, o[e]), __builtin_prefetch(to + e * r->ve + 2 * r->vs, 1);
            }
            continue;
        }
        b -= r->x.CB;
        const float *s = blocked_at(&r->y, n, b, y);
        float *to = r->d + t * r->gs + b * VW;
        for (int64_t x = 0; x < r->TX; x++, s += r->n * VW, to += r->gs)
            if (r->n == 3) grad_as(3, r, s, to);
            else if (r->n == 4) grad_as(4, r, s, to);
            else grad_as(5, r, s, to);
    }
}
/* weights from the sums m of the outputs k0..k1 */
INL void back_as(const int taps, const run *r, const float *m, int64_t me, int64_t k0, int64_t k1) {
    const geom *g = r->g;
    int64_t T = g->kh * g->kw, whole = taps == g->kh && taps == g->kw;
    int from[16 * VW], to_[16 * VW], many[VW + 1]; /* of a vector's lanes below n, many[n] taps: where they are, where they go */
    many[0] = 0;
    for (int l = 0; l < VW && !whole; l++) {
        many[l + 1] = many[l];
        for (int t = 0; t < taps * taps; t++) {
            int64_t y = g->sh * (t / taps) + l / 2 % 2, x = g->sh * (t % taps) + l % 2;
            if (y >= g->kh || x >= g->kw) continue;
            from[many[l + 1]] = t * VW + l, to_[many[l + 1]++] = (int)(l / 4 * T + y * g->kw + x);
        }
    }
    for (int64_t k = k0; k < k1; k++)
        for (int64_t c0 = 0; c0 < r->CV; c0 += VW) {
            const float *q = m + (k - k0) * r->CP + c0;
            float t[16 * VW];
            int64_t n = MIN(VW, r->CV - c0);
            vf d[E], o[16];
            for (int e = 0; e < E; e++) d[e] = ldf(q + e * me);
            wino_outs_2d(taps, o, d);
            if (whole) {
                float *to = r->gw + (k * r->CV + c0) * T;
                PACK(n == VW ? to : t, (int)T, (float *)o, T, VW, VW, 1);
                if (n < VW) memcpy(to, t, (size_t)(T * n) * 4);
                continue;
            }
            float *to = r->gw + (k * g->C + c0 / 4) * T;
            for (int i = 0; i < many[n]; i++) to[to_[i]] = ((float *)o)[from[i]];
        }
}
static void back(const run *r, const float *m, int64_t me, int64_t k0, int64_t k1) {
    if (r->r == 2) back_as(2, r, m, me, k0, k1);
    else if (r->r == 3) back_as(3, r, m, me, k0, k1);
    else back_as(4, r, m, me, k0, k1);
}
static void products(void *ctx, int64_t lo, int64_t hi) {
    run *r = ctx;
    int64_t me = r->kc * r->CP + 16, nt = (r->u1 - r->u0) * r->TX, nv = r->CP / VW, panels = ceil_div(r->CP, F32_NR);
    for (int64_t i = lo; i < hi; i++) {
        int64_t k0 = i * r->kc, k1 = MIN(k0 + r->kc, r->KP);
        float *m = r->first && r->last ? fbk_scratch(SLOT_A, E * me * 4) : r->m + i * E * me;
        if (!m) {
            __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
            return;
        }
        for (int e = 0; e < E; e++)
            for (int64_t p = 0; p < panels; p++) {
                int64_t c0 = p * nv / panels * VW, c1 = (p + 1) * nv / panels * VW;
                for (int64_t k = k0; k < k1; k += F32_MR)
                    TILE(nt, r->d + e * r->ge + k, 1, r->gs, r->v + e * r->ve + c0, r->vs,
                         m + e * me + (k - k0) * r->CP + c0, r->CP, MIN(F32_MR, k1 - k), c1 - c0, !r->first);
            }
        if (r->last) back(r, m, me, k0, MIN(k1, r->g->O));
    }
}
static int plan(const geom *g, run *r) {
    *r = (run){.g = g, .first = 1, .r = (int)ceil_div(g->kh, MAX(1, g->sh))};
    if (g->kh != g->kw || g->sh != g->sw || g->sh > 2 || g->dh != 1 || g->dw != 1 || g->groups != 1 || r->r < 2 ||
        r->r > 4 || g->N * g->OH * g->OW == 0)
        return 0;
    r->n = 7 - r->r, r->CV = g->C * g->sh * g->sh;
    r->TY = ceil_div(g->OH, r->n), r->TX = ceil_div(g->OW, r->n);
    return 1;
}
/* Whether it pays, in vector instructions: a product of all tiles of a block costs six more than its steps. */
int winograd_weight_pays(const geom *g) {
    run r;
    if (!plan(g, &r) || r.CV < 8 || g->O < 8) return 0;
    double CB = ceil_div(r.CV, VW), KB = ceil_div(g->O, VW), nt = g->N * r.TY * r.TX;
    double blocks = ceil_div((int64_t)nt, WT);
    double direct = (double)(g->N * g->OH * g->OW * g->kh * g->kw) * g->C * g->O / VW;
    double own = 36 * (nt + 6 * blocks) * CB * g->O + 150 * CB * g->O + 200 * nt * (CB + KB);
    return own < direct;
}
int64_t winograd_weight(const geom *g, float *gw, const plane4 *gy, const plane4 *x) {
    run r;
    if (!plan(g, &r)) return FBK_EUNSUP;
    r.gw = gw;
    r.x = (blocked){(float *)x->p, g->C, g->H, g->W, x->n, x->c, x->h, g->ph, g->pw, r.n * r.TY + 6 - r.n,
                    r.n * r.TX + 6 - r.n, ceil_div(r.CV, VW), NULL, g->sh, 0};
    r.y = (blocked){(float *)gy->p, g->O, g->OH, g->OW, gy->n, gy->c, gy->h, 0, 0, r.n * r.TY, r.n * r.TX,
                    ceil_div(g->O, VW), NULL, 1, 0};
    /* rows of an odd number of cache lines, and room for the last rows of a tile of outputs */
    r.CP = r.x.CB * VW, r.KP = r.y.CB * VW, r.vs = r.CP + 16, r.gs = r.KP + 16;
    int64_t units = g->N * r.TY, rows = MIN(units, MAX(1, WT / r.TX)), T = rows * r.TX;
    r.ve = T * r.vs + 16, r.ge = T * r.gs + 16;
    /* enough tasks for several threads, whose sums stay in a usual second-level cache */
    r.kc = MAX(8, MIN(ceil_div(r.KP, 64) * 8, 600000 / (E * 4 * r.CP) / 8 * 8));
    int64_t tasks = ceil_div(r.KP, r.kc), xs = g->N * r.x.H * r.CP * r.x.W * 4, ys = g->N * r.y.H * r.KP * r.y.W * 4,
            vs = (E * (r.ve + r.ge) + 16) * 4, ms = rows < units ? tasks * E * (r.kc * r.CP + 16) * 4 : 64;
    r.x.x = fbc_alloc(xs), r.y.x = fbc_alloc(ys), r.v = fbc_alloc(vs), r.m = fbc_alloc(ms);
    if (!r.x.x || !r.y.x || !r.v || !r.m) r.rc = FBK_ENOMEM;
    else {
        r.d = r.v + E * r.ve;
        r.shares = MAX(1, ys >> 16), r.xshares = MAX(1, xs >> 16);
        fbk_par(r.xshares + r.shares, 1, prepare, &r);
        r.rc = r.x.rc | r.y.rc;
        for (; r.u0 < units && !r.rc; r.u0 = r.u1, r.first = 0) {
            r.u1 = MIN(units, r.u0 + rows), r.last = r.u1 == units;
            fbk_par((r.u1 - r.u0) * (r.x.CB + r.y.CB), MAX(1, 64 / r.TX), forth, &r);
            fbk_par(tasks, 1, products, &r);
        }
    }
    if (r.x.x) fbc_free(r.x.x, xs);
    if (r.y.x) fbc_free(r.y.x, ys);
    if (r.v) fbc_free(r.v, vs);
    if (r.m) fbc_free(r.m, ms);
    return r.rc;
}
