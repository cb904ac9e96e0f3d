/* Depthwise 3x3 convolutions in float32, stride 1 or 2, and their gradients, straight from the planes: columns are vector
   lanes, loads past a plane's edge are masked, rows past it left out. For stride 2 a row is read as its even and odd
   columns. What depends on the stride is inlined once for each. */
/* cflags: -ffp-contract=fast */
#include "k_conv.h"
#include "k_shuffle.h"

/* The three taps' columns of a row of n numbers: x[j] lane i = row[at + s i + j]. With stride 2, the lane that the third one
   lacks comes alone. */
#define NEXT(i) (i) + 1
typedef struct {
    int64_t at;
    uint32_t m[3];
} view;
INL view view_at(const int s, int64_t at, int64_t n) {
    if (s == 1) return (view){at, {inside(at, n), inside(at + 1, n), inside(at + 2, n)}};
    return (view){at, {inside(at, n), inside(at + VW, n), inside(at + 2 * VW, n) & 1}};
}
INL vf one(const float *p, uint32_t there) { return splatf(there ? *p : 0); }
INL void read3(const int s, vf *x, const float *row, const view *w) {
    const float *p = row + w->at;
    if (s == 1) {
        for (int j = 0; j < 3; j++) x[j] = load_part(p + j, w->m[j]);
        return;
    }
    vf a = load_part(p, w->m[0]), b = load_part(p + VW, w->m[1]);
    x[0] = SHUFFLE(a, b, EVEN), x[1] = SHUFFLE(a, b, ODD), x[2] = SHUFFLE(x[0], one(p + 2 * VW, w->m[2]), NEXT);
}
/* the sum of a vector's lanes, halves added to halves */
INL float total(vf v) {
#define HALF8(i) ((i) + 8) % VW
#define HALF4(i) ((i) + 4) % VW
#define HALF2(i) ((i) + 2) % VW
#define HALF1(i) ((i) + 1) % VW
    if (VW > 8) v += SHUFFLE(v, v, HALF8);
    if (VW > 4) v += SHUFFLE(v, v, HALF4);
    v += SHUFFLE(v, v, HALF2);
    v += SHUFFLE(v, v, HALF1);
    return v[0];
}

typedef struct {
    const geom *g;
    const plane4 *y, *x;
    float *w;
    const float *bias;
    int flip, what;
} dctx;

/* one plane forward, R rows of outputs at a time so that they share rows of the input */
INL void forward(const int s, const geom *g, const float *x, int64_t xh, float *y, int64_t yh, const vf *w, float bias) {
    enum { R = 4 };
    for (int64_t v = 0; v < g->OW; v += VW) {
        view at = view_at(s, v * s - g->pw, g->W);
        uint32_t m = inside(v, g->OW);
        for (int64_t u = 0; u < g->OH; u += R) {
            vf o[R], q[3];
            for (int r = 0; r < R; r++) o[r] = splatf(bias);
            _Pragma("GCC unroll 9") for (int i = 0; i < (R - 1) * s + 3; i++) {
                int64_t h = u * s - g->ph + i;
                if ((uint64_t)h >= (uint64_t)g->H) continue;
                read3(s, q, x + h * xh, &at);
                _Pragma("GCC unroll 4") for (int r = 0; r < R; r++)
                    if (i - r * s >= 0 && i - r * s < 3)
                        for (int j = 0; j < 3; j++) o[r] += w[3 * (i - r * s) + j] * q[j];
            }
            _Pragma("GCC unroll 4") for (int r = 0; r < R; r++)
                if (u + r < g->OH) store_part(y + (u + r) * yh + v, o[r], m);
        }
    }
}
/* The gradient of a plane of stride 2: in coordinates of the padded plane, rows 2a and 2a + 1 see the rows a and a - 1 of
   gy, and columns likewise. */
