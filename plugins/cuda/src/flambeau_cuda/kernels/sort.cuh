// Stable sorting along a dimension; NaN is the largest. Tiles are sorted in shared memory by a bitonic network on
// (key, place), then merged: each element finds its place in the union of two runs by binary search.
#pragma once
#include "base.cuh"

struct SortParams {
    u64 values, indices, src, keys, places, keys2, places2; // keys, places: [lines, count] workspaces
    i64 lines, count, run, descending;
    i64 step_values, step_indices, step_src, keep;          // keep: how many leading elements are written at the end
    walk<3> line;                                           // strides of values, indices and src
};

const int SORT_TILE = 512;

template <class T> FB_DEV bool less(T a, T b) {
    if constexpr (same<T, f16>::v || same<T, bf16>::v) return less(wide(a), wide(b));
    else if constexpr (kind<T>::cplx) return a.re < b.re || (a.re == b.re && a.im < b.im);
    else return a < b || (nan_of(b) && !nan_of(a));
}
// Whether (a, i) stands before (b, j).
template <class T> FB_DEV bool first_of(T a, u32 i, T b, u32 j, bool descending) {
    if (descending ? less(b, a) : less(a, b)) return true;
    if (descending ? less(a, b) : less(b, a)) return false;
    return i < j;
}

template <class T> FB_DEV void write_sorted(const SortParams &p, i64 line, i64 k, T key, u32 place) {
    if (k >= p.keep) return;
    i64 at[3];
    locate(p.line, line, at);
    if (p.values) ((T *)p.values)[at[0] + k * p.step_values] = key;
    if (p.indices) ((i64 *)p.indices)[at[1] + k * p.step_indices] = place;
}

template <class T> FB_DEV void sort_tiles(const SortParams &p) {
    SHARED(T, keys, SORT_TILE);
    SHARED(u32, places, SORT_TILE);
    i64 tiles = (p.count + SORT_TILE - 1) / SORT_TILE, line = blockIdx.x / tiles, base = blockIdx.x % tiles * SORT_TILE;
    i64 at[3];
    locate(p.line, line, at);
    const T *src = (const T *)p.src + at[2];
    int n = (int)(p.count - base < SORT_TILE ? p.count - base : SORT_TILE), size = 1;
    while (size < n) size *= 2;
    const u32 NONE = 0xffffffffu;
    for (int k = (int)threadIdx.x; k < size; k += (int)blockDim.x) {
        if (k < n) keys[k] = src[(base + k) * p.step_src];
        places[k] = k < n ? (u32)(base + k) : NONE;
    }
    for (int width = 2; width <= size; width *= 2)
        for (int step = width / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int k = (int)threadIdx.x; k < size / 2; k += (int)blockDim.x) {
                int a = 2 * step * (k / step) + k % step, b = a + step;
                bool up = (a & width) == 0;
                bool swap;
                if (places[a] == NONE || places[b] == NONE) swap = up ? places[a] == NONE && places[b] != NONE
                                                                     : places[b] == NONE && places[a] != NONE;
                else swap = up != first_of(keys[a], places[a], keys[b], places[b], p.descending != 0);
                if (swap) {
                    T key = keys[a];
                    u32 place = places[a];
                    keys[a] = keys[b];
                    places[a] = places[b];
                    keys[b] = key;
                    places[b] = place;
                }
            }
        }
    __syncthreads();
    for (int k = (int)threadIdx.x; k < n; k += (int)blockDim.x) {
        if (tiles == 1) write_sorted(p, line, k, keys[k], places[k]);
        else {
            ((T *)p.keys)[line * p.count + base + k] = keys[k];
            ((u32 *)p.places)[line * p.count + base + k] = places[k];
        }
    }
}

// Runs of `run` elements become runs of twice that; the last merge writes the results.
template <class T> FB_DEV void sort_merge(const SortParams &p) {
    i64 t = thread_number();
    if (t >= p.lines * p.count) return;
    i64 line = t / p.count, k = t - line * p.count;
    const T *keys = (const T *)p.keys + line * p.count;
    const u32 *places = (const u32 *)p.places + line * p.count;
    i64 mine = k / p.run, begin = (mine ^ 1) * p.run, end = begin + p.run;
    if (begin > p.count) begin = p.count;
    if (end > p.count) end = p.count;
    T key = keys[k];
    u32 place = places[k];
    i64 low = begin, high = end; // how many of the other run stand before
    while (low < high) {
        i64 mid = (low + high) / 2;
        if (first_of(keys[mid], places[mid], key, place, p.descending != 0)) low = mid + 1;
        else high = mid;
    }
    i64 to = (mine & ~(i64)1) * p.run + (k - mine * p.run) + (low - begin);
    if (2 * p.run >= p.count) write_sorted(p, line, to, key, place);
    else {
        ((T *)p.keys2)[line * p.count + to] = key;
        ((u32 *)p.places2)[line * p.count + to] = place;
    }
}
