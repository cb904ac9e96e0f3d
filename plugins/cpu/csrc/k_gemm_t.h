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

typedef struct {
    const fbk_gemm *g;
    T *pa, *pb;
    int64_t jc, nc, pc, kc, ic, mc, bm, bn, nbm; /* bn: a task's columns, in panels */
    int first;
} NAME(step);
static void NAME(pack_b_task)(void *ctx, int64_t lo, int64_t hi) {
    const NAME(step) *s = ctx;
    for (int64_t j = lo; j < hi; j++) {
        int64_t at = NAME(cut)(j, s->nc);
        s->g->pack_b(s->g->b, s->pb + j * NR * s->kc, s->pc, s->kc, s->jc + at, NAME(cut)(j + 1, s->nc) - at);
    }
}
static void NAME(pack_a_task)(void *ctx, int64_t lo, int64_t hi) {
    const NAME(step) *s = ctx;
    for (int64_t i = lo; i < hi; i++)
        s->g->pack_a(s->g->a, s->pa + i * MR * s->kc, s->ic + i * MR, MIN(MR, s->mc - i * MR), s->pc, s->kc);
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
static void NAME(tile_task)(void *ctx, int64_t lo, int64_t hi) {
    const NAME(step) *s = ctx;
    const fbk_gemm *g = s->g;
    for (int64_t t = lo; t < hi; t++) {
        int64_t i0 = t % s->nbm * s->bm, p0 = t / s->nbm * s->bn, i1 = MIN(i0 + s->bm, s->mc),
                j0 = NAME(cut)(p0, s->nc), j1 = NAME(cut)(p0 + s->bn, s->nc);
        for (int64_t p = p0, j = j0, n; j < j1; p++, j += n) {
            n = NAME(cut)(p + 1, s->nc) - j;
            int w = (int)ceil_div(n, VL) - 1;
            const T *b = s->pb + p * NR * s->kc;
            for (int64_t i = i0; i < i1; i += MR) {
                int64_t m = MIN(MR, i1 - i);
                T *c = (T *)g->c + (s->ic + i) * g->ldc + s->jc + j;
                NAME(tileps)
                [NAME(rowsel)(m)][w](s->kc, s->pa + i * s->kc, b, c, g->ldc, m, n, g->acc || !s->first);
            }
        }
        if (g->bias && s->pc + s->kc >= g->K) NAME(bias)(g, s->ic + i0, i1 - i0, s->jc + j0, j1 - j0);
    }
}
static int64_t NAME(gemm)(const fbk_gemm *g) {
    const int64_t MCB = 192 * MR, NC = 64 * NR;
    NAME(step) s = {.g = g};
    int64_t ksteps = ceil_div(g->K, KC), kstep = ceil_div(g->K, ksteps);
    s.pa = fbk_scratch(SLOT_GA, (PADDED(MIN(g->M, MCB), MR) * kstep + 64) * (int64_t)sizeof(T));
    s.pb = fbk_scratch(SLOT_GB, (PADDED(MIN(g->N, NC), NR) * kstep + 64) * (int64_t)sizeof(T));
    if (!s.pa || !s.pb) return FBK_ENOMEM;
    for (s.jc = 0; s.jc < g->N; s.jc += NC) {
        s.nc = MIN(NC, g->N - s.jc);
        for (s.pc = 0; s.pc < g->K; s.pc += kstep) {
            s.kc = MIN(kstep, g->K - s.pc);
            s.first = s.pc == 0;
            fbk_par(ceil_div(s.nc, NR), MAX(1, 32768 / (NR * s.kc)), NAME(pack_b_task), &s);
            for (s.ic = 0; s.ic < g->M; s.ic += MCB) {
                s.mc = MIN(MCB, g->M - s.ic);
                fbk_par(ceil_div(s.mc, MR), MAX(1, 32768 / (MR * s.kc)), NAME(pack_a_task), &s);
                int64_t panels = ceil_div(s.nc, NR), tasks = 4 * fbc_get_num_threads();
                s.bm = 16 * MR, s.bn = MAX(1, 512 / NR);
                while (s.bn > 1 && ceil_div(s.mc, s.bm) * ceil_div(panels, s.bn) < tasks) s.bn = (s.bn + 1) / 2;
                while (s.bm > 4 * MR && ceil_div(s.mc, s.bm) * ceil_div(panels, s.bn) < tasks) s.bm /= 2;
                s.nbm = ceil_div(s.mc, s.bm);
                fbk_par(s.nbm * ceil_div(panels, s.bn), MAX(1, WORTH / (s.bm * s.bn * NR * s.kc)), NAME(tile_task), &s);
            }
        }
    }
    return 0;
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
                int64_t left = i1 - i;
                r = left >= MR ? MR : left >= 6 && MR > 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
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
