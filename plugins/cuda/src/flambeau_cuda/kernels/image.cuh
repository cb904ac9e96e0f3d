// Convolutions by implicit GEMM and pooling. Operands are dense (N, C, D, H, W); lower dimensions have size 1 in front.
#pragma once
#include "base.cuh"

struct ConvParams {
    u64 out, a, b, bias;
    i64 n, groups, ci, co;             // images, groups, channels of input and output per group
    i64 id, ih, iw, od, oh, ow;        // sizes of input and output
    i64 kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw;
    i64 splits, part;                  // of the sum (gradient of the weight)
};

// Which element of the image a place of the output and a place of the kernel meet in; -1: padding.
FB_DEV i64 meet(i64 o, i64 k, i64 stride, i64 padding, i64 dilation, i64 size) {
    i64 i = o * stride - padding + k * dilation;
    return i >= 0 && i < size ? i : -1;
}
// Which place of the output meets an element of the image by a place of the kernel; -1: none.
FB_DEV i64 meet_back(i64 i, i64 k, i64 stride, i64 padding, i64 dilation, i64 size) {
    i64 o = i + padding - k * dilation;
    if (o < 0 || o % stride) return -1;
    o /= stride;
    return o < size ? o : -1;
}

struct at3 { i64 d, h, w; };
FB_DEV at3 split3(i64 at, i64 h, i64 w) {
    u32 rest = (u32)at, q = rest / (u32)w;
    return {(i64)(q / (u32)h), (i64)(q % (u32)h), (i64)(rest - q * (u32)w)};
}

// Three products of the same shape: rows x columns, summed over depth.
//   Kind 0, forward: rows co, columns n * places of the output, depth ci * kernel; a: input, b: weight.
//   Kind 1, by the input: rows ci, columns n * places of the input, depth co * kernel; a: gradient, b: weight.
//   Kind 2, by the weight: rows co, columns ci * kernel, depth n * places of the output; a: input, b: gradient.
template <class A, class T, int Kind> struct conv_operands {
    const ConvParams &p;
    i64 group, kernel, places, rows, columns, depth;
    FB_DEV_MEMBER conv_operands(const ConvParams &p, i64 group) : p(p), group(group) {
        kernel = p.kd * p.kh * p.kw;
        places = Kind == 1 ? p.id * p.ih * p.iw : p.od * p.oh * p.ow;
        rows = Kind == 1 ? p.ci : p.co;
        columns = Kind == 2 ? p.ci * kernel : p.n * places;
        depth = Kind == 0 ? p.ci * kernel : Kind == 1 ? p.co * kernel : p.n * places;
    }
    FB_DEV_MEMBER A image(i64 n, i64 c, i64 place, i64 k) const { // the input under a place of the output
        at3 o = split3(place, p.oh, p.ow), q = split3(k, p.kh, p.kw);
        i64 d = meet(o.d, q.d, p.sd, p.pd, p.dd, p.id), h = meet(o.h, q.h, p.sh, p.ph, p.dh, p.ih);
        i64 w = meet(o.w, q.w, p.sw, p.pw, p.dw, p.iw);
        if (d < 0 || h < 0 || w < 0) return cast<A>(0);
        return cast<A>(((const T *)p.a)[((((n * p.groups + group) * p.ci + c) * p.id + d) * p.ih + h) * p.iw + w]);
    }
    FB_DEV_MEMBER A left(i64 r, i64 k) const {
        if (Kind == 0) return cast<A>(((const T *)p.b)[(group * p.co + r) * p.ci * kernel + k]);
        if (Kind == 1) {
            i64 c = k / kernel;
            return cast<A>(((const T *)p.b)[((group * p.co + c) * p.ci + r) * kernel + k - c * kernel]);
        }
        i64 n = k / places;
        return cast<A>(((const T *)p.b)[((n * p.groups + group) * p.co + r) * places + k - n * places]);
    }
    FB_DEV_MEMBER A right(i64 k, i64 c) const {
        if (Kind == 0) {
            i64 n = c / places, ch = k / kernel;
            return image(n, ch, c - n * places, k - ch * kernel);
        }
        if (Kind == 2) {
            i64 n = k / places, ch = c / kernel;
            return image(n, ch, k - n * places, c - ch * kernel);
        }
        i64 n = c / places, ch = k / kernel;
        at3 i = split3(c - n * places, p.ih, p.iw), q = split3(k - ch * kernel, p.kh, p.kw);
        i64 d = meet_back(i.d, q.d, p.sd, p.pd, p.dd, p.od), h = meet_back(i.h, q.h, p.sh, p.ph, p.dh, p.oh);
        i64 w = meet_back(i.w, q.w, p.sw, p.pw, p.dw, p.ow);
        if (d < 0 || h < 0 || w < 0) return cast<A>(0);
        return cast<A>(((const T *)p.a)[((((n * p.groups + group) * p.co + ch) * p.od + d) * p.oh + h) * p.ow + w]);
    }
    FB_DEV_MEMBER i64 place(i64 r, i64 c) const {
        if (Kind == 2) return (group * p.co + r) * columns + c;
        i64 n = c / places;
        return ((n * p.groups + group) * rows + r) * places + c - n * places;
    }
};

