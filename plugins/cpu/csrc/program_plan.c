/* Makes plans: collapses dims, finds what is uniform, picks the loops, gives registers their tiles. Runs once per program and shapes. */
#include <stdlib.h>
#include <string.h>
#include "fused.h"

enum { L1_BYTES = 24 << 10, BLOCK = 32, CHUNK = 32768 };

typedef struct { char *at; } arena;
static void *take(arena *a, size_t size) {
    void *p = a->at;
    a->at += (size + 15) & ~(size_t)15;
    return p;
}

/* ---- shapes ---- */
static int64_t distance(int64_t stride) { return stride < 0 ? -stride : stride; }

/* Order dims by the strides of the first output, so that permuted but equally laid out operands become dense; make them positive. */
static void sort_dims(fbc_plan *p, int n_operands) {
    for (int i = 1; i < p->nd; i++)
        for (int k = i; k > 0; k--) {
            int swap = 0;
            for (int o = 0; o < n_operands && !swap; o++) {
                int64_t a = distance(p->stride[o][k - 1]), b = distance(p->stride[o][k]);
                if (a > b) break;
                swap = a < b;
            }
            if (!swap) break;
            int64_t t = p->dim[k];
            p->dim[k] = p->dim[k - 1], p->dim[k - 1] = t;
            for (int o = 0; o < n_operands; o++)
                t = p->stride[o][k], p->stride[o][k] = p->stride[o][k - 1], p->stride[o][k - 1] = t;
        }
    for (int k = 0; k < p->nd; k++)
        if (p->stride[0][k] < 0)
            for (int o = 0; o < n_operands; o++) {
                p->walks[o].base += p->stride[o][k] * (p->dim[k] - 1) * p->walks[o].isize;
                p->stride[o][k] = -p->stride[o][k];
            }
}

/* Merge neighbours that every one of n operands walks as one; returns the number of dims left. */
static int collapse(int nd, int64_t *dim, int64_t **stride, int n) {
    int out = 0;
    for (int k = 0; k < nd; k++) {
        int merge = out > 0;
        for (int o = 0; o < n && merge; o++) merge = stride[o][out - 1] == stride[o][k] * dim[k];
        if (merge) {
            dim[out - 1] *= dim[k];
            for (int o = 0; o < n; o++) stride[o][out - 1] = stride[o][k];
        } else {
            dim[out] = dim[k];
            for (int o = 0; o < n; o++) stride[o][out] = stride[o][k];
            out++;
        }
    }
    return out;
}

static int is_dense(const fbc_walk *w) { return w->nd == 0 || (w->nd == 1 && w->stride[0] == 1); }
static int is_uniform(const fbc_walk *w) { return w->nd == 1 && w->stride[0] == 0; }

/* Whether some operand's last dim is far apart while another of its dims is dense: then visit blocks of the two. */
static void choose_blocks(fbc_plan *p, int n_operands) {
    p->blocks = 0;
    for (int o = 0; o < n_operands && p->nd >= 2; o++) {
        const int64_t *s = p->stride[o];
        int last = p->nd - 1;
        if (distance(s[last]) * p->walks[o].isize < 64 || p->dim[last] < 8) continue;
        for (int k = 0; k < last; k++)
            if (distance(s[k]) == 1 && p->dim[k] >= 8) {
                p->blocks = 1, p->block_dim = k;
                return;
            }
    }
}

/* ---- registers ---- */
static int cost_of(int row) {
    if (row >= FBC_CASTS) return 1;
    int op = row / 16;
    if (op >= FBC_OP_exp && op <= FBC_OP_digamma && op != FBC_OP_sqrt) return 6;
    if (op == FBC_OP_floordiv || op == FBC_OP_rem || op == FBC_OP_fmod || op == FBC_OP_pow || op == FBC_OP_atan2) return 6;
    return op == FBC_OP_philox32 || op == FBC_OP_philox64 ? 4 : 1;
}

static int spread(fbc_plan *p, int reg) { /* the register that holds a uniform one on a whole tile */
    for (int r = 0; r < p->n_regs; r++)
        if (p->regs[r].kind == FBC_REG_SPREAD && p->regs[r].slot == p->regs[reg].slot) return r;
    fbc_reg *to = &p->regs[p->n_regs];
    *to = p->regs[reg];
    to->kind = FBC_REG_SPREAD;
    return p->n_regs++;
}

