/* Convolutions and gradients of images by Winograd's algorithm (k_winograd.h): tiles of n x n outputs from 6 x 6 inputs, 36
   products where the definition has n^2 r^2 for r x r taps. 3x3 of stride 1 has n = 4. A stride of 2 makes four
   convolutions of stride 1 of the even and odd rows and columns, which are summed before the last transform (forward) or
   share the first one (the gradient). Channels are vector lanes throughout: each of the 36 coefficients is a matrix product
   [tiles, channels] x [channels, outputs]. Every sum has one order, whatever the number of threads. */
/* cflags: -ffp-contract=fast */
#include "k_winograd.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum {
    CSTEP = 64,    /* channels summed in registers: longer sums would double the error */
    NARROW = 2 * VW, /* outputs in a panel where there are few tiles */
    RUN = 16       /* tiles side by side whose outputs are written together */
};

typedef struct {
    const winograd *c;
    int r, n;             /* taps and outputs along a tile */
    blocked x;
    int64_t CV, KV, KP;   /* channels and outputs, phases counted; the latter padded */
    int64_t PH, PW, TY, TX, nt, y0, x0; /* outputs of a plane; tiles; the first outputs of the stride's planes */
    int64_t panels, per, shares; /* panels of outputs; tiles in a block; parts of the image's rows */
    float *u, *v;         /* the weights [coefficient][panel][channel][NR]; the tiles, where they are few */
    int64_t ue, ve, rc;   /* distance of coefficients in them */
} run;
/* where panel p begins: vectors shared out evenly, for a tile of one vector is slow */
INL int64_t begin(const run *r, int64_t p) { return p * (r->KP / VW) / r->panels * VW; }
/* the rows that a product computes for n that it needs */
INL int64_t rows_of(int64_t n) { return n >= F32_MR ? F32_MR : n <= 2 ? n : n <= 4 ? 4 : n <= 6 ? 6 : 8; }

