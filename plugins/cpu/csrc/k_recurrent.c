/* Whole sequences of LSTM and GRU steps, forward and backward, in float32. The weights are packed once for all steps. A
   part is some units of some rows of the batch; threads go through the steps together (fbc_lockstep), each with its own
   units, whose weights stay in its second-level cache. */
/* cflags: -ffp-contract=fast */
#include "k_gemm.h"
#include "k_vmath.h"
#include "vecmath.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define TILE FBC_ISA_NAME(fbk_tile_any_f32)

enum {
    ROWS = 16,      /* of the batch, whose gates are worked out together */
    BLOCK = 64,     /* rows in a part, at least */
    PAIR = 2 * VW,  /* units of a panel in the backward pass */
    WORTH = 1 << 17 /* multiplications in a step that pay another thread */
};

typedef struct {
    const uintptr_t *at;
    int64_t T, N, H, G;          /* steps, batch, units, blocks of H in a row of the projected input */
    int64_t groups, per, across; /* groups of units; in a part; parts side by side */
    int64_t rows;                /* in a part */
    float *w;                    /* for each group its panels */
    int64_t group_size;          /* numbers in them */
    int gru;
} recurrent;

/* Columns of a panel in the forward pass; a group's are the G vectors of its VW units. */
INL int64_t wide(int64_t G) { return G % F32_NV == 0 ? F32_NR : PAIR; }

/* c[m][n] = a[m][k] w (+ c); rows of exactly m: those behind a's last one may not be readable */
static void product(int64_t m, int64_t k, const float *a, int64_t ars, const float *w, int64_t ws, float *c, int64_t ldc,
                    int64_t n, int acc) {
    for (int64_t i = 0, r; i < m; i += r) {
        int64_t left = m - i;
        r = left >= F32_MR ? F32_MR : left >= 6 && F32_MR > 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        TILE(k, a + i * ars, ars, 1, w, ws, c + i * ldc, ldc, r, n, acc);
    }
}
/* Loops over units by vectors; the last, partial vector goes through padded copies. */
#define LOAD(p) (n == VF_LANES ? vf_load(p) : padded_load(p, n))
#define SAVE(p, v) (n == VF_LANES ? vf_store(p, v) : padded_store(p, v, n))
FBC_INLINE VF padded_load(const float *p, int64_t n) {
    float t[VF_LANES] = {0};
    memcpy(t, p, (size_t)n * 4);
    return vf_load(t);
}
FBC_INLINE void padded_store(float *p, VF v, int64_t n) {
    float t[VF_LANES];
    vf_store(t, v);
    memcpy(p, t, (size_t)n * 4);
}

/* x: a row of 4H (enter, forget, new, leave), hw: its state's share, a vector of units for each; writes gates after their
   functions, memory and state */
FBC_INLINE void lstm_unit(int64_t n, int64_t H, const float *x, const float *hw, const float *c0, float *gates,
                          float *c, float *h) {
    VF i = vf_sigmoid(LOAD(x) + vf_load(hw)), f = vf_sigmoid(LOAD(x + H) + vf_load(hw + VW)),
       g = vf_tanh(LOAD(x + 2 * H) + vf_load(hw + 2 * VW)), o = vf_sigmoid(LOAD(x + 3 * H) + vf_load(hw + 3 * VW));
    VF m = vf_fma(f, LOAD(c0), i * g);
    SAVE(gates, i), SAVE(gates + H, f), SAVE(gates + 2 * H, g), SAVE(gates + 3 * H, o);
    SAVE(c, m), SAVE(h, o * vf_tanh(m));
}
/* x: a row of 3H (reset, update, new); gates: reset, update, new, and the new gate's share of h w with its bias */
FBC_INLINE void gru_unit(int64_t n, int64_t H, const float *x, const float *hw, const float *bias, const float *h0,
                         float *gates, float *h) {
    VF q = vf_load(hw + 2 * VW) + LOAD(bias + 2 * H);
    VF r = vf_sigmoid(LOAD(x) + (vf_load(hw) + LOAD(bias))),
       z = vf_sigmoid(LOAD(x + H) + (vf_load(hw + VW) + LOAD(bias + H)));
    VF m = vf_tanh(vf_fma(r, q, LOAD(x + 2 * H)));
    SAVE(gates, r), SAVE(gates + H, z), SAVE(gates + 2 * H, m), SAVE(gates + 3 * H, q);
    SAVE(h, vf_fma(z, LOAD(h0) - m, m));
}
/* Asks for `blocks` pieces of n floats, H apart, that the next step reads or writes: they are too short for the processor to see
   them coming. Addresses behind the end do no harm. */
