/* Convolution, forward and both gradients: prepares operands and taps, and picks the direct depthwise path or
 * the packed one. */
#include "k_conv.h"

/* A weight or bias as dense dt; NULL spec: none. */
static int dense(plane4 *o, const fbk_spec *s, uintptr_t p, int dt) {
    if (s->dtype < 0 || !p) {
        *o = (plane4){0};
        return 0;
    }
    int64_t n = spec_numel(s), z = dt_size(dt), inner = s->ndim ? s->shape[s->ndim - 1] : 1;
    if (s->dtype == dt && spec_dense(s)) {
        *o = (plane4){.p = (char *)p};
        return 0;
    }
    *o = (plane4){.bytes = MAX(64, n * z)};
    if (!(o->p = fbc_alloc(o->bytes))) {
        o->bytes = 0;
        return FBK_ENOMEM;
    }
    for (int64_t i = 0; n && i < n / inner; i++) {
        int64_t off = 0, r = i, st = s->stride[s->ndim - 1];
        for (int d = s->ndim - 2; d >= 0; d--) off += r % s->shape[d] * s->stride[d], r /= s->shape[d];
        const char *q = (const char *)p + off * dt_size(s->dtype);
        char *d = o->p + i * inner * z;
        if (dt == DT_F32) {
            const float *x = get_f32((float *)d, q, s->dtype, inner, st);
            if (x != (float *)d) memcpy(d, x, (size_t)(inner * z));
        } else {
            const double *x = get_f64((double *)d, q, s->dtype, inner, st);
            if (x != (double *)d) memcpy(d, x, (size_t)(inner * z));
        }
    }
    return 0;
}
INL int work_type(const fbk_spec *s) { return s->dtype == DT_F64 ? DT_F64 : DT_F32; }

