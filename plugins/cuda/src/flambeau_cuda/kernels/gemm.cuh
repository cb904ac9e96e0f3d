// Matrix products of any dtype and strides: out = alpha * a @ b + beta * c, per batch. For what the BLAS doesn't do.
#pragma once
#include "base.cuh"

struct GemmParams {
    u64 out, a, b, c;
    f64 alpha, beta;
    i64 batch, m, n, k;
    i64 o0, o1, o2, a0, a1, a2, b0, b1, b2, c0, c1, c2; // strides of batch, row, column
};

// A block of 16 x 16 threads computes a tile of (16 E)^2.
template <class A, class T, int E> FB_DEV void gemm(const GemmParams &p) {
    const int TILE = 16 * E, DEPTH = 16;
    SHARED(A, left, TILE *(DEPTH + 1));
    SHARED(A, right, DEPTH *(TILE + 1));
    int tx = (int)threadIdx.x % 16, ty = (int)threadIdx.x / 16;
    i64 row0 = (i64)blockIdx.x * TILE, col0 = (i64)blockIdx.y * TILE;
    for (i64 batch = blockIdx.z; batch < p.batch; batch += gridDim.z) {
        const T *a = (const T *)p.a + batch * p.a0, *b = (const T *)p.b + batch * p.b0;
        A sum[E][E];
#pragma unroll
        for (int i = 0; i < E; i++)
#pragma unroll
            for (int j = 0; j < E; j++) sum[i][j] = cast<A>(0);
        for (i64 k0 = 0; k0 < p.k; k0 += DEPTH) {
            for (int s = (int)threadIdx.x; s < TILE * DEPTH; s += 256) {
                // Neighbouring threads read along the dimension that is contiguous.
                int r = p.a2 == 1 ? s / DEPTH : s % TILE, d = p.a2 == 1 ? s % DEPTH : s / TILE;
                left[r * (DEPTH + 1) + d] = row0 + r < p.m && k0 + d < p.k
                    ? cast<A>(a[(row0 + r) * p.a1 + (k0 + d) * p.a2]) : cast<A>(0);
                int q = p.b2 == 1 ? s % TILE : s / DEPTH, e = p.b2 == 1 ? s / TILE : s % DEPTH;
                right[e * (TILE + 1) + q] = col0 + q < p.n && k0 + e < p.k
                    ? cast<A>(b[(k0 + e) * p.b1 + (col0 + q) * p.b2]) : cast<A>(0);
            }
            __syncthreads();
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                A x[E], y[E];
#pragma unroll
                for (int i = 0; i < E; i++) x[i] = left[(ty + 16 * i) * (DEPTH + 1) + d];
#pragma unroll
                for (int j = 0; j < E; j++) y[j] = right[d * (TILE + 1) + tx + 16 * j];
#pragma unroll
                for (int i = 0; i < E; i++)
#pragma unroll
                    for (int j = 0; j < E; j++) sum[i][j] = op_add(sum[i][j], op_mul(x[i], y[j]));
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < E; i++)
#pragma unroll
            for (int j = 0; j < E; j++) {
                i64 r = row0 + ty + 16 * i, q = col0 + tx + 16 * j;
                if (r >= p.m || q >= p.n) continue;
                A v = sum[i][j];
                if (p.alpha != 1) v = op_mul(v, cast<A>(p.alpha));
                if (p.c) v = op_add(v, op_mul(cast<A>(p.beta), cast<A>(((const T *)p.c)[batch * p.c0 + r * p.c1 + q * p.c2])));
                ((T *)p.out)[batch * p.o0 + r * p.o1 + q * p.o2] = cast<T>(v);
            }
    }
}