#define SOON(p, blocks, n, write) \
    for (int64_t b_ = 0; b_ < (blocks); b_++) \
        for (int64_t j_ = 0; j_ < (n); j_ += 16) __builtin_prefetch((const float *)(p) + b_ * H + j_, write, 3);

/* operands: lstm h, last c, c, gates, x, h0, c0, w; gru h, gates, x, h0, w, bias */
static void forward(const recurrent *r, int64_t t, int64_t group, int64_t first, int64_t end) {
    const int64_t N = r->N, H = r->H, GH = r->G * H, lanes = r->G * VW, W = wide(r->G), u0 = group * VW,
                  u1 = MIN(u0 + VW, H);
    const float *w = r->w + group * r->group_size;
    float hw[ROWS * 4 * VW];
    for (int64_t n0 = first; n0 < end; n0 += ROWS) {
        int64_t at = t * N + n0, m = MIN(ROWS, end - n0);
        float *h = (float *)r->at[0] + at * H, *gates = (float *)r->at[r->gru ? 1 : 3] + at * 4 * H;
        const float *x = (const float *)r->at[r->gru ? 2 : 4] + at * GH,
                    *h0 = t ? h - N * H : (const float *)r->at[r->gru ? 3 : 5] + n0 * H;
        for (int64_t j = 0; j < lanes; j += W)
            product(m, H, h0, H, w + j * H, MIN(W, lanes - j), hw + j, lanes, MIN(W, lanes - j), 0);
        for (int64_t i = 0; i < m; i++) {
            SOON(x + (N + i) * GH + u0, r->G, VW, 0)
            SOON(gates + (N + i) * 4 * H + u0, 4, VW, 1)
            for (int64_t u = u0; u < u1; u += VF_LANES) {
                int64_t n = MIN(VF_LANES, H - u), row = i * H + u;
                const float *own = hw + i * lanes + (u - u0);
                if (r->gru) {
                    gru_unit(n, H, x + i * GH + u, own, (const float *)r->at[5] + u, h0 + row, gates + i * 4 * H + u,
                             h + row);
                    continue;
                }
                float *c = (float *)r->at[2] + at * H;
                const float *c0 = t ? c - N * H : (const float *)r->at[6] + n0 * H;
                lstm_unit(n, H, x + i * GH + u, own, c0 + row, gates + i * 4 * H + u, c + row, h + row);
            }
        }
    }
}

