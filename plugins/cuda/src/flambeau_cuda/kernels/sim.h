// CUDA's vocabulary for the host's compiler: blocks run one after the other, each thread of a block that has barriers
// is a fiber (see simrt.cpp). Only what the kernels use is here.
#pragma once

#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define FB_DEV_MEMBER inline
#define FB_UNION_INIT(U) U() {}

struct sim_dim3 { unsigned x, y, z; };

// What simrt.cpp offers to compiled kernels; the two sides agree on the order of fields.
struct sim_runtime {
    sim_dim3 thread;                                  // the running thread
    void *shared;                                     // dynamic shared memory
    void (*barrier)(int line);                        // all threads of the block
    unsigned long long (*shuffle)(unsigned long long value, int source, int line); // all lanes of the warp
    void (*run_block)(void (*body)(void *), void *arg, unsigned bx, unsigned by, unsigned bz, unsigned long smem);
    unsigned long long block;                         // the number of the running block
};
static sim_runtime *sim_rt;
static sim_dim3 blockIdx, blockDim, gridDim;
#define threadIdx (sim_rt->thread)
#define __syncthreads() sim_rt->barrier(__LINE__)
#define __syncwarp() ((void)sim_rt->shuffle(0, 0, __LINE__))

// The first thread of a block that comes by poisons the room: nobody of its block can have written to it.
#define SHARED(T, name, n)                                                                                             \
    alignas(16) static char name##_room[sizeof(T) * (n)];                                                              \
    static unsigned long long name##_block;                                                                            \
    if (name##_block != sim_rt->block) {                                                                               \
        name##_block = sim_rt->block;                                                                                  \
        __builtin_memset(name##_room, 0xff, sizeof name##_room);                                                       \
    }                                                                                                                  \
    T *name = (T *)name##_room
#define DYN_SHARED(T, name) T *name = (T *)sim_rt->shared

template <class T> static inline T sim_shuffle(T value, int source, int line) {
    union { T v; unsigned long long w; } u, r;
    u.w = 0;
    u.v = value;
    r.w = sim_rt->shuffle(u.w, source, line);
    return r.v;
}
static inline int sim_lane() {
    return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31);
}
#define __shfl_xor_sync(mask, v, m) sim_shuffle(v, sim_lane() ^ (m), __LINE__)
#define __shfl_sync(mask, v, s) sim_shuffle(v, s, __LINE__)
#define __shfl_down_sync(mask, v, d) sim_shuffle(v, sim_lane() + (d), __LINE__)
#define __shfl_up_sync(mask, v, d) sim_shuffle(v, sim_lane() - (d), __LINE__)

// What all lanes of a warp show each other at once.
static unsigned long long sim_shown[1024];
static inline const unsigned long long *sim_show(unsigned long long value) {
    unsigned me = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    sim_shown[me] = value;
    __syncwarp();
    return sim_shown + (me & ~31u);
}
static inline int sim_lanes() { // of this warp; the last one may have fewer
    unsigned me = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z), all = blockDim.x * blockDim.y * blockDim.z;
    return (int)(all - (me & ~31u) < 32 ? all - (me & ~31u) : 32);
}
static inline unsigned sim_ballot(bool mine) {
    const unsigned long long *shown = sim_show(mine);
    unsigned bits = 0;
    for (int k = 0; k < sim_lanes(); k++) bits |= (unsigned)shown[k] << k;
    __syncwarp();
    return bits;
}
static inline unsigned sim_match(unsigned mine) {
    const unsigned long long *shown = sim_show(mine);
    unsigned bits = 0;
    for (int k = 0; k < sim_lanes(); k++) bits |= (unsigned)(shown[k] == mine) << k;
    __syncwarp();
    return bits;
}
#define __ballot_sync(mask, cond) sim_ballot(cond)
#define __match_any_sync(mask, v) sim_match(v)
#define __popc(v) __builtin_popcount(v)

// Threads don't run at the same time, so plain memory operations are atomic.
template <class T> static inline T atomicAdd(T *p, T v) { T old = *p; *p = old + v; return old; }
template <class T> static inline T atomicMin(T *p, T v) { T old = *p; if (v < old) *p = v; return old; }
template <class T> static inline T atomicMax(T *p, T v) { T old = *p; if (v > old) *p = v; return old; }
template <class T> static inline T atomicCAS(T *p, T c, T v) { T old = *p; if (old == c) *p = v; return old; }
template <class T> static inline T atomicExch(T *p, T v) { T old = *p; *p = v; return old; }

struct sim_launch { unsigned gx, gy, gz, bx, by, bz; unsigned long smem; const void *params; sim_runtime *rt; unsigned order; };

template <class P, void (*F)(const P &)> static void sim_thread(void *arg) { F(*(const P *)arg); }

template <class P, void (*F)(const P &), bool Barriers> static void sim_run(const sim_launch *l) {
    sim_rt = l->rt;
    gridDim = {l->gx, l->gy, l->gz};
    blockDim = {l->bx, l->by, l->bz};
    unsigned long blocks = (unsigned long)l->gx * l->gy * l->gz, step = l->order % 2 ? blocks - 1 : 0;
    for (unsigned long k = 0; k < blocks; k++) {
        unsigned long b = step ? blocks - 1 - k : k;
        blockIdx = {(unsigned)(b % l->gx), (unsigned)(b / l->gx % l->gy), (unsigned)(b / l->gx / l->gy)};
        if (Barriers) l->rt->run_block(sim_thread<P, F>, (void *)l->params, l->bx, l->by, l->bz, l->smem);
        else
            for (unsigned n = l->bx * l->by * l->bz, k = 0; k < n; k++) {
                unsigned t = l->order / 2 % 2 ? n - 1 - k : k;
                l->rt->thread = {t % l->bx, t / l->bx % l->by, t / l->bx / l->by};
                F(*(const P *)l->params);
            }
    }
}

// A kernel whose threads don't wait for each other, and one whose threads do.
#define FB_KERNEL(name, P, fn, threads)                                                                                \
    extern "C" void name(const sim_launch *l) { sim_run<P, fn, false>(l); }
#define FB_KERNEL_SYNC(name, P, fn, threads)                                                                           \
    extern "C" void name(const sim_launch *l) { sim_run<P, fn, true>(l); }
