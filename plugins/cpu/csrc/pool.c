/* The thread pool behind fbc_parallel.

A call publishes a job in a slot; idle workers join it by CAS on the slot's state while its open bit is set, claim chunks by
fetch_add, and leave. The caller works too, closes the slot when no chunk is left, and waits only for the workers that joined.
Each thread begins with a stretch of chunks of its own, the same in every call, so what it wrote the last time lies in its caches;
then it helps the others.
Threads start at the first call that can use them; after a fork the child starts its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#include "fbc.h"

enum { SLOTS = 8, MAX_THREADS = 256, SPINS = 2000 };
#define OPEN 0x10000u /* state: open bit, below it the number of workers inside */

typedef struct {
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t taken;
    fbc_chunk_fn fn;
    void *ctx;
    _Atomic int64_t n;
    _Atomic int cpu; /* the caller's, or -1 */
    _Atomic int stretches;
    struct { _Alignas(64) _Atomic int64_t next; } stretch[MAX_THREADS];
} slot_t;

static slot_t slots[SLOTS];
static _Alignas(64) _Atomic uint32_t epoch;  /* bumped for every job; idle workers sleep on it */
static _Atomic uint32_t sleepers;
static _Atomic int started;                  /* worker threads that exist */
static _Atomic int n_threads;                /* 0: not known yet */
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;

#ifdef __linux__
static void wait_while(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void wake(_Atomic uint32_t *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }
#else
static void wait_while(_Atomic uint32_t *word, uint32_t value) {
    struct timespec nap = {0, 50000};
    if (atomic_load(word) == value) nanosleep(&nap, NULL);
}
static void wake(_Atomic uint32_t *word, int count) { (void)word, (void)count; }
#endif

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- how many threads ---- */
static long read_two(const char *path, long *second) {
    char text[64] = "";
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    if (!fgets(text, sizeof text, file)) text[0] = 0;
    fclose(file);
    char *end;
    long first = strtol(text, &end, 10);
    if (end == text) return -1; /* "max" */
    if (second) *second = strtol(end, NULL, 10);
    return first;
}

static int quota_at(const char *root, const char *group) {
    char path[512];
    long period = 0, quota;
    snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
    quota = read_two(path, &period);
    if (quota <= 0) {
        snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, group);
        quota = read_two(path, NULL);
        snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, group);
        period = read_two(path, NULL);
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 1 << 20;
}

/* The least CPU quota of our control groups (v1 and v2), in whole CPUs. */
static int cgroup_cpus(void) {
    char line[400];
    int best = 1 << 20;
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file) return best;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *group = kind ? strchr(kind + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0, kind++;
        int v2 = *kind == 0;
        if (!v2 && !strstr(kind, "cpu")) continue;
        static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
        for (int r = v2 ? 0 : 1; r < (v2 ? 1 : 3); r++)
            for (;;) { /* the group and all above it; "" is the root */
                if (strcmp(group, "/") == 0) *group = 0;
                int q = quota_at(roots[r], group);
                if (q < best) best = q;
                char *cut = strrchr(group, '/');
                if (!cut) break;
                *cut = 0;
            }
    }
    fclose(file);
    return best;
}

static int default_threads(void) {
    const char *wanted = getenv("FLAMBEAU_NUM_THREADS");
    if (wanted && atoi(wanted) > 0) return atoi(wanted);
    int n = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
    if (n <= 0) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cgroup_cpus();
    return n < quota ? n : quota;
}

static int clamp(int n) { return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n; }

int fbc_get_num_threads(void) {
    int n = atomic_load_explicit(&n_threads, memory_order_relaxed);
    if (FBC_UNLIKELY(n == 0)) {
        int found = clamp(default_threads());
        if (atomic_compare_exchange_strong(&n_threads, &n, found)) n = found;
    }
    return n;
}
void fbc_set_num_threads(int n) { atomic_store(&n_threads, clamp(n)); }

/* ---- workers ---- */
static inline int64_t stretch_end(int64_t n, int stretches, int k) { return n / stretches * (k + 1) + n % stretches * (k + 1) / stretches; }

static void run_chunks(slot_t *slot, int worker) {
    int64_t n = atomic_load_explicit(&slot->n, memory_order_relaxed);
    int all = atomic_load_explicit(&slot->stretches, memory_order_relaxed);
    for (int k = 0, s = worker % all; k < all; k++, s = s + 1 < all ? s + 1 : 0) {
        _Atomic int64_t *next = &slot->stretch[s].next;
        int64_t end = stretch_end(n, all, s);
        while (atomic_load_explicit(next, memory_order_relaxed) < end) {
            int64_t i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
            if (i < end) slot->fn(slot->ctx, i, worker);
        }
    }
}

