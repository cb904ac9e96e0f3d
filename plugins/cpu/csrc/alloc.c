/* The caching allocator: 64-byte aligned blocks in size classes (eight per power of two), kept for reuse.

Classes up to 1 MiB are carved from slabs, larger blocks are mapped one by one. Slabs, and blocks from 1 MiB on, are advised to huge
pages and aligned to them: the first touch of 4 KiB pages costs more than most arithmetic, and pages of which the system chooses the
places share lines of the second-level cache while others lie idle (half of it was lost now and then). A freed block goes to its class's list;
a request whose class has none takes a free block of up to twice its size before the system is asked. When the cache of mapped blocks outgrows the memory in use by 1 GiB, the classes longest unused are given back. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "fbc.h"

#ifdef __SANITIZE_ADDRESS__ /* what is free, or lies behind what was asked for, is out of bounds */
#include <sanitizer/asan_interface.h>
#define OPEN_BLOCK(p, nbytes) ASAN_UNPOISON_MEMORY_REGION(p, nbytes)
#define SHUT_BLOCK(p, nbytes) ASAN_POISON_MEMORY_REGION(p, nbytes)
#else
#define OPEN_BLOCK(p, nbytes) ((void)0)
#define SHUT_BLOCK(p, nbytes) ((void)0)
#endif

enum { CLASSES = 8 * 44, SLAB_MAX = 1 << 20 };
static const int64_t SLAB = 8 << 20, HUGE = 2 << 20, BIG = 1 << 20, SLACK = 1 << 30;

typedef struct block { struct block *next; } block_t;
static struct { block_t *head; int64_t count, used_at; } lists[CLASSES];
static fbc_memory_stats stats;
static int64_t clock_, fail_in, fail_above;
static char *slab, *slab_end;
static int stop_class; /* no class above it was ever used */

static _Atomic int lock_word;
static inline void lock(void) {
    for (int spins = 0; FBC_UNLIKELY(atomic_exchange_explicit(&lock_word, 1, memory_order_acquire)); spins++)
        if (spins > 50) sched_yield();
}
static inline void unlock(void) { atomic_store_explicit(&lock_word, 0, memory_order_release); }
static void after_fork_child(void) { atomic_store(&lock_word, 0); }
__attribute__((constructor)) static void register_fork(void) { pthread_atfork(lock, unlock, after_fork_child); }

/* Class of a size, and the size that blocks of the class have: units of 64 bytes, exact up to 8, then 8 steps per power of two. */
static inline int class_of(int64_t nbytes) {
    uint64_t units = nbytes <= 64 ? 1 : ((uint64_t)nbytes + 63) >> 6;
    if (units <= 8) return (int)units - 1;
    int top = 63 - __builtin_clzll(units - 1); /* units - 1 in [2^top, 2^(top+1)) */
    return (top - 2) * 8 + (int)((units - 1) >> (top - 3)) - 8;
}
static inline int64_t class_bytes(int c) {
    if (c < 8) return (int64_t)(c + 1) << 6;
    int top = c / 8 + 2;
    return ((int64_t)(c % 8 + 9) << (top - 3)) << 6;
}

/* ---- blocks lent to a smaller class: where they are and what class they belong to. Called locked. ---- */
enum { LENT = 1024, LEND_MIN = 64 << 10, LEND_STEPS = 8 };
static struct { void *p; int class; } lent[LENT]; /* open addressing */
static int lent_count;
static inline int home(const void *p) { return (int)(((uintptr_t)p >> 12) * 0x9E3779B1u >> 7) & (LENT - 1); }
static void lend(void *p, int class) {
    int i = home(p);
    while (lent[i].p) i = (i + 1) & (LENT - 1);
    lent[i].p = p, lent[i].class = class, lent_count++;
}
/* The class of a block that was asked for as one of class c; it's no longer lent. */
static int class_back(void *p, int c) {
    int i = home(p);
    while (lent[i].p && lent[i].p != p) i = (i + 1) & (LENT - 1);
    if (!lent[i].p) return c;
    c = lent[i].class;
    lent[i].p = NULL, lent_count--;
    for (int j = (i + 1) & (LENT - 1); lent[j].p; j = (j + 1) & (LENT - 1)) { /* those behind may move up */
        void *q = lent[j].p;
        int class = lent[j].class;
        lent[j].p = NULL, lent_count--;
        lend(q, class);
    }
    return c;
}