INL int is_plain(const geom *g, int dt) {
    return dt == DT_F32 && g->sh == g->sw && g->dh == 1 && g->dw == 1 && g->groups == 1;
}
/* t: y, x, w, bias; ia: stride, padding, dilation (h, w each), groups */
FBK_ENTRY(fbk_conv) {
    const fbk_spec *y = &p->t[0], *x = &p->t[1], *w = &p->t[2];
    geom g = conv_geom(p, x, y, w);
    int dt = work_type(y);
    plane4 py = {0}, px = {0}, pw = {0}, pb = {0};
    int64_t T = g.kh * g.kw, cg = g.C / MAX(1, g.groups), z = dt_size(dt);
    int64_t rc = conv_load(&py, y, at[0], dt, 1) | conv_load(&px, x, at[1], dt, 0) |
                 dense(&pw, w, at[2], dt) | dense(&pb, &p->t[3], at[3], dt);
    int64_t *t = fbc_alloc(MAX(64, 3 * T * 8));
    winograd few = {g.N,  g.C,  g.O,  g.H,  g.W,  g.OH,    g.OW, g.kh, g.kw,          g.sh,          g.ph,          g.pw,
                    px.n, px.c, px.h, py.n, py.c, g.OW,    T * g.C, T, 0, (float *)px.p, (float *)pw.p, (float *)pb.p,
                    (float *)py.p};
    if (rc || !t) rc = FBK_ENOMEM;
    else if (is_plain(&g, dt) && winograd_pays(&few)) rc = winograd_run(&few);
    else if (cg == 1 && g.groups > 1) rc = dw_forward(dt, &g, &py, &px, pw.p, pb.p);
    else if (few_takes(dt, &g)) rc = few_run(&g, 0, &py, &px, pw.p, pb.p, NULL);
    else {
        for (int64_t i = 0; i < T; i++)
            t[i] = i / g.kw * g.dh - g.ph, t[T + i] = i % g.kw * g.dw - g.pw, t[2 * T + i] = i;
        taps c = {.nimg = g.N,
                  .groups = g.groups,
                  .M = g.O / g.groups,
                  .CH = cg,
                  .NT = T,
                  .GH = g.OH,
                  .GW = g.OW,
                  .SH = g.sh,
                  .SW = g.sw,
                  .IH = g.H,
                  .IW = g.W,
                  .th = t,
                  .tw = t + T,
                  .toff = t + 2 * T,
                  .src = px.p,
                  .w = pw.p,
                  .bias = pb.p,
                  .dst = py.p,
                  .sn = px.n,
                  .sc = px.c,
                  .srow = px.h,
                  .wm = cg * T,
                  .wc = T,
                  .wg = g.O / g.groups * cg * T,
                  .dn = py.n,
                  .dc = py.c,
                  .du = g.OW,
                  .dv = 1};
        if (T == 1 && g.sh == 1 && g.sw == 1 && !g.ph && !g.pw && (px.h == g.W || g.H == 1) &&
            g.H * g.W < INT64_MAX)
            c.GW = c.IW = c.du = g.H * g.W, c.GH = c.IH = 1; /* pointwise: an image is one row */
        rc = conv_taps(dt, &c);
    }
    if (!rc) conv_store(&py, y, at[0], dt);
    (void)z;
    if (t) fbc_free(t, MAX(64, 3 * T * 8));
    conv_free(&py), conv_free(&px), conv_free(&pw), conv_free(&pb);
    return rc;
}
/* t: gx, gy, w, bias (over gx's channels: a transposed convolution); ia as above */
FBK_ENTRY(fbk_conv_bwd_input) {
    const fbk_spec *x = &p->t[0], *y = &p->t[1], *w = &p->t[2];
    geom g = conv_geom(p, x, y, w);
    int dt = work_type(x);
    plane4 py = {0}, px = {0}, pw = {0}, pb = {0};
    int64_t T = g.kh * g.kw, cg = g.C / MAX(1, g.groups), og = g.O / MAX(1, g.groups), z = dt_size(dt);
    int64_t rc = conv_load(&px, x, at[0], dt, 1) | conv_load(&py, y, at[1], dt, 0) |
                 dense(&pw, w, at[2], dt) | dense(&pb, &p->t[3], at[3], dt);
    int64_t *t = fbc_alloc(MAX(64, 3 * T * 8));
    winograd few = {g.N,  g.O,  g.C,  g.OH, g.OW, g.H, g.W, g.kh,    g.kw, g.sh,          g.ph,          g.pw,
                    py.n, py.c, py.h, px.n, px.c, g.W, T,   T * g.C, 1,    (float *)py.p, (float *)pw.p, (float *)pb.p,
                    (float *)px.p};
    if (rc || !t) rc = FBK_ENOMEM;
    else if (is_plain(&g, dt) && winograd_pays(&few)) rc = winograd_run(&few);
    else if (cg == 1 && og == 1 && g.groups > 1) rc = dw_input(dt, &g, &px, &py, pw.p, pb.p);
    else if (few_takes(dt, &g)) rc = few_run(&g, 1, &py, &px, pw.p, pb.p, NULL);
    else if (back_takes(dt, &g)) rc = back_run(&g, &px, &py, pw.p, pb.p);
    else
        for (int64_t a = 0; a < g.sh && !rc; a++)
            for (int64_t b = 0; b < g.sw && !rc; b++) { /* the pixels h = a (mod sh), w = b (mod sw) */
                int64_t n = 0, ah = a + g.ph, bw = b + g.pw;
                if (a >= g.H || b >= g.W) continue;
                for (int64_t i = 0; i < T; i++) {
                    int64_t h = ah - i / g.kw * g.dh, v = bw - i % g.kw * g.dw;
                    if (h % g.sh || v % g.sw) continue;
                    t[n] = h / g.sh, t[T + n] = v / g.sw, t[2 * T + n++] = i;
                }
                taps c = {.nimg = g.N,
                          .groups = g.groups,
                          .M = cg,
                          .CH = og,
                          .NT = n,
                          .GH = ceil_div(g.H - a, g.sh),
                          .GW = ceil_div(g.W - b, g.sw),
                          .SH = 1,
                          .SW = 1,
                          .IH = g.OH,
                          .IW = g.OW,
                          .th = t,
                          .tw = t + T,
                          .toff = t + 2 * T,
                          .src = py.p,
                          .w = pw.p,
                          .bias = pb.p,
                          .dst = px.p + (a * g.W + b) * z,
                          .sn = py.n,
                          .sc = py.c,
                          .srow = py.h,
                          .wm = T,
                          .wc = cg * T,
                          .wg = og * cg * T,
                          .dn = px.n,
                          .dc = px.c,
                          .du = g.W * g.sh,
                          .dv = g.sw};
                if (T == 1 && g.sh == 1 && g.sw == 1 && !g.ph && !g.pw && (py.h == g.OW || g.OH == 1))
                    c.GW = c.IW = c.du = g.H * g.W, c.GH = c.IH = 1;
                rc = conv_taps(dt, &c);
            }
    if (!rc) conv_store(&px, x, at[0], dt);
    if (t) fbc_free(t, MAX(64, 3 * T * 8));
    conv_free(&py), conv_free(&px), conv_free(&pw), conv_free(&pb);
    return rc;
}
/* The gradient of pointwise weights: a product over the positions of all images. Where the weights are too few to share out,
   the positions are, in parts that depend on the shape alone, whose sums are added up in order. */
