/* Writing by index: scatter with reductions, and the gradient of an embedding. Lanes (positions off the indexed dimension) are shared
   among the threads; within a lane everything happens in index order, so the result is always the same. */
#include "k_index.h"
#include "k_load.h"

enum { S_SET, S_SUM, S_PROD, S_MAX, S_MIN };
typedef struct {
    fbk_it it;                                   /* the lanes: out, index, src */
    char *out;
    const char *index, *src;
    int64_t es, size, stride, n, ist, sst, bad;  /* the indexed dimension: size and stride in out; length and strides of index and src */
    int dt, kind, i32;
} scatctx;

/* One index over m lanes. */
#define LANES_OP(T, EXPR) \
    { \
        T *o = (T *)op; \
        const T *s = (const T *)sp; \
        if (so == 1 && ss == 1) for (int64_t j = 0; j < m; j++) { T a = o[j], b = s[j]; o[j] = EXPR; } \
        else for (int64_t j = 0; j < m; j++) { T a = o[j * so], b = s[j * ss]; o[j * so] = EXPR; } \
        break; \
    }
#define OPS(DT, T, NAN_A, NAN_B) \
    case DT: \
        switch (kind) { \
        case S_SUM: LANES_OP(T, (T)(a + b)) \
        case S_PROD: LANES_OP(T, (T)(a * b)) \
        case S_MAX: LANES_OP(T, (b > a) | (NAN_B) ? b : a) \
        default: LANES_OP(T, (b < a) | (NAN_B) ? b : a) \
        } \
        break;
static void lanes_half(char *op, int64_t so, const char *sp, int64_t ss, int64_t m, int dt, int kind) {
    for (int64_t j = 0; j < m; j++) {
        uint16_t *o = (uint16_t *)op + j * so, s = ((const uint16_t *)sp)[j * ss];
        float a = dt == DT_F16 ? f16_f32(*o) : bf16_f32(*o), b = dt == DT_F16 ? f16_f32(s) : bf16_f32(s), r;
        r = kind == S_SUM ? a + b : kind == S_PROD ? a * b : kind == S_MAX ? (b > a || b != b ? b : a) : (b < a || b != b ? b : a);
        *o = dt == DT_F16 ? f32_f16(r) : f32_bf16(r);
    }
}
#define CPLX(T) \
    for (int64_t j = 0; j < m; j++) { \
        T *o = (T *)op + 2 * j * so, re = o[0]; \
        const T *s = (const T *)sp + 2 * j * ss; \
        if (kind == S_SUM) o[0] += s[0], o[1] += s[1]; \
        else o[0] = re * s[0] - o[1] * s[1], o[1] = re * s[1] + o[1] * s[0]; \
    }