static int plan(const winograd *c, run *r) {
    int64_t k = c->kh, s = c->step;
    *r = (run){.c = c, .r = (int)ceil_div(k, s)};
    if (c->kw != k || s > 2 || r->r < 2 || r->r > 4) return 0;
    r->n = 7 - r->r;
    r->CV = c->C, r->KV = c->K, r->PH = c->OH, r->PW = c->OW;
    int64_t ph = c->ph, pw = c->pw;
    if (c->back) {
        if (s == 2) {
            r->KV *= 4, r->y0 = ph / 2, r->x0 = pw / 2;
            r->PH = (c->OH - 1 + ph) / 2 + 1 - r->y0, r->PW = (c->OW - 1 + pw) / 2 + 1 - r->x0;
        }
        ph = r->r - 1 - (s == 2 ? r->y0 : ph), pw = r->r - 1 - (s == 2 ? r->x0 : pw);
    } else if (s == 2) r->CV *= 4;
    if (ph < 0 || pw < 0 || r->PH < 1 || r->PW < 1) return 0;
    r->KP = ceil_div(r->KV, VW) * VW;
    r->TY = ceil_div(r->PH, r->n), r->TX = ceil_div(r->PW, r->n), r->nt = c->nimg * r->TY * r->TX;
    r->x = (blocked){c->src, c->C, c->IH, c->IW, c->sn, c->sc, c->srow, ph, pw, r->n * r->TY + 6 - r->n,
                     r->n * r->TX + 6 - r->n, ceil_div(r->CV, VW), NULL, c->back ? 1 : s, 0};
    return 1;
}
/* where in its 6x6 or smaller kernel tap (i, j) of a phase lies, or -1 */
INL int64_t tap_at(const run *r, int64_t phase, int i, int j) {
    const winograd *c = r->c;
    if (c->back) i = r->r - 1 - i, j = r->r - 1 - j;
    int64_t y = c->step * i + phase / 2, x = c->step * j + phase % 2;
    return y < c->kh && x < c->kw ? y * c->kw + x : -1;
}
/* rows of len weights, ld apart, on their way to the near cache */
INL void fetch(const float *w, int64_t rows, int64_t ld, int64_t len) {
    if (ld == len) len *= rows, rows = 1;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < len + 15; j += 16) __builtin_prefetch(w + i * ld + MIN(j, len - 1));
}
/* coefficients of the weights of channels v0..v1 and the outputs k0.. (a vector of them): u[coefficient][channel][..] */
INL void weights_as(const int taps, const run *r, float *u, int64_t ue, int64_t ld, int64_t k0, int64_t v0, int64_t v1) {
    const winograd *c = r->c;
    enum { ROOM = 72 };
    int64_t T = c->kh * c->kw, phases = c->back ? 1 : c->step * c->step, most = c->wc == T ? MAX(1, ROOM / T) : 1;
    int64_t lanes = MIN(VW, c->K - k0), spread = c->back && c->step == 2, from[4][16];
    int at[16 * VW], to_[16 * VW], many_at = 0; /* where lanes of phases find their taps */
    vf w[ROOM + 1], g[16], half[24];
    w[ROOM] = (vf){0};
    for (int t = 0; t < taps * taps; t++) g[t] = (vf){0};
    for (int t = 0; t < taps * taps; t++) {
        for (int p = 0; p < 4; p++) {
            from[p][t] = tap_at(r, p, t / taps, t % taps);
            if (from[p][t] < 0) from[p][t] = ROOM; /* the zero */
        }
        for (int l = 0; l < VW && spread; l++) {
            int64_t k = k0 + l, i = tap_at(r, k % 4, t / taps, t % taps);
            if (i < 0 || k >= r->KV) continue;
            at[many_at] = (int)(k / 4 * c->wk + i), to_[many_at++] = t * VW + l;
        }
    }
    for (int64_t v = v0; v < v1;) {
        int64_t ch = v / phases, many = MIN(most, ceil_div(v1 - v, phases));
        const float *p = c->w + k0 * c->wk + ch * c->wc;
        if (!spread) {
            PACK((float *)w, VW, p, lanes, c->wk, T * many, 1);
            if (v + many * phases < v1) fetch(p + many * c->wc, lanes, c->wk, T * many);
        }
        for (int64_t l = 0; l < many * phases && v < v1; l++, v++) {
            const int64_t *f = from[l % phases];
            for (int i = 0; i < many_at; i++) ((float *)g)[to_[i]] = c->w[ch * c->wc + at[i]];
            for (int t = 0; t < taps * taps && !spread; t++) g[t] = w[f[t] == ROOM ? ROOM : l / phases * T + f[t]];
            vf *to = (vf *)(u + (v - v0) * ld);
            int64_t e = ue / VW;
            for (int j = 0; j < taps; j++) wino_taps(taps, half + j, g + j, taps, taps);
            for (int i = 0; i < 6; i++) wino_taps(taps, to + 6 * i * e, half + taps * i, (int)e, 1);
        }
    }
}
static void weights_of(const run *r, float *u, int64_t ue, int64_t ld, int64_t k0, int64_t v0, int64_t v1) {
    if (r->r == 2) weights_as(2, r, u, ue, ld, k0, v0, v1);
    else if (r->r == 3) weights_as(3, r, u, ue, ld, k0, v0, v1);
    else weights_as(4, r, u, ue, ld, k0, v0, v1);
}
static void prepare(void *ctx, int64_t lo, int64_t hi) { /* shares of the image's rows, then the weights of eight channels */
    run *r = ctx;
    int64_t rows = r->c->nimg * r->x.CB * r->x.H;
    for (int64_t i = lo; i < hi; i++) {
        if (i < r->shares) {
            blocked_rows(&r->x, i * rows / r->shares, (i + 1) * rows / r->shares);
            continue;
        }
        int64_t v0 = 8 * (i - r->shares), v1 = MIN(v0 + 8, r->CV);
        for (int64_t p = 0; p < r->panels; p++)
            for (int64_t k0 = begin(r, p); k0 < begin(r, p + 1); k0 += VW)
                weights_of(r, r->u + (p * r->CV + v0) * F32_NR + k0 - begin(r, p), r->ue, F32_NR, k0, v0, v1);
    }
}
/* coefficients of the tiles t0..t1, channel blocks cb..cb1: v[coefficient][tile][CSTEP] */
static void forth(const run *r, float *v, int64_t ve, int64_t t0, int64_t t1, int64_t cb, int64_t cb1) {
    int64_t W = r->x.W * VW;
    for (; cb < cb1; cb++, v += VW) {
        int64_t n = t0 / r->TX / r->TY, y = t0 / r->TX % r->TY, x = t0 % r->TX;
        for (int64_t t = t0; t < t1; t++) {
            vf d[E], o[E];
            const float *s = blocked_at(&r->x, n, cb, y * r->n) + x * r->n * VW;
            for (int i = 0; i < 6; i++, s += W)
                for (int j = 0; j < 6; j++) d[6 * i + j] = ldf(s + j * VW);
            wino_in_2d(o, d);
            for (int e = 0; e < E; e++) stf(v + e * ve + (t - t0) * CSTEP, o[e]);
            if (++x == r->TX) {
                x = 0;
                if (++y == r->TY) y = 0, n++;
            }
        }
    }
}
/* a stretch of outputs, [column][VW] in s with 16 columns to spare, of the channels k0.. from column x0 to x1 */
static void put(const run *r, const float *s, int64_t n, int64_t y, int64_t x0, int64_t x1, int64_t k0) {
    const winograd *c = r->c;
    int64_t lanes = MIN(VW, r->KV - k0);
    float t[VW * 16];
    for (int64_t x = x0; x < x1; x += 16, s += 16 * VW) {
        PACK(t, 16, s, 16, VW, VW, 1);
        if (!c->back || c->step == 1) {
            for (int64_t l = 0; l < lanes; l++) {
                float *d = c->dst + n * c->dn + (k0 + l) * c->dc + y * c->drow + x, bias = c->bias ? c->bias[k0 + l] : 0;
                for (int j = 0; j < 16; j += VW) store_part(d + j, ldf(t + l * 16 + j) + bias, inside(x + j, x1));
            }
            continue;
        }
        for (int64_t l = 0; l < lanes; l += 2) { /* even and odd columns meet again */
            int64_t k = k0 + l, h = 2 * (y + r->y0) + k / 2 % 2 - c->ph, w = 2 * (x + r->x0) - c->pw;
            int64_t end = MIN(2 * (x1 + r->x0) - c->pw, c->OW);
            if (h < 0 || h >= c->OH) continue;
            float *d = c->dst + n * c->dn + k / 4 * c->dc + h * c->drow + w, bias = c->bias ? c->bias[k / 4] : 0;
            for (int j = 0; j < 16; j += VW, d += 2 * VW, w += 2 * VW) {
                vf a = ldf(t + l * 16 + j) + bias, b = ldf(t + l * 16 + 16 + j) + bias;
                store_part(d, SHUFFLE(a, b, LOW), inside(w, end));
                store_part(d + VW, SHUFFLE(a, b, HIGH), inside(w + VW, end));
            }
        }
    }
}
/* outputs of the tiles t0..t1, a vector of channels from k0 on, from coefficients m */
INL void back_as(const int size, const run *r, const float *m, int64_t me, int64_t ld, float *rows, int64_t t0, int64_t t1,
                 int64_t k0) {
    enum { WIDE = (5 * RUN + 16) * VW };
    const winograd *c = r->c;
    const float *to = c->back && c->step == 2 ? NULL : c->dst;
    int64_t lanes = MIN(VW, r->KV - k0);
    for (int64_t t = t0; t < t1;) {
        int64_t x = t % r->TX, y = t / r->TX % r->TY, n = t / r->TX / r->TY, len = MIN(MIN(t1 - t, r->TX - x), RUN);
        for (int64_t i = 0; i < len; i++, m += ld) {
            vf d[E], o[25];
            if (i % (16 / size) == 0 && to) /* the lines that will be written, once each */
                for (int64_t l = 0; l < lanes; l++)
                    for (int a = 0; a < size; a++)
                        __builtin_prefetch(to + n * c->dn + (k0 + l) * c->dc + (y * size + a) * c->drow + (x + i) * size, 1, 2);
            for (int e = 0; e < E; e++) __builtin_prefetch(m + e * me + 2 * ld);
            for (int e = 0; e < E; e++) d[e] = ldf(m + e * me);
            wino_outs_2d(size, o, d);
            for (int a = 0; a < size; a++)
                for (int b = 0; b < size; b++) stf(rows + a * WIDE + (size * i + b) * VW, o[size * a + b]);
        }
        for (int a = 0; a < MIN(size, r->PH - y * size); a++)
            put(r, rows + a * WIDE, n, y * size + a, x * size, MIN((x + len) * size, r->PW), k0);
        t += len;
    }
}
enum { ROWS = 5 * (5 * RUN + 16) * VW };
static void back(const run *r, const float *m, int64_t me, int64_t ld, float *rows, int64_t t0, int64_t t1, int64_t k0) {
    if (r->n == 3) back_as(3, r, m, me, ld, rows, t0, t1, k0);
    else if (r->n == 4) back_as(4, r, m, me, ld, rows, t0, t1, k0);
    else back_as(5, r, m, me, ld, rows, t0, t1, k0);
}
static void blocks(void *ctx, int64_t lo, int64_t hi) { /* many tiles: a block of them goes all the way */
    run *r = ctx;
    /* one cache line more between coefficients, else many would share a cache set */
    int64_t T = ceil_div(r->per, F32_MR) * F32_MR, ve = T * CSTEP + 16, me = T * r->KP + 16;
    float *v = fbk_scratch(SLOT_A, (E * (ve + me) + ROWS) * 4), *m = v + E * ve;
    if (!v) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    int far_ = E * r->ue > 1 << 20; /* the weights stay in no near cache: fetch them ahead */
    for (int64_t b = lo; b < hi; b++) {
        int64_t t0 = b * r->per, t1 = MIN(t0 + r->per, r->nt), nt = t1 - t0;
        for (int64_t c0 = 0; c0 < r->CV; c0 += CSTEP) {
            int64_t k = MIN(CSTEP, r->CV - c0);
            forth(r, v, ve, t0, t1, c0 / VW, ceil_div(c0 + k, VW));
            for (int e = 0; e < E; e++)
                for (int64_t p = 0; p < r->panels; p++) {
                    const float *next = r->u + (p + 1 < r->panels ? e * r->ue + (p + 1) * r->CV * F32_NR
                                                                  : (e + 1) % E * r->ue) + c0 * F32_NR;
                    int64_t lines = far_ ? ceil_div(k * F32_NR / 16, ceil_div(nt, F32_MR)) : 0;
                    for (int64_t t = 0; t < nt; t += F32_MR, next += lines * 16) {
                        for (int64_t i = 0; i < lines; i++) __builtin_prefetch(next + i * 16, 0, 2);
                        TILE(k, v + e * ve + t * CSTEP, CSTEP, 1, r->u + e * r->ue + (p * r->CV + c0) * F32_NR, F32_NR,
                             m + e * me + t * r->KP + begin(r, p), r->KP, rows_of(nt - t), begin(r, p + 1) - begin(r, p),
                             c0 != 0);
                    }
                }
        }
        for (int64_t k0 = 0; k0 < r->KV; k0 += VW) back(r, m + k0, me, r->KP, m + E * me, t0, t1, k0);
    }
}
/* Few tiles: they are transformed first, then each panel of outputs transforms its weights a step of channels at a time,
   so that these stay in the second-level cache. */
