/* 3x3 convolutions of stride 1 with 4 products where the definition has 9: 2x2 outputs at a time from 4x4 inputs,
   F(2x2, 3x3) of Winograd's algorithm (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016).
   Its rounding is near the direct sum's; F(4x4, 3x3) was tried: faster, but its error was 30 times as large. Channels
   are vector lanes throughout: the image is laid out in blocks of VW channels, each of the 16 coefficients is then a
   matrix product [tiles, channels] x [channels, outputs]. Every sum has one order, whatever the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_conv.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define ROWS FBC_ISA_NAME(fbk_tile_rows_f32)

enum { E = 16 }; /* coefficients of a tile */

typedef struct {
    const winograd *c;
    int64_t TY, TX, Wp, Hp, CB, CP, KP; /* tiles down, across; padded sizes */
    int64_t panels, width, rows;         /* panels of outputs and how many each has; rows of tiles in a block */
    float *x, *u; /* the image [n][row][channel block][column][VW]; the weights [coefficient][panel][channel][NR] */
    int64_t ue, rc; /* distance of coefficients in u */
} run;

/* one dimension of the transforms: inputs, weights, outputs */
INL void in4(vf *o, const vf *d, int os, int ds) {
    vf d0 = d[0], d1 = d[ds], d2 = d[2 * ds], d3 = d[3 * ds];
    o[0] = d0 - d2, o[os] = d1 + d2, o[2 * os] = d2 - d1, o[3 * os] = d1 - d3;
}
INL void weight4(vf *o, const vf *g, int os, int gs) {
    vf s = g[0] + g[2 * gs];
    o[0] = g[0], o[os] = 0.5f * (s + g[gs]), o[2 * os] = 0.5f * (s - g[gs]), o[3 * os] = g[2 * gs];
}
INL void out2(vf *o, const vf *m, int os, int ms) {
    o[0] = m[0] + m[ms] + m[2 * ms], o[os] = m[ms] - m[2 * ms] - m[3 * ms];
}

