/* The packed GEMM of one element type; included by k_gemm.c for float and for double with T, V, VL, MR, NV
and NAME defined.

C[M,N] (+)= A[M,K] B[K,N]. K is cut into KC steps; of each step A is packed in panels of MR rows and B in
panels of NR columns, then tiles of MR x NR are computed in registers. Every element of C is summed over k in
the same order whatever the cut of M and N and whatever the number of threads. */
#define NR (NV * VL)
#define PADDED(n, w) (ceil_div(n, w) * (w))

/* A tile in registers: R rows of the panel a (k-major, as long steps), NVV vectors of columns. */
INL void NAME(tile)(const int R, const int NVV, int64_t k, const T *a, int64_t ari, int64_t ark, const T *b,
                    int64_t bs, T *c, int64_t ldc, int64_t m, int64_t n, int acc) {
    V s[MR][NV];
    _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++)
        s[i][j] = (V){0};
    _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++)
        __builtin_prefetch(c + MIN(i, m - 1) * ldc + j * VL, 1, 3);
    for (int64_t p = 0; p < k; p++) {
        V bv[NV];
        _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++) bv[j] = LDV(b + j * VL);
        _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) {
            V av = SPLAT(a[i * ari]);
            KEEP(av);
            _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++) s[i][j] += av * bv[j];
        }
        a += ark;
        b += bs;
    }
    if (m >= R && n == NVV * VL) {
        _Pragma("GCC unroll 8") for (int i = 0; i < R; i++)
            _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++) {
            T *q = c + i * ldc + j * VL;
            STV(q, acc ? (V)(s[i][j] + LDV(q)) : s[i][j]);
        }
        return;
    }
    T t[MR * NR];
    _Pragma("GCC unroll 8") for (int i = 0; i < R; i++) _Pragma("GCC unroll 4") for (int j = 0; j < NVV; j++)
        STV(t + i * NR + j * VL, s[i][j]);
    for (int i = 0; i < R && i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = acc ? c[i * ldc + j] + t[i * NR + j] : t[i * NR + j];
}
#define TILE(R, W) \
    static void NAME(tile_##R##_##W)(int64_t k, const T *a, int64_t ari, int64_t ark, const T *b, \
                                     int64_t bs, T *c, int64_t ldc, int64_t m, int64_t n, int acc) { \
        NAME(tile)(R, W, k, a, ari, ark, b, bs, c, ldc, m, n, acc); \
    } \
    static void NAME(tilep_##R##_##W)(int64_t k, const T *a, const T *b, T *c, int64_t ldc, int64_t m, \
                                      int64_t n, int acc) { \
        NAME(tile)(R, W, k, a, 1, MR, b, NR, c, ldc, m, n, acc); \
    }
#define TILES(R) TILE(R, 1) TILE(R, 2) IF_NV3(TILE(R, 3))
TILES(1)
TILES(2) TILES(4)
#if MR == 8
    TILES(6) TILES(8)
#elif MR == 6
    TILES(6)
#endif
#define ROWS(R, P) {NAME(P##_##R##_1), NAME(P##_##R##_2), IF_NV3(NAME(P##_##R##_3))}
        typedef void (*NAME(tile_fn))(int64_t, const T *, int64_t, int64_t, const T *, int64_t, T *, int64_t,
                                      int64_t, int64_t, int);
typedef void (*NAME(tilep_fn))(int64_t, const T *, const T *, T *, int64_t, int64_t, int64_t, int);
#if MR == 8
static const NAME(tile_fn)
    NAME(tiles)[5][NV] = {ROWS(1, tile), ROWS(2, tile), ROWS(4, tile), ROWS(6, tile), ROWS(8, tile)};
static const NAME(tilep_fn)
    NAME(tileps)[5][NV] = {ROWS(1, tilep), ROWS(2, tilep), ROWS(4, tilep), ROWS(6, tilep), ROWS(8, tilep)};
#elif MR == 6
static const NAME(tile_fn) NAME(tiles)[4][NV] = {ROWS(1, tile), ROWS(2, tile), ROWS(4, tile), ROWS(6, tile)};
static const NAME(tilep_fn)
    NAME(tileps)[4][NV] = {ROWS(1, tilep), ROWS(2, tilep), ROWS(4, tilep), ROWS(6, tilep)};
