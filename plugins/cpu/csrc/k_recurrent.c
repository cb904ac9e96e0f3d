/* Whole sequences of LSTM and GRU steps, forward and backward, in float32. The weights are packed once for all steps;
   a task takes some rows of the batch through the whole sequence, so no step waits for another task. */
/* cflags: -ffp-contract=fast */
#include "k_gemm.h"
#include "k_vmath.h"
#include "vecmath.h"
#define PACK FBC_ISA_NAME(fbk_pack_f32)
#define ROWS FBC_ISA_NAME(fbk_tile_rows_f32)

enum { B = 2 * F32_MR }; /* rows of the batch in a task */

typedef struct {
    const uintptr_t *at;
    int64_t T, N, H, G; /* steps, batch, units, blocks of H in a row of the projected input */
    float *w;           /* panels */
    int64_t rc;
    int gru;
} recurrent;

/* c[rows][n] = a[rows][k] w, w in panels of n columns; both with rows next to one another, B rows readable */
static void product(const recurrent *r, const float *a, int64_t k, float *c, int64_t n) {
    for (int64_t j = 0; j < n; j += F32_NR)
        for (int i = 0; i < B; i += F32_MR)
            ROWS(k, a + i * k, k, r->w + j * k, c + i * n + j, n, F32_MR, MIN(F32_NR, n - j));
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

/* x, h w: rows of 4H (enter, forget, new, leave); writes gates after their functions, memory and state */
FBC_INLINE void lstm_unit(int64_t n, int64_t H, const float *x, const float *hw, const float *c0, float *gates,
                          float *c, float *h) {
    VF i = vf_sigmoid(LOAD(x) + LOAD(hw)), f = vf_sigmoid(LOAD(x + H) + LOAD(hw + H)),
       g = vf_tanh(LOAD(x + 2 * H) + LOAD(hw + 2 * H)), o = vf_sigmoid(LOAD(x + 3 * H) + LOAD(hw + 3 * H));
    VF m = vf_fma(f, LOAD(c0), i * g);
    SAVE(gates, i), SAVE(gates + H, f), SAVE(gates + 2 * H, g), SAVE(gates + 3 * H, o);
    SAVE(c, m), SAVE(h, o * vf_tanh(m));
}
/* x: rows of 3H (reset, update, new), hw with the bias; gates: reset, update, new, and the new gate's share of h w */
FBC_INLINE void gru_unit(int64_t n, int64_t H, const float *x, const float *hw, const float *bias, const float *h0,
                         float *gates, float *h) {
    VF q = LOAD(hw + 2 * H) + LOAD(bias + 2 * H);
    VF r = vf_sigmoid(LOAD(x) + (LOAD(hw) + LOAD(bias))), z = vf_sigmoid(LOAD(x + H) + (LOAD(hw + H) + LOAD(bias + H)));
    VF m = vf_tanh(vf_fma(r, q, LOAD(x + 2 * H)));
    SAVE(gates, r), SAVE(gates + H, z), SAVE(gates + 2 * H, m), SAVE(gates + 3 * H, q);
    SAVE(h, vf_fma(z, LOAD(h0) - m, m));
}
/* operands: lstm h, last c, c, gates, x, h0, c0, w; gru h, gates, x, h0, w, bias */
static void forward(void *ctx, int64_t lo, int64_t hi) {
    recurrent *r = ctx;
    const int64_t N = r->N, H = r->H, GH = r->G * H;
    float *state = fbk_scratch(SLOT_A, B * (H + GH + 16) * 4), *hw = state + B * H;
    if (!state) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    memset(state, 0, (size_t)(B * H) * 4);
    for (int64_t b = lo; b < hi; b++) {
        int64_t n0 = b * B, m = MIN(B, N - n0);
        for (int64_t t = 0; t < r->T; t++) {
            int64_t at = t * N + n0;
            float *h = (float *)r->at[0] + at * H;
            const float *x = (const float *)r->at[r->gru ? 2 : 4] + at * GH,
                        *h0 = t ? h - N * H : (const float *)r->at[r->gru ? 3 : 5] + n0 * H;
            memcpy(state, h0, (size_t)(m * H) * 4);
            product(r, state, H, hw, GH);
            float *gates = (float *)r->at[r->gru ? 1 : 3] + at * 4 * H;
            for (int64_t i = 0; i < m; i++)
                for (int64_t u = 0; u < H; u += VF_LANES) {
                    int64_t n = MIN(VF_LANES, H - u), row = i * H + u;
                    if (r->gru) {
                        gru_unit(n, H, x + i * GH + u, hw + i * GH + u, (const float *)r->at[5] + u, h0 + row,
                                 gates + i * 4 * H + u, h + row);
                        continue;
                    }
                    float *c = (float *)r->at[2] + at * H;
                    const float *c0 = t ? c - N * H : (const float *)r->at[6] + n0 * H;
                    lstm_unit(n, H, x + i * GH + u, hw + i * GH + u, c0 + row, gates + i * 4 * H + u, c + row, h + row);
                }
        }
        if (r->gru) continue;
        const float *c = r->T ? (const float *)r->at[2] + ((r->T - 1) * N + n0) * H : (const float *)r->at[6] + n0 * H;
        memcpy((float *)r->at[1] + n0 * H, c, (size_t)(m * H) * 4);
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
   w; a gradient that is absent has address 0 */
static void backward(void *ctx, int64_t lo, int64_t hi) {
    recurrent *r = ctx;
    const int64_t N = r->N, H = r->H, GH = r->G * H;
    const uintptr_t *at = r->at;
    float *dh = fbk_scratch(SLOT_A, B * (3 * H + GH + 16) * 4), *dc = dh + B * H, *back = dc + B * H, *g = back + B * H;
    if (!dh) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    memset(dh, 0, (size_t)(B * (3 * H + GH)) * 4);
    for (int64_t b = lo; b < hi; b++) {
        int64_t n0 = b * B, m = MIN(B, N - n0);
        memset(dh, 0, (size_t)(m * H) * 4), memset(dc, 0, (size_t)(m * H) * 4);
        if (!r->gru && at[4]) memcpy(dc, (const float *)at[4] + n0 * H, (size_t)(m * H) * 4);
        for (int64_t t = r->T - 1; t >= 0; t--) {
            int64_t rows = t * N + n0;
            const float *gh = at[3] ? (const float *)at[3] + rows * H : NULL;
            for (int64_t i = 0; i < m; i++)
                for (int64_t u = 0; u < H; u += VF_LANES) {
                    int64_t n = MIN(VF_LANES, H - u), row = i * H + u;
                    VF d = LOAD(dh + row);
                    if (gh) d = d + LOAD(gh + row);
                    if (r->gru) {
                        const float *h0 =
                            t ? (const float *)at[5] + (rows - N) * H + row : (const float *)at[4] + n0 * H + row;
                        gru_unit_backward(n, H, d, (const float *)at[6] + (rows + i) * 4 * H + u, h0,
                                          (float *)at[0] + (rows + i) * GH + u, g + i * GH + u, back + row);
                        continue;
                    }
                    const float *c = (const float *)at[7] + rows * H + row,
                                *c0 = t ? c - N * H : (const float *)at[6] + n0 * H + row;
                    lstm_unit_backward(n, H, d, dc + row, (const float *)at[8] + (rows + i) * 4 * H + u, c, c0,
                                       g + i * GH + u);
                }
            memcpy((float *)at[r->gru ? 1 : 0] + rows * GH, g, (size_t)(m * GH) * 4);
            product(r, g, GH, dh, H);
            if (r->gru)
                for (int64_t i = 0; i < m * H; i++) dh[i] += back[i];
        }
        memcpy((float *)at[r->gru ? 2 : 1] + n0 * H, dh, (size_t)(m * H) * 4);
        if (!r->gru) memcpy((float *)at[2] + n0 * H, dc, (size_t)(m * H) * 4);
    }
}
/* x: the operand of [T, N, G H]; w: that of [G H, H]; across: lanes are columns of w rather than rows */
static int64_t run(const fbk_plan *p, const uintptr_t *at, int x, int w, int gru, int across, fbk_range_fn fn) {
    recurrent r = {.at = at, .T = p->t[x].shape[0], .N = p->t[x].shape[1], .H = p->t[w].shape[1], .gru = gru};
    r.G = gru ? 3 : 4;
    int64_t GH = r.G * r.H, n = across ? r.H : GH, k = across ? GH : r.H;
    for (int64_t i = 0; i < p->nt; i++)
        if (p->t[i].dtype >= 0 && (p->t[i].dtype != DT_F32 || !spec_dense(&p->t[i]))) return FBK_EUNSUP;
    if (!r.N || !r.H) return 0;
    int64_t bytes = ceil_div(n, F32_NR) * F32_NR * k * 4;
    if (!(r.w = fbc_alloc(bytes))) return FBK_ENOMEM;
    for (int64_t j = 0; j < n; j += F32_NR)
        PACK(r.w + j * k, F32_NR, (const float *)at[w] + (across ? j : j * r.H), MIN(F32_NR, n - j), across ? 1 : r.H, k,
             across ? r.H : 1);
    fbk_par(ceil_div(r.N, B), 1, fn, &r);
    fbc_free(r.w, bytes);
    return r.rc;
}
FBK_ENTRY(fbk_lstm) { return run(p, at, 4, 7, 0, 0, forward); }
FBK_ENTRY(fbk_lstm_bwd) { return run(p, at, 0, 9, 0, 1, backward); }
FBK_ENTRY(fbk_gru) { return run(p, at, 2, 4, 1, 0, forward); }
FBK_ENTRY(fbk_gru_bwd) { return run(p, at, 0, 7, 1, 1, backward); }
