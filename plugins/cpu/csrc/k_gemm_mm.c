/* Batched matrix products of any dtype and strides: float32/64 through the packed GEMM or matrix-vector
   loops, halves through float32, complex through OpenBLAS, integers through int64. Optionally out = alpha a b
   + beta c. */
/* cflags: -ffp-contract=fast */
#include "bf16_gemm.h"
#include "blas.h"
#include "k_gemm.h"
#include "k_vmath.h"

typedef struct {
    char *p;
    int64_t rs, cs;
} mat;
typedef struct {
    int dt; /* of out, a, b, c */
    int64_t M, N, K, es, work;
    int has_c, plain; /* plain: alpha = beta = 1 */
    double alpha, beta;
    mat o, a, b, c;
    fbk_it batch; /* out, a, b, c */
    int64_t rc;
} mm;

/* ---- matrix times vector ---- */
typedef struct {
    const mm *m;
    mat mt;
    const char *x;
    int64_t xs;
    char *y;
    int64_t ys, rows, len;
} gemv;
#define GEMV(T, NAME, V, VL, LDV) \
    /* y[i] = sum_k A[i,k] x[k], A's rows contiguous: 4 vectors of partial sums, folded by a fixed tree */ \
    static void NAME##_dot(void *c, int64_t lo, int64_t hi) { \
        const gemv *g = c; \
        const T *x = (const T *)g->x; \
        for (int64_t i = lo; i < hi; i++) { \
            const T *a = (const T *)g->mt.p + i * g->mt.rs; \
            V s[4] = {{0}}; \
            int64_t k = 0; \
            for (; k + 4 * VL <= g->len; k += 4 * VL) \
                _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++) \
                    s[u] += LDV(a + k + u * VL) * LDV(x + k + u * VL); \
            for (; k + VL <= g->len; k += VL) s[0] += LDV(a + k) * LDV(x + k); \
            s[0] = (s[0] + s[1]) + (s[2] + s[3]); \
            T t[VL], r = 0; \
            memcpy(t, &s[0], sizeof t); \
            for (int h = VL / 2; h; h >>= 1) \
                for (int j = 0; j < h; j++) t[j] += t[j + h]; \
            for (; k < g->len; k++) r += a[k] * x[k]; \
            ((T *)g->y)[i * g->ys] = t[0] + r; \
        } \
    } \
    /* y[j] = sum_k x[k] A[j,k], A's columns contiguous: 512 outputs at a time */ \
    static void NAME##_axpy(void *c, int64_t lo, int64_t hi) { \
        const gemv *g = c; \
        for (int64_t b = lo; b < hi; b++) { \
            int64_t j0 = b * 512, n = MIN(512, g->rows - j0), k = 0; \
            T s[512] = {0}; \
            const T *a = (const T *)g->mt.p + j0, *x = (const T *)g->x; \
            int64_t ks = g->mt.cs; \
            for (; k + 4 <= g->len; k += 4) { \
                const T *q = a + k * ks; \
                T x0 = x[k * g->xs], x1 = x[(k + 1) * g->xs], x2 = x[(k + 2) * g->xs], \
                  x3 = x[(k + 3) * g->xs]; \
                for (int64_t j = 0; j < n; j++) \
                    s[j] += (q[j] * x0 + q[j + ks] * x1) + (q[j + 2 * ks] * x2 + q[j + 3 * ks] * x3); \
            } \
            for (; k < g->len; k++) { \
                T x0 = x[k * g->xs]; \
                for (int64_t j = 0; j < n; j++) s[j] += a[k * ks + j] * x0; \
            } \
            for (int64_t j = 0; j < n; j++) ((T *)g->y)[(j0 + j) * g->ys] = s[j]; \
        } \
    }
GEMV(float, gemv_f32, vf, VW, ldf)
GEMV(double, gemv_f64, vd, VD, ldd)

