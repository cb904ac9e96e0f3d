/* Runs plans: tile by tile, chunk by chunk on the pool. */
#define _GNU_SOURCE
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

enum { BLOCK = 32 };
static const int64_t STREAM_TILE = 256, STREAM_MIN = 12 << 20; /* outputs from this size on are written past the caches */

typedef struct {
    const fbc_plan *plan;
    const char *const *base; /* outs, then ins: the first element visited */
    char *slots;
    uint64_t direct, stream; /* outputs written by their instruction; outputs written past the caches */
} run_t;

static inline int has(uint64_t set, int o) { return o >= 0 && o < 64 && (set >> o & 1); }

/* ---- operands that do not lie dense ---- */
static int64_t seek(const fbc_walk *w, int64_t pos, int64_t *at) { /* element offset of a linear position */
    int64_t offset = 0;
    for (int k = w->nd - 1; k > 0; k--) {
        int64_t q = pos / w->dim[k];
        at[k] = pos - q * w->dim[k];
        offset += at[k] * w->stride[k];
        pos = q;
    }
    at[0] = pos;
    return offset + pos * w->stride[0];
}

/* Move m elements from position pos on between the strided operand and a contiguous tile. */
static void transfer(const fbc_walk *w, char *base, int64_t pos, int64_t m, char *tile, int to_tile) {
    int64_t at[FBC_MAX_DIMS];
    int last = w->nd - 1, isize = w->isize;
    int64_t cols = w->dim[last], cs = w->stride[last], rs = last ? w->stride[last - 1] : 0;
    int64_t offset = seek(w, pos, at);
    while (m > 0) {
        int64_t rows = 1, seg = cols - at[last];
        if (seg > m) seg = m;
        else if (last && at[last] == 0 && m >= 2 * cols) { /* whole rows at once */
            rows = w->dim[last - 1] - at[last - 1];
            if (rows > m / cols) rows = m / cols;
        }
        if (to_tile) fbc_move2(isize, tile, seg, 1, base + offset * isize, rs, cs, rows, seg);
        else fbc_move2(isize, base + offset * isize, rs, cs, tile, seg, 1, rows, seg);
        m -= rows * seg, tile += rows * seg * isize;
        if (m <= 0) return;
        /* the next row */
        offset -= at[last] * cs;
        at[last] = 0;
        at[last - 1] += rows, offset += rows * rs;
        for (int k = last - 1; k > 0 && at[k] == w->dim[k]; k--) {
            offset += w->stride[k - 1] - at[k] * w->stride[k];
            at[k] = 0, at[k - 1]++;
        }
    }
}

/* Where a strided input can be read in place: its tile is a piece of one dense row. */
static const char *in_place(const fbc_walk *w, const char *base, int64_t pos, int64_t m) {
    int last = w->nd - 1;
    if (w->stride[last] != 1 || pos % w->dim[last] + m > w->dim[last]) return NULL;
    int64_t at[FBC_MAX_DIMS];
    return base + seek(w, pos, at) * w->isize;
}

/* ---- one chunk ---- */
static inline void execute(const fbc_instr *in, int64_t n, char **ptr) {
    const fbc_map_row *row = &fbc_map[in->row];
    fbc_map_fn fn = in->variant == 0 ? row->vv : in->variant == 1 ? row->vs : row->sv;
    fn(n, ptr[in->d], in->s[0] >= 0 ? ptr[in->s[0]] : NULL, in->s[1] >= 0 ? ptr[in->s[1]] : NULL,
       in->s[2] >= 0 ? ptr[in->s[2]] : NULL);
}

static inline void execute_steps(const fbc_plan *p, int64_t n, char **ptr) {
    for (int t = 0; t < p->n_steps; t++)
        if (p->steps[t].fused) p->steps[t].fused(n, ptr);
        else execute(&p->instrs[p->steps[t].first], n, ptr);
}

/* Pointers of registers that stay the same for the whole chunk; spreads uniform ones over m elements. */
static void set_up(const run_t *run, char **ptr, char *bufs, int64_t m) {
    const fbc_plan *p = run->plan;
    for (int r = 0; r < p->n_regs; r++) {
        const fbc_reg *reg = &p->regs[r];
        ptr[r] = reg->buf >= 0 ? bufs + reg->buf * p->buf_bytes : NULL;
        if (reg->kind == FBC_REG_UNIFORM) ptr[r] = run->slots + 16 * reg->slot;
        else if (reg->kind == FBC_REG_SPREAD) {
            if (m == 1) ptr[r] = run->slots + 16 * reg->slot;
            else fbc_fill(reg->isize, ptr[r], run->slots + 16 * reg->slot, m);
        } else if (reg->kind == FBC_REG_PERIODIC)
            transfer(&p->walks[p->n_out + reg->input], (char *)run->base[p->n_out + reg->input], 0, m, ptr[r], 1);
    }
}

