// Softmax, normalisation and cross entropy: a block per line. Operands are dense; a line runs along the dimension in
// the middle of [outer, count, inner].
#pragma once
#include "base.cuh"

const int ROW_BLOCK = 256;

template <class A> struct Two { A a, b; };

// The join of what all threads carry, known to all; a fixed tree.
template <class T, class F> FB_DEV T block_join(T mine, T *room, F join) {
    int t = (int)threadIdx.x;
    room[t] = mine;
    for (int s = (int)blockDim.x / 2; s > 0; s /= 2) {
        __syncthreads();
        if (t < s) room[t] = join(room[t], room[t + s]);
    }
    __syncthreads();
    T all = room[0];
    __syncthreads();
    return all;
}

struct Plus {
    template <class A> FB_DEV_MEMBER A operator()(A x, A y) const { return x + y; }
    template <class A> FB_DEV_MEMBER Two<A> operator()(Two<A> x, Two<A> y) const { return {x.a + y.a, x.b + y.b}; }
};
struct JoinExponents { // (largest, sum of exponentials relative to it)
    template <class A> FB_DEV_MEMBER Two<A> operator()(Two<A> x, Two<A> y) const {
        if (y.a > x.a || is_nan(y.a)) { Two<A> t = x; x = y; y = t; }
        if (y.b == 0 || x.a == -infinity<A>()) return x;
        return {x.a, x.b + y.b * m_exp(y.a - x.a)};
    }
};

struct RowParams {
    u64 out, out2, out3, x, y, z, w, v;
    f64 f, g;
    i64 lines, count, inner, flag, flag2;
};
FB_DEV i64 line_start(const RowParams &p, i64 line) { return line / p.inner * p.count * p.inner + line % p.inner; }

// W elements at k of a line; W > 1 needs lines whose elements are neighbours.
template <int W, class T> FB_DEV vec<T, W> get(const RowParams &p, const T *x, i64 k) {
    if constexpr (W > 1) return *(const vec<T, W> *)(x + k);
    else return {{x[k * p.inner]}};
}
template <int W, class T> FB_DEV void put(const RowParams &p, T *x, i64 k, vec<T, W> v) {
    if constexpr (W > 1) *(vec<T, W> *)(x + k) = v;
    else x[k * p.inner] = v.v[0];
}
#define FB_ROW(k) for (i64 k = (i64)threadIdx.x * W; k < p.count; k += (i64)blockDim.x * W)

// ---- softmax

template <class A, class T, int W> FB_DEV Two<A> exponents(const RowParams &p, const T *x, Two<A> *room) {
    Two<A> e = {-infinity<A>(), 0};
    FB_ROW(k) {
        vec<T, W> v = get<W>(p, x, k);
        A top = e.a;
#pragma unroll
        for (int i = 0; i < W; i++) top = op_maximum(top, cast<A>(v.v[i]));
        A base = top == -infinity<A>() ? (A)0 : top, sum = 0;
#pragma unroll
        for (int i = 0; i < W; i++) sum += m_exp(cast<A>(v.v[i]) - base);
        if (top != e.a) {
            e.b = e.b * m_exp(e.a - base);
            e.a = top;
        }
        e.b += sum;
    }
    return block_join(e, room, JoinExponents());
}

template <class A, class T, bool Log, int W> FB_DEV void softmax(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    i64 at = line_start(p, blockIdx.x);
    const T *x = (const T *)p.x + at;
    T *out = (T *)p.out + at;
    Two<A> e = exponents<A, T, W>(p, x, room);
    A scale = 1 / e.b, shift = m_log(e.b);
    FB_ROW(k) {
        vec<T, W> v = get<W>(p, x, k);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A d = cast<A>(v.v[i]) - e.a;
            v.v[i] = cast<T>(Log ? d - shift : m_exp(d) * scale);
        }
        put<W>(p, out, k, v);
    }
}

