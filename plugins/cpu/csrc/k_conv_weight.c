/* The gradient of a convolution's weight: a product over all output positions. The image is transposed once
   to [n, h, w, c] with its padding, so that the lanes of a packed panel (tap, channel) are contiguous there.
   This file includes itself once per element type. */
/* cflags: -ffp-contract=fast */
#ifndef T
#include "k_conv.h"
#define MR F32_MR
enum { WKC = 256, WMB = 16, WNB = 10 }; /* positions per step; panels per task */
#define T float
#define V vf
#define VL VW
#define NR F32_NR
#define NAME(x) x##_f32
#define LDV ldf
#define STV stf
#define TILE FBC_ISA_NAME(fbk_tile_f32)
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#include "k_conv_weight.c"
#undef T
#undef V
#undef VL
#undef NR
#undef NAME
#undef LDV
#undef STV
#undef TILE
#undef PACK
#define T double
#define V vd
#define VL VD
#define NR F64_NR
#define NAME(x) x##_f64
#define LDV ldd
#define STV std_
#define TILE FBC_ISA_NAME(fbk_tile_f64)
#define PACK FBC_ISA_NAME(fbk_pack_f64)
#include "k_conv_weight.c"
#undef T
int64_t conv_weight(int dt, const geom *g, char *gw, const plane4 *gy, const plane4 *x) {
    return dt == DT_F32 ? conv_weight_f32(g, (float *)gw, gy, x) : conv_weight_f64(g, (double *)gw, gy, x);
}
#else

typedef struct {
    const geom *g;
    const plane4 *gy, *x;
    T *xt, *acc, *gw, *pack;
    int64_t *joff; /* per lane (r, s, c): offset in xt from the position's first element */
    int64_t Hp, Wp, J, K, og, cg, mt, nt, kchunks, per, packsize, rc;
} NAME(wctx);