typedef struct {
    const geom *g;
    const plane4 *y, *x;
    char *gw, *sums;
    int dt;
    int64_t parts, per, rc;
} pointwise;
static void pointwise_part(void *ctx, int64_t lo, int64_t hi) {
    pointwise *w = ctx;
    const geom *g = w->g;
    int64_t P = g->H * g->W, z = dt_size(w->dt);
    for (int64_t q = lo; q < hi; q++)
        for (int64_t from = q * w->per, end = MIN(from + w->per, g->N * P), k; from < end; from += k) {
            int64_t n = from / P, r = from % P, rc;
            k = MIN(end - from, P - r);
            fbk_mat a = {w->y->p + (n * w->y->n + r) * z, w->y->c, 1}, b = {w->x->p + (n * w->x->n + r) * z, 1, w->x->c};
            fbk_gemm m = {.M = g->O, .N = g->C, .K = k, .a = &a, .b = &b, .c = w->sums + q * g->O * g->C * z, .ldc = g->C,
                          .acc = from != q * w->per};
            if ((rc = fbk_gemm_run(w->dt, &m))) __atomic_store_n(&w->rc, rc, __ATOMIC_RELAXED);
        }
}
static void pointwise_sum(void *ctx, int64_t lo, int64_t hi) {
    const pointwise *w = ctx;
    int64_t size = w->g->O * w->g->C;
#define SUM(T) \
    do { \
        T *to = (T *)w->gw; \
        const T *from = (const T *)w->sums; \
        for (int64_t i = lo; i < hi; i++) to[i] = from[i]; \
        for (int64_t q = 1; q < w->parts; q++) \
            for (int64_t i = lo; i < hi; i++) to[i] += from[q * size + i]; \
    } while (0)
    if (w->dt == DT_F32) SUM(float);
    else SUM(double);
}
static int64_t pointwise_weight(int dt, const geom *g, char *gw, const plane4 *y, const plane4 *x) {
    int64_t K = g->N * g->H * g->W, size = g->O * g->C, tasks = ceil_div(g->O, 128) * ceil_div(g->C, 480);
    pointwise w = {g, y, x, gw, gw, dt, tasks >= 8 || K * size < 1 << 20 ? 1 : MAX(1, MIN(8, K / 256)), 0, 0};
    w.per = ceil_div(ceil_div(K, w.parts), 64) * 64, w.parts = ceil_div(K, w.per);
    int64_t bytes = w.parts * size * dt_size(dt);
    if (w.parts == 1) {
        pointwise_part(&w, 0, 1);
        return w.rc;
    }
    if (!(w.sums = fbc_alloc(bytes))) return FBK_ENOMEM;
    fbk_par(w.parts, 1, pointwise_part, &w);
    if (!w.rc) fbk_par(size, 1 << 14, pointwise_sum, &w);
    fbc_free(w.sums, bytes);
    return w.rc;
}
/* t: gw, gy, x, gb */
FBK_ENTRY(fbk_conv_bwd_weight) {
    const fbk_spec *w = &p->t[0], *y = &p->t[1], *x = &p->t[2], *bs = &p->t[3];
    geom g = conv_geom(p, x, y, w);
    int dt = work_type(w);
    plane4 py = {0}, px = {0};
    int64_t z = dt_size(dt), nw = spec_numel(w), bytes = MAX(64, nw * z), rc;
    rc = conv_load(&py, y, at[1], dt, 2) | conv_load(&px, x, at[2], dt, 0);
    int direct = w->dtype == dt && spec_dense(w);
    char *gw = direct ? (char *)at[0] : fbc_alloc(bytes);
    if (rc || !gw) rc = FBK_ENOMEM;
    else if (g.C / MAX(1, g.groups) == 1 && g.groups > 1) rc = dw_weight(dt, &g, gw, &py, &px);
    else if (is_plain(&g, dt) && winograd_weight_pays(&g)) rc = winograd_weight(&g, (float *)gw, &py, &px);
    else if (g.kh * g.kw == 1 && g.sh == 1 && g.sw == 1 && !g.ph && !g.pw && g.groups == 1 && g.N * g.H * g.W > 256 &&
             (px.h == g.W || g.H == 1))
        rc = pointwise_weight(dt, &g, gw, &py, &px);
    else if (few_takes(dt, &g)) rc = few_run(&g, 2, &py, &px, NULL, NULL, (float *)gw);
    else rc = conv_weight(dt, &g, gw, &py, &px);
    if (!rc && !direct) {
        int64_t inner = w->shape[3];
        for (int64_t i = 0; nw && i < nw / inner; i++) {
            int64_t off = 0, r = i;
            for (int d = 2; d >= 0; d--) off += r % w->shape[d] * w->stride[d], r /= w->shape[d];
            char *q = (char *)at[0] + off * dt_size(w->dtype);
            if (dt == DT_F32) put_f32(q, w->dtype, w->stride[3], (float *)gw + i * inner, inner);
            else put_f64(q, w->dtype, w->stride[3], (double *)gw + i * inner, inner);
        }
    }
    (void)bs;
    if (gw && !direct) fbc_free(gw, bytes);
    conv_free(&py), conv_free(&px);
    return rc;
}