/* y[rows] = mt[rows, len] x[len]; 0 when it was done, FBK_EUNSUP when the strides don't suit. */
static int64_t run_gemv(const mm *m, mat mt, int64_t rows, int64_t len, mat x, int64_t xs, mat y,
                        int64_t ys) {
    gemv g = {m, mt, x.p, xs, y.p, ys, rows, len};
    int f = m->dt == DT_F32;
    if ((mt.cs == 1 || len == 1) && (xs == 1 || len == 1)) {
        fbk_par(rows, MAX(1, 32768 / MAX(1, len)), f ? gemv_f32_dot : gemv_f64_dot, &g);
        return 0;
    }
    if (mt.rs == 1) {
        fbk_par(ceil_div(rows, 512), MAX(1, 32768 / MAX(1, len * 512)), f ? gemv_f32_axpy : gemv_f64_axpy,
                &g);
        return 0;
    }
    return FBK_EUNSUP;
}

/* ---- one product of float32 or float64 matrices ---- */
static void finish(const mm *m, mat o, mat c) { /* o = alpha o + beta c */
    for (int64_t i = 0; i < m->M; i++)
        for (int64_t j = 0; j < m->N; j++) {
            if (m->dt == DT_F32) {
                float *q = (float *)o.p + i * o.rs + j * o.cs;
                *q = (float)m->alpha * *q +
                     (float)m->beta * (m->beta != 0 ? ((const float *)c.p)[i * c.rs + j * c.cs] : 0);
            } else {
                double *q = (double *)o.p + i * o.rs + j * o.cs;
                *q = m->alpha * *q +
                     m->beta * (m->beta != 0 ? ((const double *)c.p)[i * c.rs + j * c.cs] : 0);
            }
        }
}
static int64_t product(const mm *m, mat o, mat a, mat b, mat c) {
    int64_t M = m->M, N = m->N, rc = FBK_EUNSUP, es = m->es;
    int plain = !m->has_c || m->plain, direct = 0;
    if (N == 1 && M > 1) rc = run_gemv(m, a, M, m->K, b, b.rs, o, o.rs);
    else if (M == 1) rc = run_gemv(m, (mat){b.p, b.cs, b.rs}, N, m->K, a, a.cs, o, o.cs);
    if (rc == FBK_EUNSUP) {
        mat t = o;
        fbk_mat fa = {a.p, a.rs, a.cs}, fb = {b.p, b.rs, b.cs};
        fbk_gemm g = {.M = M, .N = N, .K = m->K, .a = &fa, .b = &fb};
        char *tmp = NULL;
        if (o.cs != 1 && N > 1) {
            if (o.rs == 1 || M == 1) { /* the transposed product */
                g.M = N, g.N = M;
                fa = (fbk_mat){b.p, b.cs, b.rs}, fb = (fbk_mat){a.p, a.cs, a.rs};
                t = (mat){o.p, o.cs, 1};
                if (m->has_c && plain) g.bias = c.p, g.bias_rs = c.cs, g.bias_cs = c.rs;
            } else {
                if (!(tmp = fbc_alloc(M * N * es))) return FBK_ENOMEM;
                t = (mat){tmp, N, 1};
                if (m->has_c && plain) g.bias = c.p, g.bias_rs = c.rs, g.bias_cs = c.cs;
            }
        } else if (m->has_c && plain) g.bias = c.p, g.bias_rs = c.rs, g.bias_cs = c.cs;
        direct = g.bias != NULL;
        g.c = t.p, g.ldc = t.rs;
        rc = fbk_gemm_run(m->dt, &g);
        if (tmp) {
            for (int64_t i = 0; !rc && i < M; i++)
                if (es == 4)
                    for (int64_t j = 0; j < N; j++)
                        ((float *)o.p)[i * o.rs + j * o.cs] = ((float *)tmp)[i * N + j];
                else
                    for (int64_t j = 0; j < N; j++)
                        ((double *)o.p)[i * o.rs + j * o.cs] = ((double *)tmp)[i * N + j];
            fbc_free(tmp, M * N * es);
        }
    }
    if (!rc && m->has_c && !direct) finish(m, o, c);
    return rc;
}

