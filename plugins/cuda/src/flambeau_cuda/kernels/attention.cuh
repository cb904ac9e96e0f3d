// Attention tile by tile with a running softmax, and its gradients (T. Dao, "FlashAttention-2", 2023).
//
// 16-bit floats and head sizes of 64 and 128 without a mask: tensor cores, a warp for 16 rows. All else: `plain`
// kernels, a block for each row. Gradients of keys and values and those of queries are two kernels, so that every sum
// has one order.
#pragma once
#include "mma.cuh"

struct AttentionParams {
    u64 out, lse, q, k, v, grad, delta, mask;
    u64 gq, gk, gv;
    f64 scale;
    i64 n, h, l, s, e, ve, causal, mask_kind; // mask_kind: 0 none, 1 bool, 2 float32, 3 the operands' type, 4 float64
    i64 qs[3], ks[3], vs[3], gs[3], ms[4];    // strides: batch, head, row (of masks also column)
};

const int ATT_ROWS = 64, ATT_THREADS = 128;
const f32 LOG2E = 1.4426950408889634f;

FB_DEV f32 fast_exp2(f32 x) {
#ifdef HOST_SIM
    return m_exp2(x);
#else
    f32 y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}
// Passes over NaN; a score that is NaN makes the weights NaN by itself.
FB_DEV f32 quick_max(f32 a, f32 b) { return FB_MATH(fmaxf)(a, b); }
FB_DEV f32 quad_max(f32 x) {
    x = quick_max(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return quick_max(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
FB_DEV f32 quad_sum(f32 x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

struct head { i64 n, h; };
FB_DEV head head_of(const AttentionParams &p) { return {(i64)blockIdx.y / p.h, (i64)blockIdx.y % p.h}; }
template <int E> FB_DEV const u16 *operand(u64 base, const i64 *strides, head at) {
    return (const u16 *)base + at.n * strides[0] + at.h * strides[1];
}

// Each warp has 16 M rows, whose fragments share those of keys and values.
template <class T, int E, int Cols, int M> FB_DEV void attention_forward(const AttentionParams &p) {
    DYN_SHARED(u16, shared);
    const int TILE = Cols * (E + PAD), ROWS = ATT_ROWS * M;
    u16 *keys = shared, *values = shared + 2 * TILE; // two tiles each
    head at = head_of(p);
    const u16 *q = operand<E>(p.q, p.qs, at), *k = operand<E>(p.k, p.ks, at), *v = operand<E>(p.v, p.vs, at);
    // The last rows first: with a causal mask they have most to do.
    i64 row0 = (i64)(gridDim.x - 1 - blockIdx.x) * ROWS;
    int warp = (int)threadIdx.x / 32, lane = lane_number(), g = lane / 4, t = lane % 4;
    // Queries go through the memory of the keys into registers.
    fetch_tile<ROWS, E, ATT_THREADS>(shared, q, p.qs[2], row0, p.l);
    fetch_end();
    fetch_wait<0>();
    __syncthreads();
    u32 query[M][E / 16][4];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int c = 0; c < E / 16; c++) load_a<E>(query[m][c], shared, (warp * M + m) * 16, c * 16);
    __syncthreads();
    f32 out[M][E / 8][4], top[M][2], sum[M][2];
#pragma unroll
    for (int m = 0; m < M; m++) {
        top[m][0] = top[m][1] = -infinity<f32>();
        sum[m][0] = sum[m][1] = 0;
#pragma unroll
        for (int c = 0; c < E / 8; c++)
#pragma unroll
            for (int i = 0; i < 4; i++) out[m][c][i] = 0;
    }
    i64 seen = p.causal && row0 + ROWS < p.s ? row0 + ROWS : p.s;
    int tiles = (int)((seen + Cols - 1) / Cols);
    f32 scale = (f32)p.scale * LOG2E;
    fetch_tile<Cols, E, ATT_THREADS>(keys, k, p.ks[2], 0, p.s);
    fetch_tile<Cols, E, ATT_THREADS>(values, v, p.vs[2], 0, p.s);
    fetch_end();
    for (int j = 0; j < tiles; j++) {
        fetch_wait<0>();
        __syncthreads(); // this tile is there, and all are done with the one before, whose memory the next one takes
        if (j + 1 < tiles) {
            fetch_tile<Cols, E, ATT_THREADS>(keys + ((j + 1) & 1) * TILE, k, p.ks[2], (i64)(j + 1) * Cols, p.s);
            fetch_tile<Cols, E, ATT_THREADS>(values + ((j + 1) & 1) * TILE, v, p.vs[2], (i64)(j + 1) * Cols, p.s);
        }
        fetch_end();
        const u16 *key = keys + (j & 1) * TILE, *value = values + (j & 1) * TILE;
        f32 score[M][Cols / 8][4];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int c = 0; c < Cols / 8; c++)
#pragma unroll
                for (int i = 0; i < 4; i++) score[m][c][i] = 0;
#pragma unroll
        for (int e = 0; e < E / 16; e++)
#pragma unroll
            for (int c = 0; c < Cols / 16; c++) {
                u32 b[4];
                load_b<E>(b, key, c * 16, e * 16);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(score[m][2 * c], query[m][e], b);
                    mma<T>(score[m][2 * c + 1], query[m][e], b + 2);
                }
            }
        i64 col0 = (i64)j * Cols;
#pragma unroll
        for (int m = 0; m < M; m++) {
            i64 first = row0 + (warp * M + m) * 16, row = first + g;
            if (col0 + Cols > p.s || (p.causal && col0 + Cols > first + 1))
#pragma unroll
                for (int c = 0; c < Cols / 8; c++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        i64 col = col0 + c * 8 + 2 * t + i % 2;
                        if (col >= p.s || (p.causal && col > row + i / 2 * 8)) score[m][c][i] = -infinity<f32>();
                    }
#pragma unroll
            for (int r = 0; r < 2; r++) {
                f32 most = top[m][r];
#pragma unroll
                for (int c = 0; c < Cols / 8; c++)
                    most = quick_max(most, quick_max(score[m][c][2 * r], score[m][c][2 * r + 1]));
                most = quad_max(most);
                f32 base = most == -infinity<f32>() ? 0 : most * scale, part = 0;
                f32 old = fast_exp2(top[m][r] * scale - base);
                top[m][r] = most;
#pragma unroll
                for (int c = 0; c < Cols / 8; c++)
#pragma unroll
                    for (int i = 2 * r; i < 2 * r + 2; i++)
                        part += score[m][c][i] = fast_exp2(score[m][c][i] * scale - base);
                sum[m][r] = sum[m][r] * old + part;
                if (old != 1) // after some tiles the largest score seldom changes
#pragma unroll
                    for (int c = 0; c < E / 8; c++) {
                        out[m][c][2 * r] *= old;
                        out[m][c][2 * r + 1] *= old;
                    }
            }
        }
#pragma unroll
        for (int c = 0; c < Cols / 16; c++) {
            u32 a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[m][i] = pack2<T>(score[m][2 * c + i / 2][i % 2 * 2], score[m][2 * c + i / 2][i % 2 * 2 + 1]);
#pragma unroll
            for (int e = 0; e < E / 16; e++) {
                u32 b[4];
                load_b_turned<E>(b, value, c * 16, e * 16);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(out[m][2 * e], a[m], b);
                    mma<T>(out[m][2 * e + 1], a[m], b + 2);
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            i64 row = row0 + (warp * M + m) * 16 + g + 8 * r;
            f32 all = quad_sum(sum[m][r]), inverse = all > 0 ? 1 / all : 0;
            if (row < p.l) {
                u32 *to = (u32 *)((u16 *)p.out + ((at.n * p.h + at.h) * p.l + row) * E);
#pragma unroll
                for (int c = 0; c < E / 8; c++)
                    to[c * 4 + t] = pack2<T>(out[m][c][2 * r] * inverse, out[m][c][2 * r + 1] * inverse);
                if (t == 0)
                    ((f32 *)p.lse)[(at.n * p.h + at.h) * p.l + row] =
                        all > 0 ? top[m][r] * (f32)p.scale + m_log(all) : infinity<f32>();
            }
        }
}

// The gradient of queries: each warp has 16 M rows. p.grad: gradient of the result, p.delta: [n, h, l] sums of it times
// the result.
template <class T, int E, int Cols, int M> FB_DEV void attention_queries(const AttentionParams &p) {
    DYN_SHARED(u16, shared);
    const int TILE = Cols * (E + PAD), ROWS = ATT_ROWS * M;
    u16 *keys = shared, *values = shared + 2 * TILE; // two tiles each
    head at = head_of(p);
    const u16 *q = operand<E>(p.q, p.qs, at), *k = operand<E>(p.k, p.ks, at), *v = operand<E>(p.v, p.vs, at);
    const u16 *d = operand<E>(p.grad, p.gs, at);
    i64 row0 = (i64)(gridDim.x - 1 - blockIdx.x) * ROWS, line0 = (at.n * p.h + at.h) * p.l;
    int warp = (int)threadIdx.x / 32, lane = lane_number(), g = lane / 4, t = lane % 4;
    u32 query[M][E / 16][4], grad[M][E / 16][4];
    fetch_tile<ROWS, E, ATT_THREADS>(shared, q, p.qs[2], row0, p.l);
    fetch_tile<ROWS, E, ATT_THREADS>(shared + 2 * TILE, d, p.gs[2], row0, p.l);
    fetch_end();
    fetch_wait<0>();
    __syncthreads();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int c = 0; c < E / 16; c++) {
            load_a<E>(query[m][c], shared, (warp * M + m) * 16, c * 16);
            load_a<E>(grad[m][c], shared + 2 * TILE, (warp * M + m) * 16, c * 16);
        }
    __syncthreads();
    f32 lse[M][2], delta[M][2], out[M][E / 8][4];
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            i64 row = row0 + (warp * M + m) * 16 + g + 8 * r;
            lse[m][r] = row < p.l ? ((const f32 *)p.lse)[line0 + row] * LOG2E : infinity<f32>();
            delta[m][r] = row < p.l ? ((const f32 *)p.delta)[line0 + row] : 0;
        }
#pragma unroll
        for (int c = 0; c < E / 8; c++)
#pragma unroll
            for (int i = 0; i < 4; i++) out[m][c][i] = 0;
    }
    i64 seen = p.causal && row0 + ROWS < p.s ? row0 + ROWS : p.s;
    int tiles = (int)((seen + Cols - 1) / Cols);
    f32 scale = (f32)p.scale * LOG2E;
    fetch_tile<Cols, E, ATT_THREADS>(keys, k, p.ks[2], 0, p.s);
    fetch_tile<Cols, E, ATT_THREADS>(values, v, p.vs[2], 0, p.s);
    fetch_end();
    for (int j = 0; j < tiles; j++) {
        fetch_wait<0>();
        __syncthreads();
        if (j + 1 < tiles) {
            fetch_tile<Cols, E, ATT_THREADS>(keys + ((j + 1) & 1) * TILE, k, p.ks[2], (i64)(j + 1) * Cols, p.s);
            fetch_tile<Cols, E, ATT_THREADS>(values + ((j + 1) & 1) * TILE, v, p.vs[2], (i64)(j + 1) * Cols, p.s);
        }
        fetch_end();
        const u16 *key = keys + (j & 1) * TILE, *value = values + (j & 1) * TILE;
        i64 col0 = (i64)j * Cols;
#pragma unroll 1 // else registers spill
        for (int c = 0; c < Cols / 16; c++) {
            f32 score[M][2][4] = {}, into[M][2][4] = {};
#pragma unroll
            for (int e = 0; e < E / 16; e++) {
                u32 b[4];
                load_b<E>(b, key, c * 16, e * 16);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(score[m][0], query[m][e], b);
                    mma<T>(score[m][1], query[m][e], b + 2);
                }
                load_b<E>(b, value, c * 16, e * 16);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(into[m][0], grad[m][e], b);
                    mma<T>(into[m][1], grad[m][e], b + 2);
                }
            }
            u32 a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++) {
                i64 first = row0 + (warp * M + m) * 16, row = first + g;
                bool edge = col0 + Cols > p.s || (p.causal && col0 + Cols > first + 1);
#pragma unroll
                for (int b = 0; b < 2; b++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        f32 w = fast_exp2(score[m][b][i] * scale - lse[m][i / 2]);
                        if (edge) {
                            i64 col = col0 + c * 16 + b * 8 + 2 * t + i % 2;
                            if (col >= p.s || (p.causal && col > row + i / 2 * 8)) w = 0;
                        }
                        score[m][b][i] = w * (into[m][b][i] - delta[m][i / 2]);
                    }
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[m][i] = pack2<T>(score[m][i / 2][i % 2 * 2], score[m][i / 2][i % 2 * 2 + 1]);
            }
