/* Writing by index: scatter with reductions, and the gradient of an embedding. Lanes (positions off the
   indexed dimension) are shared among the threads; within a lane everything happens in index order, so the
   result is always the same. */
#include "k_index.h"
#include "k_load.h"

enum { S_SET, S_SUM, S_PROD, S_MAX, S_MIN };
typedef struct {
    fbk_it it; /* the lanes: out, index, src */
    char *out;
    const char *index, *src;
    int64_t es, size, stride, n, ist, sst,
        bad; /* the indexed dimension: size and stride in out; length and strides of index and src */
    int dt, kind, i32;
} scatctx;

/* m elements: out element j is o[j * so], and further by an index of its own (scaled by is) when ix is given.
 */
typedef struct {
    const char *ix;
    int64_t is, stride, m, so, ss, size, *bad, at, step;
    int i32;
} runctx;
INL int64_t shift_of(const runctx *r, int64_t j) { /* -1: out of bounds */
    if (!r->ix) return 0;
    int64_t k = r->i32 ? ((const int32_t *)r->ix)[j * r->is] : ((const int64_t *)r->ix)[j * r->is];
    if ((uint64_t)k >= (uint64_t)r->size) {
        index_bad(r->bad, r->at + j * r->step);
        return -1;
    }
    return k;
}
#define LANES_OP(T, EXPR) \
    ; \
    { \
        T *o = (T *)op; \
        const T *s = (const T *)sp; \
        const runctx c = *r; \
        if (!c.ix && c.so == 1 && c.ss == 1) \
            for (int64_t j = 0; j < c.m; j++) { \
                T a = o[j], b = s[j]; \
                (void)a; \
                o[j] = EXPR; \
            } \
        else \
            for (int64_t j = 0; j < c.m; j++) { \
                int64_t k = shift_of(&c, j); \
                if (k < 0) continue; \
                T *q = o + j * c.so + k * c.stride, a = *q, b = s[j * c.ss]; \
                (void)a; \
                *q = EXPR; \
            } \
        break; \
    }
#define OPS(DT, T, NAN_B) \
    case DT: \
        switch (kind) { \
        case S_SET: LANES_OP(T, b); \
        case S_SUM: LANES_OP(T, (T)(a + b)); \
        case S_PROD: LANES_OP(T, (T)(a * b)); \
        case S_MAX: LANES_OP(T, (b > a) | (NAN_B) ? b : a); \
        default: LANES_OP(T, (b < a) | (NAN_B) ? b : a); \
        } \
        break;
INL uint16_t half_op(uint16_t x, uint16_t y, int dt, int kind) {
    float a = dt == DT_F16 ? f16_f32(x) : bf16_f32(x), b = dt == DT_F16 ? f16_f32(y) : bf16_f32(y), v;
    v = kind == S_SUM    ? a + b
        : kind == S_PROD ? a * b
        : kind == S_MAX  ? (b > a || b != b ? b : a)
                         : (b < a || b != b ? b : a);
    return kind == S_SET ? y : dt == DT_F16 ? f32_f16(v) : f32_bf16(v);
}
#define CPLX(T) \
    for (int64_t j = 0; j < r->m; j++) { \
        int64_t k = shift_of(r, j); \
        if (k < 0) continue; \
        T *o = (T *)op + 2 * (j * r->so + k * r->stride), re = o[0]; \
        const T *s = (const T *)sp + 2 * j * r->ss; \
        if (kind == S_SET) o[0] = s[0], o[1] = s[1]; \
        else if (kind == S_SUM) o[0] += s[0], o[1] += s[1]; \
        else o[0] = re * s[0] - o[1] * s[1], o[1] = re * s[1] + o[1] * s[0]; \
    }