// A block of 16 x 16 threads computes (16 E)^2 of a group's result. gridDim.z: groups times splits of the depth; with
// several splits parts are stored as A, [splits, elements of the result].
template <class A, class T, int Kind, int E> FB_DEV void conv(const ConvParams &p) {
    const int TILE = 16 * E, DEPTH = 16;
    SHARED(A, left, TILE *(DEPTH + 1));
    SHARED(A, right, DEPTH *(TILE + 1));
    i64 group = blockIdx.z / p.splits, split = blockIdx.z % p.splits;
    conv_operands<A, T, Kind> o(p, group);
    int tx = (int)threadIdx.x % 16, ty = (int)threadIdx.x / 16;
    i64 col0 = (i64)blockIdx.x * TILE, row0 = (i64)blockIdx.y * TILE;
    i64 first = split * p.part, end = first + p.part < o.depth ? first + p.part : o.depth;
    A sum[E][E];
#pragma unroll
    for (int i = 0; i < E; i++)
#pragma unroll
        for (int j = 0; j < E; j++) sum[i][j] = 0;
    for (i64 k0 = first; k0 < end; k0 += DEPTH) {
        for (int s = (int)threadIdx.x; s < TILE * DEPTH; s += 256) {
            int r = s / DEPTH, d = s % DEPTH;
            left[r * (DEPTH + 1) + d] = row0 + r < o.rows && k0 + d < end ? o.left(row0 + r, k0 + d) : cast<A>(0);
            int c = Kind == 2 ? s / DEPTH : s % TILE, e = Kind == 2 ? s % DEPTH : s / TILE;
            right[e * (TILE + 1) + c] = col0 + c < o.columns && k0 + e < end ? o.right(k0 + e, col0 + c) : cast<A>(0);
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
                for (int j = 0; j < E; j++) sum[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
    i64 whole = Kind == 2 ? p.groups * o.rows * o.columns : 0;
#pragma unroll
    for (int i = 0; i < E; i++)
#pragma unroll
        for (int j = 0; j < E; j++) {
            i64 r = row0 + ty + 16 * i, c = col0 + tx + 16 * j;
            if (r >= o.rows || c >= o.columns) continue;
            i64 at = o.place(r, c);
            if (p.splits > 1) ((A *)p.out)[split * whole + at] = sum[i][j];
            else {
                A v = sum[i][j];
                if (p.bias) v += cast<A>(((const T *)p.bias)[group * o.rows + r]);
                ((T *)p.out)[at] = cast<T>(v);
            }
        }
}

// ---- pooling of (N * C, H, W)

struct PoolParams {
    u64 out, places, x;
    i64 planes, ih, iw, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;
    i64 include_pad, divisor, adaptive;
};

FB_DEV i64 cell_start(i64 o, i64 in, i64 out) { return o * in / out; }
FB_DEV i64 cell_end(i64 o, i64 in, i64 out) { return ((o + 1) * in + out - 1) / out; }

template <class A, class T> FB_DEV void max_pool(const PoolParams &p) {
    i64 t = thread_number();
    if (t >= p.planes * p.oh * p.ow) return;
    i64 x = t % p.ow, y = t / p.ow % p.oh, plane = t / p.ow / p.oh;
    const T *src = (const T *)p.x + plane * p.ih * p.iw;
    i64 h0 = y * p.sh - p.ph, w0 = x * p.sw - p.pw, best = -1;
    A most = cast<A>(0);
    for (i64 a = 0; a < p.kh; a++) {
        i64 h = h0 + a * p.dh;
        if (h < 0 || h >= p.ih) continue;
        for (i64 b = 0; b < p.kw; b++) {
            i64 w = w0 + b * p.dw;
            if (w < 0 || w >= p.iw) continue;
            A v = cast<A>(src[h * p.iw + w]);
            if (best < 0 || (v > most && !nan_of(most)) || (nan_of(v) && !nan_of(most))) {
                most = v;
                best = h * p.iw + w;
            }
        }
    }
    ((T *)p.out)[t] = cast<T>(most);
    if (p.places) ((i64 *)p.places)[t] = best;
}

// out: gradient of the input; x: the gradient; each element looks for the windows whose maximum it is.
template <class A, class T> FB_DEV void max_pool_backward(const PoolParams &p) {
    i64 t = thread_number();
    if (t >= p.planes) return;
    T *out = (T *)p.out + t * p.ih * p.iw;
    const T *g = (const T *)p.x + t * p.oh * p.ow;
    const i64 *places = (const i64 *)p.places + t * p.oh * p.ow;
    for (i64 k = 0; k < p.oh * p.ow; k++) {
        i64 at = places[k];
        if (at >= 0) out[at] = cast<T>(cast<A>(out[at]) + cast<A>(g[k]));
    }
}

struct window { i64 h0, h1, w0, w1; };
template <class A> FB_DEV A window_size(const PoolParams &p, i64 y, i64 x, window &w) {
    if (p.adaptive) {
        w = {cell_start(y, p.ih, p.oh), cell_end(y, p.ih, p.oh), cell_start(x, p.iw, p.ow), cell_end(x, p.iw, p.ow)};
        return (A)((w.h1 - w.h0) * (w.w1 - w.w0));
    }
    i64 h0 = y * p.sh - p.ph, w0 = x * p.sw - p.pw, h1 = h0 + p.kh, w1 = w0 + p.kw;
    i64 hp = h1 < p.ih + p.ph ? h1 : p.ih + p.ph, wp = w1 < p.iw + p.pw ? w1 : p.iw + p.pw;
    i64 padded = (hp - h0) * (wp - w0);
    w = {h0 > 0 ? h0 : 0, h1 < p.ih ? h1 : p.ih, w0 > 0 ? w0 : 0, w1 < p.iw ? w1 : p.iw};
    if (p.divisor) return (A)p.divisor;
    return (A)(p.include_pad ? padded : (w.h1 - w.h0) * (w.w1 - w.w0));
}

template <class A, class T> FB_DEV void avg_pool(const PoolParams &p) {
    i64 t = thread_number();
    if (t >= p.planes * p.oh * p.ow) return;
    i64 x = t % p.ow, y = t / p.ow % p.oh;
    const T *src = (const T *)p.x + t / p.ow / p.oh * p.ih * p.iw;
    window w;
    A n = window_size<A>(p, y, x, w), sum = 0;
    for (i64 h = w.h0; h < w.h1; h++)
        for (i64 k = w.w0; k < w.w1; k++) sum += cast<A>(src[h * p.iw + k]);
    ((T *)p.out)[t] = cast<T>(sum / n);
}

// out: gradient of the input, x: the gradient. An element adds up what the windows that hold it give.
template <class A, class T> FB_DEV void avg_pool_backward(const PoolParams &p) {
    i64 t = thread_number();
    if (t >= p.planes * p.ih * p.iw) return;
    i64 x = t % p.iw, y = t / p.iw % p.ih;
    const T *g = (const T *)p.x + t / p.iw / p.ih * p.oh * p.ow;
    i64 y0, y1, x0, x1;
    if (p.adaptive) {
        y0 = y * p.oh / p.ih;
        y1 = ((y + 1) * p.oh + p.ih - 1) / p.ih;
        x0 = x * p.ow / p.iw;
        x1 = ((x + 1) * p.ow + p.iw - 1) / p.iw;
    } else {
        i64 a = y + p.ph - p.kh + 1, b = x + p.pw - p.kw + 1;
        y0 = a > 0 ? (a + p.sh - 1) / p.sh : 0;
        x0 = b > 0 ? (b + p.sw - 1) / p.sw : 0;
        y1 = (y + p.ph) / p.sh + 1;
        x1 = (x + p.pw) / p.sw + 1;
    }
    if (y1 > p.oh) y1 = p.oh;
    if (x1 > p.ow) x1 = p.ow;
    A sum = 0;
    for (i64 a = y0; a < y1; a++)
        for (i64 b = x0; b < x1; b++) {
            window w;
            A n = window_size<A>(p, a, b, w);
            if (y >= w.h0 && y < w.h1 && x >= w.w0 && x < w.w1) sum += cast<A>(g[a * p.ow + b]) / n;
        }
    ((T *)p.out)[t] = cast<T>(sum);
}