/* Choose the loop of an instruction and spread what it cannot take as a single element. */
static void choose_loop(fbc_plan *p, fbc_instr *in, int n_src) {
    const fbc_map_row *row = &fbc_map[in->row];
    int u0 = n_src > 0 && p->regs[in->s[0]].kind == FBC_REG_UNIFORM, u1 = n_src > 1 && p->regs[in->s[1]].kind == FBC_REG_UNIFORM;
    if (n_src == 2 && u1 && !u0 && row->vs) { in->variant = 1; return; }
    if (n_src == 2 && u0 && !u1 && row->sv) { in->variant = 2; return; }
    for (int k = 0; k < n_src; k++)
        if (p->regs[in->s[k]].kind == FBC_REG_UNIFORM) in->s[k] = (int16_t)spread(p, in->s[k]);
}

/* Fuse what can be fused; the rest goes by the table's loops. */
static void choose_steps(fbc_plan *p, uint8_t *kept) {
    for (int i = 0, end; i < p->n_instr; i = end) {
        end = i + 1;
        fbc_instr *in = &p->instrs[i];
        if (in->uniform) continue;
        fbc_fused_fn fused = fbc_fuse(p, i, &end, kept);
        p->steps[p->n_steps++] = (fbc_step){fused, (int16_t)i, (int16_t)end};
        if (fused || p->regs[in->s[0]].kind == FBC_REG_INDEX) continue;
        int n_src = 0;
        while (n_src < 3 && in->s[n_src] >= 0) n_src++;
        choose_loop(p, in, n_src);
    }
}

static int in_tile(const fbc_reg *r) { return r->kind == FBC_REG_TILE || (r->kind == FBC_REG_STRIDED && !r->keep); }

/* Tiles: a buffer per register, used again once its last reader has run. Results live to the end. */
static int give_buffers(fbc_plan *p) {
    int *last = fbc_injected(0) ? NULL : malloc(2 * sizeof(int) * (size_t)(p->n_regs + 1)), n_spare = 0;
    if (!last) return -1;
    int *spare = last + p->n_regs + 1;
    p->n_bufs = 0;
    for (int r = 0; r < p->n_regs; r++) {
        last[r] = -1;
        p->regs[r].buf = -1;
        if (p->regs[r].kind == FBC_REG_SPREAD || p->regs[r].kind == FBC_REG_STRIDED) p->regs[r].buf = p->n_bufs++;
    }
    for (int i = 0; i < p->n_instr; i++)
        for (int k = 0; k < 3; k++)
            if (p->instrs[i].s[k] >= 0) last[p->instrs[i].s[k]] = i;
    for (int o = 0; o < p->n_out; o++) last[p->result[o]] = p->n_instr;
    for (int t = 0; t < p->n_steps; t++) {
        const fbc_step *step = &p->steps[t];
        if (step->fused) { /* what it leaves behind gets tiles of its own; all that it reads last is spare then */
            for (int i = step->first; i < step->end; i++) {
                fbc_reg *d = &p->regs[p->instrs[i].d];
                if (!p->instrs[i].uniform && last[p->instrs[i].d] >= step->end) d->buf = n_spare ? spare[--n_spare] : p->n_bufs++;
            }
            for (int r = 0; r < p->n_regs; r++)
                if (last[r] >= step->first && last[r] < step->end && in_tile(&p->regs[r]) && p->regs[r].buf >= 0)
                    spare[n_spare++] = p->regs[r].buf, last[r] = -2;
            continue;
        }
        const int i = step->first;
        fbc_instr *in = &p->instrs[i];
        fbc_reg *d = &p->regs[in->d];
        for (int pass = 0; pass < 2; pass++) { /* a source that dies here may be overwritten if its items have the same size */
            for (int k = 0; k < 3; k++) {
                int s = in->s[k];
                if (s < 0 || last[s] != i || !in_tile(&p->regs[s]) || p->regs[s].buf < 0) continue;
                if (pass == 0 && p->regs[s].isize != d->isize) continue;
                spare[n_spare++] = p->regs[s].buf;
                last[s] = -2;
            }
            if (pass == 0) d->buf = n_spare ? spare[--n_spare] : p->n_bufs++;
        }
        if (last[in->d] == -1) spare[n_spare++] = d->buf; /* never read */
    }
    free(last);
    return 0;
}