#pragma unroll
            for (int e = 0; e < E / 16; e++) {
                u32 b[4];
                load_b_turned<E>(b, key, c * 16, e * 16);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    mma<T>(out[m][2 * e], a[m], b);
                    mma<T>(out[m][2 * e + 1], a[m], b + 2);
                }
            }
        }
    }
    f32 s = (f32)p.scale;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            i64 row = row0 + (warp * M + m) * 16 + g + 8 * r;
            if (row >= p.l) continue;
            u32 *to = (u32 *)((u16 *)p.gq + (line0 + row) * E);
#pragma unroll
            for (int c = 0; c < E / 8; c++) to[c * 4 + t] = pack2<T>(out[m][c][2 * r] * s, out[m][c][2 * r + 1] * s);
        }
}

// The gradients of keys and values: a block for 64 keys, which goes over the queries; the next ones are fetched meanwhile.
template <class T, int E, int Rows> FB_DEV void attention_keys(const AttentionParams &p) {
    DYN_SHARED(u16, shared);
    const int TILE = ATT_ROWS * (E + PAD), STEP = Rows * (E + PAD), HELD = E == 64 ? E / 16 : 1;
    u16 *key = shared, *value = shared + TILE;
    u16 *queries = shared + 2 * TILE, *grads = queries + 2 * STEP; // of two steps each, as lses and deltas
    f32 *lses = (f32 *)(grads + 2 * STEP), *deltas = lses + 2 * Rows;
    head at = head_of(p);
    const u16 *q = operand<E>(p.q, p.qs, at), *k = operand<E>(p.k, p.ks, at), *v = operand<E>(p.v, p.vs, at);
    const u16 *d = operand<E>(p.grad, p.gs, at);
    i64 col0 = (i64)blockIdx.x * ATT_ROWS, line0 = (at.n * p.h + at.h) * p.l;
    int warp = (int)threadIdx.x / 32, lane = lane_number(), g = lane / 4, t = lane % 4;
    auto fetch = [&](i64 first, int side) {
        fetch_tile<Rows, E, ATT_THREADS>(queries + side * STEP, q, p.qs[2], first, p.l);
        fetch_tile<Rows, E, ATT_THREADS>(grads + side * STEP, d, p.gs[2], first, p.l);
        fetch_end();
        for (int r = (int)threadIdx.x; r < Rows; r += ATT_THREADS) {
            bool valid = first + r < p.l;
            lses[side * Rows + r] = valid ? ((const f32 *)p.lse)[line0 + first + r] * LOG2E : infinity<f32>();
            deltas[side * Rows + r] = valid ? ((const f32 *)p.delta)[line0 + first + r] : 0;
        }
    };
    i64 begin = p.causal ? col0 / Rows * Rows : 0;
    fetch_tile<ATT_ROWS, E, ATT_THREADS>(key, k, p.ks[2], col0, p.s);
    fetch_tile<ATT_ROWS, E, ATT_THREADS>(value, v, p.vs[2], col0, p.s);
    fetch(begin, 0);
    u32 held_key[HELD][4], held_value[HELD][4]; // in registers, where there are enough
    if constexpr (E == 64) {
        fetch_wait<0>();
        __syncthreads();
#pragma unroll
        for (int e = 0; e < HELD; e++) {
            load_a<E>(held_key[e], key, warp * 16, e * 16);
            load_a<E>(held_value[e], value, warp * 16, e * 16);
        }
    }
    f32 gk[E / 8][4], gv[E / 8][4];
#pragma unroll
    for (int c = 0; c < E / 8; c++)
#pragma unroll
        for (int i = 0; i < 4; i++) gk[c][i] = gv[c][i] = 0;
    f32 scale = (f32)p.scale * LOG2E;
    int side = 0;
    for (i64 first = begin; first < p.l; first += Rows, side ^= 1) {
        fetch_wait<0>();
        __syncthreads();
        if (first + Rows < p.l) fetch(first + Rows, side ^ 1);
        const u16 *query = queries + side * STEP, *grad = grads + side * STEP;
        const f32 *lse = lses + side * Rows, *delta = deltas + side * Rows;
        bool edge = col0 + ATT_ROWS > p.s || first + Rows > p.l || (p.causal && col0 + ATT_ROWS > first + 1);
#pragma unroll
        for (int c = 0; c < Rows / 16; c++) { // 16 queries as columns
            f32 score[2][4] = {}, into[2][4] = {};
#pragma unroll
            for (int e = 0; e < E / 16; e++) {
                u32 room[4], b[4], *a = E == 64 ? held_key[e % HELD] : room;
                if constexpr (E != 64) load_a<E>(a, key, warp * 16, e * 16);
                load_b<E>(b, query, c * 16, e * 16);
                mma<T>(score[0], a, b);
                mma<T>(score[1], a, b + 2);
                a = E == 64 ? held_value[e % HELD] : room;
                if constexpr (E != 64) load_a<E>(a, value, warp * 16, e * 16);
                load_b<E>(b, grad, c * 16, e * 16);
                mma<T>(into[0], a, b);
                mma<T>(into[1], a, b + 2);
            }
            f32 weight[2][4];
#pragma unroll
            for (int b = 0; b < 2; b++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int r = c * 16 + b * 8 + 2 * t + i % 2;
                    f32 w = fast_exp2(score[b][i] * scale - lse[r]);
                    if (edge) {
                        i64 col = col0 + warp * 16 + g + i / 2 * 8;
                        if (col >= p.s || first + r >= p.l || (p.causal && col > first + r)) w = 0;
                    }
                    weight[b][i] = w;
                    score[b][i] = w * (into[b][i] - delta[r]);
                }
            u32 w[4] = {pack2<T>(weight[0][0], weight[0][1]), pack2<T>(weight[0][2], weight[0][3]),
                        pack2<T>(weight[1][0], weight[1][1]), pack2<T>(weight[1][2], weight[1][3])};
            u32 s[4] = {pack2<T>(score[0][0], score[0][1]), pack2<T>(score[0][2], score[0][3]),
                        pack2<T>(score[1][0], score[1][1]), pack2<T>(score[1][2], score[1][3])};
#pragma unroll
            for (int e = 0; e < E / 16; e++) {
                u32 b[4];
                load_b_turned<E>(b, grad, c * 16, e * 16);
                mma<T>(gv[2 * e], w, b);
                mma<T>(gv[2 * e + 1], w, b + 2);
                load_b_turned<E>(b, query, c * 16, e * 16);
                mma<T>(gk[2 * e], s, b);
                mma<T>(gk[2 * e + 1], s, b + 2);
            }
        }
    }
    f32 s = (f32)p.scale;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        i64 col = col0 + warp * 16 + g + 8 * r;
        if (col >= p.s) continue;
        i64 line = ((at.n * p.h + at.h) * p.s + col) * E;
        u32 *to_k = (u32 *)((u16 *)p.gk + line), *to_v = (u32 *)((u16 *)p.gv + line);
#pragma unroll
        for (int c = 0; c < E / 8; c++) {
            to_k[c * 4 + t] = pack2<T>(gk[c][2 * r] * s, gk[c][2 * r + 1] * s);
            to_v[c * 4 + t] = pack2<T>(gv[c][2 * r], gv[c][2 * r + 1]);
        }
    }
}

