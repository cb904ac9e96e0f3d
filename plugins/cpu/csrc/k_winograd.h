/* The one-dimensional transforms of Winograd's algorithm (Lavin and Gray, Fast algorithms for convolutional neural
   networks, 2016) with six coefficients: F(4, 3), F(5, 2) and F(3, 4) give 4, 5 and 3 outputs of 3, 2 and 4 taps. The
   points are 0, +-1/sqrt 2, +-sqrt 2 and infinity: with the usual 0, +-1, +-2 the error is three times as large (on
   points: Barabasz et al., Error analysis and improving the accuracy of Winograd convolution, 2020). The transform of the
   input is the same for all. Vectors are channels; os, is: distance of results and of operands. */
#ifndef FBK_WINOGRAD_H
#define FBK_WINOGRAD_H
#include "k_conv.h"
#include "k_shuffle.h"

enum { E = 36 };                                          /* coefficients of a tile */
static const float A1 = 0.70710678118654752f, B1 = 1.41421356237309505f; /* the points; their cubes */
static const float A3 = 0.35355339059327376f, B3 = 2.82842712474619010f;

/* 6 inputs to coefficients */
INL void wino_in(vf *o, const vf *d, int os, int ds) {
    vf d0 = d[0], d1 = d[ds], d2 = d[2 * ds], d3 = d[3 * ds], d4 = d[4 * ds], d5 = d[5 * ds];
    vf p = d4 - 2.0f * d2, q = A1 * (d3 - 2.0f * d1), r = d4 - 0.5f * d2, s = B1 * (d3 - 0.5f * d1);
    o[0] = d0 + (d4 - 2.5f * d2), o[5 * os] = d1 + (d5 - 2.5f * d3);
    o[os] = p + q, o[2 * os] = p - q, o[3 * os] = r + s, o[4 * os] = r - s;
}
/* r taps to coefficients; the factors of the points stand here for r < 4, else with the outputs, which are fewer */
INL void wino_taps(const int r, vf *o, const vf *g, int os, int gs) {
    vf even = g[0], far_ = g[0], t = A1 * g[gs], v = B1 * g[gs]; /* at the near points and at the far ones */
    if (r > 2) even += 0.5f * g[2 * gs], far_ += 2.0f * g[2 * gs];
    if (r > 3) t += A3 * g[3 * gs], v += B3 * g[3 * gs];
    if (r > 4) even += 0.25f * g[4 * gs], far_ += 4.0f * g[4 * gs];
    if (r < 4) even *= -2.0f / 3, t *= -2.0f / 3, far_ *= 1.0f / 6, v *= 1.0f / 6;
    o[0] = g[0], o[os] = even + t, o[2 * os] = even - t, o[3 * os] = far_ + v, o[4 * os] = far_ - v;
    o[5 * os] = g[(r - 1) * gs];
}
/* coefficients to n outputs, of 7 - n taps */
INL void wino_outs(const int n, vf *o, const vf *m, int os, int ms) {
    vf s = m[ms] + m[2 * ms], d = m[ms] - m[2 * ms], t = m[3 * ms] + m[4 * ms], e = m[3 * ms] - m[4 * ms];
    if (n < 4) s *= -2.0f / 3, d *= -2.0f / 3, t *= 1.0f / 6, e *= 1.0f / 6;
    o[0] = m[0] + (s + t), o[os] = A1 * d + B1 * e;
    if (n > 2) o[2 * os] = 0.5f * s + 2.0f * t;
    if (n > 3) o[3 * os] = A3 * d + B3 * e;
    if (n > 4) o[4 * os] = 0.25f * s + 4.0f * t;
    o[(n - 1) * os] += m[5 * ms];
}
/* the same in two dimensions */
INL void wino_in_2d(vf *o, vf *d) { /* d is spent */
    for (int j = 0; j < 6; j++) wino_in(o + j, d + j, 6, 6);
    for (int i = 0; i < 6; i++) wino_in(d + 6 * i, o + 6 * i, 1, 1);
    for (int i = 0; i < E; i++) o[i] = d[i];
}
INL void wino_taps_2d(const int r, vf *o, const vf *g) {
    vf t[30];
    for (int j = 0; j < r; j++) wino_taps(r, t + j, g + j, r, r);
    for (int i = 0; i < 6; i++) wino_taps(r, o + 6 * i, t + r * i, 1, 1);
}
INL void wino_outs_2d(const int n, vf *o, const vf *m) {
    vf t[30];
    for (int j = 0; j < 6; j++) wino_outs(n, t + j, m + j, 6, 6);
    for (int i = 0; i < n; i++) wino_outs(n, o + n * i, t + 6 * i, 1, 1);
}

/* An image laid out in blocks of VW channels, [n][block][row][column][VW], within a border of zeros: ph rows above, pw
   columns to the left, as much below and to the right as H x W needs. step 2: each channel is taken apart into four, its
   even and odd rows and columns counted from the border (channel 4 c + 2 (odd row) + (odd column)). */
typedef struct {
    const float *src;
    int64_t C, IH, IW, sn, sc, srow, ph, pw, H, W, CB;
    float *x;
    int64_t step, rc;
} blocked;
static void blocked_phases(const blocked *b, float *d, float *t, int64_t n, int64_t v0, int64_t y) {
    int64_t wide = ceil_div(b->W, VW) * VW, lanes = MIN(VW, 4 * b->C - v0);
    for (int64_t l = 0; l < lanes; l += 2) { /* two phases of a row */
        int64_t v = v0 + l, h = 2 * y + v / 2 % 2 - b->ph;
        const float *row = b->src + n * b->sn + v / 4 * b->sc + h * b->srow;
        for (int64_t p = 0; p < 2; p++)
            if (h < 0 || h >= b->IH) memset(t + (l + p) * wide, 0, (size_t)wide * 4);
            else stretch(t + (l + p) * wide, row, p - b->pw, 2, b->IW, wide);
    }
    FBC_ISA_NAME(fbk_pack_f32)(d, VW, t, lanes, wide, b->W, 1);
}
static void blocked_rows(blocked *b, int64_t lo, int64_t hi) { /* rows of all images' blocks */
    float *t = b->step == 2 ? fbk_scratch(SLOT_D, VW * (b->W + VW) * 4) : NULL;
    if (b->step == 2 && !t) {
        __atomic_store_n(&b->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / b->H / b->CB, c = i / b->H % b->CB * VW, h = i % b->H - b->ph, w = MIN(b->IW, b->W - b->pw);
        float *d = b->x + i * b->W * VW;
        if (t) {
            blocked_phases(b, d, t, n, c, i % b->H);
            continue;
        }
        if (h < 0 || h >= b->IH) {
            memset(d, 0, (size_t)(b->W * VW) * 4);
            continue;
        }
        memset(d, 0, (size_t)(b->pw * VW) * 4);
        FBC_ISA_NAME(fbk_pack_f32)(d + b->pw * VW, VW, b->src + n * b->sn + c * b->sc + h * b->srow,
                                   MIN(VW, b->C - c), b->sc, w, 1);
        memset(d + (b->pw + w) * VW, 0, (size_t)((b->W - b->pw - w) * VW) * 4);
    }
}
/* where row y of block c of image n begins */
INL const float *blocked_at(const blocked *b, int64_t n, int64_t c, int64_t y) {
    return b->x + ((n * b->CB + c) * b->H + y) * b->W * VW;
}
#endif