static void input2(const geom *g, float *x, int64_t xh, const float *gy, int64_t yh, const vf *w, float bias) {
    vf b = splatf(bias);
    for (int64_t v = 0; 2 * v - g->pw < g->W; v += VW) {
        uint32_t here = inside(v, g->OW), left = inside(v - 1, g->OW);
        int64_t col = 2 * v - g->pw;
        uint32_t m0 = inside(col, g->W), m1 = inside(col + VW, g->W);
        vf p0 = {0}, p1 = {0}; /* row a - 1 of gy: columns v and v - 1 */
        for (int64_t a = 0; 2 * a - g->ph < g->H; a++) {
            vf q0 = {0}, q1 = {0};
            if (a < g->OH) q0 = load_part(gy + a * yh + v, here), q1 = load_part(gy + a * yh + v - 1, left);
            vf ee = b + w[0] * q0 + w[2] * q1 + w[6] * p0 + w[8] * p1, eo = b + w[1] * q0 + w[7] * p0;
            vf oe = b + w[3] * q0 + w[5] * q1, oo = b + w[4] * q0;
            int64_t h = 2 * a - g->ph;
            if (h >= 0) {
                store_part(x + h * xh + col, SHUFFLE(ee, eo, LOW), m0);
                store_part(x + h * xh + col + VW, SHUFFLE(ee, eo, HIGH), m1);
            }
            if (h + 1 >= 0 && h + 1 < g->H) {
                store_part(x + (h + 1) * xh + col, SHUFFLE(oe, oo, LOW), m0);
                store_part(x + (h + 1) * xh + col + VW, SHUFFLE(oe, oo, HIGH), m1);
            }
            p0 = q0, p1 = q1;
        }
    }
}
/* sum[9] += the products of a plane's windows with gy */
INL void weight(const int s, const geom *g, const float *x, int64_t xh, const float *gy, int64_t yh, double *sum) {
    vf acc[9];
    for (int t = 0; t < 9; t++) acc[t] = (vf){0};
    for (int64_t v = 0; v < g->OW; v += VW) {
        view at = view_at(s, v * s - g->pw, g->W);
        uint32_t m = inside(v, g->OW);
        vf row[3][3];
#define READ(i, h) \
    do { \
        if ((uint64_t)(h) < (uint64_t)g->H) read3(s, row[i], x + (h)*xh, &at); \
        else row[i][0] = row[i][1] = row[i][2] = (vf){0}; \
    } while (0)
        for (int i = 0; i < 3 - s; i++) READ(i, i - g->ph);
        for (int64_t u = 0; u < g->OH; u += 3) /* after three steps the rows are where they were */
            _Pragma("GCC unroll 3") for (int k = 0; k < 3; k++) {
                if (u + k >= g->OH) break;
                vf a = load_part(gy + (u + k) * yh + v, m);
                _Pragma("GCC unroll 3") for (int i = 3 - s; i < 3; i++) READ((k * s + i) % 3, (u + k) * s - g->ph + i);
                _Pragma("GCC unroll 9") for (int t = 0; t < 9; t++) acc[t] += a * row[(k * s + t / 3) % 3][t % 3];
            }
    }
    for (int t = 0; t < 9; t++) sum[t] += (double)total(acc[t]);
}
static void planes(void *ctx, int64_t lo, int64_t hi) { /* of x: forward (what = 0) or the gradient of stride 2 (1) */
    const dctx *d = ctx;
    const geom *g = d->g;
    int64_t mult = g->O / g->groups, xh = d->x->h, yh = d->y->h;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / g->C, c = i % g->C;
        float *x = (float *)d->x->p + n * d->x->n + c * d->x->c;
        for (int64_t o = c * mult; o < (c + 1) * mult; o++) {
            float *y = (float *)d->y->p + n * d->y->n + o * d->y->c, bias = d->bias ? d->bias[o] : 0;
            vf w[9];
            for (int t = 0; t < 9; t++) w[t] = splatf(d->w[o * 9 + (d->flip ? 8 - t : t)]);
            if (d->what) input2(g, x, xh, y, yh, w, bias);
            else if (g->sw == 1) forward(1, g, x, xh, y, yh, w, bias);
            else forward(2, g, x, xh, y, yh, w, bias);
        }
    }
}
static void channels(void *ctx, int64_t lo, int64_t hi) { /* gradients of weights: all images in order */
    const dctx *d = ctx;
    const geom *g = d->g;
    int64_t mult = g->O / g->groups, xh = d->x->h, yh = d->y->h;
    for (int64_t o = lo; o < hi; o++) {
        double sum[9] = {0};
        for (int64_t n = 0; n < g->N; n++) {
            const float *x = (float *)d->x->p + n * d->x->n + o / mult * d->x->c;
            const float *gy = (float *)d->y->p + n * d->y->n + o * d->y->c;
            if (g->sw == 1) weight(1, g, x, xh, gy, yh, sum);
            else weight(2, g, x, xh, gy, yh, sum);
        }
        for (int t = 0; t < 9; t++) d->w[o * 9 + t] = (float)sum[t];
    }
}
int dw3_takes(int dt, const geom *g) {
    return dt == DT_F32 && g->kh == 3 && g->kw == 3 && g->dh == 1 && g->dw == 1 && g->sh == g->sw && g->sh <= 2;
}
void dw3_forward(const geom *g, const plane4 *y, const plane4 *x, const char *w, const char *bias, int flip) {
    dctx d = {g, y, x, (float *)w, (float *)bias, flip, 0};
    fbk_par(g->N * g->C, MAX(1, 16384 / MAX(1, g->H * g->W)), planes, &d);
}
void dw3_input(const geom *g, const plane4 *gx, const plane4 *gy, const char *w, const char *bias) {
    dctx d = {g, gy, gx, (float *)w, (float *)bias, 0, 1};
    fbk_par(g->N * g->C, MAX(1, 16384 / MAX(1, g->H * g->W)), planes, &d);
}
void dw3_weight(const geom *g, char *gw, const plane4 *gy, const plane4 *x) {
    dctx d = {g, gy, x, (float *)gw, NULL, 0, 2};
    fbk_par(g->O, MAX(1, 16384 / MAX(1, g->N * g->H * g->W)), channels, &d);
}
