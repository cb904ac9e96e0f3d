// Stable sorting along a dimension, and the first k; NaN is the largest.
//
// Values become unsigned codes whose order is theirs. Long lines are sorted digit by digit from the lowest (a radix of
// 256): tiles count their digits, the counts become offsets, tiles put their elements there. Within a tile the rank of
// an element comes from the lanes of its warp that have the same digit (Merrill and Grimshaw, 2011). Lines that fit a
// block go through all digits in shared memory; short ones through a bitonic network on (code, place).
#pragma once
#include "base.cuh"

struct SortParams {
    u64 values, indices, src, codes, places, codes2, places2, counts, totals; // from values on: 0 where not wanted
    i64 lines, count, tiles, shift, passes, first, last, descending;
    i64 step_values, step_indices, step_src, keep; // keep: how many leading elements are written
    walk<3> line;                                  // strides of values, indices and src
};

const int SORT_TILE = 512, RADIX = 256, SORT_THREADS = 256, SORT_WARPS = SORT_THREADS / 32;

// ---- codes

template <class T> FB_DEV bool sort_nan(T x) {
    if constexpr (same<T, f16>::v || same<T, bf16>::v) return is_nan(wide(x));
    else return is_nan(x);
}
template <class T> FB_DEV uns<T> sort_code(T x, bool descending) {
    typedef uns<T> U;
    const U TOP = (U)((U)1 << (8 * sizeof(T) - 1));
    U code = bits_as<U>(x);
    if constexpr (kind<T>::flt || same<T, f16>::v || same<T, bf16>::v) {
        if (code == TOP) code = 0; // -0 is 0
        code = sort_nan(x) ? (U)~(U)0 : code & TOP ? (U)~code : (U)(code | TOP);
    } else if constexpr (kind<T>::sgn) code ^= TOP;
    return descending ? (U)~code : code;
}

template <class T> FB_DEV void write_sorted(const SortParams &p, const i64 *at, i64 k, u32 place) {
    if (k >= p.keep) return;
    if (p.values) ((T *)p.values)[at[0] + k * p.step_values] = ((const T *)p.src)[at[2] + place * p.step_src];
    if (p.indices) ((i64 *)p.indices)[at[1] + k * p.step_indices] = place;
}

// ---- short lines: a bitonic network

// (code, place) of shared memory in order; size: a power of two; the places beyond the end are 0xffffffff.
template <class U> FB_DEV void bitonic(U *codes, u32 *places, int size) {
    for (int width = 2; width <= size; width *= 2)
        for (int step = width / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int k = (int)threadIdx.x; k < size / 2; k += (int)blockDim.x) {
                int a = 2 * step * (k / step) + k % step, b = a + step;
                U x = codes[a], y = codes[b];
                u32 i = places[a], j = places[b];
                bool ordered = x < y || (x == y && i < j);
                if (ordered == ((a & width) != 0)) {
                    codes[a] = y;
                    codes[b] = x;
                    places[a] = j;
                    places[b] = i;
                }
            }
        }
    __syncthreads();
}

template <class T> FB_DEV void sort_short(const SortParams &p) {
    typedef uns<T> U;
    SHARED(U, codes, SORT_TILE);
    SHARED(u32, places, SORT_TILE);
    i64 at[3];
    locate(p.line, blockIdx.x, at);
    const T *src = (const T *)p.src + at[2];
    int n = (int)p.count, size = 1;
    while (size < n) size *= 2;
    for (int k = (int)threadIdx.x; k < size; k += (int)blockDim.x) {
        codes[k] = k < n ? sort_code(src[k * p.step_src], p.descending != 0) : (U)~(U)0;
        places[k] = k < n ? (u32)k : 0xffffffffu;
    }
    bitonic(codes, places, size);
    for (int k = (int)threadIdx.x; k < n; k += (int)blockDim.x) write_sorted<T>(p, at, k, places[k]);
}

// ---- blocks of 256 threads

// The sum over the threads before this one; room: 8 words. All threads must call it.
FB_DEV u32 block_before(u32 mine, u32 *room) {
    int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x / 32;
    u32 sum = mine;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        u32 other = __shfl_up_sync(0xffffffffu, sum, step);
        if (lane >= step) sum += other;
    }
    if (lane == 31) room[warp] = sum;
    __syncthreads();
    u32 before = sum - mine;
    for (int w = 0; w < warp; w++) before += room[w];
    __syncthreads();
    return before;
}

