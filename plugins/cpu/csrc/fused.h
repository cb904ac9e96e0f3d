/* Runs of instructions as one piece of machine code (fused.c). */
#ifndef FBC_FUSED_H
#define FBC_FUSED_H
#include "program.h"

/* The longest run of instructions from `first` on that can be fused, as code: it reads its operands at ptr[register] and writes those
   registers that are marked in `kept` (room for n_regs) when it is done; *end is the instruction after it. NULL: none worth it. */
fbc_fused_fn fbc_fuse(const fbc_plan *p, int first, int *end, uint8_t *kept);

//@cdef
int fbc_set_fusing(int on);     /* plans made from now on; returns what was set */
int64_t fbc_fused_steps(void);  /* how many steps of plans were fused so far */
//@end
#endif
