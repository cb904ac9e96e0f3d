/* Machine code for runs of simple instructions on 32-bit elements: values stay in vector registers between them, where the
   interpreter would write each to a tile and read it again. Every value is what the loops of the table give, bit for bit (no
   multiply-add is contracted). Where there is no AVX-512, or the system refuses executable memory, programs are interpreted. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "fused.h"

static int fusing = 1;
static _Atomic int64_t steps;
int fbc_set_fusing(int on) {
    int before = fusing;
    fusing = on;
    return before;
}
int64_t fbc_fused_steps(void) { return steps; }
__attribute__((constructor)) static void choose(void) {
    const char *wanted = getenv("FLAMBEAU_CPU_FUSE");
    fusing = !wanted || strcmp(wanted, "0") != 0;
}

#ifdef __x86_64__
enum { ROOM = 32 << 10, MOST = 512, LONG = 8, SPARE = 30, FIRST = 31, VALUES = 30 }; /* zmm30 and 31 hold nothing for long */
enum { NONE, P66, PF3 };
enum { M0F = 1, M38, M3A };
enum { R10 = 10, MEM = -1, CONSTANT = -2 }; /* operands in memory: at [r10], 16 elements or one spread; CONSTANT - k: the k-th one */
typedef enum { BIN, UN, ROUNDS, EXTREME, COMPARE, SELECT, LOGIC, RSQRT, ISNAN, MOVE, FROM_BOOL } shape_t;
typedef struct { uint16_t row; uint8_t shape, map, pp, code, imm; } form_t;
#define F(op) FBC_MAP_ID(FBC_OP_##op, FBC_F32)
#define I(op) FBC_MAP_ID(FBC_OP_##op, FBC_I32)
#define U(op) FBC_MAP_ID(FBC_OP_##op, FBC_U32)
#define B(op) FBC_MAP_ID(FBC_OP_##op, FBC_BOOL)
static const form_t FORMS[] = {
    {F(add), BIN, M0F, NONE, 0x58, 0}, {F(sub), BIN, M0F, NONE, 0x5c, 0}, {F(mul), BIN, M0F, NONE, 0x59, 0}, {F(div), BIN, M0F, NONE, 0x5e, 0},
    {F(maximum), EXTREME, M0F, NONE, 0x5f, 0}, {F(minimum), EXTREME, M0F, NONE, 0x5d, 0}, {F(sqrt), UN, M0F, NONE, 0x51, 0},
    {F(rsqrt), RSQRT, 0, 0, 0, 0}, {F(neg), LOGIC, M0F, P66, 0xef, 0}, {F(abs), LOGIC, M0F, P66, 0xdb, 0},
    {F(floor), ROUNDS, M3A, P66, 0x08, 9}, {F(ceil), ROUNDS, M3A, P66, 0x08, 10}, {F(trunc), ROUNDS, M3A, P66, 0x08, 11},
    {F(round), ROUNDS, M3A, P66, 0x08, 8}, {F(eq), COMPARE, M0F, NONE, 0xc2, 0}, {F(ne), COMPARE, M0F, NONE, 0xc2, 4},
    {F(lt), COMPARE, M0F, NONE, 0xc2, 0x11}, {F(le), COMPARE, M0F, NONE, 0xc2, 0x12}, {F(gt), COMPARE, M0F, NONE, 0xc2, 0x1e},
    {F(ge), COMPARE, M0F, NONE, 0xc2, 0x1d}, {F(isnan), ISNAN, M0F, NONE, 0xc2, 3}, {F(where), SELECT, 0, 0, 0, 0}, {F(bitcast), MOVE, 0, 0, 0, 0},
    {I(add), BIN, M0F, P66, 0xfe, 0}, {I(sub), BIN, M0F, P66, 0xfa, 0}, {I(mul), BIN, M38, P66, 0x40, 0}, {I(and), BIN, M0F, P66, 0xdb, 0},
    {I(or), BIN, M0F, P66, 0xeb, 0}, {I(xor), BIN, M0F, P66, 0xef, 0}, {I(shl), BIN, M38, P66, 0x47, 0}, {I(shr), BIN, M38, P66, 0x46, 0},
    {I(eq), COMPARE, M3A, P66, 0x1f, 0}, {I(lt), COMPARE, M3A, P66, 0x1f, 1}, {I(le), COMPARE, M3A, P66, 0x1f, 2}, {I(ne), COMPARE, M3A, P66, 0x1f, 4},
    {I(ge), COMPARE, M3A, P66, 0x1f, 5}, {I(gt), COMPARE, M3A, P66, 0x1f, 6}, {I(where), SELECT, 0, 0, 0, 0}, {I(bitcast), MOVE, 0, 0, 0, 0},
    {U(add), BIN, M0F, P66, 0xfe, 0}, {U(sub), BIN, M0F, P66, 0xfa, 0}, {U(mul), BIN, M38, P66, 0x40, 0}, {U(and), BIN, M0F, P66, 0xdb, 0},
    {U(or), BIN, M0F, P66, 0xeb, 0}, {U(xor), BIN, M0F, P66, 0xef, 0}, {U(shl), BIN, M38, P66, 0x47, 0}, {U(shr), BIN, M38, P66, 0x45, 0},
    {U(bitcast), MOVE, 0, 0, 0, 0}, {FBC_CAST_ID(FBC_U32, FBC_I32), MOVE, 0, 0, 0, 0}, {FBC_CAST_ID(FBC_I32, FBC_U32), MOVE, 0, 0, 0, 0},
    {B(and), BIN, M0F, P66, 0xdb, 0}, {B(or), BIN, M0F, P66, 0xeb, 0},
    {FBC_CAST_ID(FBC_F32, FBC_I32), UN, M0F, PF3, 0x5b, 0}, {FBC_CAST_ID(FBC_I32, FBC_F32), UN, M0F, NONE, 0x5b, 0},
    {FBC_CAST_ID(FBC_BOOL, FBC_F32), FROM_BOOL, 0, 0, 0, 0},
};
static const uint32_t CONSTANTS[] = {0x80000000u, 0x7fffffffu, 0x3f800000u}; /* before the code: sign, all but the sign, 1.0f */
enum { SIGN, REST, ONE };