// One more of a digit, once per warp and digit; digits of 256 and more count nothing.
FB_DEV void count_digit(u32 *counts, u32 digit) {
    u32 alike = __match_any_sync(0xffffffffu, digit), lane = threadIdx.x & 31;
    if (digit < RADIX && (alike & ((1u << lane) - 1)) == 0) atomicAdd(counts + digit, (u32)__popc(alike));
}

// The ranks of a tile's elements by digit, stably. A warp has 32 * ITEMS neighbours, of which a lane has every 32nd;
// what lies beyond the end has digit 255. hist: [warps, RADIX], starts: [RADIX], room: 8 words.
template <int ITEMS> FB_DEV void tile_ranks(u32 *hist, u32 *starts, u32 *room, const u32 *digit, u32 *rank) {
    int tid = (int)threadIdx.x, lane = tid & 31, warp = tid / 32;
    for (int k = tid; k < SORT_WARPS * RADIX; k += SORT_THREADS) hist[k] = 0;
    __syncthreads();
    u32 *mine = hist + warp * RADIX;
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        u32 alike = __match_any_sync(0xffffffffu, digit[i]);
        u32 before = (u32)__popc(alike & ((1u << lane) - 1)), seen = mine[digit[i]];
        __syncwarp();
        if (before == 0) mine[digit[i]] = seen + (u32)__popc(alike);
        __syncwarp();
        rank[i] = seen + before;
    }
    __syncthreads();
    u32 sum = 0;
    for (int w = 0; w < SORT_WARPS; w++) {
        u32 n = hist[w * RADIX + tid];
        hist[w * RADIX + tid] = sum;
        sum += n;
    }
    starts[tid] = block_before(sum, room);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ITEMS; i++) rank[i] += mine[digit[i]] + starts[digit[i]];
}

FB_DEV int tile_place(int item, int items) {
    return ((int)threadIdx.x / 32 * items + item) * 32 + ((int)threadIdx.x & 31);
}

// A line of at most 256 * ITEMS elements, through all digits in shared memory.
template <class T, int ITEMS> FB_DEV void sort_line(const SortParams &p) {
    typedef uns<T> U;
    const int TILE = SORT_THREADS * ITEMS;
    SHARED(U, codes, TILE);
    SHARED(u32, places, TILE);
    SHARED(u32, hist, SORT_WARPS * RADIX);
    SHARED(u32, starts, RADIX);
    SHARED(u32, room, SORT_WARPS);
    i64 at[3];
    locate(p.line, blockIdx.x, at);
    const T *src = (const T *)p.src + at[2];
    int n = (int)p.count;
    U code[ITEMS];
    u32 place[ITEMS], digit[ITEMS], rank[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        int k = tile_place(i, ITEMS);
        place[i] = (u32)k;
        code[i] = k < n ? sort_code(src[k * p.step_src], p.descending != 0) : (U)~(U)0;
    }
    for (int pass = 0; pass < (int)p.passes; pass++) {
#pragma unroll
        for (int i = 0; i < ITEMS; i++) digit[i] = (u32)(code[i] >> 8 * pass) & 255;
        tile_ranks<ITEMS>(hist, starts, room, digit, rank);
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            codes[rank[i]] = code[i];
            places[rank[i]] = place[i];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ITEMS; i++) {
            code[i] = codes[tile_place(i, ITEMS)];
            place[i] = places[tile_place(i, ITEMS)];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < ITEMS; i++)
        if (tile_place(i, ITEMS) < n) write_sorted<T>(p, at, tile_place(i, ITEMS), place[i]);
}

// ---- long lines: three kernels for each digit

// How often each digit comes in each tile: counts [lines, RADIX, tiles].
template <class T, int ITEMS> FB_DEV void sort_count(const SortParams &p) {
    typedef uns<T> U;
    SHARED(u32, counts, RADIX);
    i64 line = blockIdx.x / p.tiles, tile = blockIdx.x % p.tiles, base = tile * SORT_THREADS * ITEMS, at[3];
    locate(p.line, line, at);
    const T *src = (const T *)p.src + at[2];
    const U *codes = (const U *)p.codes + line * p.count;
    counts[threadIdx.x] = 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        i64 k = base + i * SORT_THREADS + threadIdx.x;
        u32 digit = RADIX;
        if (k < p.count) {
            U code = p.first ? sort_code(src[k * p.step_src], p.descending != 0) : codes[k];
            digit = (u32)(code >> p.shift) & 255;
        }
        count_digit(counts, digit);
    }
    __syncthreads();
    ((u32 *)p.counts)[(line * RADIX + threadIdx.x) * p.tiles + tile] = counts[threadIdx.x];
}

