/* Reading by index: gather (and with it index_select, embedding), nonzero, masked_select, masked_scatter. */
#include "k_load.h"
#include "k_index.h"

/* ---- gather ---- */
typedef struct {
    fbk_it it;
    char *out;
    const char *src, *index;
    int64_t es, size, stride, bad;
    int i32;
} takectx;

/* Neighbours from one place each: indexes are looked at a block at a time, so that the copies have no branch. */
#define COPY_NEAR(T, I) \
    while (m - j >= 64) { \
        const I *k = (const I *)ip + j; \
        int wrong = 0; \
        for (int l = 0; l < 64; l++) wrong |= (uint64_t)(int64_t)k[l] >= size; \
        if (wrong) break; \
        if (stride == 1) \
            for (int l = 0; l < 64; l++) o[j + l] = s[k[l]]; \
        else \
            for (int l = 0; l < 64; l++) o[j + l] = s[(int64_t)k[l] * stride]; \
        j += 64; \
    }
#define COPY_RUN(T) \
    do { \
        int64_t j = 0; \
        T *o = (T *)op; \
        const T *s = (const T *)sp; \
        const int64_t os = st[0], ss = st[1], is = st[2], \
                      stride = w->stride; /* locals: stores could change the struct */ \
        const uint64_t size = (uint64_t)w->size; \
        if (os == 1 && is == 1 && ss == 0) { \
            if (w->i32) { COPY_NEAR(T, int32_t) } else { COPY_NEAR(T, int64_t) } \
        } \
        if (w->i32) \
            for (; j < m; j++) { \
                int64_t k = ((const int32_t *)ip)[j * is]; \
                if ((uint64_t)k >= size) { \
                    index_bad(&w->bad, lin + j); \
                    continue; \
                } \
                o[j * os] = s[j * ss + k * stride]; \
            } \
        else \
            for (; j < m; j++) { \
                int64_t k = ((const int64_t *)ip)[j * is]; \
                if ((uint64_t)k >= size) { \
                    index_bad(&w->bad, lin + j); \
                    continue; \
                } \
                o[j * os] = s[j * ss + k * stride]; \
            } \
    } while (0)
typedef struct {
    uint64_t a, b;
} u128;

/* Whole contiguous rows, one index each: where indexes move the outer of two dimensions. */
static void take_rows(void *ctx, int64_t lo, int64_t hi) {
    takectx *w = ctx;
    const int64_t width = w->it.shape[1] * w->es, os = w->it.st[0][0] * w->es, ss = w->it.st[1][0] * w->es,
                  is = w->it.st[2][0], step = w->stride * w->es;
    for (int64_t r = lo; r < hi; r++) {
        int64_t k = w->i32 ? ((const int32_t *)w->index)[r * is] : ((const int64_t *)w->index)[r * is];
        if ((uint64_t)k >= (uint64_t)w->size) {
            index_bad(&w->bad, r * w->it.shape[1]);
            continue;
        }
        char *o = w->out + r * os;
        const char *s = w->src + r * ss + k * step;
        if (width > 1024 || width & 31) {
            memcpy(o, s, (size_t)width);
            continue;
        }
        for (int64_t b = 0; b < width; b += 32) memcpy(o + b, s + b, 32); /* too short for a call */
    }
}
static void take_task(void *ctx, int64_t lin, int64_t hi) {
    takectx *w = ctx;
    while (lin < hi) {
        int64_t off[3], st[3], m = it_seg(&w->it, lin, hi, off, st);
        char *op = w->out + off[0] * w->es;
        const char *sp = w->src + off[1] * w->es, *ip = w->index + off[2] * (w->i32 ? 4 : 8);
        if (st[2] == 0) { /* one index for the whole stretch: a row */
            int64_t k = w->i32 ? *(const int32_t *)ip : *(const int64_t *)ip;
            if ((uint64_t)k >= (uint64_t)w->size) index_bad(&w->bad, lin);
            else {
                sp += k * w->stride * w->es;
                if (st[0] == 1 && st[1] == 1) memcpy(op, sp, (size_t)(m * w->es));
                else copy_strided(op, st[0], sp, st[1], m, w->es);
            }
        } else switch (w->es) {
            case 1: COPY_RUN(uint8_t); break;
            case 2: COPY_RUN(uint16_t); break;
            case 4: COPY_RUN(uint32_t); break;
            case 8: COPY_RUN(uint64_t); break;
            default: COPY_RUN(u128);
            }
        lin += m;
    }
}
/* t: out, src, index, all of out's shape; src has stride 0 where the index moves it. ia: size and stride of
 * that dimension. */
