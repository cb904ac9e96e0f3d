// Fibers for the simulator: the threads of one block, switched at barriers and shuffles, in shuffled order.
//
// A block ends in an error if some threads wait at a barrier that others never reach. Shared memory is poisoned (all
// bits set: NaN) before each block, so that a read before the write, or a missing barrier, shows in the results.
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct dim3_ { unsigned x, y, z; };
struct runtime {
    dim3_ thread;
    void *shared;
    void (*barrier)(int line);
    unsigned long long (*shuffle)(unsigned long long value, int source, int line);
    void (*run_block)(void (*body)(void *), void *arg, unsigned bx, unsigned by, unsigned bz, unsigned long smem);
    unsigned long long block;
};

static const int MAX_THREADS = 1024, STACK = 128 * 1024;
static const unsigned long SHARED_BYTES = 256 * 1024;
enum { READY, AT_BARRIER, AT_WARP, DONE };

static runtime rt;
static char *stacks;
static jmp_buf here[MAX_THREADS], scheduler;
static ucontext_t boot, back;
static bool alive[MAX_THREADS]; // there is a fiber, which waits at here[]
static int state[MAX_THREADS], line_of[MAX_THREADS], order[MAX_THREADS];
static unsigned long long posted[MAX_THREADS], taken[MAX_THREADS];
static dim3_ ids[MAX_THREADS];
static int current, count;
static uint64_t dice = 88172645463325252ull;
static void (*entry)(void *);
static void *entry_arg;
static char failure[256];

static uint64_t roll() {
    dice ^= dice << 13;
    dice ^= dice >> 7;
    return dice ^= dice << 17;
}

// A fiber runs one thread after the other; setting a context costs system calls, jumping into one that is there none.
static void start() {
    for (;;) {
        entry(entry_arg);
        state[current] = DONE;
        if (!_setjmp(here[current])) _longjmp(scheduler, 1);
    }
}

static void yield_as(int s, int line) {
    state[current] = s;
    line_of[current] = line;
    if (!_setjmp(here[current])) _longjmp(scheduler, 1);
}

static void barrier(int line) { yield_as(AT_BARRIER, line); }

static unsigned long long shuffle(unsigned long long value, int source, int line) {
    posted[current] = value;
    int base = current & ~31, lane = source < 0 || source > 31 ? current & 31 : source;
    yield_as(AT_WARP, line);
    int from = base + lane;
    taken[current] = posted[from < count ? from : current];
    int me = current;
    yield_as(AT_WARP, line); // nobody may post again before all have read
    return taken[me];
}

static void resume(int k) {
    current = k;
    rt.thread = ids[k];
    if (_setjmp(scheduler)) return;
    if (alive[k]) _longjmp(here[k], 1);
    alive[k] = true;
    getcontext(&boot);
    boot.uc_stack.ss_sp = stacks + (size_t)k * STACK;
    boot.uc_stack.ss_size = STACK;
    boot.uc_link = &back;
    makecontext(&boot, start, 0);
    setcontext(&boot);
}

static bool release(int from, int to, int waiting) {
    // Threads that all wait at one place go on.
    int line = -1, n = 0, live = 0;
    for (int k = from; k < to; k++) {
        if (state[k] == DONE) continue;
        live++;
        if (state[k] == waiting) {
            if (line >= 0 && line_of[k] != line) return false;
            line = line_of[k];
            n++;
        }
    }
    if (!n || n != live) return false;
    for (int k = from; k < to; k++)
        if (state[k] == waiting) state[k] = READY;
    return true;
}

static void run_block(void (*body)(void *), void *arg, unsigned bx, unsigned by, unsigned bz, unsigned long smem) {
    if (failure[0]) return;
    count = (int)(bx * by * bz);
    if (count > MAX_THREADS || smem > SHARED_BYTES) {
        snprintf(failure, sizeof failure, "invalid launch: %d threads, %lu bytes of shared memory", count, smem);
        return;
    }
    entry = body;
    entry_arg = arg;
    memset(rt.shared, 0xff, smem);
    rt.block++;
    for (int k = 0; k < count; k++) {
        ids[k] = {k % bx, k / bx % by, k / (bx * by)};
        state[k] = READY;
        order[k] = k;
    }
    for (int k = count - 1; k > 0; k--) {
        int j = (int)(roll() % (uint64_t)(k + 1)), t = order[k];
        order[k] = order[j];
        order[j] = t;
    }
    for (;;) {
        bool any = false;
        for (int k = 0; k < count; k++)
            if (state[order[k]] == READY) {
                any = true;
                resume(order[k]);
            }
        bool freed = false;
        for (int w = 0; w < count; w += 32) freed |= release(w, w + 32 < count ? w + 32 : count, AT_WARP);
        if (!freed) {
            bool all_done = true, divergent = false;
            int where = 0;
            for (int k = 0; k < count; k++) {
                all_done &= state[k] == DONE;
                if (state[k] == DONE) divergent = true;
                else where = line_of[k];
            }
            if (all_done) return;
            if (divergent || !release(0, count, AT_BARRIER)) {
                snprintf(failure, sizeof failure, "divergent barrier: some threads wait at line %d, others do not", where);
                for (int k = 0; k < count; k++) alive[k] &= state[k] == DONE; // the others never end
                return;
            }
        } else
            any = true;
        (void)any;
    }
}

extern "C" runtime *simrt_get() {
    if (!stacks) {
        stacks = (char *)mmap(nullptr, (size_t)MAX_THREADS * STACK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        rt.shared = aligned_alloc(256, SHARED_BYTES);
        rt.barrier = barrier;
        rt.shuffle = shuffle;
        rt.run_block = run_block;
    }
    return &rt;
}
extern "C" void simrt_seed(uint64_t s) { dice = s * 2654435769ull + 88172645463325252ull; }
// The message of the last failure, which it forgets; null where there was none.
extern "C" const char *simrt_failure() {
    static char said[256];
    if (!failure[0]) return nullptr;
    memcpy(said, failure, sizeof said);
    failure[0] = 0;
    return said;
}
