/* What every kernel file needs: dtype codes, vector types of the ISA compiled for, threads, scratch memory,
 * iteration over strided operands. */
#ifndef FBK_COMMON_H
#define FBK_COMMON_H
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "fbc.h"
#include "kernels.h"

enum {
    DT_BOOL,
    DT_U8,
    DT_U16,
    DT_U32,
    DT_U64,
    DT_I8,
    DT_I16,
    DT_I32,
    DT_I64,
    DT_F16,
    DT_BF16,
    DT_F32,
    DT_F64,
    DT_C64,
    DT_C128
};
#define FBK_MAXD 24
#define INL static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

INL int64_t dt_size(int d) {
    static const int8_t size[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
    return size[d];
}
INL int dt_is_int(int d) { return d <= DT_I64; }
INL int dt_is_cplx(int d) { return d >= DT_C64; }

/* Vectors: VB bytes, VW floats, VD doubles. */
#if defined(__AVX512F__)
#define VB 64
#elif defined(__AVX2__)
#define VB 32
#else
#define VB 16
#endif
#define VW (VB / 4)
#define VD (VB / 8)
typedef float vf __attribute__((vector_size(VB), may_alias));
typedef float vfu __attribute__((vector_size(VB), aligned(4), may_alias));
typedef double vd __attribute__((vector_size(VB), may_alias));
typedef double vdu __attribute__((vector_size(VB), aligned(8), may_alias));
typedef int32_t vi __attribute__((vector_size(VB), may_alias));
typedef int64_t vl __attribute__((vector_size(VB), may_alias));
INL vf ldf(const float *p) { return *(const vfu *)p; }
INL void stf(float *p, vf v) { *(vfu *)p = v; }
INL vd ldd(const double *p) { return *(const vdu *)p; }
INL void std_(double *p, vd v) { *(vdu *)p = v; }
INL vf splatf(float x) { return x - (vf){0}; }
INL vd splatd(double x) { return x - (vd){0}; }
INL vf self(vi m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }

/* Parallel for over [0, n) in ranges of at least `grain`; the ranges depend on n and grain alone. */
typedef void (*fbk_range_fn)(void *ctx, int64_t lo, int64_t hi);
typedef struct {
    fbk_range_fn fn;
    void *ctx;
    int64_t n, grain;
} fbk_range;
static void fbk_range_chunk(void *c, int64_t chunk, int worker) {
    const fbk_range *r = c;
    r->fn(r->ctx, chunk * r->grain, MIN((chunk + 1) * r->grain, r->n));
}
static inline void fbk_par(int64_t n, int64_t grain, fbk_range_fn fn, void *ctx) {
    if (n <= grain) {
        if (n > 0) fn(ctx, 0, n);
        return;
    }
    fbk_range r = {fn, ctx, n, grain};
    fbc_parallel((n + grain - 1) / grain, fbk_range_chunk, &r);
}

/* Scratch memory of the calling thread: one growing buffer per slot. NULL when out of memory. */
void *fbk_scratch(int slot, int64_t bytes);
enum { SLOT_A, SLOT_B, SLOT_C, SLOT_D, SLOT_E, SLOT_N }; /* two more from SLOT_N on belong to the GEMM */

/* Several strided operands walked together: dims of size 1 dropped, adjacent mergeable dims merged. st in
 * elements. */
#define IT_OPS 6
typedef struct {
    int nd, nop;
    int64_t n, shape[FBK_MAXD], st[IT_OPS][FBK_MAXD];
} fbk_it;

static inline void it_init(fbk_it *it, int nop) {
    it->nd = 0;
    it->nop = nop;
    it->n = 1;
}
/* Appends one (inner) dimension. */
static inline void it_dim(fbk_it *it, int64_t size, const int64_t *st) {
    it->n *= size;
    if (size == 1) return;
    if (it->nd) {
        int d = it->nd - 1, ok = 1;
        for (int o = 0; o < it->nop; o++) ok &= it->st[o][d] == st[o] * size;
        if (ok) {
            it->shape[d] *= size;
            for (int o = 0; o < it->nop; o++) it->st[o][d] = st[o];
            return;
        }
    }
    it->shape[it->nd] = size;
    for (int o = 0; o < it->nop; o++) it->st[o][it->nd] = st[o];
    it->nd++;
}
/* Loops over operands are kept scalar by the empty statement: as vectors of two to four elements they cost more than a row's work. */
#define SCALAR __asm__("")
INL void it_off(const fbk_it *it, int64_t lin, int64_t *off) {
    for (int o = 0; o < it->nop; o++) {
        SCALAR;
        off[o] = 0;
    }
    for (int d = it->nd - 1; d >= 0; d--) {
        const int64_t q = d ? lin / it->shape[d] : 0, r = lin - q * it->shape[d];
        for (int o = 0; o < it->nop; o++) {
            SCALAR;
            off[o] += r * it->st[o][d];
        }
        lin = q;
    }
}
/* The stretch of the innermost dimension that begins at element `lin` and ends before `hi`: its length,
 * offsets and strides. */
INL int64_t it_seg(const fbk_it *it, int64_t lin, int64_t hi, int64_t *off, int64_t *st) {
    it_off(it, lin, off);
    if (!it->nd) {
        for (int o = 0; o < it->nop; o++) st[o] = 0;
        return 1;
    }
    int64_t n = it->shape[it->nd - 1], m = n - lin % n;
    for (int o = 0; o < it->nop; o++) st[o] = it->st[o][it->nd - 1];
    return MIN(m, hi - lin);
}
/* Iteration over the dims of t[base] but `skip` (a bit mask), with t[i]'s strides for i in ops; missing dims
 * (ndim differs) are the caller's business. */
static inline void it_specs(fbk_it *it, const fbk_plan *p, int nop, const int *ops, uint32_t skip) {
    it_init(it, nop);
    for (int d = 0; d < p->t[ops[0]].ndim; d++) {
        if (skip >> d & 1) continue;
        int64_t st[IT_OPS];
        for (int o = 0; o < nop; o++) st[o] = p->t[ops[o]].stride[d];
        it_dim(it, p->t[ops[0]].shape[d], st);
    }
}
INL int64_t spec_numel(const fbk_spec *s) {
    int64_t n = 1;
    for (int d = 0; d < s->ndim; d++) n *= s->shape[d];
    return n;
}
INL int spec_dense(const fbk_spec *s) {
    int64_t e = 1;
    for (int d = s->ndim - 1; d >= 0; d--) {
        if (s->shape[d] != 1 && s->stride[d] != e) return 0;
        e *= s->shape[d];
    }
    return 1;
}
INL int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
#endif