static void NAME(transpose)(void *ctx, int64_t lo, int64_t hi) { /* one padded row of one image */
    const NAME(wctx) *w = ctx;
    const geom *g = w->g;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / w->Hp, h = i % w->Hp - g->ph, C = g->C;
        T *row = w->xt + i * w->Wp * C;
        if (h < 0 || h >= g->H) {
            memset(row, 0, (size_t)(w->Wp * C) * sizeof(T));
            continue;
        }
        memset(row, 0, (size_t)(g->pw * C) * sizeof(T));
        memset(row + (g->pw + g->W) * C, 0, (size_t)(g->pw * C) * sizeof(T));
        row += g->pw * C;
        const T *src = (const T *)w->x->p + n * w->x->n + h * w->x->h;
        int64_t c = 0;
        for (; c + 16 <= C; c += 16) /* 16 channels at a time: whole cache lines are written */
            for (int64_t v = 0; v < g->W; v++)
                for (int u = 0; u < 16; u++) row[v * C + c + u] = src[(c + u) * w->x->c + v];
        for (; c < C; c++)
            for (int64_t v = 0; v < g->W; v++) row[v * C + c] = src[c * w->x->c + v];
    }
}
static void NAME(tile_task)(void *ctx, int64_t lo, int64_t hi) {
    NAME(wctx) *w = ctx;
    const geom *g = w->g;
    T *pa = fbk_scratch(SLOT_D, w->packsize), *pb = pa + WMB * MR * WKC + 64;
    if (!pa) {
        __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t x = lo; x < hi; x++) {
        int64_t q = x % w->kchunks, tn = x / w->kchunks % w->nt, tm = x / w->kchunks / w->nt % w->mt,
                gr = x / w->kchunks / w->nt / w->mt;
        int64_t i0 = tm * WMB * MR, m = MIN(WMB * MR, w->og - i0), j0 = tn * WNB * NR,
                n = MIN(WNB * NR, w->J - j0);
        T *acc = w->acc + ((q * g->groups + gr) * w->og + i0) * w->J + j0;
        int64_t P = g->OH * g->OW, kend = MIN((q + 1) * w->per, w->K);
        for (int64_t k0 = q * w->per; k0 < kend; k0 += WKC) {
            int64_t k = MIN(WKC, kend - k0), pos[WKC];
            for (int64_t e = 0; e < k; e++) {
                int64_t im = (k0 + e) / P, r = (k0 + e) % P;
                pos[e] = ((im * w->Hp + r / g->OW * g->sh) * w->Wp + r % g->OW * g->sw) * g->C + gr * w->cg;
            }
            for (int64_t i = 0; i < m; i += MR)
                for (int64_t e = 0; e < k;) { /* image by image */
                    int64_t im = (k0 + e) / P, r = (k0 + e) % P, len = MIN(k - e, P - r);
                    const T *src = (const T *)w->gy->p + im * w->gy->n + (gr * w->og + i0 + i) * w->gy->c + r;
                    PACK(pa + i * k + e * MR, MR, src, MIN(MR, m - i), w->gy->c, len, 1);
                    e += len;
                }
            for (int64_t j = 0; j < n; j += NR) {
                int64_t lanes = MIN(NR, n - j), at = 0;
                T *d = pb + j * k;
                if (lanes < NR) memset(d, 0, (size_t)(k * NR) * sizeof(T));
                while (at < lanes) { /* stretches of lanes that are contiguous in xt */
                    const int64_t *o = w->joff + j0 + j + at;
                    int64_t len = 1;
                    while (at + len < lanes && o[len] == o[0] + len) len++;
                    for (int64_t e = 0; e < k; e++) {
                        const T *s = w->xt + pos[e] + o[0];
                        T *t = d + e * NR + at;
                        int64_t z = 0;
                        for (; z + VL <= len; z += VL) STV(t + z, LDV(s + z));
                        for (; z < len; z++) t[z] = s[z];
                    }
                    at += len;
                }
                for (int64_t i = 0; i < m; i += MR)
                    TILE(k, pa + i * k, d, acc + i * w->J + j, w->J, MIN(MR, m - i), lanes, k0 != q * w->per);
            }
        }
    }
}
static void NAME(finish)(void *ctx, int64_t lo,
                         int64_t hi) { /* sums the chunks in order; (r, s, c) -> (c, r, s) */
    const NAME(wctx) *w = ctx;
    int64_t tt = w->g->kh * w->g->kw, size = w->g->groups * w->og * w->J;
    for (int64_t o = lo; o < hi; o++)
        for (int64_t c = 0; c < w->cg; c++)
            for (int64_t t = 0; t < tt; t++) {
                const T *s = w->acc + o * w->J + t * w->cg + c;
                T v = s[0];
                for (int64_t q = 1; q < w->kchunks; q++) v += s[q * size];
                w->gw[(o * w->cg + c) * tt + t] = v;
            }
}
static int64_t NAME(conv_weight)(const geom *g, T *gw, const plane4 *gy, const plane4 *x) {
    NAME(wctx)
    w = {.g = g,
         .gy = gy,
         .x = x,
         .gw = gw,
         .Hp = g->H + 2 * g->ph,
         .Wp = g->W + 2 * g->pw,
         .K = g->N * g->OH * g->OW};
    if (!g->O || !g->C || !g->kh || !g->kw) return 0;
    w.og = g->O / g->groups, w.cg = g->C / g->groups, w.J = w.cg * g->kh * g->kw;
    if (!w.K) {
        memset(gw, 0, (size_t)(g->O * w.J) * sizeof(T));
        return 0;
    }
    w.mt = ceil_div(w.og, WMB * MR), w.nt = ceil_div(w.J, WNB * NR);
    int64_t tiles = g->groups * w.mt * w.nt;
    w.kchunks = tiles < 32 ? MAX(1, MIN(ceil_div(32, tiles), w.K / 1024)) : 1;
    w.per = ceil_div(ceil_div(w.K, w.kchunks), WKC) * WKC;
    w.kchunks = ceil_div(w.K, w.per);
    w.packsize = (WMB * MR * WKC + 64 + WNB * NR * WKC + 64) * (int64_t)sizeof(T);
    int64_t xb = MAX(64, (g->N * w.Hp * w.Wp * g->C + 64) * (int64_t)sizeof(T)),
            ab = MAX(64, w.kchunks * g->O * w.J * (int64_t)sizeof(T)), jb = MAX(64, w.J * 8);
    w.xt = fbc_alloc(xb), w.acc = fbc_alloc(ab), w.joff = fbc_alloc(jb);
    int64_t rc = w.xt && w.acc && w.joff ? 0 : FBK_ENOMEM;
    if (!rc) {
        for (int64_t j = 0; j < w.J; j++) {
            int64_t t = j / w.cg;
            w.joff[j] = (t / g->kw * g->dh * w.Wp + t % g->kw * g->dw) * g->C + j % w.cg;
        }
        fbk_par(g->N * w.Hp, MAX(1, 16384 / MAX(1, w.Wp * g->C)), NAME(transpose), &w);
        fbk_par(tiles * w.kchunks, 1, NAME(tile_task), &w);
        fbk_par(g->O, MAX(1, 16384 / (w.J * w.kchunks)), NAME(finish), &w);
    }
    if (!rc) rc = w.rc;
    if (w.xt) fbc_free(w.xt, xb);
    if (w.acc) fbc_free(w.acc, ab);
    if (w.joff) fbc_free(w.joff, jb);
    return rc;
}
#endif