FBK_ENTRY(fbk_gather) {
    takectx w = {.out = (char *)at[0],
                 .src = (const char *)at[1],
                 .index = (const char *)at[2],
                 .es = dt_size(p->t[0].dtype),
                 .size = p->ia[0],
                 .stride = p->ia[1],
                 .bad = INT64_MAX,
                 .i32 = p->t[2].dtype == DT_I32};
    it_specs(&w.it, p, 3, (const int[]){0, 1, 2}, 0);
    if (w.it.n && w.it.nd == 2 && w.it.st[0][1] == 1 && w.it.st[1][1] == 1 && w.it.st[2][1] == 0)
        fbk_par(w.it.shape[0], MAX(1, 32768 / w.it.shape[1]), take_rows, &w);
    else fbk_par(w.it.n, 32768, take_task, &w);
    return w.bad == INT64_MAX ? 0 : FBK_EINDEX - w.bad;
}

/* ---- where the mask is set ---- */
static int64_t count_run(const char *p, int dt, int64_t n, int64_t st) {
    uint8_t f[1024];
    int64_t c = 0;
    for (int64_t i = 0; i < n; i += 1024) {
        int64_t m = MIN(1024, n - i);
        uint32_t t = 0;
        const uint8_t *q = flags(f, p + i * st * dt_size(dt), dt, m, st);
        for (int64_t j = 0; j < m; j++) t += q[j] != 0;
        c += t;
    }
    return c;
}
#define FLAT 65536
typedef struct {
    const fbk_plan *p;
    fbk_it it;
    char *a[3];
    int64_t *count;
    int op, dt;
    int64_t es;
} maskctx;
static void count_task(void *ctx, int64_t lo, int64_t hi) {
    maskctx *w = ctx;
    for (int64_t c = lo; c < hi; c++) {
        int64_t lin = c * FLAT, end = MIN(lin + FLAT, w->it.n), n = 0;
        while (lin < end) {
            int64_t off[3], st[3], m = it_seg(&w->it, lin, end, off, st);
            n += count_run(w->a[0] + off[0] * dt_size(w->dt), w->dt, m, st[0]);
            lin += m;
        }
        w->count[c] = n;
    }
}
/* Counts per chunk of FLAT elements, turned into starting positions; the total is returned. */
static int64_t count_all(maskctx *w) {
    int64_t chunks = ceil_div(w->it.n, FLAT), total = 0;
    if (!(w->count = fbk_scratch(SLOT_A, MAX(64, chunks * 8)))) return FBK_ENOMEM;
    fbk_par(chunks, 1, count_task, w);
    for (int64_t c = 0; c < chunks; c++) {
        int64_t n = w->count[c];
        w->count[c] = total;
        total += n;
    }
    return total;
}
/* t[0]: unused out, t[1]: x */
FBK_ENTRY(fbk_nonzero_count) {
    maskctx w = {.a = {(char *)at[1]}, .dt = p->t[1].dtype};
    it_specs(&w.it, p, 1, (const int[]){1}, 0);
    return count_all(&w);
}
static void nonzero_task(void *ctx, int64_t lo, int64_t hi) {
    maskctx *w = ctx;
    const fbk_spec *o = &w->p->t[0], *x = &w->p->t[1];
    int nd = x->ndim;
    for (int64_t c = lo; c < hi; c++) {
        int64_t lin = c * FLAT, end = MIN(lin + FLAT, spec_numel(x)), row = w->count[c];
        int64_t inner = nd ? x->shape[nd - 1] : 1, ist = nd ? x->stride[nd - 1] : 0;
        while (lin < end) {
            int64_t pos[FBK_MAXD], off = 0, rest = lin / inner, j0 = lin % inner,
                                   m = MIN(inner - j0, end - lin);
            for (int d = nd - 2; d >= 0; d--) {
                pos[d] = rest % x->shape[d];
                rest /= x->shape[d];
                off += pos[d] * x->stride[d];
            }
            const char *q = w->a[1] + (off + j0 * ist) * w->es;
            for (int64_t j = 0; j < m; j += 1024) {
                uint8_t f[1024];
                int64_t b = MIN(1024, m - j);
                const uint8_t *set = flags(f, q + j * ist * w->es, x->dtype, b, ist);
                for (int64_t k = 0; k < b; k++)
                    if (set[k]) {
                        int64_t *out = (int64_t *)w->a[0] + row++ * o->stride[0];
                        for (int d = 0; d < nd - 1; d++) out[d * o->stride[1]] = pos[d];
                        if (nd) out[(nd - 1) * o->stride[1]] = j0 + j + k;
                    }
            }
            lin += m;
        }
    }
}
/* t: out [n, ndim], x */
FBK_ENTRY(fbk_nonzero) {
    maskctx c = {.a = {(char *)at[1]}, .dt = p->t[1].dtype},
            w = {.p = p, .a = {(char *)at[0], (char *)at[1]}, .es = dt_size(p->t[1].dtype)};
    it_init(&c.it, 1); /* chunks are counted in the order of the unmerged shape: row-major */
    it_specs(&c.it, p, 1, (const int[]){1}, 0);
    int64_t n = count_all(&c);
    if (n < 0) return n;
    w.count = c.count;
    if (p->t[1].ndim) fbk_par(ceil_div(c.it.n, FLAT), 1, nonzero_task, &w);
    return n;
}
static void select_task(void *ctx, int64_t lo, int64_t hi) {
    maskctx *w = ctx;
    for (int64_t c = lo; c < hi; c++) {
        int64_t lin = c * FLAT, end = MIN(lin + FLAT, w->it.n), k = w->count[c],
                ost = w->p->t[w->op == 0 ? 0 : 2].stride[0];
        while (lin < end) {
            int64_t off[3] = {0}, st[3] = {0}, m = it_seg(&w->it, lin, end, off, st);
            const uint8_t *mask = (const uint8_t *)w->a[0] + off[0];
            char *x = w->a[1] + off[1] * w->es, *flat = w->a[2];
            for (int64_t j = 0; j < m; j++) {
                if (!mask[j * st[0]]) continue;
                char *q = x + j * st[1] * w->es, *f = flat + k++ * ost * w->es;
                if (w->op == 0) copy_one(f, q, w->es);
                else copy_one(q, f, w->es);
            }
            lin += m;
        }
    }
}
static int64_t select_run(const fbk_plan *p, int op, char *mask, int mi, char *x, int xi, char *flat) {
    maskctx w = {.p = p, .a = {mask, x, flat}, .dt = DT_BOOL, .op = op, .es = dt_size(p->t[0].dtype)};
    it_specs(&w.it, p, 2, (const int[]){mi, xi}, 0);
    int64_t n = count_all(&w);
    if (n < 0) return n;
    fbk_par(ceil_div(w.it.n, FLAT), 1, select_task, &w);
    return n;
}
/* t: out [n], x, mask */
FBK_ENTRY(fbk_masked_select) { return select_run(p, 0, (char *)at[2], 2, (char *)at[1], 1, (char *)at[0]); }
/* t: out, mask, source [n] (flat): out where mask = source in order */
FBK_ENTRY(fbk_masked_scatter) { return select_run(p, 1, (char *)at[1], 1, (char *)at[0], 0, (char *)at[2]); }