// x: the gradient, y: the result.
template <class A, class T, bool Log, int W> FB_DEV void softmax_backward(const RowParams &p) {
    SHARED(A, room, ROW_BLOCK);
    i64 at = line_start(p, blockIdx.x);
    const T *g = (const T *)p.x + at, *y = (const T *)p.y + at;
    T *out = (T *)p.out + at;
    A sum = 0;
    FB_ROW(k) {
        vec<T, W> v = get<W>(p, g, k), u = get<W>(p, y, k);
#pragma unroll
        for (int i = 0; i < W; i++) sum += Log ? cast<A>(v.v[i]) : cast<A>(v.v[i]) * cast<A>(u.v[i]);
    }
    sum = block_join(sum, room, Plus());
    FB_ROW(k) {
        vec<T, W> v = get<W>(p, g, k), u = get<W>(p, y, k);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A a = cast<A>(v.v[i]), b = cast<A>(u.v[i]);
            v.v[i] = cast<T>(Log ? a - m_exp(b) * sum : b * (a - sum));
        }
        put<W>(p, out, k, v);
    }
}

// ---- cross entropy. x: logits, y: classes, z: weights or 0. out: loss of each line, out2: log of the sum of
// exponentials, out3: weight of each line. f: label smoothing, flag: the class that doesn't count, v: faults, flag2:
// the launch's number.

template <class A, class T, int W> FB_DEV void cross_entropy(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    i64 line = blockIdx.x, at = line_start(p, line);
    const T *x = (const T *)p.x + at, *w = (const T *)p.z;
    Two<A> e = exponents<A, T, W>(p, x, room);
    A lse = m_fabs(e.a) == infinity<A>() ? e.a : e.a + m_log(e.b);
    i64 c = ((const i64 *)p.y)[line];
    bool counts = c != p.flag, bad = counts && (c < 0 || c >= p.count);
    A smooth = 0;
    if (p.f != 0) {
        for (i64 k = threadIdx.x; k < p.count; k += blockDim.x)
            smooth += (lse - cast<A>(x[k * p.inner])) * (w ? cast<A>(w[k]) : (A)1);
        smooth = block_join(Two<A>{smooth, 0}, room, Plus()).a;
    }
    if (threadIdx.x != 0) return;
    ((A *)p.out2)[line] = lse;
    A loss = 0, weight = 0;
    if (bad) atomicMin((u64 *)p.v, (u64)p.flag2 << 40 | (u64)line);
    else if (counts) {
        weight = w ? cast<A>(w[c]) : (A)1;
        loss = (lse - cast<A>(x[c * p.inner])) * weight;
        if (p.f != 0) loss = loss * (A)(1 - p.f) + smooth * (A)(p.f / (f64)p.count);
    }
    ((A *)p.out)[line] = loss;
    ((A *)p.out3)[line] = weight;
}

// The sums of losses (x) and of weights (y); out: their quotient or the first, out2: the second. One block.
template <class A, class T> FB_DEV void cross_entropy_total(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    Two<A> s = {0, 0};
    for (i64 k = threadIdx.x; k < p.lines; k += blockDim.x) {
        s.a += ((const A *)p.x)[k];
        s.b += ((const A *)p.y)[k];
    }
    s = block_join(s, room, Plus());
    if (threadIdx.x == 0) {
        if (p.out) *(T *)p.out = cast<T>(p.flag ? s.a / s.b : s.a);
        *(A *)p.out2 = s.b;
    }
}