// delta[line] = sum of grad * out; a warp for each line. out: dense, grad: strided rows.
template <class A, class T> FB_DEV void attention_delta(const AttentionParams &p) {
    i64 line = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    bool live = line < p.n * p.h * p.l;
    A sum = 0;
    if (live) {
        i64 row = line % p.l, h = line / p.l % p.h, n = line / p.l / p.h;
        const T *g = (const T *)p.grad + n * p.gs[0] + h * p.gs[1] + row * p.gs[2], *o = (const T *)p.out + line * p.ve;
        for (i64 c = lane_number(); c < p.ve; c += 32) sum += cast<A>(g[c]) * cast<A>(o[c]);
    }
    for (int m = 16; m > 0; m /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, m);
    if (live && lane_number() == 0) ((A *)p.delta)[line] = sum;
}

// ---- any dtype, any head size, masks: a block of 128 threads for each row

template <class A, class T> FB_DEV A mask_value(const AttentionParams &p, head at, i64 row, i64 col) {
    if (p.causal && col > row) return -infinity<A>();
    if (!p.mask_kind) return 0;
    i64 i = at.n * p.ms[0] + at.h * p.ms[1] + row * p.ms[2] + col * p.ms[3];
    if (p.mask_kind == 1) return ((const b8 *)p.mask)[i] ? (A)0 : -infinity<A>();
    if (p.mask_kind == 2) return (A)((const f32 *)p.mask)[i];
    if (p.mask_kind == 4) return (A)((const f64 *)p.mask)[i];
    return cast<A>(((const T *)p.mask)[i]);
}