typedef struct {
    const fbc_plan *plan;
    uint8_t *at, *start, *end; /* start: the constants */
    int masked, failed;
    int lane;                  /* which of the vectors that are worked on side by side */
    int8_t *homes[2], *home;   /* in each lane, and in this one: the vector register of each of the plan's, or -1 */
    int16_t *last;             /* the last instruction of the run that reads it */
    uint32_t taken;
} emitter;

static void byte(emitter *e, int b) {
    if (e->at < e->end) *e->at++ = (uint8_t)b;
    else e->failed = 1;
}
static void word(emitter *e, int64_t w) {
    for (int k = 0; k < 4; k++) byte(e, (int)(w >> 8 * k) & 255);
}
static int uniform(const emitter *e, int r) { return e->plan->regs[r].kind == FBC_REG_UNIFORM; }
static int narrow(const emitter *e, int r) { return e->plan->regs[r].isize == 1; }

/* One EVEX instruction of 512 bits. v: the second operand (0: none). rm: a vector register, MEM or CONSTANT; spread: one element for
   all; scale: MEM is element rax of so many bytes (0: no index). mask: k1..k7; zero: zeroing. */
typedef struct { int map, pp, code, reg, v, rm, spread, scale, mask, zero; } evex;
static void prefix(emitter *e, const evex *x) {
    int b = x->rm == MEM ? 1 : x->rm < 0 ? 0 : x->rm >> 3 & 1, index = x->rm < 0 ? 0 : x->rm >> 4 & 1;
    byte(e, 0x62);
    byte(e, (~x->reg >> 3 & 1) << 7 | (!index) << 6 | (!b) << 5 | (~x->reg >> 4 & 1) << 4 | x->map);
    byte(e, (~x->v & 15) << 3 | 4 | x->pp);
    byte(e, x->zero << 7 | 2 << 5 | x->spread << 4 | (~x->v >> 4 & 1) << 3 | x->mask);
    byte(e, x->code);
}
static void emit(emitter *e, evex x) {
    prefix(e, &x);
    if (x.rm <= CONSTANT) { /* [rip + disp32] */
        byte(e, (x.reg & 7) << 3 | 5);
        word(e, e->start + 4 * (CONSTANT - x.rm) - (e->at + 4));
    } else if (x.rm != MEM) byte(e, 0xc0 | (x.reg & 7) << 3 | (x.rm & 7));
    else if (!x.scale) byte(e, (x.reg & 7) << 3 | (R10 & 7));
    else { /* the displacement counts vectors */
        byte(e, (e->lane ? 0x40 : 0) | (x.reg & 7) << 3 | 4), byte(e, (x.scale == 4 ? 0x80 : 0) | (R10 & 7));
        if (e->lane) byte(e, e->lane);
    }
}
static void pointer(emitter *e, int r) { /* mov r10, [rsi + 8 r] */
    byte(e, 0x4c), byte(e, 0x8b), byte(e, 0x96), word(e, 8 * r);
}
static int take(emitter *e) {
    for (int r = 0; r < VALUES; r++)
        if (!(e->taken >> r & 1)) return e->taken |= 1u << r, r;
    e->failed = 1;
    return 0;
}
/* The vector register with a value; one that is the same for all elements goes to `spare`. */
static int value(emitter *e, int r, int spare) {
    if (uniform(e, r)) {
        pointer(e, r);
        emit(e, (evex){M38, P66, 0x18, spare, 0, MEM, 0, 0, 0, 0});
        return spare;
    }
    if (e->home[r] < 0) {
        e->home[r] = (int8_t)take(e);
        pointer(e, r);
        int k = e->masked ? 2 : 0;
        if (narrow(e, r)) emit(e, (evex){M38, P66, 0x31, e->home[r], 0, MEM, 0, 1, k, k > 0});
        else emit(e, (evex){M0F, NONE, 0x10, e->home[r], 0, MEM, 0, 4, k, k > 0});
    }
    return e->home[r];
}
/* op d, a, r; a uniform r is spread from memory by the instruction itself. */
static void binary(emitter *e, const form_t *f, int d, int a, int r) {
    evex x = {f->map, f->pp, f->code, d, a, MEM, 1, 0, 0, 0};
    if (uniform(e, r)) pointer(e, r);
    else x.rm = value(e, r, SPARE), x.spread = 0;
    emit(e, x);
}
static void set_where(emitter *e, int cond) { /* k1: where a truth value isn't 0 */
    int c = value(e, cond, SPARE);
    emit(e, (evex){M38, P66, 0x27, 1, c, c, 0, 0, 0, 0});
}
static void truth(emitter *e, int d) { emit(e, (evex){M38, PF3, 0x38, d, 0, 1, 0, 0, 0, 0}); } /* all ones where k1 */

static void instruction(emitter *e, const fbc_instr *in, const form_t *f) {
    const int16_t *s = in->s;
    int a = f->shape == SELECT ? 0 : value(e, s[0], FIRST);
    if (s[1] >= 0 && !uniform(e, s[1])) value(e, s[1], SPARE); /* before d is taken: loads come first */
    int d = take(e);
    switch (f->shape) {
    case BIN: binary(e, f, d, a, s[1]); break;
    case UN: emit(e, (evex){f->map, f->pp, f->code, d, 0, a, 0, 0, 0, 0}); break;
    case MOVE: emit(e, (evex){M0F, NONE, 0x28, d, 0, a, 0, 0, 0, 0}); break;
    case ROUNDS:
        emit(e, (evex){f->map, f->pp, f->code, d, 0, a, 0, 0, 0, 0});
        byte(e, f->imm);
        break;
    case EXTREME: /* gives the second of the two when either is NaN; then the first where that is */
        binary(e, f, d, a, s[1]);
        emit(e, (evex){M0F, NONE, 0xc2, 1, a, a, 0, 0, 0, 0}), byte(e, 3);
        emit(e, (evex){M0F, NONE, 0x28, d, 0, a, 0, 0, 1, 0});
        break;
    case COMPARE:
        binary(e, f, 1, a, s[1]);
        byte(e, f->imm);
        truth(e, d);
        break;
    case ISNAN:
        emit(e, (evex){f->map, f->pp, f->code, 1, a, a, 0, 0, 0, 0}), byte(e, f->imm);
        truth(e, d);
        break;
    case SELECT: { /* d = s[1] where the condition holds, else s[2] */
        int y = value(e, s[2], FIRST);
        set_where(e, s[0]);
        form_t blend = {0, BIN, M38, P66, 0x65, 0};
        evex x = {blend.map, blend.pp, blend.code, d, y, MEM, 1, 0, 1, 0};
        if (uniform(e, s[1])) pointer(e, s[1]);
        else x.rm = value(e, s[1], SPARE), x.spread = 0;
        emit(e, x);
        break;
    }
    case LOGIC: emit(e, (evex){f->map, f->pp, f->code, d, a, CONSTANT - (f->code == 0xef ? SIGN : REST), 1, 0, 0, 0}); break;
    case RSQRT:
        emit(e, (evex){M0F, NONE, 0x51, SPARE, 0, a, 0, 0, 0, 0});
        emit(e, (evex){M38, P66, 0x18, d, 0, CONSTANT - ONE, 0, 0, 0, 0});
        emit(e, (evex){M0F, NONE, 0x5e, d, d, SPARE, 0, 0, 0, 0});
        break;
    case FROM_BOOL:
        set_where(e, s[0]);
        emit(e, (evex){M38, P66, 0x18, d, 0, CONSTANT - ONE, 0, 0, 1, 1});
        break;
    }
    e->home[in->d] = (int8_t)d;
}
static void store(emitter *e, int r) {
    int v = e->home[r], k = e->masked ? 2 : 0;
    pointer(e, r);
    if (!narrow(e, r)) {
        emit(e, (evex){M0F, NONE, 0x11, v, 0, MEM, 0, 4, k, 0});
        return;
    }
    emit(e, (evex){M38, P66, 0x27, 1, v, v, 0, 0, 0, 0}); /* any truth value as 0 or 1, then its low byte */
    truth(e, SPARE);
    evex shift = {M0F, P66, 0x72, 2, SPARE, SPARE, 0, 0, 0, 0}; /* vpsrld zmm30, zmm30, 31: its destination is v */
    emit(e, shift), byte(e, 31);
    emit(e, (evex){M38, PF3, 0x31, SPARE, 0, MEM, 0, 1, k, 0});
}

static const form_t *form_of(const fbc_plan *p, const fbc_instr *in) {
    for (size_t k = 0; k < sizeof FORMS / sizeof *FORMS; k++)
        if (FORMS[k].row == in->row) {
            const form_t *f = &FORMS[k];
            for (int s = 0; s < 3; s++) {
                if (in->s[s] < 0) continue;
                const fbc_reg *r = &p->regs[in->s[s]];
                if (r->kind == FBC_REG_INDEX || (r->isize == 1 && (r->dtype != FBC_BOOL || r->kind == FBC_REG_UNIFORM))) return NULL;
                if (r->isize != 4 && r->isize != 1) return NULL;
            }
            const fbc_reg *d = &p->regs[in->d];
            return d->isize == 4 || d->dtype == FBC_BOOL ? f : NULL;
        }
    return NULL;
}

/* The instructions first .. end-1 (those computed once left out) for one or two vectors of elements. The number of the one for which
   there was no register left, or `end`. */
static int body(emitter *e, int first, int end, const uint8_t *kept, int lanes) {
    const fbc_plan *p = e->plan;
    for (int l = 0; l < lanes; l++) memset(e->homes[l], -1, (size_t)p->n_regs);
    e->taken = 0;
    for (int i = first; i < end; i++) {
        const fbc_instr *in = &p->instrs[i];
        if (in->uniform) continue;
        for (e->lane = 0; e->lane < lanes; e->lane++) {
            e->home = e->homes[e->lane];
            instruction(e, in, form_of(p, in));
            if (e->failed) return i;
            if (kept[in->d]) store(e, in->d);
            for (int k = 0; k < 4; k++) {
                int r = k < 3 ? in->s[k] : in->d;
                if (r < 0 || uniform(e, r) || e->home[r] < 0 || e->last[r] > i) continue;
                e->taken &= ~(1u << e->home[r]);
                e->home[r] = -1;
            }
        }
    }
    return end;
}
/* A loop of the body while rdi, which is less than the elements by a step, isn't below rax. */
static int loop(emitter *e, int first, int end, const uint8_t *kept, int lanes) {
    int step = 16 * lanes;
    byte(e, 0x48), byte(e, 0x83), byte(e, 0xef), byte(e, step);             /* sub rdi, step */
    byte(e, 0x48), byte(e, 0x39), byte(e, 0xf8);                            /* cmp rax, rdi */
    byte(e, 0x0f), byte(e, 0x8f);                                           /* jg past */
    uint8_t *to_past = e->at;
    word(e, 0);
    uint8_t *again = e->at;
    int done = body(e, first, end, kept, lanes);
    if (done < end) return done;
    byte(e, 0x48), byte(e, 0x83), byte(e, 0xc0), byte(e, step);             /* add rax, step */
    byte(e, 0x48), byte(e, 0x39), byte(e, 0xf8);                            /* cmp rax, rdi */
    byte(e, 0x0f), byte(e, 0x8e), word(e, again - (e->at + 4));             /* jle again */
    if (e->failed) return first;
    int32_t jump = (int32_t)(e->at - (to_past + 4));
    memcpy(to_past, &jump, 4);
    byte(e, 0x48), byte(e, 0x83), byte(e, 0xc7), byte(e, step);             /* add rdi, step */
    return end;
}

/* void code(rdi: n, rsi: addresses of the plan's registers) */
static int function(emitter *e, int first, int end, const uint8_t *kept) {
    e->at = e->start;
    e->failed = 0;
    for (size_t k = 0; k < sizeof CONSTANTS / 4; k++) word(e, CONSTANTS[k]);
    word(e, 0);
    byte(e, 0x31), byte(e, 0xc0);                                           /* xor eax, eax */
    e->masked = 0;
    uint8_t *before = e->at;
    if (end - first >= LONG && loop(e, first, end, kept, 2) < end) e->at = before, e->failed = 0; /* too many values for two */
    int done = loop(e, first, end, kept, 1);
    if (done < end) return done;
    byte(e, 0x48), byte(e, 0x29), byte(e, 0xc7);                            /* sub rdi, rax */
    byte(e, 0x0f), byte(e, 0x84);                                           /* jz out */
    uint8_t *to_out = e->at;
    word(e, 0);
    byte(e, 0xba), word(e, -1);                                             /* mov edx, -1 */
    byte(e, 0xc4), byte(e, 0xe2), byte(e, 0x40), byte(e, 0xf5), byte(e, 0xd2); /* bzhi edx, edx, edi */
    byte(e, 0xc5), byte(e, 0xf8), byte(e, 0x92), byte(e, 0xd2);             /* kmovw k2, edx */
    e->masked = 1;
    body(e, first, end, kept, 1);
    uint8_t *out = e->at;
    byte(e, 0xc5), byte(e, 0xf8), byte(e, 0x77), byte(e, 0xc3);             /* vzeroupper; ret */
    if (e->failed) return first;
    int32_t jump = (int32_t)(out - (to_out + 4));
    memcpy(to_out, &jump, 4);
    return end;
}

/* Code that was made before is used again; it is never taken back, so there is a limit to it. */
static fbc_fused_fn publish(const emitter *e) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct { uint8_t *code; size_t size; } made[MOST];
    static int n_made;
    size_t size = (size_t)(e->at - e->start), entry = sizeof CONSTANTS + 4;
    uint8_t *code = NULL;
    pthread_mutex_lock(&lock);
    for (int k = 0; k < n_made && !code; k++)
        if (made[k].size == size && !memcmp(made[k].code, e->start, size)) code = made[k].code;
    if (!code && n_made < MOST) {
        code = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code != MAP_FAILED) {
            memcpy(code, e->start, size);
            if (mprotect(code, size, PROT_READ | PROT_EXEC)) munmap(code, size), code = NULL;
            else made[n_made].code = code, made[n_made++].size = size;
        } else code = NULL;
    }
    pthread_mutex_unlock(&lock);
    return code ? (fbc_fused_fn)(uintptr_t)(code + entry) : NULL;
}

fbc_fused_fn fbc_fuse(const fbc_plan *p, int first, int *end, uint8_t *kept) {
    if (!fusing || fbc_isa != FBC_AVX512) return NULL;
    int stop = first, count = 0;
    for (; stop < p->n_instr && (p->instrs[stop].uniform || form_of(p, &p->instrs[stop])); stop++) count += !p->instrs[stop].uniform;
    uint8_t buffer[ROOM];
    int8_t homes[2][256];
    int16_t last[256];
    if (count < 2 || p->n_regs > 256) return NULL;
    emitter e = {.plan = p, .start = buffer, .end = buffer + ROOM, 
        .homes = {homes[0], homes[1]}, .last = last};
    for (;;) {
        memset(last, -1, sizeof last);
        memset(kept, 0, (size_t)p->n_regs);
        for (int i = first; i < p->n_instr; i++)
            for (int k = 0; k < 3; k++) {
                int r = p->instrs[i].s[k];
                if (r < 0 || p->instrs[i].uniform) continue;
                if (i < stop) last[r] = (int16_t)i;
                else kept[r] = 1;
            }
        for (int o = 0; o < p->n_out; o++) kept[p->result[o]] = 1;
        int done = function(&e, first, stop, kept);
        if (done == stop && !e.failed) break;
        count = 0;
        for (int i = first; i < done; i++) count += !p->instrs[i].uniform;
        if (count < 2) return NULL;
        stop = done; /* the next run goes on from here */
    }
    fbc_fused_fn code = publish(&e);
    if (code) *end = stop, steps++;
    return code;
}
#else
fbc_fused_fn fbc_fuse(const fbc_plan *p, int first, int *end, uint8_t *kept) { return NULL; }
#endif