static void tiles(void *ctx, int64_t lo, int64_t hi) { /* of channel blocks */
    const run *r = ctx;
    for (int64_t cb = lo; cb < hi; cb++)
        forth(r, r->v + cb * VW / CSTEP * E * r->ve + cb * VW % CSTEP, r->ve, 0, r->nt, cb, cb + 1);
}
static void panels(void *ctx, int64_t lo, int64_t hi) {
    run *r = ctx;
    int64_t T = ceil_div(r->nt, F32_MR) * F32_MR, ue = CSTEP * NARROW + 16, me = T * NARROW + 16;
    float *u = fbk_scratch(SLOT_A, (E * (ue + me) + ROWS) * 4), *m = u + E * ue;
    if (!u) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t p = lo; p < hi; p++) {
        int64_t k0 = p * NARROW, k1 = MIN(k0 + NARROW, r->KP);
        for (int64_t c0 = 0; c0 < r->CV; c0 += CSTEP) {
            int64_t k = MIN(CSTEP, r->CV - c0);
            for (int64_t o = k0; o < k1; o += VW) weights_of(r, u + o - k0, ue, NARROW, o, c0, c0 + k);
            for (int e = 0; e < E; e++)
                for (int64_t t = 0; t < r->nt; t += F32_MR)
                    TILE(k, r->v + (c0 / CSTEP * E + e) * r->ve + t * CSTEP, CSTEP, 1, u + e * ue, NARROW,
                         m + e * me + t * NARROW, NARROW, rows_of(r->nt - t), k1 - k0, c0 != 0);
        }
        for (int64_t o = k0; o < MIN(k1, r->KV); o += VW) back(r, m + o - k0, me, NARROW, m + E * me, 0, r->nt, o);
    }
}
/* Whether this way pays, in vector instructions: a product of k steps costs six more, the direct sum's about a tenth; transforms of a vector of tiles or
   weights about as many as they have operations and loads. */
