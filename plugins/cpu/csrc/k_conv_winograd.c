/* 3x3 convolutions of stride 1 with 36 products where the definition has 144: 4x4 outputs at a time from 6x6 inputs
   (k_winograd.h). Channels are vector lanes throughout: each of the 36 coefficients is a matrix product
   [tiles, channels] x [channels, outputs]. Every sum has one order, whatever the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_shuffle.h"
#include "k_winograd.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum { CSTEP = 64 }; /* channels summed in registers: longer sums would double the error */

typedef struct {
    const winograd *c;
    blocked x;
    int64_t TY, TX, KP;   /* tiles down, across; padded outputs */
    int64_t panels, rows;   /* panels of outputs; rows of tiles in a block */
    float *u;               /* the weights [coefficient][panel][channel][NR] */
    int64_t ue, rc;         /* distance of coefficients in u */
} run;
/* where panel p begins: vectors shared out evenly, for a tile of one vector is slow */
INL int64_t begin(const run *r, int64_t p) { return p * (r->KP / VW) / r->panels * VW; }

static void weights(void *ctx, int64_t lo, int64_t hi) { /* of channels lo.. */
    const run *r = ctx;
    const winograd *c = r->c;
    enum { CH = 8 };
    vf w[9 * CH], g[9], t[18], o[E];
    for (int64_t ch = lo; ch < hi;) {
        int64_t n = c->wc == 9 ? MIN(CH, hi - ch) : 1; /* channels whose weights are contiguous */
        for (int64_t p = 0; p < r->panels; p++)
            for (int64_t k0 = begin(r, p); k0 < begin(r, p + 1); k0 += VW) {
                PACK((float *)w, VW, c->w + k0 * c->wk + ch * c->wc, MIN(VW, c->K - k0), c->wk, 9 * n, 1);
                for (int64_t l = 0; l < n; l++) {
                    float *to = r->u + (p * c->C + ch + l) * F32_NR + k0 - begin(r, p);
                    for (int i = 0; i < 9; i++) g[i] = w[9 * l + (c->flip ? 8 - i : i)];
                    for (int i = 0; i < 3; i++) wino_weight(t + i, g + i, 3, 3);
                    for (int i = 0; i < 6; i++) wino_weight(o + 6 * i, t + 3 * i, 1, 1);
                    for (int e = 0; e < E; e++) stf(to + e * r->ue, o[e]);
                }
            }
        ch += n;
    }
}
/* a row of outputs, [column][VW] in s with 16 columns to spare, of the channels k0.. */
static void put_row(const winograd *c, const float *s, int64_t n, int64_t y, int64_t k0) {
    int64_t lanes = MIN(VW, c->K - k0);
    for (int64_t x = 0; x < c->OW; x += 16) {
        float t[VW * 16];
        PACK(t, 16, s + x * VW, 16, VW, VW, 1);
        for (int64_t l = 0; l < lanes; l++) {
            float *d = c->dst + n * c->dn + (k0 + l) * c->dc + y * c->drow + x, bias = c->bias ? c->bias[k0 + l] : 0;
            for (int j = 0; j < 16; j += VW) store_part(d + j, ldf(t + l * 16 + j) + bias, inside(x + j, c->OW));
        }
    }
}
/* coefficients of nt tiles from tile row u0 on, channel blocks cb.. to cb1 */
static void forth(const run *r, float *v, int64_t ve, int64_t u0, int64_t nt, int64_t cb, int64_t cb1) {
    for (; cb < cb1; cb++, v += VW)
        for (int64_t t = 0; t < nt; t++) {
            int64_t u = u0 + t / r->TX;
            vf d[E], o[E];
            const float *s = blocked_at(&r->x, u / r->TY, cb, u % r->TY * 4) + t % r->TX * 4 * VW;
            for (int i = 0; i < 6; i++, s += r->x.W * VW)
                for (int j = 0; j < 6; j++) d[6 * i + j] = ldf(s + j * VW);
            for (int j = 0; j < 6; j++) wino_in(o + j, d + j, 6, 6);
            for (int i = 0; i < 6; i++) wino_in(d + 6 * i, o + 6 * i, 1, 1);
            for (int e = 0; e < E; e++) stf(v + e * ve + t * CSTEP, d[e]);
        }
}
/* outputs of the tile rows u0..u1 from coefficients m; row: room for four rows of outputs */
static void back(const run *r, const float *m, int64_t me, float *row, int64_t u0, int64_t u1) {
    const winograd *c = r->c;
    for (int64_t k0 = 0; k0 < c->K; k0 += VW)
        for (int64_t u = u0; u < u1; u++) {
            const float *q = m + (u - u0) * r->TX * r->KP + k0;
            int64_t n = u / r->TY, y = u % r->TY * 4;
            for (int64_t x = 0; x < r->TX; x++, q += r->KP) {
                vf d[E], h[24], o[16];
                for (int e = 0; e < E; e++) __builtin_prefetch(q + e * me + 2 * r->KP);
                for (int e = 0; e < E; e++) d[e] = ldf(q + e * me);
                for (int j = 0; j < 6; j++) wino_out(h + j, d + j, 6, 6);
                for (int i = 0; i < 4; i++) wino_out(o + 4 * i, h + 6 * i, 1, 1);
                for (int i = 0; i < 4; i++)
                    for (int j = 0; j < 4; j++) stf(row + (i * 4 * r->TX + 4 * x + j) * VW, o[4 * i + j]);
            }
            for (int64_t i = 0; i < MIN(4, c->OH - y); i++) put_row(c, row + i * 4 * r->TX * VW, n, y + i, k0);
        }
}
static void blocks(void *ctx, int64_t lo, int64_t hi) {
    run *r = ctx;
    const winograd *c = r->c;
    /* one cache line more between coefficients, else many would share a cache set */
    int64_t T = ceil_div(r->rows * r->TX, F32_MR) * F32_MR, ve = T * CSTEP + 16, me = T * r->KP + 16;
    float *v = fbk_scratch(SLOT_A, (E * (ve + me) + (16 * r->TX + 16) * VW) * 4), *m = v + E * ve;
    if (!v) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    int far = E * r->ue > 1 << 20; /* the weights stay in no near cache: fetch them ahead */
    for (int64_t b = lo; b < hi; b++) {
        int64_t u0 = b * r->rows, u1 = MIN(u0 + r->rows, c->nimg * r->TY), nt = (u1 - u0) * r->TX;
        for (int64_t c0 = 0; c0 < c->C; c0 += CSTEP) {
            int64_t k = MIN(CSTEP, c->C - c0);
            forth(r, v, ve, u0, nt, c0 / VW, ceil_div(c0 + k, VW));
            for (int e = 0; e < E; e++)
                for (int64_t p = 0; p < r->panels; p++) {
                    const float *next = r->u + (p + 1 < r->panels ? e * r->ue + (p + 1) * c->C * F32_NR
                                                                  : (e + 1) % E * r->ue) + c0 * F32_NR;
                    int64_t lines = far ? ceil_div(k * F32_NR / 16, ceil_div(nt, F32_MR)) : 0;
                    for (int64_t t = 0; t < nt; t += F32_MR, next += lines * 16) {
                        for (int64_t i = 0; i < lines; i++) __builtin_prefetch(next + i * 16, 0, 2);
                        TILE(k, v + e * ve + t * CSTEP, CSTEP, 1, r->u + e * r->ue + (p * c->C + c0) * F32_NR, F32_NR,
                             m + e * me + t * r->KP + begin(r, p), r->KP, F32_MR, begin(r, p + 1) - begin(r, p),
                             c0 != 0);
                    }
                }
        }
        back(r, m, me, m + E * me, u0, u1);
    }
}
/* Whether this way pays: enough channels to fill lanes, enough tiles to repay the weights' transform, which is four times
   as large as they are: dear where it stays in no cache. */