#else
static const NAME(tile_fn) NAME(tiles)[3][NV] = {ROWS(1, tile), ROWS(2, tile), ROWS(4, tile)};
static const NAME(tilep_fn) NAME(tileps)[3][NV] = {ROWS(1, tilep), ROWS(2, tilep), ROWS(4, tilep)};
#endif
INL int NAME(rowsel)(int64_t m) { return m <= 1 ? 0 : m <= 2 ? 1 : m <= 4 ? 2 : m <= 6 ? 3 : 4; }

/* dst[k][W] = the n lanes (stride ls) of k steps (stride ks); missing lanes are zero. */
static void NAME(pack)(T *dst, int W, const T *src, int64_t n, int64_t ls, int64_t k, int64_t ks) {
    int64_t p = 0;
    if (ls == 1 && n == W) {
        for (; p < k; p++) memcpy(dst + p * W, src + p * ks, (size_t)W * sizeof(T));
        return;
    }
    if (n < W) memset(dst, 0, (size_t)(k * W) * sizeof(T));
#if defined(__AVX2__)
    if (ks == 1 && ls != 1) { /* transposes of TR x TR; the extra lanes of a narrow panel are overwritten by
                                 the next step */
        int64_t i = 0;
        for (; i < n; i += TR) {
            int64_t lanes = MIN(TR, n - i);
            const T *q[TR];
            for (int u = 0; u < TR; u++) q[u] = src + (i + MIN(u, lanes - 1)) * ls;
            if (lanes < TR && n < W) break; /* would write into the zero lanes */
            if (lanes < TR && i + TR > W && W > TR) break;
            for (p = 0; p + TR + (W < TR) <= k; p += TR) TRANSPOSE(dst + p * W + i, W, q, p);
            if (p < k && k >= TR && i + TR <= W) { /* the last steps, some of them again */
                TRANSPOSE(dst + (k - TR) * W + i, W, q, k - TR);
                continue;
            }
            for (; p < k; p++)
                for (int u = 0; u < lanes; u++) dst[p * W + i + u] = q[u][p];
        }
        for (; i < n; i++)
            for (p = 0; p < k; p++) dst[p * W + i] = src[i * ls + p];
        return;
    }
#endif
    for (; p < k; p++)
        for (int64_t i = 0; i < n; i++) dst[p * W + i] = src[i * ls + p * ks];
}
static void NAME(pack_a)(const void *ctx, void *dst, int64_t i0, int64_t m, int64_t k0, int64_t k) {
    const fbk_mat *a = ctx;
    NAME(pack)(dst, MR, (const T *)a->p + i0 * a->rs + k0 * a->cs, m, a->rs, k, a->cs);
}
static void NAME(pack_b)(const void *ctx, void *dst, int64_t k0, int64_t k, int64_t j0, int64_t n) {
    const fbk_mat *b = ctx;
    NAME(pack)(dst, NR, (const T *)b->p + k0 * b->rs + j0 * b->cs, n, b->cs, k, b->rs);
}

/* Where panel j of n columns begins: three vectors each, but two and two rather than three and one at the end. */
INL int64_t NAME(cut)(int64_t j, int64_t n) {
    int64_t v = ceil_div(n, VL), at = j * NR;
    if (at >= n) return n;
    return NV == 3 && v % NV == 1 && j > 0 && at + VL >= n ? at - VL : at;
}

static void NAME(bias)(const fbk_gemm *g, int64_t i0, int64_t m, int64_t j0, int64_t n) {
    const T *bias = g->bias;
    for (int64_t i = i0; i < i0 + m; i++) {
        T *c = (T *)g->c + i * g->ldc + j0;
        if (g->bias_cs && g->bias_rs == 0 && g->bias_cs == 1)
            for (int64_t j = 0; j < n; j++) c[j] += bias[j0 + j];
        else
            for (int64_t j = 0; j < n; j++) c[j] += bias[i * g->bias_rs + (j0 + j) * g->bias_cs];
    }
}
INL int64_t NAME(exact)(int64_t left) { /* rows of the largest tile that has no more */
    return left >= MR ? MR : left >= 6 && MR > 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}