/* Outputs that instructions may write where they belong, and the inputs still to be read then: these must not be the same memory. */
static void choose_direct_outputs(fbc_plan *p) {
    for (int o = 0; o < p->n_out; o++) {
        fbc_reg *r = &p->regs[p->result[o]];
        p->hazard[o] = 0;
        if (o >= 64 || r->kind != FBC_REG_TILE || r->out >= 0 || p->blocks || !is_dense(&p->walks[o])) continue;
        r->out = (int16_t)o;
        int made = 0;
        while (p->instrs[made].d != p->result[o]) made++;
        for (int i = made + 1; i < p->n_instr; i++)
            for (int k = 0; k < 3; k++) {
                int s = p->instrs[i].s[k];
                if (s >= 0 && p->regs[s].kind == FBC_REG_DENSE) p->hazard[o] |= 1ull << (p->regs[s].input & 63);
            }
        for (int other = 0; other < p->n_out; other++)
            if (p->regs[p->result[other]].kind == FBC_REG_DENSE) p->hazard[o] |= 1ull << (p->regs[p->result[other]].input & 63);
    }
}

/* The tile's length: all buffers in L1; whole rows of the operand with the longest rows. */
static void choose_tile(fbc_plan *p) {
    int width = 1;
    for (int r = 0; r < p->n_regs; r++)
        if (p->regs[r].buf >= 0 && p->regs[r].isize > width) width = p->regs[r].isize;
    int64_t tile = FBC_TILE;
    while (tile > 128 && tile * width * p->n_bufs > L1_BYTES) tile /= 2;
    p->row = 0;
    for (int o = 0; o < p->n_out + p->n_in; o++) {
        const fbc_walk *w = &p->walks[o];
        if (w->nd < 2 || w->stride[w->nd - 1] < 0 || w->stride[w->nd - 1] > 1) continue;
        if (w->dim[w->nd - 1] > p->row) p->row = w->dim[w->nd - 1];
    }
    if (p->row > tile) tile = (p->row + (p->row + tile - 1) / tile - 1) / ((p->row + tile - 1) / tile);
    else if (p->row) tile = tile / p->row * p->row;
    if (p->row <= tile) p->row = 0; /* only tiles that are parts of rows are cut at their ends */
    p->tile = tile;
    p->buf_bytes = (tile * width + 63) & ~(int64_t)63;
    if (p->blocks) p->tile = BLOCK * BLOCK, p->buf_bytes = BLOCK * BLOCK * width;
    for (int r = 0; r < p->n_regs; r++) {
        fbc_reg *reg = &p->regs[r];
        if (!reg->keep) continue;
        int64_t period = p->walks[p->n_out + reg->input].dim[1];
        if (p->tile % period == 0 && p->row % period == 0) reg->kind = FBC_REG_PERIODIC, p->periodic = 1;
    }
}

static void choose_chunk(fbc_plan *p) {
    int64_t cost = p->n_in + p->n_out;
    for (int t = 0; t < p->n_steps; t++)
        cost += p->steps[t].fused ? (p->steps[t].end - p->steps[t].first) / 4 : cost_of(p->instrs[p->steps[t].first].row);
    cost = cost / 3 > 1 ? cost / 3 : 1;
    int64_t chunk = CHUNK / cost < 4096 ? 4096 : CHUNK / cost;
    if (p->row) chunk = (chunk + p->row - 1) / p->row * p->row;
    else chunk = (chunk + p->tile - 1) / p->tile * p->tile;
    p->chunk = chunk;
    p->heavy = p->n * cost > 20000;
}

/* One fused step over dense and single operands runs over any number of elements, if it may write where the outputs lie. */
static void choose_whole(fbc_plan *p) {
    p->whole = p->n_steps == 1 && p->steps[0].fused && !p->blocks && p->n_out < 64;
    for (int r = 0; r < p->n_regs && p->whole; r++)
        p->whole = r < p->n_in ? p->regs[r].kind == FBC_REG_DENSE || p->regs[r].kind == FBC_REG_UNIFORM : p->regs[r].kind != FBC_REG_SPREAD;
    for (int o = 0; o < p->n_out && p->whole; o++) p->whole = p->regs[p->result[o]].out == o;
}

/* One loop over whole arrays will do when all operands are dense or single. */
static void choose_direct(fbc_plan *p) {
    p->direct = p->n_instr == 1 && p->n_out == 1 && !p->blocks && p->regs[p->result[0]].out == 0;
    for (int k = 0; k < 3 && p->direct; k++) {
        int s = p->instrs[0].s[k];
        const fbc_reg *reg = s >= 0 ? &p->regs[s] : NULL;
        if (reg && reg->kind != FBC_REG_DENSE && reg->kind != FBC_REG_UNIFORM && reg->kind != FBC_REG_INDEX) p->direct = 0;
        p->source[k].kind = (int16_t)(!reg ? FBC_FROM_NOTHING : reg->kind == FBC_REG_INDEX ? FBC_FROM_INDEX : reg->input >= 0 ? FBC_FROM_POINTER
                                      : s < p->n_in + p->n_scalar ? FBC_FROM_SCALAR : FBC_FROM_CONSTANT);
        p->source[k].i = (int16_t)(!reg ? 0 : reg->input >= 0 ? p->n_out + reg->input : s < p->n_in + p->n_scalar ? s - p->n_in : reg->slot);
    }
}