template <class A> FB_DEV A plain_sum(A mine, A *room) {
    room[threadIdx.x] = mine;
    for (int s = (int)blockDim.x / 2; s > 0; s /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < s) room[threadIdx.x] += room[threadIdx.x + s];
    }
    __syncthreads();
    A all = room[0];
    __syncthreads();
    return all;
}
template <class A> FB_DEV A plain_max(A mine, A *room) {
    room[threadIdx.x] = mine;
    for (int s = (int)blockDim.x / 2; s > 0; s /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < s) room[threadIdx.x] = op_maximum(room[threadIdx.x], room[threadIdx.x + s]);
    }
    __syncthreads();
    A all = room[0];
    __syncthreads();
    return all;
}

// Tiles of 128 keys: each thread a score, then each thread some columns of the result.
template <class A, class T> FB_DEV void attention_plain(const AttentionParams &p) {
    SHARED(A, room, ATT_THREADS);
    SHARED(A, weight, ATT_THREADS);
    const int MOST = 4; // columns of the result per thread: head sizes of values up to 512
    head at = head_of(p);
    i64 row = blockIdx.x, line = (at.n * p.h + at.h) * p.l + row;
    int t = (int)threadIdx.x;
    const T *q = (const T *)p.q + at.n * p.qs[0] + at.h * p.qs[1] + row * p.qs[2];
    const T *k = (const T *)p.k + at.n * p.ks[0] + at.h * p.ks[1], *v = (const T *)p.v + at.n * p.vs[0] + at.h * p.vs[1];
    A top = -infinity<A>(), sum = 0, out[MOST] = {0, 0, 0, 0};
    i64 seen = p.causal && row + 1 < p.s ? row + 1 : p.s;
    for (i64 first = 0; first < seen; first += ATT_THREADS) {
        i64 col = first + t;
        A x = -infinity<A>();
        if (col < seen) {
            A dot = 0;
            for (i64 e = 0; e < p.e; e++) dot += cast<A>(q[e]) * cast<A>(k[col * p.ks[2] + e]);
            x = dot * (A)p.scale + mask_value<A, T>(p, at, row, col);
        }
        A now = op_maximum(top, plain_max(x, room)), base = now == -infinity<A>() ? (A)0 : now;
        A w = m_exp(x - base), old = m_exp(top - base);
        weight[t] = w;
        sum = sum * old + plain_sum(w, room);
        i64 n = seen - first < ATT_THREADS ? seen - first : ATT_THREADS;
#pragma unroll
        for (int c = 0; c < MOST; c++) {
            i64 e = t + c * ATT_THREADS;
            if (e < p.ve) {
                A part = 0;
                for (i64 j = 0; j < n; j++) part += weight[j] * cast<A>(v[(first + j) * p.vs[2] + e]);
                out[c] = out[c] * old + part;
            }
        }
        top = now;
        __syncthreads();
    }
#pragma unroll
    for (int c = 0; c < MOST; c++) {
        i64 e = t + c * ATT_THREADS;
        if (e < p.ve) ((T *)p.out)[line * p.ve + e] = cast<T>(sum > 0 || is_nan(sum) ? out[c] / sum : (A)0);
    }
    if (t == 0) ((A *)p.lse)[line] = sum > 0 || is_nan(sum) ? top + m_log(sum) : infinity<A>();
}

