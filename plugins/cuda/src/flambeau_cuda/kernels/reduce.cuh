// Reductions: a block works on some outputs, several threads on each, joined by a fixed tree, so that results don't
// depend on timing. Long reductions are split over blocks (gridDim.y); a second launch joins the parts.
#pragma once
#include "base.cuh"

struct ReduceParams {
    u64 out, src;
    f64 extra;        // what the operation needs beside: a factor, a correction
    i64 outs, count;  // results, elements of each
    i64 total;        // elements of each before they were split
    i64 part;         // elements per split
    i64 across;       // threads per result
    i64 rows;         // 1: threads of one result are neighbours; 0: threads of neighbouring results are
    walk<2> kept;     // strides of out and src
    walk<1> reduced;  // strides of src
};

template <class T> struct pair { T v; i64 at; };

// Operations: acc (what is carried), zero, take one element, join two (the first stands before the second), give.
template <class A> struct Sum {
    typedef A acc;
    static FB_DEV_MEMBER A zero() { return cast<A>(0); }
    template <class T> static FB_DEV_MEMBER A take(A a, T x, i64) { return op_add(a, cast<A>(x)); }
    static FB_DEV_MEMBER A join(A a, A b, f64) { return op_add(a, b); }
    template <class O> static FB_DEV_MEMBER O give(A a, f64, i64) { return cast<O>(a); }
};
template <class A> struct Mean : Sum<A> {
    template <class O> static FB_DEV_MEMBER O give(A a, f64, i64 n) { return cast<O>(op_div(a, cast<A>((f64)n))); }
};
template <class A> struct SumSquares : Sum<A> {
    template <class T> static FB_DEV_MEMBER A take(A a, T x, i64) { A v = cast<A>(x); return a + v * v; }
};
template <class A> struct Norm2 : SumSquares<A> {
    template <class O> static FB_DEV_MEMBER O give(A a, f64, i64) { return cast<O>(m_sqrt(a)); }
};
template <class A> struct Prod {
    typedef A acc;
    static FB_DEV_MEMBER A zero() { return cast<A>(1); }
    template <class T> static FB_DEV_MEMBER A take(A a, T x, i64) { return op_mul(a, cast<A>(x)); }
    static FB_DEV_MEMBER A join(A a, A b, f64) { return op_mul(a, b); }
    template <class O> static FB_DEV_MEMBER O give(A a, f64, i64) { return cast<O>(a); }
};
template <class A, bool Largest> struct Extreme {
    typedef pair<A> acc; // at < 0: nothing yet
    static FB_DEV_MEMBER acc zero() { return {cast<A>(0), -1}; }
    static FB_DEV_MEMBER bool before(A a, A b) { // does b replace a
        if (nan_of(a)) return false;
        return nan_of(b) || (Largest ? b > a : b < a);
    }
    template <class T> static FB_DEV_MEMBER acc take(acc a, T x, i64 at) {
        A v = cast<A>(x);
        return a.at < 0 || before(a.v, v) ? acc{v, at} : a;
    }
    static FB_DEV_MEMBER acc join(acc a, acc b, f64) {
        if (b.at < 0) return a;
        if (a.at < 0) return b;
        if (a.at > b.at) { acc t = a; a = b; b = t; }
        return before(a.v, b.v) ? b : a;
    }
    template <class O> static FB_DEV_MEMBER O give(acc a, f64, i64) { return cast<O>(a.v); }
};
template <class A, bool Largest> struct Place : Extreme<A, Largest> {
    typedef pair<A> acc;
    template <class O> static FB_DEV_MEMBER O give(acc a, f64, i64) { return cast<O>(a.at); }
};
template <class A, bool All> struct Truth {
    typedef b8 acc;
    static FB_DEV_MEMBER b8 zero() { return All; }
    template <class T> static FB_DEV_MEMBER b8 take(b8 a, T x, i64) { b8 v = cast<b8>(x); return All ? a && v : a || v; }
    static FB_DEV_MEMBER b8 join(b8 a, b8 b, f64) { return All ? a && b : a || b; }
    template <class O> static FB_DEV_MEMBER O give(b8 a, f64, i64) { return cast<O>(a); }
};
// Variance by Welford's update, joined as Chan, Golub and LeVeque (1979) do.
template <class A> struct Moments { A n, mean, m2; };
template <class A, bool Root> struct Variance {
    typedef Moments<A> acc;
    static FB_DEV_MEMBER acc zero() { return {0, 0, 0}; }
    template <class T> static FB_DEV_MEMBER acc take(acc a, T x, i64) {
        A v = cast<A>(x), d = v - a.mean;
        a.n += 1;
        a.mean += d / a.n;
        a.m2 += d * (v - a.mean);
        return a;
    }
    static FB_DEV_MEMBER acc join(acc a, acc b, f64) {
        if (b.n == 0) return a;
        if (a.n == 0) return b;
        A n = a.n + b.n, d = b.mean - a.mean;
        return {n, a.mean + d * (b.n / n), a.m2 + b.m2 + d * d * (a.n / n * b.n)};
    }
    template <class O> static FB_DEV_MEMBER O give(acc a, f64 correction, i64 n) {
        f64 freedom = (f64)n - correction;
        A v = a.m2 / (A)(freedom > 0 ? freedom : 0);
        return cast<O>(Root ? m_sqrt(v) : v);
    }
};
template <class A> struct Exponents { A top, sum; };
template <class A> struct LogSumExp {
    typedef Exponents<A> acc;
    static FB_DEV_MEMBER acc zero() { return {-infinity<A>(), 0}; }
    template <class T> static FB_DEV_MEMBER acc take(acc a, T x, i64) { return join(a, {cast<A>(x), 1}, 0); }
    static FB_DEV_MEMBER acc join(acc a, acc b, f64) {
        if (b.top > a.top || is_nan(b.top)) { acc t = a; a = b; b = t; }
        if (b.sum == 0) return a;
        if (m_fabs(a.top) == infinity<A>()) return {a.top, b.top == a.top ? a.sum + b.sum : a.sum};
        return {a.top, a.sum + b.sum * m_exp(b.top - a.top)};
    }
    template <class O> static FB_DEV_MEMBER O give(acc a, f64, i64) {
        return cast<O>(m_fabs(a.top) == infinity<A>() ? a.top : a.top + m_log(a.sum));
    }
};
// Parts of a split reduction, joined.
template <class Op> struct Join {
    typedef typename Op::acc acc;
    static FB_DEV_MEMBER acc zero() { return Op::zero(); }
    static FB_DEV_MEMBER acc take(acc a, acc x, i64) { return Op::join(a, x, 0); }
    static FB_DEV_MEMBER acc join(acc a, acc b, f64) { return Op::join(a, b, 0); }
    template <class O> static FB_DEV_MEMBER O give(acc a, f64 extra, i64 n) { return Op::template give<O>(a, extra, n); }
};