// x: logits, y: classes, z: weights or 0, w: log of the sum of exponentials, v: sum of weights, out2: the gradient of
// the loss (one per line, or one: flag2 & 1), flag2 & 2: divide by the sum of weights.
template <class A, class T, int W> FB_DEV void cross_entropy_backward(const RowParams &p) {
    SHARED(A, room, ROW_BLOCK);
    i64 line = blockIdx.x, at = line_start(p, line);
    const T *x = (const T *)p.x + at, *w = (const T *)p.z;
    T *out = (T *)p.out + at;
    i64 c = ((const i64 *)p.y)[line];
    bool counts = c != p.flag && c >= 0 && c < p.count;
    A part = (A)(p.f / (f64)p.count), classes = (A)p.count;
    if (p.f != 0 && w) {
        A sum = 0;
        for (i64 k = threadIdx.x; k < p.count; k += blockDim.x) sum += cast<A>(w[k]);
        classes = block_join(sum, room, Plus());
    }
    A g = cast<A>(((const T *)p.out2)[p.flag2 & 1 ? 0 : line]);
    if (p.flag2 & 2) g /= *(const A *)p.v;
    A sharp = counts ? (w ? cast<A>(w[c]) : (A)1) * (A)(1 - p.f) : (A)0;
    A mass = sharp + (p.f != 0 ? part * classes : (A)0), lse = ((const A *)p.w)[line];
    FB_ROW(k) {
        vec<T, W> v = get<W>(p, x, k);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A wanted = k + i == c ? sharp : (A)0;
            if (p.f != 0) wanted += part * (w ? cast<A>(w[k + i]) : (A)1);
            A d = (m_exp(cast<A>(v.v[i]) - lse) * mass - wanted) * g;
            v.v[i] = cast<T>(counts ? d : (A)0);
        }
        put<W>(p, out, k, v);
    }
}

// ---- normalisation of layers (and of groups): statistics over `count` elements; weights vary along the line with
// `inner` elements each, and start anew every `flag` lines (0: never). z: weight or 0, w: bias or 0; f: epsilon.

FB_DEV i64 weight_at(const RowParams &p, i64 line, i64 k) { // groups: [lines of one sample, channels of one group]
    return p.flag ? (line % p.flag) * (p.count / p.inner) + k / p.inner : k;
}
template <class A, class S, int W> FB_DEV void weights_at(const RowParams &p, u64 base, i64 line, i64 k, A *to, A none) {
    if constexpr (W > 1) {
        vec<S, W> v;
        if (base) v = *(const vec<S, W> *)((const S *)base + k);
#pragma unroll
        for (int i = 0; i < W; i++) to[i] = base ? cast<A>(v.v[i]) : none;
    } else to[0] = base ? cast<A>(((const S *)base)[weight_at(p, line, k)]) : none;
}
// Lines are contiguous here, whatever `inner` says of the weights.
template <int W, class T> FB_DEV vec<T, W> line_get(const T *x, i64 k) { return *(const vec<T, W> *)(x + k); }

template <class A, class T, class S, bool Centred, int W> FB_DEV void layer_norm(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    i64 line = blockIdx.x;
    const T *x = (const T *)p.x + line * p.count;
    T *out = (T *)p.out + line * p.count;
    A n = (A)p.count, mean = 0;
    if (Centred) {
        Two<A> s = {0, 0};
        FB_ROW(k) {
            vec<T, W> v = line_get<W>(x, k);
#pragma unroll
            for (int i = 0; i < W; i++) s.a += cast<A>(v.v[i]);
        }
        mean = block_join(s, room, Plus()).a / n;
    }
    Two<A> s = {0, 0};
    FB_ROW(k) {
        vec<T, W> v = line_get<W>(x, k);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A d = cast<A>(v.v[i]) - mean;
            s.a += d * d;
        }
    }
    A rstd = m_rsqrt(block_join(s, room, Plus()).a / n + (A)p.f);
    FB_ROW(k) {
        vec<T, W> v = line_get<W>(x, k);
        A weight[W], bias[W];
        weights_at<A, S, W>(p, p.z, line, k, weight, 1);
        weights_at<A, S, W>(p, p.w, line, k, bias, 0);
#pragma unroll
        for (int i = 0; i < W; i++) v.v[i] = cast<T>((cast<A>(v.v[i]) - mean) * rstd * weight[i] + bias[i]);
        *(vec<T, W> *)(out + k) = v;
    }
    if (threadIdx.x == 0) {
        if (Centred) ((A *)p.out2)[line] = mean;
        ((A *)p.out3)[line] = rstd;
    }
}