/* One loop over each row will do when strided operands are rows of one length that lie dense or repeat one element. */
static void choose_rows(fbc_plan *p) {
    enum { SHORTEST = 32 };
    if (p->n_instr != 1 || p->n_out != 1 || p->blocks || p->direct || p->regs[p->result[0]].out != 0) return;
    const fbc_instr *in = &p->instrs[0];
    const fbc_map_row *row = &fbc_map[in->row];
    int single = -1;
    for (int k = 0; k < 3; k++) {
        const fbc_reg *reg = in->s[k] >= 0 ? &p->regs[in->s[k]] : NULL;
        if (!reg || reg->kind == FBC_REG_DENSE || reg->kind == FBC_REG_UNIFORM) continue;
        if (reg->kind != FBC_REG_STRIDED && reg->kind != FBC_REG_PERIODIC) return;
        const fbc_walk *w = &p->walks[p->n_out + reg->input];
        if (w->nd != 2 || w->dim[1] < SHORTEST || (p->row_length && p->row_length != w->dim[1])) return;
        p->row_length = w->dim[1];
        if (w->stride[1] == 1) continue;
        if (w->stride[1] != 0 || single >= 0 || in->s[2] >= 0 || in->variant || !(k ? row->vs : row->sv)) return;
        single = k;
    }
    if (single == 0 && in->s[1] < 0) return;
    p->by_rows = single < 0 ? 1 : 2 + single;
}

void fbc_plan_free(fbc_plan *p) {
    if (p) free(p->memory);
}