const int REDUCE_BLOCK = 256;

// Partial: what is carried is stored for a second launch. Width: elements per access, where rows are contiguous.
template <class Op, class In, class Out, bool Partial, int Width> FB_DEV void reduce(const ReduceParams &p) {
    typedef typename Op::acc A;
    SHARED(A, room, REDUCE_BLOCK);
    int across = (int)p.across, per = REDUCE_BLOCK / across, t = (int)threadIdx.x;
    int mine = p.rows ? t / across : t % per, lane = p.rows ? t % across : t / per;
    i64 o = (i64)blockIdx.x * per + mine;
    A a = Op::zero();
    i64 where[2] = {0, 0};
    if (o < p.outs) {
        locate(p.kept, o, where);
        const In *src = (const In *)p.src + where[1];
        i64 begin = blockIdx.y * p.part, end = begin + p.part < p.count ? begin + p.part : p.count;
        if constexpr (Width > 1) {
            typedef vec<In, Width> V;
            i64 r = begin + (i64)lane * Width, step = (i64)across * Width;
            for (; r + step < end; r += 2 * step) {
                V x = *(const V *)(src + r), y = *(const V *)(src + r + step);
#pragma unroll
                for (int k = 0; k < Width; k++) a = Op::take(a, x.v[k], r + k);
#pragma unroll
                for (int k = 0; k < Width; k++) a = Op::take(a, y.v[k], r + step + k);
            }
            if (r < end) {
                V x = *(const V *)(src + r);
#pragma unroll
                for (int k = 0; k < Width; k++) a = Op::take(a, x.v[k], r + k);
            }
        } else if (p.reduced.ndim <= 1) {
            i64 s = p.reduced.ndim ? p.reduced.stride[0][0] : 0, r = begin + lane, step = across;
            for (; r + 3 * step < end; r += 4 * step) {
                In x[4];
#pragma unroll
                for (int k = 0; k < 4; k++) x[k] = src[(r + k * step) * s];
#pragma unroll
                for (int k = 0; k < 4; k++) a = Op::take(a, x[k], r + k * step);
            }
            for (; r < end; r += step) a = Op::take(a, src[r * s], r);
        } else {
            for (i64 r = begin + lane; r < end; r += across) {
                i64 at[1];
                locate(p.reduced, r, at);
                a = Op::take(a, src[at[0]], r);
            }
        }
    }
    int slot = mine * across + lane;
    room[slot] = a;
    for (int s = across / 2; s > 0; s /= 2) {
        __syncthreads();
        if (lane < s) room[slot] = a = Op::join(a, room[slot + s], p.extra);
    }
    if (lane == 0 && o < p.outs) {
        if constexpr (Partial) ((A *)p.out)[blockIdx.y * p.outs + o] = a;
        else ((Out *)p.out)[where[0]] = Op::template give<Out>(a, p.extra, p.total);
    }
}