static void image_rows(void *ctx, int64_t lo, int64_t hi) {
    const run *r = ctx;
    const winograd *c = r->c;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / r->Hp, h = i % r->Hp - c->ph;
        float *d = r->x + i * r->CB * r->Wp * VW;
        if (h < 0 || h >= c->IH) {
            memset(d, 0, (size_t)(r->CB * r->Wp * VW) * 4);
            continue;
        }
        for (int64_t b = 0; b < r->CB; b++, d += r->Wp * VW) {
            const float *s = c->src + n * c->sn + b * VW * c->sc + h * c->srow;
            int64_t w = MIN(c->IW, r->Wp - c->pw);
            memset(d, 0, (size_t)(c->pw * VW) * 4);
            PACK(d + c->pw * VW, VW, s, MIN(VW, c->C - b * VW), c->sc, w, 1);
            memset(d + (c->pw + w) * VW, 0, (size_t)((r->Wp - c->pw - w) * VW) * 4);
        }
    }
}
static void weights(void *ctx, int64_t lo, int64_t hi) { /* of channels lo.. */
    const run *r = ctx;
    const winograd *c = r->c;
    for (int64_t ch = lo; ch < hi; ch++)
        for (int64_t k0 = 0; k0 < r->panels * r->width; k0 += VW) {
            vf g[9] = {{0}}, t[12], o[E];
            float *q = (float *)g;
            for (int64_t l = 0; l < MIN(VW, c->K - k0); l++) {
                const float *w = c->w + (k0 + l) * c->wk + ch * c->wc;
                for (int i = 0; i < 9; i++) q[i * VW + l] = w[c->flip ? 8 - i : i];
            }
            for (int i = 0; i < 3; i++) weight4(t + i, g + i, 3, 3);
            for (int i = 0; i < 4; i++) weight4(o + 4 * i, t + 3 * i, 1, 1);
            for (int e = 0; e < E; e++)
                stf(r->u + e * r->ue + (k0 / r->width * c->C + ch) * F32_NR + k0 % r->width, o[e]);
        }
}
/* a row of outputs, [column][VW] in s, of the channels k0.. */
static void put_row(const winograd *c, const float *s, int64_t n, int64_t y, int64_t k0) {
    int64_t lanes = MIN(VW, c->K - k0);
    for (int64_t x = 0; x < c->OW; x += 16) {
        float t[VW * 16];
        int64_t w = MIN(16, c->OW - x);
        PACK(t, 16, s + x * VW, w, VW, lanes, 1);
        for (int64_t l = 0; l < lanes; l++) {
            float *d = c->dst + n * c->dn + (k0 + l) * c->dc + y * c->drow + x, bias = c->bias ? c->bias[k0 + l] : 0;
            if (w == 16)
                for (int j = 0; j < 16; j++) d[j] = t[l * 16 + j] + bias;
            else
                for (int64_t j = 0; j < w; j++) d[j] = t[l * 16 + j] + bias;
        }
    }
}
static void blocks(void *ctx, int64_t lo, int64_t hi) {
    run *r = ctx;
    const winograd *c = r->c;
    /* one cache line more between coefficients, else many would share a cache set */
    int64_t T = ceil_div(r->rows * r->TX, F32_MR) * F32_MR, ve = T * r->CP + 16, me = T * r->KP + 16;
    float *v = fbk_scratch(SLOT_A, (E * (ve + me) + 4 * r->TX * VW + 64) * 4), *m = v + E * ve, *row = m + E * me;
    if (!v) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t b = lo; b < hi; b++) {
        int64_t per = ceil_div(r->TY, r->rows), n = b / per, y0 = b % per * r->rows, y1 = MIN(y0 + r->rows, r->TY),
                nt = (y1 - y0) * r->TX;
        for (int64_t t = 0; t < nt; t++) {
            int64_t y = 2 * (y0 + t / r->TX), x = t % r->TX * 2;
            for (int64_t cb = 0; cb < r->CB; cb++) {
                vf d[E], o[E];
                const float *s = r->x + (((n * r->Hp + y) * r->CB + cb) * r->Wp + x) * VW;
                for (int i = 0; i < 4; i++, s += r->CB * r->Wp * VW)
                    for (int j = 0; j < 4; j++) d[4 * i + j] = ldf(s + j * VW);
                for (int j = 0; j < 4; j++) in4(o + j, d + j, 4, 4);
                for (int i = 0; i < 4; i++) in4(d + 4 * i, o + 4 * i, 1, 1);
                for (int e = 0; e < E; e++) stf(v + e * ve + t * r->CP + cb * VW, d[e]);
            }
        }
        for (int e = 0; e < E; e++)
            for (int64_t p = 0; p < r->panels; p++)
                for (int64_t t = 0; t < nt; t += F32_MR)
                    ROWS(c->C, v + e * ve + t * r->CP, r->CP, r->u + e * r->ue + p * c->C * F32_NR,
                         m + e * me + t * r->KP + p * r->width, r->KP, F32_MR, MIN(r->width, r->KP - p * r->width));
        for (int64_t k0 = 0; k0 < c->K; k0 += VW)
            for (int64_t y = y0; y < y1; y++) {
                const float *q = m + (y - y0) * r->TX * r->KP + k0;
                for (int64_t x = 0; x < r->TX; x++, q += r->KP) {
                    vf d[E], h[8], o[4];
                    for (int e = 0; e < E; e++) d[e] = ldf(q + e * me);
                    for (int j = 0; j < 4; j++) out2(h + j, d + j, 4, 4);
                    for (int i = 0; i < 2; i++) out2(o + 2 * i, h + 4 * i, 1, 1);
                    for (int i = 0; i < 2; i++)
                        for (int j = 0; j < 2; j++) stf(row + (i * 2 * r->TX + 2 * x + j) * VW, o[2 * i + j]);
                }
                for (int64_t i = 0; i < MIN(2, c->OH - 2 * y); i++)
                    put_row(c, row + i * 2 * r->TX * VW, n, 2 * y + i, k0);
            }
    }
}
/* Whether this way pays: enough channels to fill lanes, enough tiles to repay the weights' transform. */
int winograd_pays(const winograd *c) {
    return c->C >= 32 && c->K >= 32 && c->ph <= 2 && c->pw <= 2 &&
           c->nimg * ceil_div(c->OH, 2) * ceil_div(c->OW, 2) >= 48;
}
int64_t winograd_run(const winograd *c) {
    run r = {.c = c, .TY = ceil_div(c->OH, 2), .TX = ceil_div(c->OW, 2), .CB = ceil_div(c->C, VW)};
    r.Hp = 2 * r.TY + 2, r.Wp = 2 * r.TX + 2, r.CP = r.CB * VW;
    r.panels = ceil_div(c->K, F32_NR), r.width = ceil_div(ceil_div(c->K, r.panels), VW) * VW;
    r.panels = ceil_div(c->K, r.width), r.KP = ceil_div(c->K, VW) * VW, r.ue = r.panels * c->C * F32_NR + 16;
    /* a block's coefficients take about half of a usual second-level cache, but weights are used 48 times */
    r.rows = MAX(1, MIN(MAX(48, (1 << 19) / (E * 4 * (r.CP + r.KP))), 1024) / r.TX);
    r.rows = MIN(r.rows, r.TY);
    int64_t xs = c->nimg * r.Hp * r.CB * r.Wp * VW * 4, us = E * r.ue * 4;
    r.x = fbc_alloc(xs), r.u = fbc_alloc(us);
    if (!r.x || !r.u) r.rc = FBK_ENOMEM;
    else {
        fbk_par(c->nimg * r.Hp, MAX(1, 32768 / (r.CP * r.Wp)), image_rows, &r);
        fbk_par(c->C, MAX(1, 2048 / c->K), weights, &r);
        fbk_par(c->nimg * ceil_div(r.TY, r.rows), 1, blocks, &r);
    }
    if (r.x) fbc_free(r.x, xs);
    if (r.u) fbc_free(r.u, us);
    return r.rc;
}