static char *map(int64_t nbytes) {
    if (nbytes < HUGE) {
        char *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    char *p = mmap(NULL, nbytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    char *aligned = (char *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    if (aligned > p) munmap(p, aligned - p);
    if (aligned < p + HUGE) munmap(aligned + nbytes, p + HUGE - aligned);
    return aligned;
}
static void advise(char *p, int64_t nbytes) {
#ifdef MADV_HUGEPAGE
    if (nbytes >= BIG) madvise(p, nbytes, MADV_HUGEPAGE);
#endif
}

/* Unmap blocks of the class unused for longest until `target` cached bytes are left. Called locked. */
static void trim(int64_t target) {
    while (stats.cached > target) {
        int oldest = -1;
        for (int c = class_of(SLAB_MAX) + 1; c <= stop_class; c++)
            if (lists[c].head && (oldest < 0 || lists[c].used_at < lists[oldest].used_at)) oldest = c;
        if (oldest < 0) return;
        block_t *b = lists[oldest].head;
        int64_t size = class_bytes(oldest);
        lists[oldest].head = b->next;
        stats.cached -= size, stats.reserved -= size;
        OPEN_BLOCK(b, size); /* other mappings may come to lie there */
        munmap(b, size);
    }
}

static void *carve(int64_t size) {
    if (slab_end - slab < size) {
        char *p = map(SLAB);
        if (!p) return NULL;
        while (slab_end - slab >= 64) { /* what is left of the old slab becomes blocks of the largest classes that fit */
            int c = class_of(slab_end - slab);
            if (class_bytes(c) > slab_end - slab) c--;
            block_t *b = (block_t *)slab;
            OPEN_BLOCK(b, sizeof *b);
            b->next = lists[c].head, lists[c].head = b;
            slab += class_bytes(c);
        }
        advise(p, SLAB);
        slab = p, slab_end = p + SLAB;
        stats.system_allocations++, stats.reserved += SLAB, stats.cached += SLAB;
    }
    char *p = slab;
    slab += size;
    return p;
}

static void *fresh(int c, int64_t size) { /* called locked */
    if (size <= SLAB_MAX) return carve(size);
    int64_t room = stats.allocated + SLACK;
    if (stats.cached + size > room) trim(room > size ? room - size : 0);
    unlock();
    char *p = map(size);
    if (p) advise(p, size);
    lock();
    if (!p) {
        trim(0);
        if (!(p = map(size))) return NULL;
        advise(p, size);
    }
    stats.system_allocations++, stats.reserved += size, stats.cached += size;
    if (c > stop_class) stop_class = c;
    return p;
}

/* Whether a test wants this allocation to fail. Called locked. */
static inline int injected(int64_t nbytes) {
    return FBC_UNLIKELY(fail_in && --fail_in == 0) || FBC_UNLIKELY(fail_above && nbytes > fail_above);
}
int fbc_injected(int64_t nbytes) {
    lock();
    int fails = injected(nbytes);
    unlock();
    return fails;
}

void *fbc_alloc(int64_t nbytes) {
    if (nbytes < 0 || nbytes > (int64_t)1 << 46) return NULL;
    int c = class_of(nbytes);
    int64_t size = class_bytes(c);
    void *p = NULL;
    lock();
    if (injected(nbytes)) goto out;
    if (FBC_UNLIKELY(stats.limit && stats.allocated + nbytes > stats.limit)) goto out;
    int from = c;
    if (FBC_UNLIKELY(!lists[c].head) && size >= LEND_MIN && lent_count < LENT / 2)
        while (++from <= c + LEND_STEPS && !lists[from].head) {}
    block_t *b = from <= c + LEND_STEPS ? lists[from].head : NULL;
    if (FBC_LIKELY(b != NULL)) {
        lists[from].head = b->next, p = b;
        if (from != c) lend(p, from), size = class_bytes(from);
    } else if (from = c, !(p = fresh(c, size))) goto out;
    if (size > SLAB_MAX) lists[from].used_at = ++clock_;
    stats.cached -= size;
    stats.allocated += nbytes;
    stats.allocations++;
    if (stats.allocated > stats.peak) stats.peak = stats.allocated;
    SHUT_BLOCK(p, size);
    OPEN_BLOCK(p, nbytes);
out:
    unlock();
    return p;
}

void fbc_free(void *p, int64_t nbytes) {
    if (!p) return;
    int c = class_of(nbytes);
    block_t *b = p;
    lock();
    if (FBC_UNLIKELY(lent_count) && nbytes > LEND_MIN / 2) c = class_back(p, c);
    SHUT_BLOCK(p, class_bytes(c));
    OPEN_BLOCK(p, sizeof *b);
    b->next = lists[c].head;
    lists[c].head = b;
    stats.cached += class_bytes(c);
    stats.allocated -= nbytes;
    stats.frees++;
    unlock();
}

void fbc_get_memory_stats(fbc_memory_stats *out) {
    lock();
    stats.live = stats.allocations - stats.frees;
    *out = stats;
    unlock();
}
void fbc_reset_peak(void) { lock(), stats.peak = stats.allocated, unlock(); }
void fbc_set_memory_limit(int64_t nbytes) { lock(), stats.limit = nbytes, unlock(); }
void fbc_empty_cache(void) { lock(), trim(0), unlock(); }
void fbc_inject_failure(int64_t countdown, int64_t above) { lock(), fail_in = countdown, fail_above = above, unlock(); }
