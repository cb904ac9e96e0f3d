/* The one-dimensional transforms of F(4x4, 3x3), Winograd's algorithm (Lavin and Gray, Fast algorithms for
   convolutional neural networks, 2016): six coefficients from the points 0, +-1/sqrt 2, +-sqrt 2 and infinity. With the
   usual points 0, +-1, +-2 the error is three times as large (on points: Barabasz et al., Error analysis and improving
   the accuracy of Winograd convolution, 2020). Vectors are channels; os, is: distance of results and of operands. */
#ifndef FBK_WINOGRAD_H
#define FBK_WINOGRAD_H
#include "k_conv.h"

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
/* 3 weights to coefficients */
INL void wino_weight(vf *o, const vf *g, int os, int gs) {
    vf s = (g[0] + 0.5f * g[2 * gs]) * (-2.0f / 3), t = g[gs] * (-2.0f / 3 * A1);
    vf u = (g[0] + 2.0f * g[2 * gs]) * (1.0f / 6), v = g[gs] * (1.0f / 6 * B1);
    o[0] = g[0], o[os] = s + t, o[2 * os] = s - t, o[3 * os] = u + v, o[4 * os] = u - v, o[5 * os] = g[2 * gs];
}
/* coefficients to 4 outputs */
INL void wino_out(vf *o, const vf *m, int os, int ms) {
    vf s = m[ms] + m[2 * ms], d = m[ms] - m[2 * ms], t = m[3 * ms] + m[4 * ms], e = m[3 * ms] - m[4 * ms];
    o[0] = m[0] + (s + t), o[os] = A1 * d + B1 * e;
    o[2 * os] = 0.5f * s + 2.0f * t, o[3 * os] = m[5 * ms] + (A3 * d + B3 * e);
}
/* For the gradient of the weights, F(3x3, 4x4): 4 gradients of outputs to coefficients, whose factors wino_back
   has; coefficients to 3 weights. */
INL void wino_grad(vf *o, const vf *g, int os, int gs) {
    vf s = g[0] + 0.5f * g[2 * gs], t = A1 * g[gs] + A3 * g[3 * gs];
    vf u = g[0] + 2.0f * g[2 * gs], v = B1 * g[gs] + B3 * g[3 * gs];
    o[0] = g[0], o[os] = s + t, o[2 * os] = s - t, o[3 * os] = u + v, o[4 * os] = u - v, o[5 * os] = g[3 * gs];
}
INL void wino_back(vf *o, const vf *m, int os, int ms) {
    vf s = (m[ms] + m[2 * ms]) * (-2.0f / 3), d = (m[ms] - m[2 * ms]) * (-2.0f / 3 * A1);
    vf t = (m[3 * ms] + m[4 * ms]) * (1.0f / 6), e = (m[3 * ms] - m[4 * ms]) * (1.0f / 6 * B1);
    o[0] = m[0] + (s + t), o[os] = d + e, o[2 * os] = m[5 * ms] + (0.5f * s + 2.0f * t);
}

/* An image laid out in blocks of VW channels, [n][block][row][column][VW], within a border of zeros: ph rows above, pw
   columns to the left, as much below and to the right as H x W needs. */
typedef struct {
    const float *src;
    int64_t C, IH, IW, sn, sc, srow, ph, pw, H, W, CB;
    float *x;
} blocked;
static void blocked_rows(void *ctx, int64_t lo, int64_t hi) {
    const blocked *b = ctx;
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / b->H / b->CB, c = i / b->H % b->CB * VW, h = i % b->H - b->ph, w = MIN(b->IW, b->W - b->pw);
        float *d = b->x + i * b->W * VW;
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
INL void blocked_fill(blocked *b, int64_t nimg) {
    fbk_par(nimg * b->CB * b->H, MAX(1, 32768 / (b->W * VW)), blocked_rows, b);
}
/* where row y of block c of image n begins */
INL const float *blocked_at(const blocked *b, int64_t n, int64_t c, int64_t y) {
    return b->x + ((n * b->CB + c) * b->H + y) * b->W * VW;
}
#endif