// Gradients of queries (Keys false: a block for each row) or of keys and values (true: a block for each key).
template <class A, class T, bool Keys> FB_DEV void attention_plain_backward(const AttentionParams &p) {
    SHARED(A, weight, ATT_THREADS);
    SHARED(A, score, ATT_THREADS);
    const int MOST = 4;
    head at = head_of(p);
    i64 mine = blockIdx.x, line0 = (at.n * p.h + at.h) * p.l;
    int t = (int)threadIdx.x;
    const T *q = (const T *)p.q + at.n * p.qs[0] + at.h * p.qs[1], *g = (const T *)p.grad + at.n * p.gs[0] + at.h * p.gs[1];
    const T *k = (const T *)p.k + at.n * p.ks[0] + at.h * p.ks[1], *v = (const T *)p.v + at.n * p.vs[0] + at.h * p.vs[1];
    A first_sum[MOST] = {0, 0, 0, 0}, second_sum[MOST] = {0, 0, 0, 0};
    i64 begin = Keys && p.causal ? mine : 0, end = Keys ? p.l : p.causal && mine + 1 < p.s ? mine + 1 : p.s;
    for (i64 first = begin; first < end; first += ATT_THREADS) {
        i64 other = first + t;
        A w = 0, s = 0;
        if (other < end) {
            i64 row = Keys ? other : mine, col = Keys ? mine : other;
            A dot = 0, into = 0;
            for (i64 e = 0; e < p.e; e++) dot += cast<A>(q[row * p.qs[2] + e]) * cast<A>(k[col * p.ks[2] + e]);
            for (i64 e = 0; e < p.ve; e++) into += cast<A>(g[row * p.gs[2] + e]) * cast<A>(v[col * p.vs[2] + e]);
            A x = dot * (A)p.scale + mask_value<A, T>(p, at, row, col);
            w = m_exp(x - ((const A *)p.lse)[line0 + row]);
            s = w * (into - ((const A *)p.delta)[line0 + row]);
        }
        weight[t] = w;
        score[t] = s;
        __syncthreads();
        i64 n = end - first < ATT_THREADS ? end - first : ATT_THREADS;
#pragma unroll
        for (int c = 0; c < MOST; c++) {
            i64 e = t + c * ATT_THREADS;
            if (e < p.e)
                for (i64 j = 0; j < n; j++)
                    first_sum[c] += score[j] * cast<A>(Keys ? q[(first + j) * p.qs[2] + e] : k[(first + j) * p.ks[2] + e]);
            if (Keys && e < p.ve)
                for (i64 j = 0; j < n; j++) second_sum[c] += weight[j] * cast<A>(g[(first + j) * p.gs[2] + e]);
        }
        __syncthreads();
    }
    i64 line = Keys ? (at.n * p.h + at.h) * p.s + mine : line0 + mine;
#pragma unroll
    for (int c = 0; c < MOST; c++) {
        i64 e = t + c * ATT_THREADS;
        if (e < p.e) ((T *)(Keys ? p.gk : p.gq))[line * p.e + e] = cast<T>(first_sum[c] * (A)p.scale);
        if (Keys && e < p.ve) ((T *)p.gv)[line * p.ve + e] = cast<T>(second_sum[c]);
    }
}
