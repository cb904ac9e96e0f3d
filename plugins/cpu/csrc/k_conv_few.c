/* Convolutions of few output positions (deep layers of small images), where reading the weights is the work: they are read
   where they lie, once, and the image's windows are laid out as explicit columns. float32, one group. */
/* cflags: -ffp-contract=fast */
#include "k_conv.h"
#include "k_shuffle.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum { KSTEP = 256 }; /* terms summed in registers */

typedef struct {
    const geom *g;
    const plane4 *x, *y;
    const float *w, *bias;
    float *gw;
    int64_t T, CT, P, cols, pad, ld; /* taps; windows' rows; positions of an image, of all, in whole vectors, in memory */
    float *win, *grad, *out; /* windows [CT][ld]; gy [O][ld]; gradient of windows [cols][CT] */
    int64_t rc;
} few;

static void windows(void *ctx, int64_t lo, int64_t hi) { /* of channels */
    const few *f = ctx;
    const geom *g = f->g;
    for (int64_t i = lo * f->T; i < hi * f->T; i++) {
        int64_t c = i / f->T, th = i % f->T / g->kw * g->dh - g->ph, tw = i % f->T % g->kw * g->dw - g->pw;
        float *d = f->win + i * f->ld;
        for (int64_t n = 0; n < g->N; n++)
            for (int64_t u = 0; u < g->OH; u++, d += g->OW) {
                int64_t h = u * g->sh + th;
                const float *s = (float *)f->x->p + n * f->x->n + c * f->x->c + h * f->x->h;
                if ((uint64_t)h >= (uint64_t)g->H)
                    for (int64_t v = 0; v < g->OW; v++) d[v] = 0;
                else if (g->sw <= 2) stretch(d, s, tw, g->sw, g->W, g->OW); /* rows have room for a vector more */
                else
                    for (int64_t v = 0, w = tw; v < g->OW; v++, w += g->sw)
                        d[v] = (uint64_t)w < (uint64_t)g->W ? s[w] : 0;
            }
    }
}
/* gy as rows of all positions */
static void gather(const few *f) {
    for (int64_t o = 0; o < f->g->O; o++)
        for (int64_t n = 0; n < f->g->N; n++)
            for (int64_t u = 0; u < f->g->OH; u++)
                memcpy(f->grad + o * f->ld + n * f->P + u * f->g->OW,
                       (float *)f->y->p + n * f->y->n + o * f->y->c + u * f->y->h, (size_t)f->g->OW * 4);
}
static void forward(void *ctx, int64_t lo, int64_t hi) { /* panels of outputs */
    few *f = ctx;
    const geom *g = f->g;
    float *t = fbk_scratch(SLOT_D, (F32_MR * (f->ld + KSTEP) + 64) * 4), *rows = t + F32_MR * f->ld;
    if (!t) {
        __atomic_store_n(&f->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t o = lo * F32_MR; o < MIN(hi * F32_MR, g->O); o += F32_MR) {
        int64_t m = MIN(F32_MR, g->O - o);
        for (int64_t k0 = 0; k0 < f->CT; k0 += KSTEP) {
            int64_t k = MIN(KSTEP, f->CT - k0), ars = f->CT;
            const float *a = f->w + o * f->CT + k0;
            if (m < F32_MR) { /* the tile reads all its rows */
                for (int64_t l = 0; l < m; l++) memcpy(rows + l * KSTEP, a + l * f->CT, (size_t)k * 4);
                a = rows, ars = KSTEP;
            }
            for (int64_t j = 0; j < f->cols; j += F32_NR)
                TILE(k, a, ars, 1, f->win + k0 * f->ld + j, f->ld, t + j, f->ld, F32_MR,
                     MIN(F32_NR, f->pad - j), k0 != 0);
        }
        for (int64_t l = 0; l < m; l++)
            for (int64_t n = 0; n < g->N; n++) {
                float *d = (float *)f->y->p + n * f->y->n + (o + l) * f->y->c, b = f->bias ? f->bias[o + l] : 0;
                for (int64_t i = 0; i < f->P; i++) d[i] = t[l * f->ld + n * f->P + i] + b;
            }
    }
}
static void weight(void *ctx, int64_t lo, int64_t hi) { /* panels of (channel, tap) */
    few *f = ctx;
    float *b = fbk_scratch(SLOT_D, (F32_NR * f->cols + 64) * 4);
    if (!b) {
        __atomic_store_n(&f->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t j = lo * F32_NR; j < MIN(hi * F32_NR, f->CT); j += F32_NR) {
        int64_t n = MIN(F32_NR, f->CT - j);
        PACK(b, F32_NR, f->win + j * f->ld, n, f->ld, f->cols, 1);
        for (int64_t o = 0; o < f->g->O; o += F32_MR)
            TILE(f->cols, f->grad + o * f->ld, f->ld, 1, b, F32_NR, f->gw + o * f->CT + j, f->CT,
                 MIN(F32_MR, f->g->O - o), n, 0);
    }
}
static void input(void *ctx, int64_t lo, int64_t hi) { /* panels of (channel, tap) */
    few *f = ctx;
    float *b = fbk_scratch(SLOT_D, F32_NR * KSTEP * 4);
    if (!b) {
        __atomic_store_n(&f->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t j = lo * F32_NR; j < MIN(hi * F32_NR, f->CT); j += F32_NR)
        for (int64_t k0 = 0; k0 < f->g->O; k0 += KSTEP) {
            int64_t k = MIN(KSTEP, f->g->O - k0), n = MIN(F32_NR, f->CT - j), bs = f->CT;
            const float *w = f->w + k0 * f->CT + j;
            if (n % VW) { /* whole vectors are read */
                PACK(b, F32_NR, w, n, 1, k, f->CT);
                w = b, bs = F32_NR;
            }
            for (int64_t i = 0; i < f->cols; i += F32_MR)
                TILE(k, f->grad + k0 * f->ld + i, 1, f->ld, w, bs, f->out + i * f->CT + j, f->CT,
                     MIN(F32_MR, f->cols - i), n, k0 != 0);
        }
}
static void scatter(void *ctx, int64_t lo, int64_t hi) { /* the windows' gradients back to channels of the image */
    few *f = ctx;
    const geom *g = f->g;
    float *t = fbk_scratch(SLOT_D, (f->T * f->cols + 64) * 4);
    if (!t) {
        __atomic_store_n(&f->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t c = lo; c < hi; c++) {
        PACK(t, (int)f->cols, f->out + c * f->T, f->cols, f->CT, f->T, 1);
        for (int64_t n = 0; n < g->N; n++) {
            float *d = (float *)f->x->p + n * f->x->n + c * f->x->c, b = f->bias ? f->bias[c] : 0;
            for (int64_t i = 0; i < g->H * g->W; i++) d[i] = b;
            for (int64_t i = 0; i < f->T; i++) {
                int64_t th = i / g->kw * g->dh - g->ph, tw = i % g->kw * g->dw - g->pw;
                const float *s = t + i * f->cols + n * f->P;
                for (int64_t u = 0; u < g->OH; u++, s += g->OW) {
                    int64_t h = u * g->sh + th;
                    if ((uint64_t)h >= (uint64_t)g->H) continue;
                    if (g->sw == 1) {
                        for (int64_t v = 0, w = tw; v < g->OW; v += VW, w += VW) {
                            uint32_t m = inside(w, g->W) & inside(v, g->OW);
                            store_part(d + h * g->W + w, load_part(d + h * g->W + w, m) + ldf(s + v), m);
                        }
                        continue;
                    }
                    for (int64_t v = 0, w = tw; v < g->OW; v++, w += g->sw)
                        if ((uint64_t)w < (uint64_t)g->W) d[h * g->W + w] += s[v];
                }
            }
        }
    }
}
int few_takes(int dt, const geom *g) {
    return dt == DT_F32 && g->groups == 1 && g->N * g->OH * g->OW <= 256 && g->N * g->OH * g->OW > 0 &&
           g->C * g->kh * g->kw >= 32 && g->O >= 8;
}
/* what: 0 forward, 1 the gradient of the image (x is written; bias over its channels), 2 of the weights (to gw) */
int64_t few_run(const geom *g, int what, const plane4 *y, const plane4 *x, const char *w, const char *bias, float *gw) {
    few f = {.g = g, .x = x, .y = y, .w = (float *)w, .bias = (float *)bias, .gw = gw, .T = g->kh * g->kw,
             .P = g->OH * g->OW};
    f.CT = g->C * f.T, f.cols = g->N * f.P, f.pad = ceil_div(f.cols, VW) * VW;
    f.ld = ceil_div(f.pad, 32) * 32 + 16; /* an odd number of cache lines */
    int64_t wins = what != 1 ? f.CT * f.ld : 0, grads = what ? ceil_div(g->O, 8) * 8 * f.ld : 0,
            outs = what == 1 ? f.cols * f.CT : 0, bytes = (wins + grads + outs + 64) * 4;
    if (!(f.win = fbc_alloc(bytes))) return FBK_ENOMEM;
    f.grad = f.win + wins, f.out = f.grad + grads;
    if (what != 1) {
        fbk_par(g->C, MAX(1, 8192 / (f.T * f.cols)), windows, &f);
    }
    if (what) gather(&f);
    int64_t panels = ceil_div(g->O, F32_MR), grain = MAX(1, 200000 / (F32_MR * f.CT));
    if (what == 0) fbk_par(panels, grain, forward, &f);
    else {
        int64_t across = ceil_div(f.CT, F32_NR);
        fbk_par(across, MAX(1, 200000 / (F32_NR * g->O)), what == 1 ? input : weight, &f);
        if (what == 1) fbk_par(g->C, MAX(1, 8192 / (f.T * f.cols)), scatter, &f);
    }
    fbc_free(f.win, bytes);
    return f.rc;
}