// Counts become the sums over the tiles before; totals [lines, RADIX]. A block for each digit of a line.
FB_DEV void sort_offsets(const SortParams &p) {
    SHARED(u32, room, SORT_WARPS);
    SHARED(u32, carry, 1);
    u32 *counts = (u32 *)p.counts + (i64)blockIdx.x * p.tiles, before = 0;
    for (i64 base = 0; base < p.tiles; base += SORT_THREADS) {
        i64 k = base + threadIdx.x;
        u32 mine = k < p.tiles ? counts[k] : 0, at = block_before(mine, room);
        if (k < p.tiles) counts[k] = before + at;
        if (threadIdx.x == SORT_THREADS - 1) carry[0] = before + at + mine;
        __syncthreads();
        before = carry[0];
        __syncthreads();
    }
    if (threadIdx.x == 0) ((u32 *)p.totals)[blockIdx.x] = before;
}

// The same for few tiles: a thread for each digit of a line.
FB_DEV void sort_offsets_few(const SortParams &p) {
    i64 t = thread_number();
    if (t >= p.lines * RADIX) return;
    u32 *counts = (u32 *)p.counts + t * p.tiles, sum = 0;
    for (i64 k = 0; k < p.tiles; k++) {
        u32 n = counts[k];
        counts[k] = sum;
        sum += n;
    }
    ((u32 *)p.totals)[t] = sum;
}

template <class T, int ITEMS> FB_DEV void sort_put(const SortParams &p) {
    typedef uns<T> U;
    const int TILE = SORT_THREADS * ITEMS;
    SHARED(U, codes, TILE);
    SHARED(u32, places, TILE);
    SHARED(u32, hist, SORT_WARPS * RADIX);
    SHARED(u32, starts, RADIX);
    SHARED(u32, room, SORT_WARPS);
    int tid = (int)threadIdx.x;
    i64 line = blockIdx.x / p.tiles, tile = blockIdx.x % p.tiles, base = tile * TILE, at[3];
    locate(p.line, line, at);
    const T *src = (const T *)p.src + at[2];
    int n = (int)(p.count - base < TILE ? p.count - base : TILE);
    U code[ITEMS];
    u32 place[ITEMS], digit[ITEMS], rank[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        int k = tile_place(i, ITEMS);
        digit[i] = 255;
        code[i] = 0;
        place[i] = 0;
        if (k < n) {
            i64 from = line * p.count + base + k;
            code[i] = p.first ? sort_code(src[(base + k) * p.step_src], p.descending != 0) : ((const U *)p.codes)[from];
            place[i] = p.first ? (u32)(base + k) : ((const u32 *)p.places)[from];
            digit[i] = (u32)(code[i] >> p.shift) & 255;
        }
    }
    tile_ranks<ITEMS>(hist, starts, room, digit, rank);
#pragma unroll
    for (int i = 0; i < ITEMS; i++)
        if (tile_place(i, ITEMS) < n) { // ranks of what lies beyond the end are n and more
            codes[rank[i]] = code[i];
            places[rank[i]] = place[i];
        }
    // From here on starts[d]: where the tile's digit d goes, less the rank of its first element.
    u32 first = block_before(((const u32 *)p.totals)[line * RADIX + tid], room);
    starts[tid] = first + ((const u32 *)p.counts)[(line * RADIX + tid) * p.tiles + tile] - starts[tid];
    __syncthreads();
    for (int k = tid; k < n; k += SORT_THREADS) {
        i64 to = (i64)(u32)(starts[(u32)(codes[k] >> p.shift) & 255] + (u32)k);
        if (p.last) write_sorted<T>(p, at, to, places[k]);
        else {
            ((U *)p.codes2)[line * p.count + to] = codes[k];
            ((u32 *)p.places2)[line * p.count + to] = places[k];
        }
    }
}

// ---- the first k

struct TopkParams {
    u64 values, indices, src, codes, places, codes2, places2; // codes, places: what earlier rounds left, or 0
    i64 count, chunk, chunks, k, descending;
    i64 step_values, step_indices, step_src;
    walk<3> line;
};

const int TOPK_MOST = 1024;

