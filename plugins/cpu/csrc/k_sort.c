/* Sorting along a dimension, and the k largest or smallest. Every dtype is mapped to unsigned keys whose
   order is the wanted one (NaN is the largest; descending inverts the keys), so one stable sort of (key,
   position) pairs serves all: insertion for short rows, LSD radix for long ones. */
#include "k_load.h"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

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
        uint32_t nan = (u & 0x7fffffffu) > 0x7f800000u ? ~0u : 0;
        u = u == 0x80000000u ? 0 : u; /* -0 equals 0 */
        return nan | (u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u));
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

#define KEYS(KEY, DT) \
    for (int64_t i = 0; i < n; i++) key[i] = (KEY)key_of(s + i * st * dt_size(DT), DT) ^ inv
/* The positions of the keys up to `most` among 16 of them, as bits. */
INL uint32_t up_to_32(const uint32_t *key, uint32_t most) {
#ifdef __AVX512F__
    return _mm512_cmple_epu32_mask(_mm512_loadu_si512(key), _mm512_set1_epi32((int)most));
#else
    uint32_t found = 0;
    for (int j = 0; j < 16; j++) found |= (uint32_t)(key[j] <= most) << j;
    return found;
#endif
}
INL uint32_t up_to_64(const uint64_t *key, uint64_t most) {
#ifdef __AVX512F__
    const __m512i m = _mm512_set1_epi64((long long)most);
    return _mm512_cmple_epu64_mask(_mm512_loadu_si512(key), m) | (uint32_t)_mm512_cmple_epu64_mask(_mm512_loadu_si512(key + 8), m) << 8;
#else
    uint32_t found = 0;
    for (int j = 0; j < 16; j++) found |= (uint32_t)(key[j] <= most) << j;
    return found;
#endif
}
enum { GROUPS = 32, FEW = 16 };

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
    /* Those elements of a row that can be among the k smallest, in their order: the k-th smallest of GROUPS \
     * groups' least keys bounds them. Their number; n >= GROUPS, k <= FEW. */ \
    static int64_t close_##S(const sortctx *w, const char *s, P *a, KEY *key, KEY inv) { \
        const int64_t n = w->n, st = w->sst, k = w->k; \
        if (w->dt == DT_F32 && st == 1) { KEYS(KEY, DT_F32); } \
        else { KEYS(KEY, w->dt); } \
        KEY least[GROUPS], most[FEW] = {0}; \
        memcpy(least, key, sizeof least); \
        int64_t i = GROUPS, count = 0; \
        for (; i + GROUPS <= n; i += GROUPS) \
            for (int j = 0; j < GROUPS; j++) least[j] = key[i + j] < least[j] ? key[i + j] : least[j]; \
        for (int64_t g = 0; g < GROUPS; g++) { \
            if (g >= k && least[g] >= most[k - 1]) continue; \
            int64_t j = g < k ? g : k - 1; \
            for (; j > 0 && most[j - 1] > least[g]; j--) most[j] = most[j - 1]; \
            most[j] = least[g]; \
        } \
        for (i = 0; i + 16 <= n; i += 16) \
            for (uint32_t found = up_to_##S(key + i, most[k - 1]); found; found &= found - 1) { \
                int64_t at = i + __builtin_ctz(found); \
                a[count++] = (P){key[at], (KEY)at}; \
            } \
        for (; i < n; i++) \
            if (key[i] <= most[k - 1]) a[count++] = (P){key[i], (KEY)i}; \
        return count; \
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
            if (w->k > 0 && w->k <= FEW && w->k * 8 <= w->n && w->n >= 2 * GROUPS) { \
                int64_t count = close_##S(w, s, a, (KEY *)(a + w->n), inv); \
                few_##S(a, count, w->k); \
                goto sorted; \
            } \
            ROW_KEYS(P, KEY, inv) \
            if (w->k < 0) a = sort_##S(a, a + w->n, w->n); \
            else if (w->k * 8 > w->n) a = sort_##S(a, a + w->n, w->n); \
            else if (w->k <= 64) few_##S(a, w->n, w->k); \
            else { \
                select_##S(a, w->n, w->k); \
                qsort(a, (size_t)w->k, sizeof(P), cmp_##S); \
            } \
        sorted:; \
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
