/* The scratch memory of each thread: one growing buffer per slot, kept for the next call. It does not count
 * as tensor memory. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include "k_common.h"

enum { SLOTS = 7 };
static __thread struct {
    void *ptr;
    int64_t size;
} slots[SLOTS];

void *fbk_scratch(int slot, int64_t bytes) {
    if (bytes <= slots[slot].size) return slots[slot].ptr;
    free(slots[slot].ptr);
    slots[slot].ptr = NULL, slots[slot].size = 0;
    bytes = (bytes + bytes / 4 + 4095) / 4096 * 4096; /* some room to grow: sizes often creep up */
    if (fbc_injected(bytes) || posix_memalign(&slots[slot].ptr, 64, (size_t)bytes)) return slots[slot].ptr = NULL;
    slots[slot].size = bytes;
    return slots[slot].ptr;
}