/* dh: gradient of the state, dc: of the memory, which becomes that of the step before */
FBC_INLINE void lstm_unit_backward(int64_t n, int64_t H, VF dh, float *dc, const float *gates, const float *c,
                                   const float *c0, float *gx) {
    VF i = LOAD(gates), f = LOAD(gates + H), g = LOAD(gates + 2 * H), o = LOAD(gates + 3 * H), s = vf_tanh(LOAD(c)),
       one = vf_set(1);
    VF d = LOAD(dc) + dh * o * (one - s * s);
    SAVE(gx, d * g * i * (one - i)), SAVE(gx + H, d * LOAD(c0) * f * (one - f));
    SAVE(gx + 2 * H, d * i * (one - g * g)), SAVE(gx + 3 * H, dh * s * o * (one - o));
    SAVE(dc, d * f);
}
FBC_INLINE void gru_unit_backward(int64_t n, int64_t H, VF dh, const float *gates, const float *h0, float *gx, float *gh,
                                  float *direct) {
    VF r = LOAD(gates), z = LOAD(gates + H), m = LOAD(gates + 2 * H), q = LOAD(gates + 3 * H), one = vf_set(1);
    VF dm = dh * (one - z) * (one - m * m), dz = dh * (LOAD(h0) - m) * z * (one - z), dr = dm * q * r * (one - r);
    SAVE(gx, dr), SAVE(gx + H, dz), SAVE(gx + 2 * H, dm);
    SAVE(gh, dr), SAVE(gh + H, dz), SAVE(gh + 2 * H, dm * r);
    SAVE(direct, dh * z);
}
/* operands: lstm gx, gh0, gc0, gh, g of the last c, h0, c0, c, gates, w; gru gx, gradient of h w, gh0, gh, h0, h, gates,
   w; a gradient that is absent has address 0. gh0 and gc0 hold the gradients of the state and memory on the way. Turn
   `turn` first takes the product with what all parts found for the step behind, then works out the step's gates. */
static void backward(const recurrent *r, int64_t turn, int64_t group, int64_t first, int64_t end) {
    const uintptr_t *at = r->at;
    const int64_t N = r->N, H = r->H, GH = r->G * H, u0 = group * PAIR, u1 = MIN(u0 + PAIR, H), t = r->T - 1 - turn;
    float *dh = (float *)at[r->gru ? 2 : 1], *dc = (float *)at[2];
    const float *g = (const float *)at[r->gru ? 1 : 0];
    if (!turn)
        for (int64_t i = first; i < end; i++) {
            memset(dh + i * H + u0, 0, (size_t)(u1 - u0) * 4);
            if (r->gru) continue;
            if (at[4]) memcpy(dc + i * H + u0, (const float *)at[4] + i * H + u0, (size_t)(u1 - u0) * 4);
            else memset(dc + i * H + u0, 0, (size_t)(u1 - u0) * 4);
        }
    else
        product(end - first, GH, g + ((t + 1) * N + first) * GH, GH, r->w + group * r->group_size, PAIR,
                dh + first * H + u0, H, u1 - u0, r->gru);
    if (t < 0) return;
    const float *gh = at[3] ? (const float *)at[3] + t * N * H : NULL;
    for (int64_t i = first; i < end; i++) {
        if (t) {
            int64_t next = (t - 1) * N + i;
            SOON((const float *)at[r->gru ? 6 : 8] + next * 4 * H + u0, 4, PAIR, 0)
            SOON((const float *)at[0] + next * GH + u0, r->G, PAIR, 1)
            if (r->gru) SOON((const float *)at[1] + next * GH + u0, 3, PAIR, 1)
            if (gh) SOON(gh - (N - i) * H + u0, 1, PAIR, 0)
            if (t > 1) SOON((const float *)at[r->gru ? 5 : 7] + (next - N) * H + u0, 1, PAIR, 0)
        }
        for (int64_t u = u0; u < u1; u += VF_LANES) {
            int64_t n = MIN(VF_LANES, H - u), row = i * H + u, in = t * N * H + row, of = (t * N + i) * GH + u;
            VF d = LOAD(dh + row);
            if (gh) d = d + LOAD(gh + row);
            const float *before = t ? (const float *)at[r->gru ? 5 : 7] + in - N * H : (const float *)at[r->gru ? 4 : 6] + row,
                        *gates = (const float *)at[r->gru ? 6 : 8] + (t * N + i) * 4 * H + u;
            if (r->gru)
                gru_unit_backward(n, H, d, gates, before, (float *)at[0] + of, (float *)at[1] + of, dh + row);
            else
                lstm_unit_backward(n, H, d, dc + row, gates, (const float *)at[7] + in, before, (float *)at[0] + of);
        }
    }
}

