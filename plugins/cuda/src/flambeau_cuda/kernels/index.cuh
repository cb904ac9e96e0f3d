// Reading and writing by index. Elements are moved as words of their size.
#pragma once
#include "base.cuh"

struct Fault { u64 first; }; // (launch << 40 | place) of the first bad index, all bits set where there is none

struct GatherParams {
    u64 out, src, index, fault;
    i64 launch;       // the launch's number, for `fault`
    i64 size, step;   // of the dimension that the index names, in src
    walk<3> places;   // strides of out, src and index
};

FB_DEV void report(u64 fault, i64 launch, i64 at) { atomicMin(&((Fault *)fault)->first, (u64)launch << 40 | (u64)at); }

template <class W, class I> FB_DEV void gather(const GatherParams &p) {
    i64 t = thread_number();
    if (t >= p.places.numel) return;
    i64 at[3];
    locate(p.places, t, at);
    i64 i = (i64)((const I *)p.index)[at[2]];
    if (i < 0 || i >= p.size) {
        report(p.fault, p.launch, t);
        return;
    }
    ((W *)p.out)[at[0]] = ((const W *)p.src)[at[1] + i * p.step];
}

struct ScatterParams {
    u64 out, src, index, order, fault;
    i64 launch;
    i64 size, step;                 // of the dimension, in out
    i64 count, step_src, step_index; // along the index
    i64 lines;
    walk<3> line;                   // strides of out, src and index, without the dimension
};

template <class A> struct Put { static FB_DEV_MEMBER A join(A, A b) { return b; } };
template <class A> struct PutSum { static FB_DEV_MEMBER A join(A a, A b) { return op_add(a, b); } };
template <class A> struct PutProd { static FB_DEV_MEMBER A join(A a, A b) { return op_mul(a, b); } };
template <class A> struct PutMax { static FB_DEV_MEMBER A join(A a, A b) { return op_maximum(a, b); } };
template <class A> struct PutMin { static FB_DEV_MEMBER A join(A a, A b) { return op_minimum(a, b); } };

// The number of an element in the row-major order of the index is only known by line and place along it.
template <class Op, class A, class T, class I> FB_DEV void scatter_lines(const ScatterParams &p) {
    i64 t = thread_number();
    if (t >= p.lines) return;
    i64 at[3];
    locate(p.line, t, at);
    T *out = (T *)p.out + at[0];
    const T *src = (const T *)p.src + at[1];
    const I *index = (const I *)p.index + at[2];
    for (i64 k = 0; k < p.count; k++) {
        i64 i = (i64)index[k * p.step_index];
        if (i < 0 || i >= p.size) {
            report(p.fault, p.launch, k * p.lines + t);
            continue;
        }
        T *o = out + i * p.step;
        *o = cast<T>(Op::join(cast<A>(*o), cast<A>(src[k * p.step_src])));
    }
}

// Few long lines: `order` has, for each line, the places of the index sorted by its values (stably); the first thread
// of a run of equal values works through the run.
template <class Op, class A, class T, class I> FB_DEV void scatter_sorted(const ScatterParams &p) {
    i64 t = thread_number(), n = p.lines * p.count;
    if (t >= n) return;
    i64 l = t / p.count, k = t - l * p.count, at[3];
    locate(p.line, l, at);
    const i64 *order = (const i64 *)p.order + l * p.count;
    const I *index = (const I *)p.index + at[2];
    i64 i = (i64)index[order[k] * p.step_index];
    if (k > 0 && (i64)index[order[k - 1] * p.step_index] == i) return;
    if (i < 0 || i >= p.size) {
        report(p.fault, p.launch, order[k] * p.lines + l);
        return;
    }
    T *o = (T *)p.out + at[0] + i * p.step;
    const T *src = (const T *)p.src + at[1];
    A a = cast<A>(*o);
    for (; k < p.count && (i64)index[order[k] * p.step_index] == i; k++) a = Op::join(a, cast<A>(src[order[k] * p.step_src]));
    *o = cast<T>(a);
}

// The gradient of an embedding: rows of gradients added up in the order of the index. A block has one run.
struct EmbeddingParams {
    u64 out, grad, index, order, fault;
    i64 launch, rows, count, width, padding, mean; // padding: a row without gradient, or -1; mean: divide by the count
    i64 step_row, step_column;                      // of grad
};
template <class A, class T, class I> FB_DEV void embedding_backward(const EmbeddingParams &p) {
    i64 k = blockIdx.x;
    const i64 *order = (const i64 *)p.order;
    const I *index = (const I *)p.index;
    i64 i = (i64)index[order[k]];
    if (i < 0 || i >= p.rows) {
        if (threadIdx.x == 0) report(p.fault, p.launch, order[k]);
        return;
    }
    if (i == p.padding || (k > 0 && (i64)index[order[k - 1]] == i)) return;
    i64 end = k + 1;
    while (end < p.count && (i64)index[order[end]] == i) end++;
    A scale = p.mean ? (A)1 / (A)(end - k) : (A)1;
    for (i64 c = threadIdx.x; c < p.width; c += blockDim.x) {
        A a = 0;
        for (i64 j = k; j < end; j++) a += cast<A>(((const T *)p.grad)[order[j] * p.step_row + c * p.step_column]);
        ((T *)p.out)[i * p.width + c] = cast<T>(a * scale);
    }
}