static inline int has_chunks(slot_t *slot) {
    int64_t n = atomic_load_explicit(&slot->n, memory_order_relaxed);
    int all = atomic_load_explicit(&slot->stretches, memory_order_relaxed);
    for (int s = 0; s < all; s++)
        if (atomic_load_explicit(&slot->stretch[s].next, memory_order_relaxed) < stretch_end(n, all, s)) return 1;
    return 0;
}

/* Workers stay off their caller's CPU. Left alone, Linux often wakes a worker there, where the two take turns while another CPU lies
   idle, above all on virtual machines, whose idle CPUs count as taken away by the host; it may be milliseconds until one is moved. So
   the caller's CPU is taken out of what the workers may use whenever it has changed: by the caller before it shares its work, by a
   worker that finds itself there. All else is left to the system. */
#ifdef __linux__
static _Atomic int kept_off = -1;       /* the CPU that workers stay off */
static _Atomic int64_t kept_at;         /* when that was changed, ms */
static _Atomic int ids[MAX_THREADS];    /* of the workers' threads */
static int this_cpu(void) { return sched_getcpu(); }
static void keep_off(int cpu, int only) { /* only: 0, or the one worker that calls */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
    cpu_set_t may;
    if (cpu < 0 || ms - atomic_load(&kept_at) < 2 || sched_getaffinity(getpid(), sizeof may, &may) || CPU_COUNT(&may) < 2) return;
    CPU_CLR(cpu, &may);
    atomic_store(&kept_at, ms);
    if (only) {
        sched_setaffinity(0, sizeof may, &may);
        atomic_store(&kept_off, -1); /* the others may still stay off another one */
        return;
    }
    atomic_store(&kept_off, cpu);
    for (int w = 1; w <= atomic_load(&started); w++) {
        int id = atomic_load(&ids[w]);
        if (id) sched_setaffinity(id, sizeof may, &may);
    }
}
static void note_worker(int worker) { atomic_store(&ids[worker], (int)syscall(SYS_gettid)); }
static void forget_workers(void) {
    for (int w = 0; w < MAX_THREADS; w++) atomic_store(&ids[w], 0);
    atomic_store(&kept_off, -1);
}
#else
static const int kept_off = -1;
static int this_cpu(void) { return -1; }
static void keep_off(int cpu, int only) { (void)cpu, (void)only; }
static void note_worker(int worker) { (void)worker; }
static void forget_workers(void) {}
#endif

static int join_any(int worker) {
    for (int s = 0; s < SLOTS; s++) {
        slot_t *slot = &slots[s];
        uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
        int cpu = atomic_load_explicit(&slot->cpu, memory_order_relaxed);
        if ((state & OPEN) && cpu >= 0 && cpu == this_cpu()) {
            keep_off(cpu, worker);
            state = atomic_load_explicit(&slot->state, memory_order_acquire);
        }
        while ((state & OPEN) && has_chunks(slot))
            if (atomic_compare_exchange_weak_explicit(&slot->state, &state, state + 1, memory_order_acquire, memory_order_acquire)) {
                run_chunks(slot, worker);
                if (atomic_fetch_sub_explicit(&slot->state, 1, memory_order_release) == 1) wake(&slot->state, 1);
                return 1;
            }
    }
    return 0;
}

static void *worker_main(void *arg) {
    int worker = (int)(intptr_t)arg;
    inside = 1;
    note_worker(worker);
    for (;;) {
        uint32_t seen = atomic_load(&epoch);
        if (worker < atomic_load_explicit(&n_threads, memory_order_relaxed) && join_any(worker)) continue;
        int spins = 0;
        while (spins < SPINS && atomic_load_explicit(&epoch, memory_order_relaxed) == seen) relax(), spins++;
        if (spins < SPINS) continue;
        atomic_fetch_add(&sleepers, 1);
        wait_while(&epoch, seen);
        atomic_fetch_sub(&sleepers, 1);
    }
    return NULL;
}

static void start_workers(int wanted) {
    pthread_mutex_lock(&start_lock);
    int have = atomic_load(&started);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (; have < wanted - 1; have++) {
        pthread_t thread;
        if (pthread_create(&thread, &attr, worker_main, (void *)(intptr_t)(have + 1))) break;
    }
    pthread_attr_destroy(&attr);
    atomic_store(&started, have);
    pthread_mutex_unlock(&start_lock);
}

int fbc_in_parallel(void) { return inside; }

