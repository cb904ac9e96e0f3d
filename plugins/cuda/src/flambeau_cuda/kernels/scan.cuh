// Running sums, products and extremes along a dimension. Short or strided lines: one thread each. Others: one block
// each, tile by tile, by Hillis and Steele's scheme, so that results don't depend on timing.
#pragma once
#include "base.cuh"

struct ScanParams {
    u64 out, places, src;
    i64 lines, count;
    i64 step_out, step_places, step_src;
    walk<3> line; // strides of out, places and src
};

template <class A> struct CumSum {
    typedef A acc;
    static const bool places = false;
    template <class T> static FB_DEV_MEMBER A make(T x, i64) { return cast<A>(x); }
    static FB_DEV_MEMBER A join(A a, A b) { return op_add(a, b); }
    static FB_DEV_MEMBER A value(A a) { return a; }
    static FB_DEV_MEMBER i64 place(A) { return 0; }
};
template <class A> struct CumProd : CumSum<A> {
    static FB_DEV_MEMBER A join(A a, A b) { return op_mul(a, b); }
};
template <class A> struct LogCumSumExp : CumSum<A> {
    static FB_DEV_MEMBER A join(A a, A b) {
        if constexpr (kind<A>::cplx) {
            A big = a.re < b.re ? b : a, small = a.re < b.re ? a : b;
            if (big.re == -infinity<typename kind<A>::real>()) return big;
            return big + cast<A>(z_log1p(z_exp(cast<c128>(small - big))));
        } else {
            A big = op_maximum(a, b), small = op_minimum(a, b);
            if (is_nan(big) || m_fabs(big) == infinity<A>()) return big;
            return big + m_log1p(m_exp(small - big));
        }
    }
};
template <class A> struct Running { A v; i64 at; };
template <class A, bool Largest> struct CumExtreme {
    typedef Running<A> acc;
    static const bool places = true;
    template <class T> static FB_DEV_MEMBER acc make(T x, i64 at) { return {cast<A>(x), at}; }
    static FB_DEV_MEMBER acc join(acc a, acc b) {
        if (nan_of(b.v)) return b;
        if (nan_of(a.v)) return a;
        return (Largest ? b.v >= a.v : b.v <= a.v) ? b : a;
    }
    static FB_DEV_MEMBER A value(acc a) { return a.v; }
    static FB_DEV_MEMBER i64 place(acc a) { return a.at; }
};

template <class Op, class Out, class In> struct scan_line {
    Out *out;
    i64 *places;
    const In *src;
    FB_DEV_MEMBER scan_line(const ScanParams &p, i64 line) {
        i64 at[3];
        locate(p.line, line, at);
        out = (Out *)p.out + at[0];
        places = (i64 *)p.places + at[1];
        src = (const In *)p.src + at[2];
    }
    FB_DEV_MEMBER typename Op::acc get(const ScanParams &p, i64 k) const { return Op::make(src[k * p.step_src], k); }
    FB_DEV_MEMBER void put(const ScanParams &p, i64 k, typename Op::acc a) const {
        out[k * p.step_out] = cast<Out>(Op::value(a));
        if constexpr (Op::places) places[k * p.step_places] = Op::place(a);
    }
};

template <class Op, class Out, class In> FB_DEV void scan_serial(const ScanParams &p) {
    i64 n = thread_number();
    if (n >= p.lines) return;
    scan_line<Op, Out, In> line(p, n);
    typename Op::acc a = line.get(p, 0);
    line.put(p, 0, a);
    for (i64 k = 1; k < p.count; k++) {
        a = Op::join(a, line.get(p, k));
        line.put(p, k, a);
    }
}

const int SCAN_BLOCK = 256, SCAN_EACH = 4;

template <class Op, class Out, class In> FB_DEV void scan_block(const ScanParams &p) {
    typedef typename Op::acc A;
    SHARED(A, room, SCAN_BLOCK);
    SHARED(A, carry, 1);
    scan_line<Op, Out, In> line(p, blockIdx.x);
    int t = (int)threadIdx.x;
    for (i64 base = 0; base < p.count; base += SCAN_BLOCK * SCAN_EACH) {
        i64 first = base + (i64)t * SCAN_EACH;
        A own[SCAN_EACH], total;
        int n = 0;
#pragma unroll
        for (int k = 0; k < SCAN_EACH; k++)
            if (first + k < p.count) {
                A x = line.get(p, first + k);
                total = own[k] = k ? Op::join(total, x) : x;
                n++;
            }
        bool live = n > 0;
        if (live) room[t] = total;
        for (int d = 1; d < SCAN_BLOCK; d *= 2) {
            __syncthreads();
            A left;
            bool take = live && t >= d;
            if (take) left = room[t - d];
            __syncthreads();
            if (take) room[t] = total = Op::join(left, total);
        }
        __syncthreads();
        A before;
        bool has = live && t > 0;
        if (has) before = room[t - 1];
        if (live && base) {
            A c = carry[0];
            before = has ? Op::join(c, before) : c;
            has = true;
        }
#pragma unroll
        for (int k = 0; k < SCAN_EACH; k++)
            if (k < n) {
                A a = has ? Op::join(before, own[k]) : own[k];
                line.put(p, first + k, a);
                if (k == n - 1) total = a;
            }
        __syncthreads();
        if (live && (first + n == p.count || t == SCAN_BLOCK - 1)) carry[0] = total;
        __syncthreads();
    }
}