/* ---- other dtypes: convert, multiply, convert back ---- */
static void to_dense(char *dst, int what, mat s, int dt, int64_t es, int64_t R,
                     int64_t C) { /* what: DT_F32 or DT_I64 */
    for (int64_t i = 0; i < R; i++) {
        const char *p = s.p + i * s.rs * es;
        if (what == DT_F32) {
            const float *x = get_f32((float *)dst + i * C, p, dt, C, s.cs);
            if (x == (const float *)p) memcpy((float *)dst + i * C, p, (size_t)C * 4);
        } else {
            const int64_t *x = get_i64((int64_t *)dst + i * C, p, dt, C, s.cs);
            if (x == (const int64_t *)p) memcpy((int64_t *)dst + i * C, p, (size_t)C * 8);
        }
    }
}
/* bfloat16 where the CPU multiplies it */
static int64_t bf16_product(const mm *m, mat o, mat a, mat b, mat c) {
    int straight = !m->has_c && (o.cs == 1 || m->N == 1); /* rounded as soon as it is summed */
    int64_t bytes = straight && m->K <= FBC_BF16_DEPTH ? 0 : (m->has_c ? 2 : 1) * m->M * m->N * 4;
    float *t = bytes ? fbc_alloc(bytes) : NULL;
    if (bytes && !t) return FBK_ENOMEM;
    fbc_bf16_product g = {m->M,  m->N,  m->K, (const uint16_t *)a.p, (const uint16_t *)b.p, a.rs, a.cs,
                          b.rs, b.cs, t,    m->N, straight ? (uint16_t *)o.p : NULL, o.rs};
    int64_t rc = fbc_bf16_gemm(&g);
    if (!rc && m->has_c) {
        mm f = *m;
        f.dt = DT_F32;
        mat fc = {(char *)(t + m->M * m->N), m->N, 1};
        if (m->plain || m->beta != 0) to_dense(fc.p, DT_F32, c, m->dt, m->es, m->M, m->N);
        if (m->plain) f.alpha = f.beta = 1;
        finish(&f, (mat){(char *)t, m->N, 1}, fc);
    }
    for (int64_t i = 0; !rc && !straight && i < m->M; i++)
        put_f32(o.p + i * o.rs * m->es, m->dt, o.cs, t + i * m->N, m->N);
    if (t) fbc_free(t, bytes);
    return rc;
}
static int64_t half_product(const mm *m, mat o, mat a, mat b, mat c) {
    if (m->dt == DT_BF16 && fbc_bf16_ok && m->work >= 8192) return bf16_product(m, o, a, b, c);
    int64_t M = m->M, N = m->N, K = m->K, bytes = (M * K + K * N + 2 * M * N) * 4, rc;
    float *t = fbc_alloc(MAX(bytes, 64));
    if (!t) return FBK_ENOMEM;
    mm f = *m;
    f.dt = DT_F32, f.es = 4;
    mat fa = {(char *)t, K, 1}, fb = {(char *)(t + M * K), N, 1}, fo = {(char *)(t + M * K + K * N), N, 1},
        fc = {fo.p + M * N * 4, N, 1};
    to_dense(fa.p, DT_F32, a, m->dt, m->es, M, K);
    if (b.rs == 1 && b.cs != 1) { /* keep the transposed order: reading it so is cheaper */
        to_dense(fb.p, DT_F32, (mat){b.p, b.cs, b.rs}, m->dt, m->es, N, K);
        fb.rs = 1, fb.cs = K;
    } else to_dense(fb.p, DT_F32, b, m->dt, m->es, K, N);
    if (m->has_c && (m->plain || m->beta != 0)) to_dense(fc.p, DT_F32, c, m->dt, m->es, M, N);
    rc = product(&f, fo, fa, fb, fc);
    for (int64_t i = 0; !rc && i < M; i++)
        put_f32(o.p + i * o.rs * m->es, m->dt, o.cs, (const float *)fo.p + i * N, N);
    fbc_free(t, MAX(bytes, 64));
    return rc;
}
typedef struct {
    const mm *m;
    mat o, a, c;
    const int64_t *b;
} intctx;
static void int_rows(void *ctx, int64_t lo, int64_t hi) {
    const intctx *x = ctx;
    const mm *m = x->m;
    for (int64_t i = lo; i < hi; i++)
        for (int64_t j0 = 0; j0 < m->N; j0 += 256) {
            uint64_t s[256] = {0};
            int64_t n = MIN(256, m->N - j0), ab[256], cb[256];
            for (int64_t k0 = 0; k0 < m->K; k0 += 256) {
                int64_t kn = MIN(256, m->K - k0);
                const int64_t *ar = get_i64(ab, x->a.p + (i * x->a.rs + k0 * x->a.cs) * m->es, m->dt, kn,
                                            x->a.cs);
                for (int64_t k = 0; k < kn; k++) {
                    uint64_t v = (uint64_t)ar[k];
                    const uint64_t *br = (const uint64_t *)x->b + (k0 + k) * m->N + j0;
                    for (int64_t j = 0; j < n; j++) s[j] += v * br[j];
                }
            }
            if (m->has_c) {
                const int64_t *cr = get_i64(cb, x->c.p + (i * x->c.rs + j0 * x->c.cs) * m->es, m->dt, n,
                                            x->c.cs);
                for (int64_t j = 0; j < n; j++)
                    s[j] = s[j] * (uint64_t)(int64_t)m->alpha + (uint64_t)(int64_t)m->beta * (uint64_t)cr[j];
            }
            if (m->dt == DT_BOOL)
                for (int64_t j = 0; j < n; j++) s[j] = s[j] != 0;
            put_i64(x->o.p + (i * x->o.rs + j0 * x->o.cs) * m->es, m->dt, x->o.cs, (const int64_t *)s, n);
        }
}
static int64_t int_product(const mm *m, mat o, mat a, mat b, mat c) {
    int64_t bytes = MAX(64, m->K * m->N * 8);
    int64_t *t = fbc_alloc(bytes);
    if (!t) return FBK_ENOMEM;
    to_dense((char *)t, DT_I64, b, m->dt, m->es, m->K, m->N);
    intctx x = {m, o, a, c, t};
    fbk_par(m->M, MAX(1, 32768 / MAX(1, m->K * m->N)), int_rows, &x);
    fbc_free(t, bytes);
    return 0;
}
typedef struct {
    const mm *m;
    mat a;
    const char *b;
    int ta, tb, lda, ldb;
    char *o;
    const fbc_blas_t *blas;
} cctx;
static void cplx_rows(void *ctx, int64_t lo, int64_t hi) {
    const cctx *x = ctx;
    const mm *m = x->m;
    for (int64_t t = lo; t < hi; t++) {
        int64_t i0 = t * 192, r = MIN(192, m->M - i0);
        char *o = x->o + i0 * m->N * m->es;
        const char *a = x->a.p + i0 * x->a.rs * m->es;
        float one[2] = {1, 0}, zero[2] = {0, 0};
        double done[2] = {1, 0}, dzero[2] = {0, 0};
        if (m->dt == DT_C64)
            x->blas->cgemm(FBC_ROW_MAJOR, x->ta, x->tb, (int)r, (int)m->N, (int)m->K, one, a, x->lda, x->b,
                           x->ldb, zero, o, (int)m->N);
        else
            x->blas->zgemm(FBC_ROW_MAJOR, x->ta, x->tb, (int)r, (int)m->N, (int)m->K, done, a, x->lda, x->b,
                           x->ldb, dzero, o, (int)m->N);
    }
}
/* Without BLAS: four real products of the real and imaginary parts. to: room for the dense complex result. */
static void split(char *re, char *im, mat s, int64_t es, int64_t R, int64_t C, double sign) {
    for (int64_t i = 0; i < R; i++)
        for (int64_t j = 0; j < C; j++) {
            const char *q = s.p + (i * s.rs + j * s.cs) * es;
            if (es == 8)
                ((float *)re)[i * C + j] = ((const float *)q)[0],
                                      ((float *)im)[i * C + j] = ((const float *)q)[1] * (float)sign;
            else
                ((double *)re)[i * C + j] = ((const double *)q)[0],
                                       ((double *)im)[i * C + j] = ((const double *)q)[1] * sign;
        }
}
static int64_t cplx_parts(const mm *m, char *to, mat a, mat b) {
    int64_t M = m->M, N = m->N, K = m->K, z = m->es / 2, bytes = MAX(64, 2 * (M * K + K * N + M * N) * z),
            rc = 0;
    int dt = z == 4 ? DT_F32 : DT_F64;
    char *t = fbc_alloc(bytes);
    if (!t) return FBK_ENOMEM;
    char *ar = t, *ai = ar + M * K * z, *br = ai + M * K * z, *bi = br + K * N * z, *cr = bi + K * N * z,
         *ci = cr + M * N * z;
    split(ar, ai, a, m->es, M, K, -1);
    split(br, bi, b, m->es, K, N, 1);
    for (int k = 0; k < 4 && !rc; k++) { /* re = ar br + (-ai) bi; im = ar bi, then - (-ai) br */
        fbk_mat fa = {k & 1 ? ai : ar, K, 1}, fb = {k == 0 || k == 3 ? br : bi, N, 1};
        fbk_gemm g = {
            .M = M, .N = N, .K = K, .a = &fa, .b = &fb, .c = k < 2 ? cr : ci, .ldc = N, .acc = k & 1};
        for (int64_t i = 0; k == 3 && i < M * K; i++) {
            if (z == 4) ((float *)ai)[i] = -((float *)ai)[i];
            else ((double *)ai)[i] = -((double *)ai)[i];
        }
        rc = fbk_gemm_run(dt, &g);
    }
    for (int64_t i = 0; i < M * N; i++)
        if (z == 4) ((float *)to)[2 * i] = ((float *)cr)[i], ((float *)to)[2 * i + 1] = ((float *)ci)[i];
        else ((double *)to)[2 * i] = ((double *)cr)[i], ((double *)to)[2 * i + 1] = ((double *)ci)[i];
    fbc_free(t, bytes);
    return rc;
}
/* A matrix as BLAS wants it; packed into *tmp when its strides don't suit. */
static char *blas_operand(mat s, int64_t R, int64_t C, int64_t es, char **tmp, int *trans, int *ld,
                          int64_t *rs) {
    if ((s.cs == 1 || C == 1) && s.rs >= MAX(1, C)) {
        *trans = FBC_NO_TRANS, *ld = (int)s.rs, *rs = s.rs;
        return s.p;
    }
    if ((s.rs == 1 || R == 1) && s.cs >= MAX(1, R)) {
        *trans = FBC_TRANS, *ld = (int)s.cs, *rs = 1;
        return s.p;
    }
    if (!(*tmp = fbc_alloc(MAX(64, R * C * es)))) return NULL;
    for (int64_t i = 0; i < R; i++)
        for (int64_t j = 0; j < C; j++)
            memcpy(*tmp + (i * C + j) * es, s.p + (i * s.rs + j * s.cs) * es, (size_t)es);
    *trans = FBC_NO_TRANS, *ld = (int)MAX(1, C), *rs = C;
    return *tmp;
}
static int64_t cplx_product(const mm *m, mat o, mat a, mat b, mat c) {
    int64_t M = m->M, N = m->N, K = m->K, es = m->es, bytes = MAX(64, M * N * es), rs, rsb;
    char *ta = NULL, *tb = NULL, *to = fbc_alloc(bytes);
    int64_t rc = FBK_ENOMEM;
    cctx x = {
        .m = m, .o = to, .blas = K && M < INT32_MAX && N < INT32_MAX && K < INT32_MAX ? fbc_blas() : NULL};
    if (to && !x.blas) rc = cplx_parts(m, to, a, b);
    x.a.p = to && x.blas ? blas_operand(a, M, K, es, &ta, &x.ta, &x.lda, &rs) : NULL;
    x.b = x.a.p ? blas_operand(b, K, N, es, &tb, &x.tb, &x.ldb, &rsb) : NULL;
    if (x.b) {
        x.a.rs = rs, rc = 0;
        fbk_par(ceil_div(M, 192), 1, cplx_rows, &x);
    }
    if (!rc)
        for (int64_t i = 0; i < M; i++)
            for (int64_t j = 0; j < N; j++) {
                char *q = o.p + (i * o.rs + j * o.cs) * es;
                const char *cq = m->has_c ? c.p + (i * c.rs + j * c.cs) * es : NULL;
                for (int h = 0; h < 2; h++) {
                    double v = es == 8 ? ((float *)to)[2 * (i * N + j) + h]
                                       : ((double *)to)[2 * (i * N + j) + h];
                    if (cq)
                        v = m->alpha * v + (m->beta != 0 ? m->beta * (es == 8 ? ((const float *)cq)[h]
                                                                              : ((const double *)cq)[h])
                                                         : 0);
                    if (es == 8) ((float *)q)[h] = (float)v;
                    else ((double *)q)[h] = v;
                }
            }
    fbc_free(to, to ? bytes : 0);
    if (ta) fbc_free(ta, MAX(64, M * K * es));
    if (tb) fbc_free(tb, MAX(64, K * N * es));
    return rc;
}

