/* The tapped convolution for float32 and float64 (template in k_conv_t.h), and the preparation of operands.
 */
/* cflags: -ffp-contract=fast */
#include "k_conv.h"
#include "k_shuffle.h"

#define MR F32_MR
#define T float
#define V vf
#define VL VW
#define NR F32_NR
#define NAME(x) x##_f32
#define LDV ldf
#define STV stf
#define TILE FBC_ISA_NAME(fbk_tile_f32)
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define STRETCH stretch
#include "k_conv_t.h"
#undef STRETCH
#undef T
#undef V
#undef VL
#undef NR
#undef NAME
#undef LDV
#undef STV
#undef TILE
#undef PACK
#define T double
#define V vd
#define VL VD
#define NR F64_NR
#define NAME(x) x##_f64
#define LDV ldd
#define STV std_
#define TILE FBC_ISA_NAME(fbk_tile_f64)
#define PACK FBC_ISA_NAME(fbk_pack_f64)
#include "k_conv_t.h"

int64_t conv_taps(int dt, const taps *c) { return dt == DT_F32 ? conv_run_f32(c) : conv_run_f64(c); }

typedef struct {
    const plane4 *o;
    const fbk_spec *s;
    char *p;
    int dt, store;
} copyctx;
static void copy_task(void *ctx, int64_t lo, int64_t hi) {
    const copyctx *w = ctx;
    const fbk_spec *s = w->s;
    int64_t C = s->shape[1], H = s->shape[2], W = s->shape[3], z = dt_size(w->dt), es = dt_size(s->dtype);
    for (int64_t i = lo; i < hi; i++) {
        int64_t n = i / C, c = i % C;
        for (int64_t h = 0; h < H; h++) {
            char *d = w->o->p + (n * w->o->n + c * w->o->c + h * w->o->h) * z;
            char *q = w->p + (n * s->stride[0] + c * s->stride[1] + h * s->stride[2]) * es;
            if (w->store) {
                if (w->dt == DT_F32) put_f32(q, s->dtype, s->stride[3], (const float *)d, W);
                else put_f64(q, s->dtype, s->stride[3], (const double *)d, W);
            } else if (w->dt == DT_F32) {
                const float *x = get_f32((float *)d, q, s->dtype, W, s->stride[3]);
                if (x != (float *)d) memcpy(d, x, (size_t)W * 4);
            } else {
                const double *x = get_f64((double *)d, q, s->dtype, W, s->stride[3]);
                if (x != (double *)d) memcpy(d, x, (size_t)W * 8);
            }
        }
    }
}
/* how: 0 read, contiguous rows are enough; 1 write, spatial dims dense; 2 read, spatial dims dense. */
int conv_load(plane4 *o, const fbk_spec *s, uintptr_t p, int dt, int how) {
    int64_t C = s->shape[1], H = s->shape[2], W = s->shape[3];
    if (s->dtype == dt && (s->stride[3] == 1 || W == 1) && (!how || s->stride[2] == W || H == 1)) {
        *o = (plane4){(char *)p, s->stride[0], s->stride[1], s->stride[2], 0};
        return 0;
    }
    *o = (plane4){NULL, C * H * W, H * W, W, MAX(64, s->shape[0] * C * H * W * dt_size(dt))};
    if (!(o->p = fbc_alloc(o->bytes))) {
        o->bytes = 0;
        return FBK_ENOMEM;
    }
    copyctx w = {o, s, (char *)p, dt, 0};
    if (how != 1) fbk_par(s->shape[0] * C, MAX(1, 16384 / MAX(1, H * W)), copy_task, &w);
    return 0;
}
void conv_store(const plane4 *o, const fbk_spec *s, uintptr_t p, int dt) {
    copyctx w = {o, s, (char *)p, dt, 1};
    if (o->bytes)
        fbk_par(s->shape[0] * s->shape[1], MAX(1, 16384 / MAX(1, s->shape[2] * s->shape[3])), copy_task, &w);
}
