/* The gradient of the weights of a 3x3 convolution of stride 1, by the transform of k_winograd.h: 36 products per 4x4
   outputs instead of 144. Each of the 36 coefficients is a matrix product [outputs, tiles] x [tiles, channels]; tiles are
   summed in blocks of rows of tiles, one after the other, so sums don't depend on the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_winograd.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum { WT = 64 }; /* tiles in a block */

typedef struct {
    const geom *g;
    blocked x, y;
    int64_t TY, TX, CP, KP, vs, gs, ve, ge; /* tiles; padded channels and outputs; distances of tiles, of coefficients */
    int64_t kc, u0, u1, rc;                 /* outputs per task; the tile rows of this block */
    int first, last;
    float *v, *d, *m, *gw; /* coefficients of the image and of the gradient [36][tile][..]; sums [36][KP][CP] */
} run;

static void forth(void *ctx, int64_t lo, int64_t hi) { /* coefficients of tile rows */
    run *r = ctx;
    vf d[E], o[E];
    for (int64_t u = lo + r->u0; u < hi + r->u0; u++) {
        int64_t t = (u - r->u0) * r->TX, n = u / r->TY, y = u % r->TY * 4;
        for (int64_t b = 0; b < r->x.CB; b++) {
            const float *s = blocked_at(&r->x, n, b, y);
            float *to = r->v + t * r->vs + b * VW;
            for (int64_t x = 0; x < r->TX; x++, s += 4 * VW, to += r->vs) {
                for (int i = 0; i < 6; i++)
                    for (int j = 0; j < 6; j++) d[6 * i + j] = ldf(s + (i * r->x.W + j) * VW);
                for (int j = 0; j < 6; j++) wino_in(o + j, d + j, 6, 6);
                for (int i = 0; i < 6; i++) wino_in(d + 6 * i, o + 6 * i, 1, 1);
                for (int e = 0; e < E; e++) stf(to + e * r->ve, d[e]), __builtin_prefetch(to + e * r->ve + 2 * r->vs, 1);
            }
        }
        for (int64_t b = 0; b < r->y.CB; b++) {
            const float *s = blocked_at(&r->y, n, b, y);
            float *to = r->d + t * r->gs + b * VW;
            for (int64_t x = 0; x < r->TX; x++, s += 4 * VW, to += r->gs) {
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++) d[4 * i + j] = ldf(s + (i * r->y.W + j) * VW);
                for (int j = 0; j < 4; j++) wino_grad(o + j, d + j, 4, 4);
                for (int i = 0; i < 6; i++) wino_grad(d + 6 * i, o + 4 * i, 1, 1);
                for (int e = 0; e < E; e++) stf(to + e * r->ge, d[e]), __builtin_prefetch(to + e * r->ge + 2 * r->gs, 1);
            }
        }
    }
}
/* weights from the sums m of the outputs k0..k1 */
static void back(const run *r, const float *m, int64_t me, int64_t k0, int64_t k1) {
    int64_t C = r->g->C;
    for (int64_t k = k0; k < k1; k++)
        for (int64_t c0 = 0; c0 < C; c0 += VW) {
            const float *q = m + (k - k0) * r->CP + c0;
            float *to = r->gw + (k * C + c0) * 9, t[9 * VW];
            int64_t n = MIN(VW, C - c0);
            vf d[E], h[18], o[9];
            for (int e = 0; e < E; e++) d[e] = ldf(q + e * me);
            for (int j = 0; j < 6; j++) wino_back(h + j, d + j, 6, 6);
            for (int i = 0; i < 3; i++) wino_back(o + 3 * i, h + 6 * i, 1, 1);
            PACK(n == VW ? to : t, 9, (float *)o, 9, VW, VW, 1);
            if (n < VW) memcpy(to, t, (size_t)(9 * n) * 4);
        }
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
int winograd_weight_pays(const geom *g) {
    return g->C >= 16 && g->O >= 16 && g->ph <= 2 && g->pw <= 2 && g->OH > 2 && g->OW > 2 &&
           g->N * ceil_div(g->OH, 4) * ceil_div(g->OW, 4) >= 16;
}
int64_t winograd_weight(const geom *g, float *gw, const plane4 *gy, const plane4 *x) {
    run r = {.g = g, .gw = gw, .TY = ceil_div(g->OH, 4), .TX = ceil_div(g->OW, 4), .first = 1};
    r.x = (blocked){(float *)x->p, g->C, g->H,          g->W,          x->n,                x->c, x->h,
                    g->ph,         g->pw, 4 * r.TY + 2, 4 * r.TX + 2, ceil_div(g->C, VW), NULL};
    r.y = (blocked){(float *)gy->p, g->O, g->OH, g->OW, gy->n, gy->c, gy->h, 0, 0, 4 * r.TY, 4 * r.TX,
                    ceil_div(g->O, VW), NULL};
    /* rows of an odd number of cache lines, and room for the last rows of a tile of outputs */
    r.CP = r.x.CB * VW, r.KP = r.y.CB * VW, r.vs = r.CP + 16, r.gs = r.KP + 16;
    int64_t units = g->N * r.TY, rows = MIN(units, MAX(1, WT / r.TX)), T = rows * r.TX;
    r.ve = T * r.vs + 16, r.ge = T * r.gs + 16;
    r.kc = MAX(16, MIN(64, 600000 / (E * 4 * r.CP) / 8 * 8));
    int64_t tasks = ceil_div(r.KP, r.kc), xs = g->N * r.x.H * r.CP * r.x.W * 4, ys = g->N * r.y.H * r.KP * r.y.W * 4,
            vs = (E * (r.ve + r.ge) + 16) * 4, ms = rows < units ? tasks * E * (r.kc * r.CP + 16) * 4 : 64;
    r.x.x = fbc_alloc(xs), r.y.x = fbc_alloc(ys), r.v = fbc_alloc(vs), r.m = fbc_alloc(ms);
    if (!r.x.x || !r.y.x || !r.v || !r.m) r.rc = FBK_ENOMEM;
    else {
        r.d = r.v + E * r.ve;
        blocked_fill(&r.x, g->N);
        blocked_fill(&r.y, g->N);
        for (; r.u0 < units; r.u0 = r.u1, r.first = 0) {
            r.u1 = MIN(units, r.u0 + rows), r.last = r.u1 == units;
            fbk_par(r.u1 - r.u0, MAX(1, 512 / (r.TX * (r.x.CB + r.y.CB))), forth, &r);
            fbk_par(tasks, 1, products, &r);
        }
    }
    if (r.x.x) fbc_free(r.x.x, xs);
    if (r.y.x) fbc_free(r.y.x, ys);
    if (r.v) fbc_free(r.v, vs);
    if (r.m) fbc_free(r.m, ms);
    return r.rc;
}