/* a's rows [i0, i0 + m) in panels; where its columns are contiguous, four panels at a time so that whole lines are read */
static void NAME(pack_rows)(const fbk_gemm *g, T *pa, int64_t i0, int64_t m, int64_t k0, int64_t k) {
    const fbk_mat *a = g->a;
    int64_t i = 0;
    if (g->pack_a == NAME(pack_a) && a->rs == 1)
        for (; i + 4 * MR <= m; i += 4 * MR) {
            const T *src = (const T *)a->p + i0 + i + k0 * a->cs;
            for (int64_t p = 0; p < k; p++)
                for (int u = 0; u < 4; u++)
                    memcpy(pa + (i + u * MR) * k + p * MR, src + p * a->cs + u * MR, MR * sizeof(T));
        }
    for (; i < m; i += MR) g->pack_a(g->a, pa + i * k, i0 + i, MIN(MR, m - i), k0, k);
}
/* The rows [m0, m1) and columns [n0, n1) of the product, by one thread. */
static int64_t NAME(block)(const fbk_gemm *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    const int64_t MCB = 192 * MR, NC = 64 * NR, BM = 16 * MR, BP = MAX(1, 512 / NR); /* rows, panels of a round of tiles */
    int64_t kstep = ceil_div(g->K, ceil_div(g->K, KC));
    const fbk_mat *rows = g->pack_a == NAME(pack_a) ? g->a : NULL;
    const int direct = rows && rows->cs == 1 && n1 - n0 <= DIRECT * NR; /* too few columns for packing a to pay */
    T *pa = fbk_scratch(SLOT_GA, (PADDED(MIN(m1 - m0, MCB), MR) * kstep + 64) * (int64_t)sizeof(T));
    T *pb = fbk_scratch(SLOT_GB, (PADDED(MIN(n1 - n0, NC), NR) * kstep + 64) * (int64_t)sizeof(T));
    if (!pa || !pb) return FBK_ENOMEM;
    for (int64_t jc = n0; jc < n1; jc += NC) {
        int64_t nc = MIN(NC, n1 - jc), panels = ceil_div(nc, NR);
        for (int64_t pc = 0; pc < g->K; pc += kstep) {
            int64_t kc = MIN(kstep, g->K - pc);
            /* of a matrix some rows after another, all panels: whole lines and pages */
            int64_t few = g->pack_b == NAME(pack_b) && ((const fbk_mat *)g->b)->cs == 1 ? 32 : kc;
            for (int64_t k0 = 0; k0 < kc; k0 += few)
                for (int64_t p = 0; p < panels; p++) {
                    int64_t j = NAME(cut)(p, nc);
                    g->pack_b(g->b, pb + p * NR * kc + k0 * NR, pc + k0, MIN(few, kc - k0), jc + j, NAME(cut)(p + 1, nc) - j);
                }
            for (int64_t ic = m0; ic < m1; ic += MCB) {
                int64_t mc = MIN(MCB, m1 - ic);
                if (!direct) NAME(pack_rows)(g, pa, ic, mc, pc, kc);
                for (int64_t p0 = 0; p0 < panels; p0 += BP)
                    for (int64_t i0 = 0; i0 < mc; i0 += BM) {
                        int64_t i1 = MIN(i0 + BM, mc), j0 = NAME(cut)(p0, nc), j1 = NAME(cut)(p0 + BP, nc);
                        for (int64_t p = p0, j = j0, n; j < j1; p++, j += n) {
                            n = NAME(cut)(p + 1, nc) - j;
                            int w = (int)ceil_div(n, VL) - 1;
                            for (int64_t i = i0, m; i < i1; i += m) {
                                m = direct ? NAME(exact)(i1 - i) : MIN(MR, i1 - i);
                                if (direct)
                                    NAME(tiles)
                                    [NAME(rowsel)(m)][w](kc, (const T *)rows->p + (ic + i) * rows->rs + pc, rows->rs, 1,
                                                         pb + p * NR * kc, NR, (T *)g->c + (ic + i) * g->ldc + jc + j, g->ldc, m,
                                                         n, g->acc || pc);
                                else
                                    NAME(tileps)
                                [NAME(rowsel)(m)][w](kc, pa + i * kc, pb + p * NR * kc, (T *)g->c + (ic + i) * g->ldc + jc + j,
                                                     g->ldc, m, n, g->acc || pc);
                            }
                        }
                        if (g->bias && pc + kc >= g->K) NAME(bias)(g, ic + i0, i1 - i0, jc + j0, j1 - j0);
                    }
            }
        }
    }
    return 0;
}
/* Each thread packs what it needs itself: to fetch what another core has just written costs more than to pack it twice. */
typedef struct {
    const fbk_gemm *g;
    int64_t down, across, rc;
} NAME(split);
static void NAME(block_task)(void *ctx, int64_t lo, int64_t hi) {
    NAME(split) *s = ctx;
    const fbk_gemm *g = s->g;
    int64_t strips = ceil_div(g->M, MR), vectors = ceil_div(g->N, VL);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t % s->down, c = t / s->down;
        int64_t rc = NAME(block)(g, r * strips / s->down * MR, MIN(g->M, (r + 1) * strips / s->down * MR),
                                 c * vectors / s->across * VL, MIN(g->N, (c + 1) * vectors / s->across * VL));
        if (rc) __atomic_store_n(&s->rc, rc, __ATOMIC_RELAXED);
    }
}
static int64_t NAME(gemm)(const fbk_gemm *g) {
    NAME(split) s = {.g = g};
    fbk_split(g->M, g->N, g->K, MR, VL, g->pack_b != NAME(pack_b), &s.down, &s.across);
    fbk_par(s.down * s.across, 1, NAME(block_task), &s);
    return s.rc;
}
/* Without packing, B's rows contiguous: for small products, and for few rows. */
typedef struct {
    const fbk_gemm *g;
    int64_t bm, nbm;
} NAME(direct);
static void NAME(direct_task)(void *ctx, int64_t lo, int64_t hi) {
    const NAME(direct) *d = ctx;
    const fbk_gemm *g = d->g;
    const fbk_mat *a = g->a, *b = g->b;
    const int64_t kstep = ceil_div(g->K, ceil_div(g->K, KC));
    T last[KC * VL]; /* the rows' last, partial vector, padded */
    for (int64_t t = lo; t < hi; t++) {
        int64_t i0 = t % d->nbm * d->bm, i1 = MIN(i0 + d->bm, g->M), j = NAME(cut)(t / d->nbm, g->N),
                n = NAME(cut)(t / d->nbm + 1, g->N) - j, rest = n % VL, full = n - rest;
        for (int64_t p = 0; p < g->K; p += kstep) {
            int64_t k = MIN(kstep, g->K - p);
            const T *pa = (const T *)a->p + p * a->cs, *pb = (const T *)b->p + p * b->rs + j;
            if (rest) {
                memset(last, 0, (size_t)(k * VL) * sizeof(T));
                for (int64_t q = 0; q < k; q++)
                    for (int64_t x = 0; x < rest; x++) last[q * VL + x] = pb[q * b->rs + full + x];
            }
            /* rows of exactly as many as there are: those behind a's last one may not be readable */
            for (int64_t i = i0, r; i < i1; i += r) {
                r = NAME(exact)(i1 - i);
                const NAME(tile_fn) *tile = NAME(tiles)[NAME(rowsel)(r)];
                T *c = (T *)g->c + i * g->ldc + j;
                if (full)
                    tile[full / VL - 1](k, pa + i * a->rs, a->rs, a->cs, pb, b->rs, c, g->ldc, r, full, g->acc || p);
                if (rest) tile[0](k, pa + i * a->rs, a->rs, a->cs, last, VL, c + full, g->ldc, r, rest, g->acc || p);
            }
        }
        if (g->bias) NAME(bias)(g, i0, i1 - i0, j, n);
    }
}
static int64_t NAME(without_packing)(const fbk_gemm *g) {
    NAME(direct) d = {.g = g, .bm = 4 * MR};
    d.nbm = ceil_div(g->M, d.bm);
    fbk_par(d.nbm * ceil_div(g->N, NR), MAX(1, WORTH / (MIN(d.bm, g->M) * MIN(NR, g->N) * g->K)), NAME(direct_task), &d);
    return 0;
}
void FBC_ISA_NAME(NAME(fbk_tile))(int64_t k, const T *a, const T *b, T *c, int64_t ldc, int64_t m, int64_t n,
                                  int acc) {
    NAME(tileps)[NAME(rowsel)(m)][ceil_div(n, VL) - 1](k, a, b, c, ldc, m, n, acc);
}
void FBC_ISA_NAME(NAME(fbk_pack))(T *dst, int W, const T *src, int64_t n, int64_t ls, int64_t k, int64_t ks) {
    NAME(pack)(dst, W, src, n, ls, k, ks);
}
#undef TILE
#undef TILES
#undef ROWS
#undef NR
#undef PADDED