static void lanes(char *op, int64_t so, const char *sp, int64_t ss, int64_t m, int dt, int kind, int64_t es) {
    if (kind == S_SET) {
        if (so == 1 && ss == 1) memcpy(op, sp, (size_t)(m * es));
        else copy_strided(op, so, sp, ss, m, es);
        return;
    }
    switch (dt) {
    case DT_BOOL:
        switch (kind) {
        case S_SUM: case S_MAX: LANES_OP(uint8_t, (uint8_t)(a | b))
        default: LANES_OP(uint8_t, (uint8_t)(a & b))
        }
        break;
    OPS(DT_U8, uint8_t, 0, 0) OPS(DT_U16, uint16_t, 0, 0) OPS(DT_U32, uint32_t, 0, 0) OPS(DT_U64, uint64_t, 0, 0)
    OPS(DT_I8, int8_t, 0, 0) OPS(DT_I16, int16_t, 0, 0) OPS(DT_I32, int32_t, 0, 0) OPS(DT_I64, int64_t, 0, 0)
    OPS(DT_F32, float, a != a, b != b) OPS(DT_F64, double, a != a, b != b)
    case DT_C64: CPLX(float) break;
    case DT_C128: CPLX(double) break;
    default: lanes_half(op, so, sp, ss, m, dt, kind);
    }
}
static void scatter_task(void *ctx, int64_t lin, int64_t hi) {
    scatctx *w = ctx;
    int64_t ies = w->i32 ? 4 : 8;
    while (lin < hi) {
        int64_t off[3], st[3], m = it_seg(&w->it, lin, hi, off, st);
        char *o = w->out + off[0] * w->es;
        const char *ix = w->index + off[1] * ies, *s = w->src + off[2] * w->es;
        int shared = st[1] == 0, inner = llabs(w->ist) < llabs(st[1]) || m == 1;
        if (shared || m == 1)
            for (int64_t i = 0; i < w->n; i++) {
                int64_t k = w->i32 ? ((const int32_t *)ix)[i * w->ist] : ((const int64_t *)ix)[i * w->ist];
                if ((uint64_t)k >= (uint64_t)w->size) { index_bad(&w->bad, i); continue; }
                lanes(o + k * w->stride * w->es, st[0], s + i * w->sst * w->es, st[2], m, w->dt, w->kind, w->es);
            }
        else {
            int64_t n0 = inner ? m : w->n, n1 = inner ? w->n : m;
            for (int64_t u = 0; u < n0; u++)
                for (int64_t v = 0; v < n1; v++) {
                    int64_t i = inner ? v : u, j = inner ? u : v;
                    int64_t k = w->i32 ? ((const int32_t *)ix)[i * w->ist + j * st[1]] : ((const int64_t *)ix)[i * w->ist + j * st[1]];
                    if ((uint64_t)k >= (uint64_t)w->size) { index_bad(&w->bad, i); continue; }
                    lanes(o + (k * w->stride + j * st[0]) * w->es, 1, s + (i * w->sst + j * st[2]) * w->es, 1, 1, w->dt, w->kind, w->es);
                }
        }
        lin += m;
    }
}
/* t: out, index, src (of index's shape). ia: dim, kind. The error's position counts along dim alone. */
FBK_ENTRY(fbk_scatter) {
    int d = (int)p->ia[0];
    const fbk_spec *o = &p->t[0], *x = &p->t[1], *s = &p->t[2];
    scatctx w = {.out = (char *)at[0], .index = (const char *)at[1], .src = (const char *)at[2], .es = dt_size(o->dtype), .dt = o->dtype,
                 .kind = (int)p->ia[1], .bad = INT64_MAX, .i32 = x->dtype == DT_I32,
                 .size = o->ndim ? o->shape[d] : 1, .stride = o->ndim ? o->stride[d] : 0, .n = x->ndim ? x->shape[d] : 1,
                 .ist = x->ndim ? x->stride[d] : 0, .sst = s->ndim ? s->stride[d] : 0};
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
    fbk_it rows;                                 /* index positions: strides of g's rows */
    int dt;
} embctx;
static void emb_task(void *ctx, int64_t lo, int64_t hi) {
    const embctx *w = ctx;
    for (int64_t t = lo; t < hi; t++) {
        int64_t v0 = w->V * t / w->tasks, v1 = w->V * (t + 1) / w->tasks;
        for (int64_t v = v0; v < v1; v++)
            for (int64_t j = 0; j < w->D; j++) {
                if (w->wcs == 1) { memset(w->gw + v * w->ws * w->es, 0, (size_t)(w->D * w->es)); break; }
                memset(w->gw + (v * w->ws + j * w->wcs) * w->es, 0, (size_t)w->es);
            }
        for (int64_t i = 0; i < w->n; i++) {
            int64_t v = w->index[i], off;
            if (v < v0 || v >= v1 || v == w->pad) continue;
            it_off(&w->rows, i, &off);
            if (w->dt == DT_F32) {
                float *o = (float *)w->gw + v * w->ws, f = w->count ? 1.f / (float)w->count[v] : 1.f;
                const float *g = (const float *)w->g + off;
                if (w->count) for (int64_t j = 0; j < w->D; j++) o[j * w->wcs] += g[j * w->gcs] * f;
                else if (w->wcs == 1 && w->gcs == 1) for (int64_t j = 0; j < w->D; j++) o[j] += g[j];
                else for (int64_t j = 0; j < w->D; j++) o[j * w->wcs] += g[j * w->gcs];
            } else {
                double *o = (double *)w->gw + v * w->ws, f = w->count ? 1. / (double)w->count[v] : 1.;
                const double *g = (const double *)w->g + off;
                for (int64_t j = 0; j < w->D; j++) o[j * w->wcs] += g[j * w->gcs] * f;
            }
        }
    }
}
/* t: gw [V, D], g [..., D], index [...]; ia: padding index (or -1), scale by frequency */
FBK_ENTRY(fbk_embedding_bwd) {
    const fbk_spec *o = &p->t[0], *g = &p->t[1], *x = &p->t[2];
    int nd = x->ndim, half = o->dtype == DT_F16 || o->dtype == DT_BF16;
    embctx w = {.gw = (char *)at[0], .g = (const char *)at[1], .V = o->shape[0], .D = o->shape[1], .ws = o->stride[0], .wcs = o->stride[1],
                .gcs = g->stride[nd], .es = dt_size(o->dtype), .pad = p->ia[0], .dt = o->dtype};
    fbk_it xi;
    it_init(&xi, 1);
    it_init(&w.rows, 1);
    for (int d = 0; d < nd; d++) it_dim(&xi, x->shape[d], &x->stride[d]), it_dim(&w.rows, x->shape[d], &g->stride[d]);
    w.n = xi.n;
    int64_t bytes = MAX(64, w.n * 8), cbytes = MAX(64, w.V * 8), hbytes = MAX(64, (w.n + w.V) * w.D * 4), rc = 0;
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
        if (half) {                              /* sums in float32 */
            for (int64_t i = 0; i < w.n; i++) {
                int64_t off;
                it_off(&w.rows, i, &off);
                get_f32(tmp + (w.V + i) * w.D, w.g + off * 2, w.dt, w.D, w.gcs);
            }
            int64_t st = w.D;
            w.g = (const char *)(tmp + w.V * w.D), w.gcs = 1, w.gw = (char *)tmp, w.ws = w.D, w.wcs = 1, w.es = 4, w.dt = DT_F32;
            it_init(&w.rows, 1);
            it_dim(&w.rows, w.n, &st);
        }
        fbk_par(w.tasks, 1, emb_task, &w);
        for (int64_t v = 0; half && v < w.V; v++) put_f32((char *)at[0] + v * o->stride[0] * 2, o->dtype, o->stride[1], tmp + v * w.D, w.D);
    }
    if (index) fbc_free(index, bytes);
    if (count) fbc_free(count, cbytes);
    if (tmp) fbc_free(tmp, hbytes);
    return rc;
}