int winograd_pays(const winograd *c) {
    int64_t least = E * c->C * c->K > 1 << 20 ? 32 : 16;
    return c->C >= 16 && c->K >= 16 && c->ph <= 2 && c->pw <= 2 && c->OH > 2 && c->OW > 2 &&
           c->nimg * ceil_div(c->OH, 4) * ceil_div(c->OW, 4) >= least;
}
int64_t winograd_run(const winograd *c) {
    run r = {.c = c, .TY = ceil_div(c->OH, 4), .TX = ceil_div(c->OW, 4)};
    r.x = (blocked){c->src, c->C,  c->IH, c->IW, c->sn, c->sc, c->srow, c->ph, c->pw, 4 * r.TY + 2, 4 * r.TX + 2,
                    ceil_div(c->C, VW), NULL};
    r.KP = ceil_div(c->K, VW) * VW, r.panels = ceil_div(r.KP, F32_NR), r.ue = r.panels * c->C * F32_NR + 16;
    /* a block's coefficients take part of a usual second-level cache, but weights are used 24 times */
    r.rows = MAX(1, MIN(MAX(24, (3 << 17) / (E * 4 * (CSTEP + r.KP))), 1024) / r.TX);
    r.rows = MIN(r.rows, c->nimg * r.TY);
    int64_t xs = c->nimg * r.x.H * r.x.CB * r.x.W * VW * 4, us = E * r.ue * 4;
    r.x.x = fbc_alloc(xs), r.u = fbc_alloc(us);
    if (!r.x.x || !r.u) r.rc = FBK_ENOMEM;
    else {
        blocked_fill(&r.x, c->nimg);
        fbk_par(c->C, MAX(8, 2048 / c->K), weights, &r);
        fbk_par(ceil_div(c->nimg * r.TY, r.rows), 1, blocks, &r);
    }
    if (r.x.x) fbc_free(r.x.x, xs);
    if (r.u) fbc_free(r.u, us);
    return r.rc;
}