fbc_plan *fbc_plan_new(const int64_t *words, int nd, const int64_t *dims, const int64_t *strides, const char *consts, int *bad) {
    int n_in = (int)words[0], n_out = (int)words[1], n_scalar = (int)words[2], n_const = (int)words[3], n_instr = (int)words[4];
    int n_ops = n_in + n_out, n_args = n_in + n_scalar + n_const;
    const int64_t *dtypes = words + 5, *code = dtypes + n_ops + n_scalar + n_const, *results = code + 6 * n_instr;
    size_t max_regs = 2 * (size_t)(n_args + n_instr) + 1, row_bytes = sizeof(int64_t) * (size_t)(nd + 1);
    size_t size = sizeof(fbc_plan) + max_regs * (sizeof(fbc_reg) + 17) + (size_t)n_instr * (sizeof(fbc_instr) + sizeof(fbc_step))
                + (size_t)n_ops * (sizeof(fbc_walk) + sizeof(void *) + 3 * row_bytes + 16 * 4) + row_bytes
                + (size_t)n_out * 32 + (size_t)n_scalar + 1024;
    void *memory = fbc_injected(0) ? NULL : calloc(1, size);
    if (!memory) return *bad = -1, NULL;
    arena a = {memory};
    fbc_plan *p = take(&a, sizeof *p);
    p->memory = memory;
    p->n_in = n_in, p->n_out = n_out, p->n_scalar = n_scalar, p->n_const = n_const, p->n_instr = n_instr;
    p->regs = take(&a, max_regs * sizeof(fbc_reg));
    p->slots = take(&a, max_regs * 16);
    p->instrs = take(&a, (size_t)n_instr * sizeof(fbc_instr));
    p->steps = take(&a, (size_t)n_instr * sizeof(fbc_step));
    p->walks = take(&a, (size_t)n_ops * sizeof(fbc_walk));
    p->stride = take(&a, (size_t)n_ops * sizeof(void *));
    p->dim = take(&a, row_bytes);
    p->result = take(&a, (size_t)n_out * sizeof(int16_t));
    p->hazard = take(&a, (size_t)n_out * sizeof(uint64_t));
    p->scalar_dtype = take(&a, (size_t)n_scalar);
    for (int k = 0; k < n_scalar; k++) p->scalar_dtype[k] = (uint8_t)dtypes[n_ops + k];

    /* Shapes. dtypes come ins first, operands outs first. */
    p->n = 1;
    for (int k = 0; k < nd; k++) {
        p->n *= dims[k];
        if (dims[k] != 1) p->dim[p->nd++] = dims[k];
    }
    for (int o = 0; o < n_ops; o++) {
        p->walks[o].isize = fbc_itemsize((int)(o < n_out ? dtypes[n_in + o] : dtypes[o - n_out]));
        p->stride[o] = take(&a, row_bytes);
        int at = 0;
        for (int k = 0; k < nd; k++)
            if (dims[k] != 1) p->stride[o][at++] = strides[o * nd + k];
    }
    int indexed = 0;
    for (int i = 0; i < n_instr; i++) {
        int64_t op = code[6 * i] / 16;
        indexed |= op == FBC_OP_iota || op == FBC_OP_philox32 || op == FBC_OP_philox64;
    }
    if (p->n && !indexed && n_out) sort_dims(p, n_ops);
    p->nd = collapse(p->nd, p->dim, p->stride, n_ops);
    for (int o = 0; o < n_ops; o++) {
        fbc_walk *w = &p->walks[o];
        w->dim = take(&a, row_bytes), w->stride = take(&a, row_bytes);
        memcpy(w->dim, p->dim, row_bytes), memcpy(w->stride, p->stride[o], row_bytes);
        w->nd = collapse(p->nd, w->dim, &w->stride, 1);
    }
    if (!indexed) choose_blocks(p, n_ops);

    /* Registers: the program's own in its order, then the index, then spread ones. */
    p->n_regs = n_args + n_instr + 1;
    int index = n_args + n_instr;
    for (int r = 0; r < p->n_regs; r++) p->regs[r] = (fbc_reg){.slot = -1, .input = -1, .out = -1, .buf = -1};
    p->regs[index].kind = FBC_REG_INDEX, p->regs[index].isize = 8;
    for (int r = 0; r < n_args; r++) {
        fbc_reg *reg = &p->regs[r];
        reg->dtype = (uint8_t)(r < n_in ? dtypes[r] : dtypes[n_out + r]);
        reg->isize = (uint8_t)fbc_itemsize(reg->dtype);
        if (r < n_in) {
            const fbc_walk *w = &p->walks[n_out + r];
            reg->input = (int16_t)r;
            reg->kind = is_uniform(w) ? FBC_REG_UNIFORM : is_dense(w) && !p->blocks ? FBC_REG_DENSE : FBC_REG_STRIDED;
            reg->keep = reg->kind == FBC_REG_STRIDED && !p->blocks && w->nd == 2 && w->stride[0] == 0;
        } else reg->kind = FBC_REG_UNIFORM;
        if (reg->kind == FBC_REG_UNIFORM) reg->slot = (int16_t)p->n_slots++;
        if (r >= n_in + n_scalar) memcpy(p->slots + 16 * reg->slot, consts + 16 * (r - n_in - n_scalar), 16);
    }
    for (int i = 0; i < n_instr; i++) {
        const int64_t *w = code + 6 * i;
        fbc_instr *in = &p->instrs[i];
        int n_src = (int)w[2], op = (int)w[0] / 16;
        in->row = (uint16_t)w[0];
        if (w[0] < 0 || w[0] >= FBC_MAP_ROWS || !fbc_map[w[0]].vv) {
            *bad = (int)w[0];
            free(memory);
            return NULL;
        }
        in->d = (int16_t)(n_args + i);
        fbc_reg *d = &p->regs[in->d];
        d->dtype = (uint8_t)w[1], d->isize = (uint8_t)fbc_itemsize(d->dtype), d->kind = FBC_REG_TILE;
        for (int k = 0; k < 3; k++) in->s[k] = k < n_src ? (int16_t)w[3 + k] : -1;
        if (in->row < FBC_CASTS && (op == FBC_OP_iota || op == FBC_OP_philox32 || op == FBC_OP_philox64)) {
            in->s[2] = in->s[1], in->s[1] = in->s[0], in->s[0] = (int16_t)index; /* seed and stream are taken from their slots */
            continue;
        }
        in->uniform = 1;
        for (int k = 0; k < n_src; k++) in->uniform &= p->regs[in->s[k]].kind == FBC_REG_UNIFORM;
        if (in->uniform) d->kind = FBC_REG_UNIFORM, d->slot = (int16_t)p->n_slots++;
    }
    for (int o = 0; o < n_out; o++) p->result[o] = (int16_t)results[o];
    choose_steps(p, take(&a, max_regs));
    for (int o = 0; o < n_out; o++)
        if (p->regs[p->result[o]].kind == FBC_REG_UNIFORM) p->result[o] = (int16_t)spread(p, p->result[o]);
    if (p->n == 0) return p;
    choose_direct_outputs(p);
    if (give_buffers(p)) {
        *bad = -1;
        free(memory);
        return NULL;
    }
    choose_tile(p);
    choose_chunk(p);
    choose_direct(p);
    choose_rows(p);
    choose_whole(p);
    p->move_only = p->blocks && n_instr == 0;
    return p;
}
