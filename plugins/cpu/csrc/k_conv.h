/* Convolutions: what the files of the family share. */
#ifndef FBK_CONV_H
#define FBK_CONV_H
#include "k_gemm.h"

/* A 4-D operand made float32 or float64 with contiguous rows: either the tensor itself or a dense copy to be
 * freed. */
typedef struct {
    char *p;
    int64_t n, c, h;
    int64_t bytes;
} plane4; /* strides in elements; bytes: of the copy, 0 if none */

/* One operand laid out. how: 0 read, contiguous rows are enough; 1 write (a temporary is later stored by
 * conv_store); 2 read, spatial dims dense. */
#define conv_load FBC_ISA_NAME(fbk_conv_load)
#define conv_store FBC_ISA_NAME(fbk_conv_store)
int conv_load(plane4 *o, const fbk_spec *s, uintptr_t p, int dt, int how);
void conv_store(const plane4 *o, const fbk_spec *s, uintptr_t p, int dt);
INL void conv_free(plane4 *o) {
    if (o->bytes) fbc_free(o->p, o->bytes);
    o->bytes = 0;
}

/* A convolution as taps: dst[n, m, u, v] = sum over channels c and taps t of w[m, c, t] src[n, c, u*SH +
   th[t], v*SW + tw[t]]. The forward pass is one of these, the gradient of the input one per phase of the
   stride. */
typedef struct {
    int64_t nimg, groups, M, CH, NT, GH, GW, SH, SW, IH, IW;
    const int64_t *th, *tw, *toff; /* per tap: offsets in the source, and in the weight */
    const char *src, *w, *bias;    /* bias: one per m, or NULL */
    char *dst;
    int64_t sn, sc, srow, wm, wc, wg, dn, dc, du, dv;
} taps;
int64_t FBC_ISA_NAME(fbk_conv_taps)(int dt, const taps *c);
#define conv_taps FBC_ISA_NAME(fbk_conv_taps)

/* A convolution of C channels to K, or the gradient of its image (back: src is then the output's gradient, of C channels, dst
   the image's, of K), by Winograd's algorithm; one group, no dilation; kh, kw, step (the stride), ph, pw are the
   convolution's. Strides in elements, rows of images contiguous; bias: one per output channel, or NULL. */
typedef struct {
    int64_t nimg, C, K, IH, IW, OH, OW, kh, kw, step, ph, pw, sn, sc, srow, dn, dc, drow, wk, wc;
    int back;
    const float *src, *w, *bias;
    float *dst;
} winograd;
#define winograd_pays FBC_ISA_NAME(fbk_winograd_pays)
#define winograd_run FBC_ISA_NAME(fbk_winograd_run)
int winograd_pays(const winograd *c);
int64_t winograd_run(const winograd *c);

typedef struct {
    int64_t sh, sw, ph, pw, dh, dw, groups, N, C, H, W, O, OH, OW, kh, kw;
} geom;
INL geom conv_geom(const fbk_plan *p, const fbk_spec *x, const fbk_spec *y, const fbk_spec *w) {
    const int64_t *a = p->ia;
    return (geom){a[0],        a[1],        a[2],        a[3],        a[4],        a[5],
                  a[6],        x->shape[0], x->shape[1], x->shape[2], x->shape[3], y->shape[1],
                  y->shape[2], y->shape[3], w->shape[2], w->shape[3]};
}
/* Depthwise (one input channel per group): direct loops; operands as in geom. */
int64_t FBC_ISA_NAME(fbk_dw_forward)(int dt, const geom *g, const plane4 *y, const plane4 *x, const char *w,
                                     const char *bias);
int64_t FBC_ISA_NAME(fbk_dw_input)(int dt, const geom *g, const plane4 *gx, const plane4 *gy, const char *w,
                                   const char *bias);
int64_t FBC_ISA_NAME(fbk_dw_weight)(int dt, const geom *g, char *gw, const plane4 *gy, const plane4 *x);
#define dw_forward FBC_ISA_NAME(fbk_dw_forward)
#define dw_input FBC_ISA_NAME(fbk_dw_input)
#define dw_weight FBC_ISA_NAME(fbk_dw_weight)
/* the gradient of the weights of such a 3x3 convolution */
#define winograd_weight_pays FBC_ISA_NAME(fbk_winograd_weight_pays)
#define winograd_weight FBC_ISA_NAME(fbk_winograd_weight)
int winograd_weight_pays(const geom *g);
int64_t winograd_weight(const geom *g, float *gw, const plane4 *gy, const plane4 *x);
/* the same for 3x3 in float32, strides 1 and 2 (dw3_input: stride 2); flip: taps in reverse order */
#define dw3_takes FBC_ISA_NAME(fbk_dw3_takes)
#define dw3_forward FBC_ISA_NAME(fbk_dw3_forward)
#define dw3_input FBC_ISA_NAME(fbk_dw3_input)
#define dw3_weight FBC_ISA_NAME(fbk_dw3_weight)
int dw3_takes(int dt, const geom *g);
void dw3_forward(const geom *g, const plane4 *y, const plane4 *x, const char *w, const char *bias, int flip);
void dw3_input(const geom *g, const plane4 *gx, const plane4 *gy, const char *w, const char *bias);
void dw3_weight(const geom *g, char *gw, const plane4 *gy, const plane4 *x);
/* few output positions (k_conv_few.c) */
#define few_takes FBC_ISA_NAME(fbk_few_takes)
#define few_run FBC_ISA_NAME(fbk_few_run)
int few_takes(int dt, const geom *g);
int64_t few_run(const geom *g, int what, const plane4 *y, const plane4 *x, const char *w, const char *bias, float *gw);
/* the gradient of the image by windows (k_conv_back.c) */
#define back_takes FBC_ISA_NAME(fbk_back_takes)
#define back_run FBC_ISA_NAME(fbk_back_run)
int back_takes(int dt, const geom *g);
int64_t back_run(const geom *g, const plane4 *x, const plane4 *y, const char *w, const char *bias);
int64_t FBC_ISA_NAME(fbk_conv_weight)(int dt, const geom *g, char *gw, const plane4 *gy, const plane4 *x);
#define conv_weight FBC_ISA_NAME(fbk_conv_weight)
#endif