// A block takes a chunk of a line to its first k: the k-th code digit by digit from the highest, then what is less,
// then what is equal in the order of places. The last round sorts them.
template <class T> FB_DEV void topk(const TopkParams &p) {
    typedef uns<T> U;
    const int CHUNK = 16384 / (sizeof(T) < 4 ? 4 : (int)sizeof(T));
    SHARED(U, codes, CHUNK);
    SHARED(U, found, TOPK_MOST);
    SHARED(u32, places, TOPK_MOST);
    SHARED(u32, counts, RADIX);
    SHARED(u32, room, 2 * SORT_WARPS);
    SHARED(u32, chosen, 2);
    int tid = (int)threadIdx.x, lane = tid & 31, warp = tid / 32;
    i64 line = blockIdx.x / p.chunks, part = blockIdx.x % p.chunks, base = part * p.chunk, at[3];
    locate(p.line, line, at);
    const T *src = (const T *)p.src + at[2];
    int n = (int)(p.count - base < p.chunk ? p.count - base : p.chunk), want = (int)(p.k < n ? p.k : n);
    for (int k = tid; k < n; k += SORT_THREADS)
        codes[k] = p.codes ? ((const U *)p.codes)[line * p.count + base + k]
                           : sort_code(src[(base + k) * p.step_src], p.descending != 0);
    U prefix = 0, mask = 0;
    u32 need = (u32)want;
    for (int shift = 8 * (int)sizeof(U) - 8; shift >= 0; shift -= 8) {
        counts[tid] = 0;
        __syncthreads();
        for (int k0 = 0; k0 < n; k0 += SORT_THREADS) {
            int k = k0 + tid;
            bool takes = k < n && (U)(codes[k] & mask) == prefix;
            count_digit(counts, takes ? (u32)(codes[k] >> shift) & 255 : (u32)RADIX);
        }
        __syncthreads();
        u32 mine = counts[tid], before = block_before(mine, room);
        if (before < need && need <= before + mine) {
            chosen[0] = (u32)tid;
            chosen[1] = need - before;
        }
        __syncthreads();
        prefix = (U)(prefix | (U)((U)chosen[0] << shift));
        mask = (U)(mask | (U)((U)255 << shift));
        need = chosen[1];
    }
    // A warp has neighbours, so that all are put down in the order of places.
    int per = (n + SORT_THREADS - 1) / SORT_THREADS * 32, less = 0, equal = 0;
    for (int k = warp * per + lane, i = 0; i < per; i += 32, k += 32) {
        less += __popc(__ballot_sync(0xffffffffu, k < n && codes[k] < prefix));
        equal += __popc(__ballot_sync(0xffffffffu, k < n && codes[k] == prefix));
    }
    if (lane == 0) {
        room[warp] = (u32)less;
        room[SORT_WARPS + warp] = (u32)equal;
    }
    __syncthreads();
    u32 to_less = 0, to_equal = 0, earlier = (1u << lane) - 1;
    for (int w = 0; w < warp; w++) {
        to_less += room[w];
        to_equal += room[SORT_WARPS + w];
    }
    for (int k = warp * per + lane, i = 0; i < per; i += 32, k += 32) {
        bool is_less = k < n && codes[k] < prefix, is_equal = k < n && codes[k] == prefix;
        u32 lessers = __ballot_sync(0xffffffffu, is_less), equals = __ballot_sync(0xffffffffu, is_equal);
        u32 nth = to_equal + (u32)__popc(equals & earlier);
        u32 to = is_less ? to_less + (u32)__popc(lessers & earlier) : (u32)want - need + nth;
        if (is_less || (is_equal && nth < need)) {
            found[to] = codes[k];
            places[to] = p.codes ? ((const u32 *)p.places)[line * p.count + base + k] : (u32)(base + k);
        }
        to_less += (u32)__popc(lessers);
        to_equal += (u32)__popc(equals);
    }
    __syncthreads();
    if (p.chunks > 1) {
        i64 out = line * ((p.count - (p.chunks - 1) * p.chunk < p.k ? p.count - (p.chunks - 1) * p.chunk : p.k) +
                          (p.chunks - 1) * p.k) + part * p.k;
        for (int k = tid; k < want; k += SORT_THREADS) {
            ((U *)p.codes2)[out + k] = found[k];
            ((u32 *)p.places2)[out + k] = places[k];
        }
        return;
    }
    int size = 1;
    while (size < want) size *= 2;
    for (int k = want + tid; k < size; k += SORT_THREADS) {
        found[k] = (U)~(U)0;
        places[k] = 0xffffffffu;
    }
    bitonic(found, places, size);
    for (int k = tid; k < want; k += SORT_THREADS) {
        if (p.values) ((T *)p.values)[at[0] + k * p.step_values] = src[places[k] * p.step_src];
        if (p.indices) ((i64 *)p.indices)[at[1] + k * p.step_indices] = places[k];
    }
}