static void lanes(const runctx *r, char *op, const char *sp, int dt, int kind, int64_t es) {
    if (kind == S_SET && !r->ix && r->so == 1 && r->ss == 1) {
        memcpy(op, sp, (size_t)(r->m * es));
        return;
    }
    switch (dt) {
    case DT_BOOL:
        switch (kind) {
        case S_SET: LANES_OP(uint8_t, b);
        case S_SUM:
        case S_MAX: LANES_OP(uint8_t, (uint8_t)(a | b));
        default: LANES_OP(uint8_t, (uint8_t)(a & b));
        }
        break;
        OPS(DT_U8, uint8_t, 0);
        OPS(DT_U16, uint16_t, 0);
        OPS(DT_U32, uint32_t, 0);
        OPS(DT_U64, uint64_t, 0);
        OPS(DT_I8, int8_t, 0);
        OPS(DT_I16, int16_t, 0);
        OPS(DT_I32, int32_t, 0);
        OPS(DT_I64, int64_t, 0);
        OPS(DT_F32, float, b != b);
        OPS(DT_F64, double, b != b);
    case DT_C64: CPLX(float) break;
    case DT_C128: CPLX(double) break;
    default: LANES_OP(uint16_t, half_op(a, b, dt, kind));
    }
}
static void scatter_task(void *ctx, int64_t lin, int64_t hi) {
    scatctx *w = ctx;
    int64_t ies = w->i32 ? 4 : 8;
    while (lin < hi) {
        int64_t off[3], st[3], m = it_seg(&w->it, lin, hi, off, st);
        char *o = w->out + off[0] * w->es;
        const char *ix = w->index + off[1] * ies, *s = w->src + off[2] * w->es;
        runctx r = {.stride = w->stride, .size = w->size, .bad = &w->bad, .i32 = w->i32};
        if (st[1] == 0 && m > 1) /* an index for all lanes */
            for (int64_t i = 0; i < w->n; i++) {
                int64_t k = w->i32 ? ((const int32_t *)ix)[i * w->ist] : ((const int64_t *)ix)[i * w->ist];
                if ((uint64_t)k >= (uint64_t)w->size) {
                    index_bad(&w->bad, i);
                    continue;
                }
                r.m = m, r.so = st[0], r.ss = st[2];
                lanes(&r, o + k * w->stride * w->es, s + i * w->sst * w->es, w->dt, w->kind, w->es);
            }
        else if (m == 1 || llabs(w->ist) < llabs(st[1])) /* lane by lane, along the indexed dimension */
            for (int64_t j = 0; j < m; j++) {
                r.ix = ix + j * st[1] * ies, r.is = w->ist, r.m = w->n, r.so = 0, r.ss = w->sst, r.step = 1;
                lanes(&r, o + j * st[0] * w->es, s + j * st[2] * w->es, w->dt, w->kind, w->es);
            }
        else /* position by position, over the lanes */
            for (int64_t i = 0; i < w->n; i++) {
                r.ix = ix + i * w->ist * ies, r.is = st[1], r.m = m, r.so = st[0], r.ss = st[2], r.at = i;
                lanes(&r, o, s + i * w->sst * w->es, w->dt, w->kind, w->es);
            }
        lin += m;
    }
}
/* t: out, index, src (of index's shape). ia: dim, kind. The error's position counts along dim alone. */
FBK_ENTRY(fbk_scatter) {
    int d = (int)p->ia[0];
    const fbk_spec *o = &p->t[0], *x = &p->t[1], *s = &p->t[2];
    scatctx w = {.out = (char *)at[0],
                 .index = (const char *)at[1],
                 .src = (const char *)at[2],
                 .es = dt_size(o->dtype),
                 .dt = o->dtype,
                 .kind = (int)p->ia[1],
                 .bad = INT64_MAX,
                 .i32 = x->dtype == DT_I32,
                 .size = o->ndim ? o->shape[d] : 1,
                 .stride = o->ndim ? o->stride[d] : 0,
                 .n = x->ndim ? x->shape[d] : 1,
                 .ist = x->ndim ? x->stride[d] : 0,
                 .sst = s->ndim ? s->stride[d] : 0};
    it_init(&w.it, 3);
    for (int e = 0; e < x->ndim; e++) {
        int64_t st[3] = {o->stride[e], x->stride[e], s->stride[e]};
        if (e != d) it_dim(&w.it, x->shape[e], st);
    }
    fbk_par(w.it.n, MAX(16, 32768 / MAX(1, w.n)), scatter_task, &w);
    return w.bad == INT64_MAX ? 0 : FBK_EINDEX - w.bad;
}