// out: gradient of the input. x: gradient, y: input, z: weight or 0, w: means (unused where not centred), v: rstd.
template <class A, class T, class S, bool Centred, int W> FB_DEV void layer_norm_backward(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    i64 line = blockIdx.x;
    const T *g = (const T *)p.x + line * p.count, *x = (const T *)p.y + line * p.count;
    T *out = (T *)p.out + line * p.count;
    A mean = Centred ? ((const A *)p.w)[line] : (A)0, rstd = ((const A *)p.v)[line], n = (A)p.count;
    Two<A> s = {0, 0};
    FB_ROW(k) {
        vec<T, W> u = line_get<W>(g, k), v = line_get<W>(x, k);
        A weight[W];
        weights_at<A, S, W>(p, p.z, line, k, weight, 1);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A d = cast<A>(u.v[i]) * weight[i];
            s.a += d;
            s.b += d * (cast<A>(v.v[i]) - mean) * rstd;
        }
    }
    s = block_join(s, room, Plus());
    A a = Centred ? s.a / n : (A)0, b = s.b / n;
    FB_ROW(k) {
        vec<T, W> u = line_get<W>(g, k), v = line_get<W>(x, k);
        A weight[W];
        weights_at<A, S, W>(p, p.z, line, k, weight, 1);
#pragma unroll
        for (int i = 0; i < W; i++) {
            A d = cast<A>(u.v[i]) * weight[i];
            v.v[i] = cast<T>((d - a - (cast<A>(v.v[i]) - mean) * rstd * b) * rstd);
        }
        *(vec<T, W> *)(out + k) = v;
    }
}

// Gradients of weight and bias: columns of [lines, count]; a block of 32 x 8 threads does 32 columns of `flag` lines.
// out, out2: [parts, count] sums of g * normal and of g, of which a second launch makes the gradients.
template <class A, class T, bool Centred> FB_DEV void layer_norm_weights(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    int tx = (int)threadIdx.x % 32, ty = (int)threadIdx.x / 32;
    i64 c = (i64)blockIdx.x * 32 + tx, first = blockIdx.y * p.flag, end = first + p.flag < p.lines ? first + p.flag : p.lines;
    Two<A> s = {0, 0};
    if (c < p.count)
        for (i64 l = first + ty; l < end; l += 8) {
            A mean = Centred ? ((const A *)p.w)[l] : (A)0;
            A g = cast<A>(((const T *)p.x)[l * p.count + c]);
            s.a += g * (cast<A>(((const T *)p.y)[l * p.count + c]) - mean) * ((const A *)p.v)[l];
            s.b += g;
        }
    room[ty * 32 + tx] = s;
    for (int h = 4; h > 0; h /= 2) {
        __syncthreads();
        if (ty < h) room[ty * 32 + tx] = Plus()(room[ty * 32 + tx], room[(ty + h) * 32 + tx]);
    }
    if (ty == 0 && c < p.count) {
        ((A *)p.out)[blockIdx.y * p.count + c] = room[tx].a;
        ((A *)p.out2)[blockIdx.y * p.count + c] = room[tx].b;
    }
}
// out, out2: gradients of weight and bias or 0; x, y: the parts; lines: their number.
template <class A, class W> FB_DEV void layer_norm_finish(const RowParams &p) {
    i64 c = thread_number();
    if (c >= p.count) return;
    A a = 0, b = 0;
    for (i64 l = 0; l < p.lines; l++) {
        a += ((const A *)p.x)[l * p.count + c];
        b += ((const A *)p.y)[l * p.count + c];
    }
    if (p.out) ((W *)p.out)[c] = cast<W>(a);
    if (p.out2) ((W *)p.out2)[c] = cast<W>(b);
}

