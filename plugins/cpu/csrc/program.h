/* Plans: an elementwise program made ready for operands of known shapes and strides.

Elements are visited in row-major order in tiles that fit the first-level cache; each instruction is one loop over a tile. Dense
operands are used where they lie, others are gathered into a tile (or scattered from one). What is the same for all elements is
"uniform": computed once, kept in a 16-byte slot, and spread over a tile only for loops that have no form for single operands. */
#ifndef FBC_PROGRAM_H
#define FBC_PROGRAM_H
#include "map.h"

enum { FBC_MAX_DIMS = 64, FBC_TILE = 1024 };

/* An operand over its own collapsed dims, outermost first. */
typedef struct {
    int nd, isize;
    int64_t base; /* bytes from the pointer given to the first element visited */
    int64_t *dim, *stride;
} fbc_walk;

typedef enum { FBC_REG_DENSE, FBC_REG_STRIDED, FBC_REG_PERIODIC, FBC_REG_UNIFORM, FBC_REG_TILE, FBC_REG_INDEX, FBC_REG_SPREAD } fbc_reg_kind;
typedef struct {
    uint8_t kind, isize, dtype;
    int16_t slot;  /* uniform: its slot; spread: the slot it is filled from */
    int16_t input; /* of which input */
    uint8_t keep;  /* its tile may be the same for every tile of the run */
    int16_t out;   /* tile: the output that it may be written to directly, or -1 */
    int32_t buf;   /* its tile buffer, or -1 */
} fbc_reg;
enum { FBC_FROM_NOTHING, FBC_FROM_POINTER, FBC_FROM_SCALAR, FBC_FROM_CONSTANT, FBC_FROM_INDEX };
typedef struct {
    uint16_t row;
    uint8_t variant, uniform;   /* variant: 0 vv, 1 vs, 2 sv */
    int16_t d, s[3];
} fbc_instr;

/* Instructions first .. end-1: one by its loop, or several as one piece of machine code. */
typedef void (*fbc_fused_fn)(int64_t n, char **ptr);
typedef struct { fbc_fused_fn fused; int16_t first, end; } fbc_step;

typedef struct fbc_plan {
    int n_in, n_out, n_scalar, n_const, n_instr, n_regs, n_bufs, n_slots;
    int nd;             /* of the collapsed common dims, for blocks */
    int64_t n, tile, chunk, row;
    int64_t buf_bytes;
    int n_steps;
    int whole;          /* one step over dense and single operands: needs no tiles */
    int direct;         /* one instruction straight over the whole arrays */
    int by_rows;        /* one instruction whose operands repeat or lie apart by rows only: 1, or 2 + the operand that is single in a row */
    int64_t row_length;
    struct { int16_t kind, i; } source[3]; /* its operands, when the work is one chunk: see fbc_plan_run */
    int blocks;         /* visit 32 x 32 blocks of two dims: some operand lies transposed */
    int block_dim;      /* the dim that is blocked with the last one */
    int periodic;       /* some input is the same for every tile: tiles must begin where its period does */
    int move_only;      /* no instruction: outputs are inputs */
    int heavy;          /* work: let other Python threads run meanwhile */
    fbc_reg *regs;
    fbc_instr *instrs;
    fbc_step *steps;    /* of what is not computed once */
    fbc_walk *walks;    /* outs, then ins */
    int64_t *dim;       /* common dims */
    int64_t **stride;   /* common strides of outs, then ins */
    int16_t *result;    /* register of each output */
    uint64_t *hazard;   /* per output: inputs read after it is written */
    uint8_t *scalar_dtype;
    uint8_t *in_dtype, *out_dtype;
    char *slots;        /* template: constants filled in */
    void *memory;
} fbc_plan;

/* words: see encode() in engine.py. strides: n_out + n_in rows of nd. NULL: out of memory or an opcode without a loop (*bad = its row) */
fbc_plan *fbc_plan_new(const int64_t *words, int nd, const int64_t *dims, const int64_t *strides, const char *consts, int *bad);
void fbc_plan_free(fbc_plan *plan);
/* ptrs: outs, then ins; scalars: 16 bytes each. 0, or -1 when there is no memory */
int fbc_plan_run(const fbc_plan *plan, const uintptr_t *ptrs, const char *scalars);
/* n plans as one piece of work, in no order; ptrs and scalars of all plans on end */
int fbc_plan_run_many(int n, const fbc_plan *const *plans, const uintptr_t *ptrs, const char *scalars);

/* dst[r*drs + c*dcs] = src[r*srs + c*scs], strides in elements of isize bytes (k_move.c) */
void fbc_move2(int isize, char *dst, int64_t drs, int64_t dcs, const char *src, int64_t srs, int64_t scs, int64_t rows, int64_t cols);
/* copy rows that lie `step` bytes apart in dst and on end in src, past the caches */
void fbc_stream(void *dst, int64_t step, const void *src, int64_t rows, int64_t nbytes);
void fbc_fill(int isize, void *dst, const void *value, int64_t n);
#endif