// Columns: outputs that are neighbours in memory, `Width` of them per thread; 32 threads side by side, 8 rows of them.
template <class Op, class In, class Out, bool Partial, int Width> FB_DEV void reduce_columns(const ReduceParams &p) {
    typedef typename Op::acc A;
    typedef vec<In, Width> V;
    SHARED(A, room, REDUCE_BLOCK *Width);
    int tx = (int)threadIdx.x % 32, ty = (int)threadIdx.x / 32;
    i64 o = ((i64)blockIdx.x * 32 + tx) * Width, where[2] = {0, 0};
    bool live = o < p.outs;
    A a[Width];
#pragma unroll
    for (int k = 0; k < Width; k++) a[k] = Op::zero();
    if (live) {
        locate(p.kept, o, where);
        const In *src = (const In *)p.src + where[1];
        i64 begin = blockIdx.y * p.part, end = begin + p.part < p.count ? begin + p.part : p.count;
        i64 s = p.reduced.ndim ? p.reduced.stride[0][0] : 0, r = begin + ty;
        for (; r + 24 < end; r += 32) {
            V x[4];
#pragma unroll
            for (int j = 0; j < 4; j++) x[j] = *(const V *)(src + (r + 8 * j) * s);
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int k = 0; k < Width; k++) a[k] = Op::take(a[k], x[j].v[k], r + 8 * j);
        }
        for (; r < end; r += 8) {
            V x = *(const V *)(src + r * s);
#pragma unroll
            for (int k = 0; k < Width; k++) a[k] = Op::take(a[k], x.v[k], r);
        }
    }
#pragma unroll
    for (int k = 0; k < Width; k++) room[(ty * 32 + tx) * Width + k] = a[k];
    for (int h = 4; h > 0; h /= 2) {
        __syncthreads();
        if (ty < h)
#pragma unroll
            for (int k = 0; k < Width; k++) {
                int slot = (ty * 32 + tx) * Width + k;
                room[slot] = a[k] = Op::join(a[k], room[slot + h * 32 * Width], p.extra);
            }
    }
    if (ty == 0 && live)
#pragma unroll
        for (int k = 0; k < Width; k++) {
            if constexpr (Partial) ((A *)p.out)[blockIdx.y * p.outs + o + k] = a[k];
            else {
                locate(p.kept, o + k, where);
                ((Out *)p.out)[where[0]] = Op::template give<Out>(a[k], p.extra, p.total);
            }
        }
}