int winograd_pays(const winograd *c) {
    run r;
    if (!plan(c, &r) || r.CV < 8 || r.KV < 8) return 0;
    double positions = c->back ? c->IH * c->IW : c->OH * c->OW, lanes = VW;
    double direct = (double)c->nimg * positions * c->kh * c->kw * c->C * c->K / lanes;
    double own = (36.0 * r.nt + 130) * (r.CV + 6 * ceil_div(r.CV, CSTEP)) * r.KP / lanes +
                 200.0 * r.nt * (r.x.CB + r.KP / VW);
    return own < direct;
}
int64_t winograd_run(const winograd *c) {
    run r;
    if (!plan(c, &r)) return FBK_EUNSUP;
    int few = r.nt <= 64 && r.KP >= 2 * NARROW, steps = (int)ceil_div(r.CV, CSTEP);
    r.panels = few ? ceil_div(r.KP, NARROW) : ceil_div(r.KP, F32_NR);
    r.ue = r.panels * r.CV * F32_NR + 16, r.ve = ceil_div(r.nt, F32_MR) * F32_MR * CSTEP + 16;
    /* a block's coefficients take part of a usual second-level cache, but weights are used 24 times */
    r.per = MAX(24, (3 << 17) / (E * 4 * (CSTEP + r.KP)) / 8 * 8);
    if (r.nt > r.per) r.per = ceil_div(ceil_div(r.nt, ceil_div(r.nt, 2 * r.per) * 2), 2) * 2; /* blocks of a size, in pairs */
    r.shares = MAX(1, c->nimg * r.x.CB * r.x.H * r.x.W * VW >> 14);
    int64_t xs = c->nimg * r.x.H * r.x.CB * r.x.W * VW * 4, us = few ? 64 : E * r.ue * 4,
            vs = few ? E * r.ve * steps * 4 : 64;
    r.x.x = fbc_alloc(xs), r.u = fbc_alloc(us), r.v = fbc_alloc(vs);
    if (!r.x.x || !r.u || !r.v) r.rc = FBK_ENOMEM;
    else {
        fbk_par(r.shares + (few ? 0 : ceil_div(r.CV, 8)), 1, prepare, &r);
        if (!r.x.rc && few) {
            fbk_par(r.x.CB, MAX(1, 64 / r.nt), tiles, &r);
            fbk_par(r.panels, 1, panels, &r);
        } else if (!r.x.rc) fbk_par(ceil_div(r.nt, r.per), 1, blocks, &r);
        r.rc |= r.x.rc;
    }
    if (r.x.x) fbc_free(r.x.x, xs);
    if (r.u) fbc_free(r.u, us);
    if (r.v) fbc_free(r.v, vs);
    return r.rc;
}