typedef void (*group_fn)(const recurrent *, int64_t, int64_t, int64_t, int64_t);
INL void in_groups(const recurrent *r, int64_t step, int64_t part, group_fn fn) {
    int64_t from = part % r->across * r->per, to = MIN(from + r->per, r->groups), first = part / r->across * r->rows;
    for (int64_t group = from; group < to; group++) fn(r, step, group, first, MIN(first + r->rows, r->N));
}
static void forward_part(void *r, int64_t step, int64_t part) { in_groups(r, step, part, forward); }
static void backward_part(void *r, int64_t step, int64_t part) { in_groups(r, step, part, backward); }

/* ---- the weights in panels: lanes are rows of w, gate by gate (forward), or its columns (backward) ---- */
typedef struct {
    const recurrent *r;
    const float *w;
    int back;
} packing;
static void pack(void *ctx, int64_t lo, int64_t hi) {
    const packing *p = ctx;
    const recurrent *r = p->r;
    const int64_t H = r->H, W = wide(r->G);
    for (int64_t group = lo; group < hi; group++) {
        float *dst = r->w + group * r->group_size;
        if (p->back) {
            PACK(dst, PAIR, p->w + group * PAIR, MIN(PAIR, H - group * PAIR), 1, r->G * H, H);
            continue;
        }
        for (int64_t g = 0; g < r->G; g++) {
            int64_t j = g * VW / W * W, n = MIN(W, r->G * VW - j); /* its panel's first column, and columns */
            float part[VW * 64];
            for (int64_t k = 0; k < H; k += 64) {
                int64_t steps = MIN(64, H - k);
                PACK(part, VW, p->w + (g * H + group * VW) * H + k, MIN(VW, H - group * VW), H, steps, 1);
                for (int64_t q = 0; q < steps; q++)
                    memcpy(dst + j * H + (k + q) * n + (g * VW - j), part + q * VW, VW * 4);
            }
        }
    }
}
/* x: the operand of [T, N, G H]; w: that of [G H, H] */
static int64_t run(const fbk_plan *p, const uintptr_t *at, int x, int w, int gru, int back) {
    recurrent r = {.at = at, .T = p->t[x].shape[0], .N = p->t[x].shape[1], .H = p->t[w].shape[1], .gru = gru};
    r.G = gru ? 3 : 4;
    for (int64_t i = 0; i < p->nt; i++)
        if (p->t[i].dtype >= 0 && (p->t[i].dtype != DT_F32 || !spec_dense(&p->t[i]))) return FBK_EUNSUP;
    if (!r.N || !r.H) return 0;
    int64_t units = back ? PAIR : VW;
    r.groups = ceil_div(r.H, units), r.group_size = units * r.G * r.H;
    r.per = ceil_div(r.groups, FBC_PARTS / 4), r.across = ceil_div(r.groups, r.per);
    r.rows = BLOCK * ceil_div(r.N, BLOCK * (FBC_PARTS / r.across));
    int64_t bytes = r.groups * r.group_size * 4, parts = r.across * ceil_div(r.N, r.rows);
    if (!(r.w = fbc_alloc(bytes))) return FBK_ENOMEM;
    packing made = {&r, (const float *)at[w], back};
    fbk_par(r.groups, MAX(1, 65536 / r.group_size), pack, &made);
    int threads = (int)MIN(FBC_PARTS, MAX(1, r.N * r.groups * r.group_size / WORTH));
    fbc_lockstep(back ? r.T + 1 : r.T, parts, threads, back ? backward_part : forward_part, &r);
    fbc_free(r.w, bytes);
    if (!gru && !back)
        memcpy((void *)at[1], r.T ? (const float *)at[2] + (r.T - 1) * r.N * r.H : (const float *)at[6],
               (size_t)(r.N * r.H) * 4);
    return 0;
}
FBK_ENTRY(fbk_lstm) { return run(p, at, 4, 7, 0, 0); }
FBK_ENTRY(fbk_lstm_bwd) { return run(p, at, 0, 9, 0, 1); }
FBK_ENTRY(fbk_gru) { return run(p, at, 2, 4, 1, 0); }
FBK_ENTRY(fbk_gru_bwd) { return run(p, at, 0, 7, 1, 1); }