// ---- normalisation of channels over a batch: [outer, count channels, inner]; a block per channel and part of it
// (gridDim.y parts of `flag` elements). x: the input, y: the gradient or 0 (then statistics are taken), w: means,
// v: rstd; out: [channels, parts] pairs (mean and squares about it, or sums of g and of g * normal).

template <class A> struct Three { A n, mean, m2; };
struct JoinThree {
    template <class A> FB_DEV_MEMBER Three<A> operator()(Three<A> a, Three<A> b) const {
        if (b.n == 0) return a;
        if (a.n == 0) return b;
        A n = a.n + b.n, d = b.mean - a.mean;
        return {n, a.mean + d * (b.n / n), a.m2 + b.m2 + d * d * (a.n / n * b.n)};
    }
};
// The place of a channel's k-th element, and the channel of a place. 32-bit divisions where they do: a 64-bit one takes
// as long as the memory of many elements.
FB_DEV i64 channel_place(const RowParams &p, i64 k, i64 c) {
    if (p.lines * p.inner < 0x7fffffff) {
        u32 n = (u32)k / (u32)p.inner, rest = (u32)k - n * (u32)p.inner;
        return ((i64)n * p.count + c) * p.inner + rest;
    }
    return (k / p.inner * p.count + c) * p.inner + k % p.inner;
}
FB_DEV i64 channel_of(const RowParams &p, i64 at) {
    if (p.lines * p.count * p.inner < 0x7fffffff) return (u32)at / (u32)p.inner % (u32)p.count;
    return at / p.inner % p.count;
}
// N: elements per access; the parts and the inner size are multiples of it.
template <class A, class T, int N> FB_DEV void channel_moments(const RowParams &p) {
    SHARED(Three<A>, room, ROW_BLOCK);
    i64 c = blockIdx.x, total = p.lines * p.inner, first = blockIdx.y * p.flag;
    i64 end = first + p.flag < total ? first + p.flag : total;
    // Sums of what is left of a thread's elements when its first one is taken away: small where the variance is.
    A shift = 0, n = 0, sum = 0, squares = 0;
    for (i64 k = first + (i64)threadIdx.x * N; k < end; k += (i64)blockDim.x * N) {
        vec<T, N> x = *(const vec<T, N> *)((const T *)p.x + channel_place(p, k, c));
        if (n == 0) shift = cast<A>(x.v[0]);
#pragma unroll
        for (int i = 0; i < N; i++) {
            A d = cast<A>(x.v[i]) - shift;
            sum += d;
            squares += d * d;
        }
        n += N;
    }
    Three<A> s = {n, 0, 0};
    if (n > 0) {
        A m2 = squares - sum * (sum / n);
        s.mean = shift + sum / n;
        s.m2 = m2 < 0 ? (A)0 : m2;
    }
    s = block_join(s, room, JoinThree());
    if (threadIdx.x == 0) ((Three<A> *)p.out)[c * gridDim.y + blockIdx.y] = s;
}
// x: moments [channels, flag parts]; out: means, out2: rstd; y, z: running statistics or 0; f: epsilon, g: momentum.
template <class A, class R> FB_DEV void channel_finish(const RowParams &p) {
    i64 c = thread_number();
    if (c >= p.count) return;
    Three<A> s = {0, 0, 0};
    for (i64 k = 0; k < p.flag; k++) s = JoinThree()(s, ((const Three<A> *)p.x)[c * p.flag + k]);
    A var = s.m2 / s.n;
    ((A *)p.out)[c] = s.mean;
    ((A *)p.out2)[c] = m_rsqrt(var + (A)p.f);
    if (p.y) { R *r = (R *)p.y + c; *r = cast<R>(cast<A>(*r) * (A)(1 - p.g) + s.mean * (A)p.g); }
    if (p.z) {
        R *r = (R *)p.z + c;
        *r = cast<R>(cast<A>(*r) * (A)(1 - p.g) + var * (s.n / (s.n > 1 ? s.n - 1 : (A)1)) * (A)p.g);
    }
}
template <class A, class T, int N> FB_DEV void channel_sums(const RowParams &p) {
    SHARED(Two<A>, room, ROW_BLOCK);
    i64 c = blockIdx.x, total = p.lines * p.inner, first = blockIdx.y * p.flag;
    i64 end = first + p.flag < total ? first + p.flag : total;
    A mean = ((const A *)p.w)[c], rstd = ((const A *)p.v)[c];
    Two<A> s = {0, 0};
    for (i64 k = first + (i64)threadIdx.x * N; k < end; k += (i64)blockDim.x * N) {
        i64 at = channel_place(p, k, c);
        vec<T, N> grad = *(const vec<T, N> *)((const T *)p.y + at), x = *(const vec<T, N> *)((const T *)p.x + at);
#pragma unroll
        for (int i = 0; i < N; i++) {
            A g = cast<A>(grad.v[i]);
            s.a += g;
            s.b += g * (cast<A>(x.v[i]) - mean);
        }
    }
    s.b *= rstd;
    s = block_join(s, room, Plus());
    if (threadIdx.x == 0) ((Two<A> *)p.out)[c * gridDim.y + blockIdx.y] = s;
}
// x: sums [channels, flag parts]; out: [channels] pairs of sums, out2, out3: gradients of weight and bias or 0.
template <class A, class W> FB_DEV void channel_sums_finish(const RowParams &p) {
    i64 c = thread_number();
    if (c >= p.count) return;
    Two<A> s = {0, 0};
    for (i64 k = 0; k < p.flag; k++) s = Plus()(s, ((const Two<A> *)p.x)[c * p.flag + k]);
    ((Two<A> *)p.out)[c] = s;
    if (p.out2) ((W *)p.out2)[c] = cast<W>(s.b);
    if (p.out3) ((W *)p.out3)[c] = cast<W>(s.a);
}
// y = (x - mean) * rstd * weight + bias; z: weight or 0, y: bias or 0.
template <class A, class T, class W, int N> FB_DEV void channel_apply(const RowParams &p) {
    i64 at = thread_number() * N;
    if (at >= p.lines * p.count * p.inner) return;
    i64 c = channel_of(p, at);
    A mean = ((const A *)p.w)[c], rstd = ((const A *)p.v)[c];
    A scale = p.z ? cast<A>(((const W *)p.z)[c]) : (A)1, shift = p.y ? cast<A>(((const W *)p.y)[c]) : (A)0;
    vec<T, N> x = *(const vec<T, N> *)((const T *)p.x + at);
#pragma unroll
    for (int i = 0; i < N; i++) x.v[i] = cast<T>((cast<A>(x.v[i]) - mean) * rstd * scale + shift);
    *(vec<T, N> *)((T *)p.out + at) = x;
}
// The gradient of the input; y: gradient, out2: pairs of sums or 0 (statistics were fixed).
template <class A, class T, class W, int N> FB_DEV void channel_backward(const RowParams &p) {
    i64 at = thread_number() * N;
    if (at >= p.lines * p.count * p.inner) return;
    i64 c = channel_of(p, at);
    A rstd = ((const A *)p.v)[c], mean = 0, a = 0, b = 0;
    A scale = p.z ? cast<A>(((const W *)p.z)[c]) * rstd : rstd;
    vec<T, N> g = *(const vec<T, N> *)((const T *)p.y + at), x = g;
    if (p.out2) {
        Two<A> s = ((const Two<A> *)p.out2)[c];
        A n = (A)(p.lines * p.inner);
        x = *(const vec<T, N> *)((const T *)p.x + at);
        mean = ((const A *)p.w)[c];
        a = s.a / n;
        b = s.b / n * rstd;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        A v = cast<A>(g.v[i]);
        if (p.out2) v = v - a - (cast<A>(x.v[i]) - mean) * b;
        g.v[i] = cast<T>(v * scale);
    }
    *(vec<T, N> *)((T *)p.out + at) = g;
}