/* A copy of which one side is dense. */
static int run_copy(const run_t *run, int64_t start, int64_t end) {
    const fbc_plan *p = run->plan;
    const fbc_walk *to = &p->walks[0], *from = &p->walks[1];
    if (p->n_instr || p->n_in != 1 || p->n_out != 1 || run->stream || p->regs[0].kind == FBC_REG_UNIFORM) return 0;
    char *d = (char *)run->base[0], *s = (char *)run->base[1];
    int dense_to = to->nd == 0 || (to->nd == 1 && to->stride[0] == 1), dense_from = p->regs[0].kind == FBC_REG_DENSE;
    if (dense_to && dense_from) memmove(d + start * to->isize, s + start * to->isize, (size_t)((end - start) * to->isize));
    else if (dense_to) transfer(from, s, start, end - start, d + start * to->isize, 1);
    else if (dense_from) transfer(to, d, start, end - start, s + start * to->isize, 0);
    else return 0;
    return 1;
}

static void run_tiles(const run_t *run, int64_t start, int64_t end) {
    const fbc_plan *p = run->plan;
    if (run_copy(run, start, end)) return;
    char **ptr = alloca(sizeof(char *) * (size_t)p->n_regs);
    char *bufs = alloca((size_t)(p->n_bufs * p->buf_bytes + 64));
    bufs = (char *)(((uintptr_t)bufs + 63) & ~(uintptr_t)63);
    /* between writes past the caches the reads should not pause for long */
    int64_t tile = run->stream && !p->periodic && p->tile > STREAM_TILE ? STREAM_TILE : p->tile, index;
    if (p->whole && run->direct + 1 == (uint64_t)1 << p->n_out) tile = end - start;
    set_up(run, ptr, bufs, end - start < tile ? end - start : tile);
    for (int64_t pos = start, m; pos < end; pos += m) {
        m = end - pos < tile ? end - pos : tile;
        if (p->row && pos % p->row + m > p->row) m = p->row - pos % p->row;
        index = pos;
        for (int r = 0; r < p->n_regs; r++) {
            const fbc_reg *reg = &p->regs[r];
            if (reg->kind == FBC_REG_DENSE) ptr[r] = (char *)run->base[p->n_out + reg->input] + pos * reg->isize;
            else if (reg->kind == FBC_REG_STRIDED) {
                const fbc_walk *w = &p->walks[p->n_out + reg->input];
                const char *base = run->base[p->n_out + reg->input];
                char *here = (char *)in_place(w, base, pos, m);
                if (here) ptr[r] = here;
                else {
                    ptr[r] = bufs + reg->buf * p->buf_bytes;
                    transfer(w, (char *)base, pos, m, ptr[r], 1);
                }
            } else if (has(run->direct, reg->out)) ptr[r] = (char *)run->base[reg->out] + pos * reg->isize;
            else if (reg->kind == FBC_REG_INDEX) ptr[r] = (char *)&index;
        }
        execute_steps(p, m, ptr);
        for (int o = 0; o < p->n_out; o++) {
            const fbc_walk *w = &p->walks[o];
            const char *from = ptr[p->result[o]];
            if (has(run->direct, o) && p->regs[p->result[o]].out == o) continue;
            if (w->nd > 1 || (w->nd == 1 && w->stride[0] != 1)) transfer(w, (char *)run->base[o], pos, m, (char *)from, 0);
            else if (has(run->stream, o)) fbc_stream((char *)run->base[o] + pos * w->isize, 0, from, 1, m * w->isize);
            else memmove((char *)run->base[o] + pos * w->isize, from, (size_t)(m * w->isize));
        }
    }
    if (run->stream) __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Blocks of BLOCK x BLOCK elements of two dims; `unit` counts blocks, outer dims slowest. */
static void run_blocks(const run_t *run, int64_t first, int64_t last) {
    const fbc_plan *p = run->plan;
    int j = p->nd - 1, i = p->block_dim, n_ops = p->n_out + p->n_in;
    char **ptr = alloca(sizeof(char *) * (size_t)p->n_regs);
    char *bufs = alloca((size_t)((p->n_bufs + 1) * p->buf_bytes + 64));
    int64_t *offset = alloca(sizeof(int64_t) * (size_t)n_ops);
    bufs = (char *)(((uintptr_t)bufs + 63) & ~(uintptr_t)63);
    int64_t bj = (p->dim[j] + BLOCK - 1) / BLOCK, bi = (p->dim[i] + BLOCK - 1) / BLOCK;
    set_up(run, ptr, bufs, BLOCK * BLOCK);
    for (int64_t unit = first; unit < last; unit++) {
        int64_t rest = unit, ci = rest % bi * BLOCK, cj;
        rest /= bi, cj = rest % bj * BLOCK, rest /= bj;
        int64_t rows = p->dim[i] - ci < BLOCK ? p->dim[i] - ci : BLOCK, cols = p->dim[j] - cj < BLOCK ? p->dim[j] - cj : BLOCK;
        for (int o = 0; o < n_ops; o++) offset[o] = ci * p->stride[o][i] + cj * p->stride[o][j];
        for (int k = j - 1; k >= 0; k--) {
            if (k == i) continue;
            int64_t c = rest % p->dim[k];
            rest /= p->dim[k];
            for (int o = 0; o < n_ops; o++) offset[o] += c * p->stride[o][k];
        }
        if (p->move_only) { /* straight from input to output */
            for (int o = 0; o < p->n_out; o++) {
                const fbc_reg *reg = &p->regs[p->result[o]];
                int spread = reg->kind != FBC_REG_STRIDED, isize = reg->isize, s = p->n_out + reg->input;
                const char *from = spread ? ptr[p->result[o]] : run->base[s] + offset[s] * isize;
                int64_t fi = spread ? cols : p->stride[s][i], fj = spread ? 1 : p->stride[s][j];
                char *to = (char *)run->base[o] + offset[o] * isize;
                int64_t ti = p->stride[o][i], tj = p->stride[o][j];
                if (!has(run->stream, o) || tj != 1) fbc_move2(isize, to, ti, tj, from, fi, fj, rows, cols);
                else
                    for (int64_t r = 0, m; r < rows; r += m) { /* a few lines at a time */
                        m = rows - r < 8 ? rows - r : 8;
                        fbc_move2(isize, bufs, cols, 1, from + r * fi * isize, fi, fj, m, cols);
                        fbc_stream(to + r * ti * isize, ti * isize, bufs, m, cols * isize);
                    }
            }
            continue;
        }
        for (int r = 0; r < p->n_in; r++) {
            const fbc_reg *reg = &p->regs[r];
            int s = p->n_out + r;
            if (reg->kind == FBC_REG_STRIDED)
                fbc_move2(reg->isize, ptr[r], cols, 1, run->base[s] + offset[s] * reg->isize, p->stride[s][i], p->stride[s][j], rows, cols);
        }
        execute_steps(p, rows * cols, ptr);
        for (int o = 0; o < p->n_out; o++) {
            int isize = p->walks[o].isize;
            char *to = (char *)run->base[o] + offset[o] * isize;
            if (has(run->stream, o) && p->stride[o][j] == 1) fbc_stream(to, p->stride[o][i] * isize, ptr[p->result[o]], rows, cols * isize);
            else fbc_move2(isize, to, p->stride[o][i], p->stride[o][j], ptr[p->result[o]], cols, 1, rows, cols);
        }
    }
    if (run->stream) __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* One instruction over dense arrays. */
static void run_direct(const run_t *run, int64_t start, int64_t end) {
    const fbc_plan *p = run->plan;
    const fbc_instr *in = &p->instrs[0];
    const fbc_map_row *row = &fbc_map[in->row];
    const char *src[3];
    int64_t index = start;
    for (int k = 0; k < 3; k++) {
        const fbc_reg *reg = in->s[k] >= 0 ? &p->regs[in->s[k]] : NULL;
        src[k] = !reg ? NULL : reg->kind == FBC_REG_DENSE ? run->base[p->n_out + reg->input] + start * reg->isize
                 : reg->kind == FBC_REG_INDEX ? (const char *)&index : run->slots + 16 * reg->slot;
    }
    fbc_map_fn fn = in->variant == 0 ? row->vv : in->variant == 1 ? row->vs : row->sv;
    fn(end - start, (char *)run->base[0] + start * p->walks[0].isize, src[0], src[1], src[2]);
}

/* One instruction, row by row. */
static void run_rows(const run_t *run, int64_t start, int64_t end) {
    const fbc_plan *p = run->plan;
    const fbc_instr *in = &p->instrs[0];
    const fbc_map_row *table = &fbc_map[in->row];
    int variant = p->by_rows == 1 ? in->variant : p->by_rows == 2 ? 2 : 1;
    fbc_map_fn fn = variant == 0 ? table->vv : variant == 1 ? table->vs : table->sv;
    int64_t length = p->row_length, row = start / length, col = start % length;
    for (int64_t pos = start, m; pos < end; pos += m, row++, col = 0) {
        m = length - col < end - pos ? length - col : end - pos;
        const char *src[3];
        for (int k = 0; k < 3; k++) {
            const fbc_reg *reg = in->s[k] >= 0 ? &p->regs[in->s[k]] : NULL;
            if (!reg) src[k] = NULL;
            else if (reg->kind == FBC_REG_UNIFORM) src[k] = run->slots + 16 * reg->slot;
            else {
                const fbc_walk *w = &p->walks[p->n_out + reg->input];
                int64_t at = reg->kind == FBC_REG_DENSE ? pos : row * w->stride[0] + col * w->stride[1];
                src[k] = run->base[p->n_out + reg->input] + at * reg->isize;
            }
        }
        fn(m, (char *)run->base[0] + pos * p->walks[0].isize, src[0], src[1], src[2]);
    }
}

typedef struct { run_t *run; int64_t total, chunk; void (*fn)(const run_t *, int64_t, int64_t); } job_t;
static void run_chunk(void *ctx, int64_t chunk, int worker) {
    (void)worker;
    const job_t *job = ctx;
    int64_t start = chunk * job->chunk, end = start + job->chunk;
    job->fn(job->run, start, end < job->total ? end : job->total);
}

/* Outputs may be written in place, and past the caches, unless inputs lie there. */
static void choose_writes(run_t *run) {
    const fbc_plan *p = run->plan;
    for (int o = 0; o < p->n_out && o < 64; o++) {
        const fbc_walk *w = &p->walks[o];
        int64_t nbytes = p->n * w->isize;
        int hazard = 0, shared = 0;
        for (int i = 0; i < p->n_in; i++) {
            const fbc_walk *v = &p->walks[p->n_out + i];
            if (run->base[p->n_out + i] >= run->base[o] + nbytes || run->base[o] >= run->base[p->n_out + i] + p->n * v->isize) continue;
            shared = 1;
            hazard |= (int)(p->hazard[o] >> (i & 63) & 1);
        }
        int dense = w->nd == 0 || (w->nd == 1 && w->stride[0] == 1);
        if (dense && !shared && nbytes >= STREAM_MIN) run->stream |= 1ull << o;
        else if (p->regs[p->result[o]].out == o && !hazard) run->direct |= 1ull << o;
    }
}

/* A plan with the operands of one run: what is uniform computed, the work divided. */
typedef struct { run_t run; job_t job; int64_t n_chunks; } ready_t;

/* Bytes of scratch memory that make_ready needs. */
static size_t room_for(const fbc_plan *p) {
    return (size_t)(p->n_slots + 1) * 16 + sizeof(char *) * (size_t)(p->n_out + p->n_in + p->n_regs) + 16;
}

static void make_ready(const fbc_plan *p, const uintptr_t *ptrs, const char *scalars, char *room, ready_t *r) {
    int n_ops = p->n_out + p->n_in;
    char *slots = room;
    const char **base = (const char **)(room + (size_t)(p->n_slots + 1) * 16);
    char **ptr = (char **)(base + n_ops);
    for (int o = 0; o < n_ops; o++) base[o] = (const char *)ptrs[o] + p->walks[o].base;
    memcpy(slots, p->slots, (size_t)p->n_slots * 16);
    for (int k = 0; k < p->n_in; k++)
        if (p->regs[k].kind == FBC_REG_UNIFORM) memcpy(slots + 16 * p->regs[k].slot, base[p->n_out + k], p->regs[k].isize);
    for (int k = 0; k < p->n_scalar; k++) memcpy(slots + 16 * p->regs[p->n_in + k].slot, scalars + 16 * k, 16);

    r->run = (run_t){p, base, slots, 0, 0};
    choose_writes(&r->run);
    r->job = (job_t){&r->run, p->n, p->chunk, run_tiles};
    if (p->direct && !r->run.stream) r->job.fn = run_direct;
    else {
        for (int k = 0; k < p->n_regs; k++)
            if (p->regs[k].kind == FBC_REG_UNIFORM) ptr[k] = slots + 16 * p->regs[k].slot;
        for (int i = 0; i < p->n_instr; i++)
            if (p->instrs[i].uniform) execute(&p->instrs[i], 1, ptr);
        if (p->by_rows && r->run.direct) r->job.fn = run_rows;
    }
    job_t *job = &r->job;
    if (p->blocks) {
        job->total = (p->dim[p->nd - 1] + BLOCK - 1) / BLOCK * ((p->dim[p->block_dim] + BLOCK - 1) / BLOCK);
        for (int k = 0; k < p->nd - 1; k++)
            if (k != p->block_dim) job->total *= p->dim[k];
        job->chunk = p->chunk / (BLOCK * BLOCK) > 0 ? p->chunk / (BLOCK * BLOCK) : 1;
        job->fn = run_blocks;
    }
    int64_t most = 16 * (int64_t)fbc_get_num_threads();
    r->n_chunks = (job->total + job->chunk - 1) / job->chunk;
    if (r->n_chunks > most) { /* larger chunks, still whole ones */
        job->chunk *= (r->n_chunks + most - 1) / most;
        r->n_chunks = (job->total + job->chunk - 1) / job->chunk;
    }
}

int fbc_plan_run(const fbc_plan *p, const uintptr_t *ptrs, const char *scalars) {
    if (p->n == 0) return 0;
    if (p->direct && p->n <= p->chunk) { /* little work: the shortest way */
        static const int64_t zero = 0;
        const fbc_map_row *row = &fbc_map[p->instrs[0].row];
        const char *src[3];
        for (int k = 0; k < 3; k++) {
            int i = p->source[k].i;
            switch (p->source[k].kind) {
            case FBC_FROM_POINTER: src[k] = (const char *)ptrs[i] + p->walks[i].base; break;
            case FBC_FROM_SCALAR: src[k] = scalars + 16 * i; break;
            case FBC_FROM_CONSTANT: src[k] = p->slots + 16 * i; break;
            case FBC_FROM_INDEX: src[k] = (const char *)&zero; break;
            default: src[k] = NULL;
            }
        }
        fbc_map_fn fn = p->instrs[0].variant == 0 ? row->vv : p->instrs[0].variant == 1 ? row->vs : row->sv;
        fn(p->n, (char *)ptrs[0] + p->walks[0].base, src[0], src[1], src[2]);
        return 0;
    }
    ready_t r;
    make_ready(p, ptrs, scalars, alloca(room_for(p)), &r);
    if (r.n_chunks == 1) r.job.fn(&r.run, 0, r.job.total);
    else fbc_parallel(r.n_chunks, run_chunk, &r.job);
    return 0;
}

/* ---- many plans as one piece of work ---- */
typedef struct { int32_t item, n; int64_t chunk; } batch_t; /* n chunks of all items from this one on */
typedef struct { ready_t *items; batch_t *batches; } many_t;

static void run_batch(void *ctx, int64_t b, int worker) {
    const many_t *many = ctx;
    batch_t at = many->batches[b];
    for (int k = 0; k < at.n; k++) {
        while (at.chunk == many->items[at.item].n_chunks) at.item++, at.chunk = 0;
        run_chunk(&many->items[at.item].job, at.chunk++, worker);
    }
}

int fbc_plan_run_many(int n, const fbc_plan *const *plans, const uintptr_t *ptrs, const char *scalars) {
    size_t room = 0;
    int64_t most = 0;
    for (int k = 0; k < n; k++) {
        const fbc_plan *p = plans[k];
        room += (room_for(p) + 15) & ~(size_t)15;
        most += 1 + (p->n == 0 ? 0 : p->blocks ? 16 * (int64_t)fbc_get_num_threads() : p->n / p->chunk);
    }
    ready_t *items = fbc_injected(0) ? NULL : malloc(sizeof *items * (size_t)n + 16 + room + sizeof(batch_t) * (size_t)most);
    if (!items) return -1;
    char *at = (char *)(((uintptr_t)(items + n) + 15) & ~(uintptr_t)15); /* slots hold 16 bytes each */
    batch_t *batches = (batch_t *)(at + room);
    int64_t n_batches = 0;
    double full = 0; /* how much of a chunk's work is in the last batch */
    for (int k = 0; k < n; k++) {
        const fbc_plan *p = plans[k];
        items[k].n_chunks = 0;
        if (p->n) make_ready(p, ptrs, scalars, at, &items[k]);
        double work = p->n < p->chunk ? (double)p->n / (double)p->chunk : 1; /* of one chunk */
        for (int64_t c = 0; c < items[k].n_chunks; c++) {
            if (n_batches == 0 || full + work > 1) batches[n_batches++] = (batch_t){k, 0, c}, full = 0;
            batches[n_batches - 1].n++;
            full += work;
        }
        at += (room_for(p) + 15) & ~(size_t)15;
        ptrs += p->n_out + p->n_in, scalars += 16 * p->n_scalar;
    }
    many_t many = {items, batches};
    fbc_parallel(n_batches, run_batch, &many);
    free(items);
    return 0;
}
