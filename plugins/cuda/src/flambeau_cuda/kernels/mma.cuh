// Tensor-core products of 16-bit floats: fragments, and tiles of shared memory that feed them.
//
// mma: D[16, 8] += A[16, 16] B[16, 8], float32 sums. With g = lane / 4 and t = lane % 4 a lane holds of A the pairs
// (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), of B the pairs k = 2t and 2t + 8 of column g, of D the pairs
// (g, 2t) and (g + 8, 2t).
#pragma once
#include "base.cuh"

FB_DEV int lane_number() { return (int)threadIdx.x & 31; }

template <class T> FB_DEV u32 pack2(f32 a, f32 b) {
#if !defined(HOST_SIM) && __CUDA_ARCH__ >= 800
    u32 r;
    if constexpr (same<T, bf16>::v) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
    else asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
    return r;
#else
    return (u32)cast<T>(a).bits | (u32)cast<T>(b).bits << 16;
#endif
}

#ifdef HOST_SIM
// Lanes read each other's registers through addresses that they exchange.
template <class V> static V *sim_of(V *mine, int lane) { return (V *)__shfl_sync(~0u, (u64)mine, lane); }
template <class T> static f32 sim_half(u32 pair, int k) { T h; h.bits = (u16)(k ? pair >> 16 : pair); return wide(h); }
#endif

template <class T> FB_DEV void mma(f32 *d, const u32 *a, const u32 *b) {
#if defined(HOST_SIM)
    int lane = lane_number(), g = lane / 4, t = lane % 4;
    u32 rows[4][4], columns[2][4][2], mine_a[4], mine_b[2];
    for (int k = 0; k < 4; k++) mine_a[k] = a[k];
    for (int k = 0; k < 2; k++) mine_b[k] = b[k];
    for (int q = 0; q < 4; q++) {
        u32 *other = sim_of(mine_a, g * 4 + q);
        for (int k = 0; k < 4; k++) rows[q][k] = other[k];
        for (int c = 0; c < 2; c++) {
            u32 *column = sim_of(mine_b, (2 * t + c) * 4 + q);
            columns[c][q][0] = column[0];
            columns[c][q][1] = column[1];
        }
    }
    __syncwarp();
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++)
            for (int k = 0; k < 16; k++) {
                int q = k % 8 / 2, high = k / 8;
                d[2 * r + c] += sim_half<T>(rows[q][r + 2 * high], k % 2) * sim_half<T>(columns[c][q][high], k % 2);
            }
#elif __CUDA_ARCH__ >= 800
    if constexpr (same<T, bf16>::v)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8 x 8 matrices of shared memory: lane l names the row l % 8 of matrix l / 8. A lane gets of each matrix the pair
// of row g at 2t; transposed, of column g at rows 2t, 2t + 1.
template <bool Transposed> FB_DEV void load4(u32 *r, const u16 *row) {
#if defined(HOST_SIM)
    int lane = lane_number(), g = lane / 4, t = lane % 4;
    for (int m = 0; m < 4; m++) {
        if (Transposed) {
            const u16 *low = (const u16 *)__shfl_sync(~0u, (u64)row, m * 8 + 2 * t);
            const u16 *high = (const u16 *)__shfl_sync(~0u, (u64)row, m * 8 + 2 * t + 1);
            r[m] = (u32)low[g] | (u32)high[g] << 16;
        } else {
            const u16 *at = (const u16 *)__shfl_sync(~0u, (u64)row, m * 8 + g);
            r[m] = (u32)at[2 * t] | (u32)at[2 * t + 1] << 16;
        }
    }
#else
    u32 at = (u32)__cvta_generic_to_shared(row);
    if constexpr (Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
#endif
}

// 16 bytes from global to shared memory, in the background; or zeros.
FB_DEV void fetch16(u16 *to, const u16 *from, bool valid) {
#if defined(HOST_SIM)
    for (int k = 0; k < 8; k++) to[k] = valid ? from[k] : 0;
#else
    u32 at = (u32)__cvta_generic_to_shared(to);
    int n = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(n) : "memory");
#endif
}
FB_DEV void fetch_end() {
#ifndef HOST_SIM
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int Pending> FB_DEV void fetch_wait() {
#ifndef HOST_SIM
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

// Rows of shared memory are padded by 16 bytes, so that the eight rows of a matrix lie in different banks.
const int PAD = 8;

// Rows first .. first + Rows of a matrix [rows, E] with a row step, by all threads; rows beyond the end are zeros.
template <int Rows, int E, int Threads> FB_DEV void fetch_tile(u16 *to, const u16 *from, i64 step, i64 first, i64 rows) {
    const int PER = E / 8, AT_ONCE = Threads / PER; // threads of a row; rows that all threads fetch at a time
    int r = (int)threadIdx.x / PER, c = (int)threadIdx.x % PER * 8;
    const u16 *at = from + (first + r) * step + c;
    to += r * (E + PAD) + c;
    i64 left = rows - first - r;
#pragma unroll
    for (int i = 0; i < Rows / AT_ONCE; i++) {
        bool valid = i * AT_ONCE < left;
        fetch16(to + i * AT_ONCE * (E + PAD), valid ? at : from, valid);
        at += AT_ONCE * step;
    }
}

// The fragment A[16, 16] at (row, column) of a tile.
template <int E> FB_DEV void load_a(u32 *a, const u16 *tile, int row, int column) {
    int l = lane_number();
    load4<false>(a, tile + (row + l % 16) * (E + PAD) + column + l / 16 * 8);
}
// Fragments B of two neighbouring blocks of 8 columns, where the tile holds B's columns as rows: [n, k].
template <int E> FB_DEV void load_b(u32 *b, const u16 *tile, int n, int k) {
    int l = lane_number();
    load4<false>(b, tile + (n + l % 8 + l / 16 * 8) * (E + PAD) + k + l / 8 % 2 * 8);
}
// The same, where the tile holds B as it is: [k, n].
template <int E> FB_DEV void load_b_turned(u32 *b, const u16 *tile, int k, int n) {
    int l = lane_number();
    load4<true>(b, tile + (k + l % 16) * (E + PAD) + n + l / 16 * 8);
}