void fbc_parallel(int64_t n_chunks, fbc_chunk_fn fn, void *ctx) {
    int threads = n_chunks > 1 && !inside ? fbc_get_num_threads() : 1;
    if (threads > n_chunks) threads = (int)n_chunks;
    slot_t *slot = NULL;
    if (threads > 1) {
        if (atomic_load_explicit(&started, memory_order_relaxed) < threads - 1) start_workers(threads);
        for (int s = 0; s < SLOTS && !slot; s++) {
            uint32_t free_ = 0;
            if (atomic_compare_exchange_strong(&slots[s].taken, &free_, 1)) slot = &slots[s];
        }
    }
    if (!slot) { /* nothing to share, or many callers at once */
        for (int64_t i = 0; i < n_chunks; i++) fn(ctx, i, 0);
        return;
    }
    slot->fn = fn, slot->ctx = ctx;
    int cpu = this_cpu();
    if (cpu != kept_off) keep_off(cpu, 0);
    atomic_store_explicit(&slot->cpu, cpu, memory_order_relaxed);
    atomic_store_explicit(&slot->n, n_chunks, memory_order_relaxed);
    atomic_store_explicit(&slot->stretches, threads, memory_order_relaxed);
    for (int s = 0; s < threads; s++)
        atomic_store_explicit(&slot->stretch[s].next, s ? stretch_end(n_chunks, threads, s - 1) : 0, memory_order_relaxed);
    atomic_store(&slot->state, OPEN);
    atomic_fetch_add(&epoch, 1);
    if (atomic_load(&sleepers)) wake(&epoch, atomic_load(&started) < threads ? threads - 1 : MAX_THREADS);
    inside = 1;
    run_chunks(slot, 0);
    inside = 0;
    uint32_t state = atomic_fetch_and(&slot->state, ~OPEN) & ~OPEN;
    for (int spins = 0; state; state = atomic_load_explicit(&slot->state, memory_order_acquire))
        if (++spins < SPINS) relax();
        else wait_while(&slot->state, state);
    atomic_store_explicit(&slot->taken, 0, memory_order_release);
}

/* ---- steps in lockstep ----
A part is claimed by moving its own counter from this step to the next; whoever comes first has it, so no step waits for a thread
that never came, only for parts that a running thread has claimed. */
typedef struct {
    _Alignas(64) _Atomic int64_t claimed[FBC_PARTS * 8]; /* one in eight is used: a cache line each */
    _Alignas(64) _Atomic uint32_t done;                  /* parts finished, of all steps */
    _Atomic uint32_t waiting;
    int64_t steps, parts;
    int threads;
    fbc_part_fn fn;
    void *ctx;
} team_t;

static void team_member(void *arg, int64_t me, int worker) {
    (void)worker;
    team_t *team = arg;
    int64_t first = me * team->parts / team->threads;
    for (int64_t step = 0; step < team->steps; step++) {
        uint32_t mine = 0, all = (uint32_t)((step + 1) * team->parts), seen;
        for (int64_t k = 0; k < team->parts; k++) {
            int64_t part = first + k < team->parts ? first + k : first + k - team->parts, now = step;
            if (atomic_load_explicit(&team->claimed[part * 8], memory_order_relaxed) != step ||
                !atomic_compare_exchange_strong(&team->claimed[part * 8], &now, step + 1))
                continue;
            team->fn(team->ctx, step, part);
            mine++;
        }
        if (mine) {
            atomic_fetch_add(&team->done, mine);
            if (atomic_load(&team->waiting)) wake(&team->done, MAX_THREADS);
        }
        for (int spins = 0; (int32_t)((seen = atomic_load_explicit(&team->done, memory_order_acquire)) - all) < 0;) {
            if (++spins < SPINS) {
                relax();
                continue;
            }
            atomic_fetch_add(&team->waiting, 1);
            wait_while(&team->done, seen);
            atomic_fetch_sub(&team->waiting, 1);
        }
    }
}

void fbc_lockstep(int64_t steps, int64_t parts, int threads, fbc_part_fn fn, void *ctx) {
    int most = inside ? 1 : fbc_get_num_threads();
    if (threads > most) threads = most;
    if (threads > parts) threads = (int)parts;
    if (threads <= 1) {
        for (int64_t step = 0; step < steps; step++)
            for (int64_t part = 0; part < parts; part++) fn(ctx, step, part);
        return;
    }
    team_t team = {.steps = steps, .parts = parts, .threads = threads, .fn = fn, .ctx = ctx};
    fbc_parallel(threads, team_member, &team);
}

/* ---- fork: the child has the forking thread only ---- */
static void before_fork(void) { pthread_mutex_lock(&start_lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&start_lock); }
static void after_fork_child(void) {
    memset(slots, 0, sizeof slots);
    atomic_store(&sleepers, 0);
    atomic_store(&started, 0);
    forget_workers();
    inside = 0;
    pthread_mutex_init(&start_lock, NULL);
}
__attribute__((constructor)) static void register_fork(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }
