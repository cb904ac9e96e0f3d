/* Sorting along a dimension, and the k largest or smallest. Every dtype is mapped to unsigned keys whose
   order is the wanted one (NaN is the largest; descending inverts the keys), so one stable sort of (key,
   position) pairs serves all: insertion for short rows, LSD radix for long ones. */
#include "k_load.h"

typedef struct {
    fbk_it it; /* the other dims: values, indices, src */
    char *v, *src;
    int64_t *ix;
    int64_t n, k, vst, ist, sst, es, rc;
    int dt, desc, sorted;
} sortctx;
typedef struct {
    uint32_t key, pos;
} p32;
typedef struct {
    uint64_t key;
    int64_t pos;
} p64;

INL uint64_t key_of(const char *p, int dt) {
    switch (dt) {
    case DT_BOOL:
    case DT_U8: return *(const uint8_t *)p;
    case DT_U16: return *(const uint16_t *)p;
    case DT_U32: return *(const uint32_t *)p;
    case DT_U64: return *(const uint64_t *)p;
    case DT_I8: return (uint8_t)(*(const uint8_t *)p ^ 0x80);
    case DT_I16: return (uint16_t)(*(const uint16_t *)p ^ 0x8000);
    case DT_I32: return *(const uint32_t *)p ^ 0x80000000u;
    case DT_I64: return *(const uint64_t *)p ^ (1ull << 63);
    case DT_F16:
    case DT_BF16: {
        uint16_t u = *(const uint16_t *)p, inf = dt == DT_F16 ? 0x7c00 : 0x7f80;
        if ((u & 0x7fff) > inf) return 0xffff;
        if (u == 0x8000) u = 0;
        return (uint16_t)(u & 0x8000 ? ~u : u | 0x8000);
    }
    case DT_F32: {
        uint32_t u = *(const uint32_t *)p;
        if ((u & 0x7fffffffu) > 0x7f800000u) return 0xffffffffu;
        if (u == 0x80000000u) u = 0; /* -0 equals 0 */
        return (uint32_t)(u & 0x80000000u ? ~u : u | 0x80000000u);
    }
    default: {
        uint64_t u = *(const uint64_t *)p;
        if ((u & ~(1ull << 63)) > 0x7ff0000000000000ull) return ~0ull;
        if (u == 1ull << 63) u = 0;
        return u >> 63 ? ~u : u | 1ull << 63;
    }
    }
}
#define ROW_KEYS(P, KEY, INV) \
    const int64_t row_n = w->n, row_st = w->sst, row_es = w->es; \
    switch (w->dt) { \
    case DT_F32: \
        for (int64_t i = 0; i < row_n; i++) \
            a[i] = (P){(KEY)key_of(s + i * row_st * 4, DT_F32) ^ INV, (KEY)i}; \
        break; \
    case DT_I32: \
        for (int64_t i = 0; i < row_n; i++) \
            a[i] = (P){(KEY)key_of(s + i * row_st * 4, DT_I32) ^ INV, (KEY)i}; \
        break; \
    case DT_I64: \
        for (int64_t i = 0; i < row_n; i++) \
            a[i] = (P){(KEY)key_of(s + i * row_st * 8, DT_I64) ^ INV, (KEY)i}; \
        break; \
    default: \
        for (int64_t i = 0; i < row_n; i++) \
            a[i] = (P){(KEY)key_of(s + i * row_st * row_es, w->dt) ^ INV, (KEY)i}; \
    }

#define SORTS(S, P, KEY, BYTES) \
    static void insertion_##S(P *a, int64_t n) { \
        for (int64_t i = 1; i < n; i++) { \
            P x = a[i]; \
            int64_t j = i; \
            for (; j > 0 && a[j - 1].key > x.key; j--) a[j] = a[j - 1]; \
            a[j] = x; \
        } \
    } \
    /* bottom-up merges of sorted runs of 16; the result is in the returned one of a, b */ \
    static P *merge_##S(P *a, P *b, int64_t n) { \
        for (int64_t i = 0; i < n; i += 16) insertion_##S(a + i, MIN(16, n - i)); \
        for (int64_t w = 16; w < n; w *= 2) { \
            for (int64_t i = 0; i < n; i += 2 * w) { \
                int64_t m = MIN(i + w, n), e = MIN(i + 2 * w, n), x = i, y = m; \
                for (int64_t o = i; o < e; o++) { \
                    int left = y >= e || (x < m && a[x].key <= a[y].key); \
                    b[o] = left ? a[x++] : a[y++]; \
                } \
            } \
            P *t = a; \
            a = b; \
            b = t; \
        } \
        return a; \
    } \
    static P *radix_##S(P *a, P *b, int64_t n) { \
        uint32_t count[BYTES][256]; \
        memset(count, 0, sizeof count); \
        for (int64_t i = 0; i < n; i++) \
            for (int d = 0; d < BYTES; d++) count[d][a[i].key >> 8 * d & 255]++; \
        for (int d = 0; d < BYTES; d++) { \
            uint32_t *c = count[d], sum = 0; \
            if (c[a[0].key >> 8 * d & 255] == (uint32_t)n) continue; /* one digit only */ \
            for (int k = 0; k < 256; k++) { \
                uint32_t t = c[k]; \
                c[k] = sum; \
                sum += t; \
            } \
            for (int64_t i = 0; i < n; i++) b[c[a[i].key >> 8 * d & 255]++] = a[i]; \
            P *t = a; \
            a = b; \
            b = t; \
        } \
        return a; \
    } \
    static P *sort_##S(P *a, P *b, int64_t n) { \
        if (n <= 32) { \
            insertion_##S(a, n); \
            return a; \
        } \
        if (n < 128 * BYTES || n > UINT32_MAX) return merge_##S(a, b, n); \
        return radix_##S(a, b, n); \
    } \
    /* the k smallest of a to its front, in any order: quickselect on (key, position), which are all \
     * different */ \
    static void select_##S(P *a, int64_t n, int64_t k) { \
        int64_t lo = 0, hi = n - 1; \
        while (lo < hi) { \
            int64_t mid = lo + (hi - lo) / 2, i = lo, j = hi; \
            P x = a[lo], y = a[mid], z = a[hi], p, t; \
            int xy = x.key < y.key || (x.key == y.key && x.pos < y.pos), \
                yz = y.key < z.key || (y.key == z.key && y.pos < z.pos); \
            int xz = x.key < z.key || (x.key == z.key && x.pos < z.pos); \
            p = xy ? (yz ? y : xz ? z : x) : (xz ? x : yz ? z : y); \
            while (i <= j) { \
                while (a[i].key < p.key || (a[i].key == p.key && a[i].pos < p.pos)) i++; \
                while (p.key < a[j].key || (p.key == a[j].key && p.pos < a[j].pos)) j--; \
                if (i <= j) { \
                    t = a[i]; \
                    a[i++] = a[j]; \
                    a[j--] = t; \
                } \
            } \
            if (k - 1 <= j) hi = j; \
            else if (k - 1 >= i) lo = i; \
            else break; \
        } \
    } \
    /* the k smallest of a to its front, sorted, for small k: most elements are only compared with the worst \
     * one kept */ \
    static void few_##S(P *a, int64_t n, int64_t k) { \
        insertion_##S(a, k); \
        for (int64_t i = k; i < n; i++) { \
            if (a[i].key >= a[k - 1].key) continue; \
            P x = a[i]; \
            int64_t j = k - 1; \
            for (; j > 0 && a[j - 1].key > x.key; j--) a[j] = a[j - 1]; \
            a[j] = x; \
        } \
    } \
    static int cmp_##S(const void *x, const void *y) { \
        const P *a = x, *b = y; \
        return a->key != b->key ? (a->key < b->key ? -1 : 1) : a->pos < b->pos ? -1 : 1; \
    } \
    static void task_##S(void *ctx, int64_t lo, int64_t hi) { \
        sortctx *w = ctx; \
        P *a0 = fbk_scratch(SLOT_D, 2 * w->n * (int64_t)sizeof(P)); \
        if (!a0) { \
            __atomic_store_n(&w->rc, FBK_ENOMEM, __ATOMIC_RELAXED); \
            return; \
        } \
        KEY inv = w->desc ? (KEY) ~(KEY)0 : 0; \
        for (int64_t r = lo; r < hi; r++) { \
            int64_t off[3]; \
            P *a = a0; \
            it_off(&w->it, r, off); \
            const char *s = w->src + off[2] * w->es; \
            ROW_KEYS(P, KEY, inv) \
            if (w->k < 0) a = sort_##S(a, a + w->n, w->n); \
            else if (w->k * 8 > w->n) a = sort_##S(a, a + w->n, w->n); \
            else if (w->k <= 64) few_##S(a, w->n, w->k); \
            else { \
                select_##S(a, w->n, w->k); \
                qsort(a, (size_t)w->k, sizeof(P), cmp_##S); \
            } \
            int64_t m = w->k < 0 ? w->n : w->k; \
            if (w->ix) \
                for (int64_t i = 0; i < m; i++) w->ix[off[1] + i * w->ist] = (int64_t)a[i].pos; \
            if (!w->v) continue; \
            char *v = w->v + off[0] * w->es; \
            for (int64_t i = 0; i < m; i++) { \
                const char *q = s + (int64_t)a[i].pos * w->sst * w->es; \
                char *d = v + i * w->vst * w->es; \
                switch (w->es) { \
                case 1: *d = *q; break; \
                case 2: memcpy(d, q, 2); break; \
                case 4: memcpy(d, q, 4); break; \
                default: memcpy(d, q, 8); \
                } \
            } \
        } \
    }
SORTS(32, p32, uint32_t, 4)
SORTS(64, p64, uint64_t, 8)

static int64_t run(const fbk_plan *p, const uintptr_t *at, int64_t k) {
    const fbk_spec *s = &p->t[2];
    int d = (int)p->ia[0], has_v = p->t[0].dtype >= 0 && at[0], has_i = p->t[1].dtype >= 0 && at[1];
    sortctx w = {.v = has_v ? (char *)at[0] : NULL,
                 .ix = has_i ? (int64_t *)at[1] : NULL,
                 .src = (char *)at[2],
                 .k = k,
                 .dt = s->dtype,
                 .es = dt_size(s->dtype),
                 .desc = (int)p->ia[1],
                 .n = 1};
    it_init(&w.it, 3);
    for (int e = 0; e < s->ndim; e++) {
        int64_t st[3] = {has_v ? p->t[0].stride[e] : 0, has_i ? p->t[1].stride[e] : 0, s->stride[e]};
        if (e == d) w.n = s->shape[e], w.vst = st[0], w.ist = st[1], w.sst = st[2];
        else it_dim(&w.it, s->shape[e], st);
    }
    if (!w.n || !k || dt_is_cplx(w.dt)) return w.n && k ? FBK_EUNSUP : 0;
    int narrow = w.dt != DT_F64 && w.dt != DT_I64 && w.dt != DT_U64 && w.n <= UINT32_MAX;
    fbk_par(w.it.n, MAX(1, 1024 / w.n), narrow ? task_32 : task_64, &w);
    return w.rc;
}
/* t: values, indices, src; ia: dim, descending */
FBK_ENTRY(fbk_sort) { return run(p, at, -1); }
/* the same; ia[2]: k. The result is sorted; equal values keep the order of their positions. */
FBK_ENTRY(fbk_topk) { return run(p, at, p->ia[2]); }