/* ---- the batch ---- */
static void batch_task(void *ctx, int64_t lo, int64_t hi) {
    mm *m = ctx;
    for (int64_t t = lo; t < hi; t++) {
        int64_t off[4];
        it_off(&m->batch, t, off);
        mat o = m->o, a = m->a, b = m->b, c = m->c;
        o.p += off[0] * m->es, a.p += off[1] * m->es, b.p += off[2] * m->es, c.p += off[3] * m->es;
        int64_t rc = m->dt == DT_F32 || m->dt == DT_F64    ? product(m, o, a, b, c)
                     : m->dt == DT_F16 || m->dt == DT_BF16 ? half_product(m, o, a, b, c)
                     : dt_is_cplx(m->dt)                   ? cplx_product(m, o, a, b, c)
                                                           : int_product(m, o, a, b, c);
        if (rc) __atomic_store_n(&m->rc, rc, __ATOMIC_RELAXED);
    }
}
/* t: out, a, b, and c (broadcast to out's shape) when nt > 3; fa: alpha, beta. */
FBK_ENTRY(fbk_matmul) {
    const fbk_spec *o = &p->t[0], *a = &p->t[1], *b = &p->t[2], *c = &p->t[3];
    int nd = o->ndim, has_c = p->nt > 3 && p->t[3].dtype >= 0;
    mm m = {.dt = o->dtype,
            .M = o->shape[nd - 2],
            .N = o->shape[nd - 1],
            .K = a->shape[nd - 1],
            .es = dt_size(o->dtype),
            .has_c = has_c,
            .alpha = has_c ? p->fa[0] : 1,
            .beta = has_c ? p->fa[1] : 0,
            .o = {(char *)at[0], o->stride[nd - 2], o->stride[nd - 1]},
            .a = {(char *)at[1], a->stride[nd - 2], a->stride[nd - 1]},
            .b = {(char *)at[2], b->stride[nd - 2], b->stride[nd - 1]}};
    if (has_c) m.c = (mat){(char *)at[3], c->stride[nd - 2], c->stride[nd - 1]};
    m.plain = m.alpha == 1 && m.beta == 1;
    int d = nd - 3;
    for (; d >= 0; d--) { /* batch dims over which b is shared become rows */
        int64_t n = o->shape[d], M = m.M;
        if (n == 1) continue;
        if (b->stride[d] != 0 || o->stride[d] != M * m.o.rs || a->stride[d] != M * m.a.rs ||
            (has_c && c->stride[d] != M * m.c.rs))
            break;
        m.M *= n;
    }
    it_init(&m.batch, 4);
    for (int e = 0; e <= d; e++) {
        int64_t st[4] = {o->stride[e], a->stride[e], b->stride[e], has_c ? c->stride[e] : 0};
        it_dim(&m.batch, o->shape[e], st);
    }
    m.work = m.M * m.N * MAX(1, m.K);
    if (!m.work || !m.batch.n) return 0;
    if (m.batch.n > 1 && m.work < 1 << 21) fbk_par(m.batch.n, MAX(1, 262144 / m.work), batch_task, &m);
    else batch_task(&m, 0, m.batch.n);
    return m.rc;
}