/* ---- the gradient of an embedding ---- */
typedef struct {
    char *gw;
    const char *g;
    const int64_t *index;
    int64_t *count;
    int64_t n, V, D, ws, wcs, gs, gcs, es, pad, tasks;
    fbk_it rows; /* index positions: strides of g's rows */
    int dt;
} embctx;
static void emb_task(void *ctx, int64_t lo, int64_t hi) {
    const embctx *w = ctx;
    const int64_t D = w->D; /* a local: stores could change the struct */
    for (int64_t t = lo; t < hi; t++) {
        int64_t v0 = w->V * t / w->tasks, v1 = w->V * (t + 1) / w->tasks;
        for (int64_t v = v0; v < v1; v++)
            for (int64_t j = 0; j < D; j++) {
                if (w->wcs == 1) {
                    memset(w->gw + v * w->ws * w->es, 0, (size_t)(w->D * w->es));
                    break;
                }
                memset(w->gw + (v * w->ws + j * w->wcs) * w->es, 0, (size_t)w->es);
            }
        for (int64_t i = 0; i < w->n; i++) {
            int64_t v = w->index[i], off;
            if (v < v0 || v >= v1 || v == w->pad) continue;
            it_off(&w->rows, i, &off);
            if (w->dt == DT_F32) {
                float *o = (float *)w->gw + v * w->ws, f = w->count ? 1.f / (float)w->count[v] : 1.f;
                const float *g = (const float *)w->g + off;
                if (w->count)
                    for (int64_t j = 0; j < D; j++) o[j * w->wcs] += g[j * w->gcs] * f;
                else if (w->wcs == 1 && w->gcs == 1)
                    for (int64_t j = 0; j < D; j++) o[j] += g[j];
                else
                    for (int64_t j = 0; j < D; j++) o[j * w->wcs] += g[j * w->gcs];
            } else {
                double *o = (double *)w->gw + v * w->ws, f = w->count ? 1. / (double)w->count[v] : 1.;
                const double *g = (const double *)w->g + off;
                for (int64_t j = 0; j < D; j++) o[j * w->wcs] += g[j * w->gcs] * f;
            }
        }
    }
}
/* t: gw [V, D], g [..., D], index [...]; ia: padding index (or -1), scale by frequency */
FBK_ENTRY(fbk_embedding_bwd) {
    const fbk_spec *o = &p->t[0], *g = &p->t[1], *x = &p->t[2];
    int nd = x->ndim, half = o->dtype == DT_F16 || o->dtype == DT_BF16;
    embctx w = {.gw = (char *)at[0],
                .g = (const char *)at[1],
                .V = o->shape[0],
                .D = o->shape[1],
                .ws = o->stride[0],
                .wcs = o->stride[1],
                .gcs = g->stride[nd],
                .es = dt_size(o->dtype),
                .pad = p->ia[0],
                .dt = o->dtype};
    fbk_it xi;
    it_init(&xi, 1);
    it_init(&w.rows, 1);
    for (int d = 0; d < nd; d++)
        it_dim(&xi, x->shape[d], &x->stride[d]), it_dim(&w.rows, x->shape[d], &g->stride[d]);
    w.n = xi.n;
    int64_t bytes = MAX(64, w.n * 8), cbytes = MAX(64, w.V * 8), hbytes = MAX(64, (w.n + w.V) * w.D * 4),
            rc = 0;
    int64_t *index = fbc_alloc(bytes), *count = p->ia[1] ? fbc_alloc(cbytes) : NULL;
    float *tmp = half ? fbc_alloc(hbytes) : NULL;
    if (!index || (p->ia[1] && !count) || (half && !tmp)) rc = FBK_ENOMEM;
    if (count) memset(count, 0, (size_t)cbytes);
    for (int64_t i = 0; !rc && i < w.n; i++) {
        int64_t off;
        it_off(&xi, i, &off);
        index[i] = x->dtype == DT_I32 ? ((const int32_t *)at[2])[off] : ((const int64_t *)at[2])[off];
        if ((uint64_t)index[i] >= (uint64_t)w.V) rc = FBK_EINDEX - i;
        else if (count) count[index[i]]++;
    }
    if (!rc) {
        w.index = index, w.count = count;
        w.tasks = MAX(1, MIN(16, w.n * w.D / 65536));
        if (half) { /* sums in float32 */
            for (int64_t i = 0; i < w.n; i++) {
                int64_t off;
                it_off(&w.rows, i, &off);
                get_f32(tmp + (w.V + i) * w.D, w.g + off * 2, w.dt, w.D, w.gcs);
            }
            int64_t st = w.D;
            w.g = (const char *)(tmp + w.V * w.D), w.gcs = 1, w.gw = (char *)tmp, w.ws = w.D, w.wcs = 1,
            w.es = 4, w.dt = DT_F32;
            it_init(&w.rows, 1);
            it_dim(&w.rows, w.n, &st);
        }
        fbk_par(w.tasks, 1, emb_task, &w);
        for (int64_t v = 0; half && v < w.V; v++)
            put_f32((char *)at[0] + v * o->stride[0] * 2, o->dtype, o->stride[1], tmp + v * w.D, w.D);
    }
    if (index) fbc_free(index, bytes);
    if (count) fbc_free(count, cbytes);
    if (tmp) fbc_free(tmp, hbytes);
    return rc;
}
