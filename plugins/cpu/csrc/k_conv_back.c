/* The gradient of a convolution's image (a transposed convolution) where the stride spreads it or the image has few
   channels: one matrix product gives the gradients of the windows, which are then added up in planes whose rows are split
   by the stride's phase, so that neighbours are added to neighbours. float32, one group. */
/* cflags: -ffp-contract=fast */
#include "k_conv.h"
#include "k_shuffle.h"

typedef struct {
    const geom *g;
    const plane4 *x, *y;
    const float *bias;
    int64_t T, Hp, Wq, row, size; /* taps; of a padded plane: rows, room of a phase, of a row, of the plane */
    int64_t n0, n1, u0, u1, per;  /* the images and rows of positions at hand; positions of each image */
    int64_t ld;
    float *planes, *win; /* [image][channel][plane]; the windows' gradients [channel, tap][ld] */
} ctx_t;

static void pack_positions(const void *ctx, void *dst, int64_t k0, int64_t k, int64_t j0, int64_t n) {
    const ctx_t *c = ctx;
    struct {
        int64_t from, at, len;
    } seg[F32_NR];
    int ns = 0;
    for (int64_t q = 0; q < n;) {
        int64_t i = (j0 + q) / c->per, r = (j0 + q) % c->per, u = r / c->g->OW, v = r % c->g->OW;
        int64_t len = MIN(n - q, c->g->OW - v);
        seg[ns].from = (c->n0 + i) * c->y->n + (c->u0 + u) * c->y->h + v, seg[ns].at = q, seg[ns++].len = len;
        q += len;
    }
    float *d = dst;
    for (int64_t p = 0; p < k; p++, d += F32_NR) {
        const float *s = (float *)c->y->p + (k0 + p) * c->y->c;
        for (int q = 0; q < ns; q++) {
            const float *from = s + seg[q].from;
            float *to = d + seg[q].at;
            int64_t i = 0, len = seg[q].len;
            for (; i + VW <= len; i += VW) stf(to + i, ldf(from + i));
            for (; i < len; i++) to[i] = from[i];
        }
        for (int64_t i = n; i < F32_NR; i++) d[i] = 0;
    }
}
static void add(void *ctx, int64_t lo, int64_t hi) { /* of [image][channel]: windows into planes */
    const ctx_t *c = ctx;
    const geom *g = c->g;
    int64_t OW = g->OW;
    for (int64_t i = lo; i < hi; i++) {
        const float *s = c->win + i % g->C * c->T * c->ld + i / g->C * c->per;
        for (int64_t t = 0; t < c->T; t++, s += c->ld) {
            int64_t w = t % g->kw * g->dw;
            float *d = c->planes + i * c->size + t / g->kw * g->dh * c->row + w % g->sw * c->Wq + w / g->sw;
            for (int64_t u = c->u0; u < c->u1; u++) {
                float *q = d + u * g->sh * c->row;
                const float *p = s + (u - c->u0) * OW;
                for (int64_t v = 0; v < OW; v += VW) /* a phase has room for a vector more */
                    stf(q + v, ldf(q + v) + load_part(p + v, inside(v, OW)));
            }
        }
    }
}
static void merge(void *ctx, int64_t lo, int64_t hi) { /* of [image][channel]: planes into the image */
    const ctx_t *c = ctx;
    const geom *g = c->g;
    int64_t W = g->W;
    for (int64_t i = lo; i < hi; i++) {
        float bias = c->bias ? c->bias[i % g->C] : 0;
        for (int64_t h = 0; h < g->H; h++) {
            float *d = (float *)c->x->p + (c->n0 + i / g->C) * c->x->n + i % g->C * c->x->c + h * c->x->h;
            const float *s = c->planes + i * c->size + (h + g->ph) * c->row;
            if (g->sw == 2) {
                const float *a = s + g->pw % 2 * c->Wq + g->pw / 2, *b = s + (g->pw + 1) % 2 * c->Wq + (g->pw + 1) / 2;
                for (int64_t w = 0; w < W; w += 2 * VW) {
                    vf p = ldf(a + w / 2) + bias, q = ldf(b + w / 2) + bias;
                    store_part(d + w, SHUFFLE(p, q, LOW), inside(w, W));
                    store_part(d + w + VW, SHUFFLE(p, q, HIGH), inside(w + VW, W));
                }
                continue;
            }
            for (int64_t w = 0; w < W; w++) d[w] = s[(w + g->pw) % g->sw * c->Wq + (w + g->pw) / g->sw] + bias;
        }
    }
}
int back_takes(int dt, const geom *g) {
    return dt == DT_F32 && g->groups == 1 && (g->sh * g->sw > 1 || g->C <= 4) && g->O >= 16 && g->OH * g->OW > 0;
}
int64_t back_run(const geom *g, const plane4 *x, const plane4 *y, const char *w, const char *bias) {
    ctx_t c = {.g = g, .x = x, .y = y, .bias = (float *)bias, .T = g->kh * g->kw};
    int64_t CT = g->C * c.T, P = g->OH * g->OW, most = MAX(96, (1 << 18) / CT), images = MAX(1, MIN(g->N, most / P));
    int64_t rows = images > 1 ? g->OH : MIN(g->OH, MAX(1, most / g->OW)), rc = 0;
    c.Hp = MAX(g->H + g->ph, (g->OH - 1) * g->sh + (g->kh - 1) * g->dh + 1);
    c.Wq = ceil_div(MAX(g->W + g->pw, (g->OW - 1) * g->sw + (g->kw - 1) * g->dw + 1), g->sw) + VW;
    c.row = c.Wq * g->sw, c.size = c.Hp * c.row, c.ld = ceil_div(images * rows * g->OW, 32) * 32 + 16;
    int64_t planes = images * g->C * c.size, bytes = (planes + CT * c.ld + 64) * 4;
    if (!(c.planes = fbc_alloc(bytes))) return FBK_ENOMEM;
    c.win = c.planes + planes;
    fbk_mat a = {w, 1, CT};
    for (; c.n0 < g->N && !rc; c.n0 = c.n1) {
        c.n1 = MIN(g->N, c.n0 + images);
        int64_t pairs = (c.n1 - c.n0) * g->C, grain = MAX(1, 16384 / c.size);
        memset(c.planes, 0, (size_t)(pairs * c.size) * 4);
        for (c.u0 = 0; c.u0 < g->OH && !rc; c.u0 = c.u1) {
            c.u1 = MIN(g->OH, c.u0 + rows), c.per = (c.u1 - c.u0) * g->OW;
            fbk_gemm m = {.M = CT, .N = (c.n1 - c.n0) * c.per, .K = g->O, .a = &a, .b = &c, .pack_b = pack_positions,
                          .c = c.win, .ldc = c.ld};
            rc = fbk_gemm_run(DT_F32, &m);
            if (!rc) fbk_par(pairs, MAX(1, 16384 / (c.T * c.per)), add, &c);
        }
        if (!rc) fbk_par(pairs, grain, merge, &c);
    }
    fbc_free(c.planes, bytes);
    return rc;
}
