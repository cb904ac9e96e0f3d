/* The tapped convolution of one element type (T, S, V, VL, MR, NR and NAME are defined by k_conv_taps.c). The
   weights are packed once; columns are output positions of all images in a row, packed NR at a time straight
   from the image (no im2col in memory). */

typedef struct {
    const taps *c;
    T *pa;
    int64_t K, kstep, cols, npan, per, mblk, mb, rc;
} NAME(run);
/* A stretch of a panel within one output row. */
typedef struct {
    const T *base;
    int64_t h, w, at, len;
} NAME(seg);

INL void NAME(copy)(T *d, const T *s, int64_t n) {
    int64_t i = 0;
    for (; i + VL <= n; i += VL) STV(d + i, LDV(s + i));
    for (; i < n; i++) d[i] = s[i];
}
/* dst[k][NR] for rows k0..k0+k of the columns that the segments describe. */
static void NAME(pack_cols)(const taps *c, T *dst, const NAME(seg) * seg, int ns, int64_t n, int64_t k0,
                            int64_t k) {
    int64_t ch = k0 / c->NT, t = k0 % c->NT;
    if (c->NT == 1 && c->SW == 1 && ns == 1 && n == NR) { /* pointwise: each row comes from a plane of its own */
        int64_t h = seg->h + c->th[0], w = seg->w + c->tw[0];
        if (h >= 0 && h < c->IH && w >= 0 && w + NR <= c->IW) {
            const T *row = seg->base + ch * c->sc + h * c->srow + w;
            for (int64_t p = 0; p < k; p++, dst += NR, row += c->sc) {
                _Pragma("GCC unroll 4") for (int i = 0; i < NR; i += VL) STV(dst + i, LDV(row + i));
                for (int i = 0; i < NR; i += 64 / (int)sizeof(T)) /* the next panel's, to its last line */
                    __builtin_prefetch(row + NR + i, 0, 2);
                __builtin_prefetch(row + 2 * NR - 1, 0, 2);
            }
            return;
        }
    }
    for (int64_t p = 0; p < k; p++, dst += NR) {
        int64_t th = c->th[t], tw = c->tw[t];
        for (int q = 0; q < ns; q++) {
            const NAME(seg) *s = seg + q;
            T *d = dst + s->at;
            int64_t h = s->h + th, w = s->w + tw, len = s->len;
            if ((uint64_t)h >= (uint64_t)c->IH) {
                for (int64_t i = 0; i < len; i++) d[i] = 0;
                continue;
            }
            const T *row = s->base + ch * c->sc + h * c->srow;
            if (c->SW == 1) {
                int64_t lo = w < 0 ? MIN(-w, len) : 0, hi = MAX(lo, MIN(len, c->IW - w));
                for (int64_t i = 0; i < lo; i++) d[i] = 0;
                NAME(copy)(d + lo, row + w + lo, hi - lo);
                for (int64_t i = hi; i < len; i++) d[i] = 0;
                continue;
            }
#ifdef STRETCH
            if (c->SW == 2) { /* what is written past the stretch is written again, or past the panel */
                STRETCH(d, row, w, 2, c->IW, len);
                continue;
            }
#endif
            for (int64_t i = 0; i < len; i++, w += c->SW) d[i] = (uint64_t)w < (uint64_t)c->IW ? row[w] : 0;
        }
        for (int64_t i = n; i < NR; i++) dst[i] = 0;
        if (++t == c->NT) t = 0, ch++;
    }
}
static void NAME(pack_weights)(void *ctx, int64_t lo, int64_t hi) {
    const NAME(run) *r = ctx;
    const taps *c = r->c;
    int64_t panels = ceil_div(c->M, MR);
    for (int64_t x = lo; x < hi; x++) { /* [group][k step][panel][k][MR] */
        int64_t g = x / panels, i = x % panels, m = MIN(MR, c->M - i * MR), plain = 1;
        for (int64_t t = 0; t < c->NT; t++) plain &= c->toff[t] == t;
        plain &= c->wc == c->NT || c->CH == 1;
        for (int64_t k0 = 0; k0 < r->K; k0 += r->kstep) {
            int64_t k = MIN(r->kstep, r->K - k0);
            T *d = r->pa + g * panels * MR * r->K + k0 * panels * MR + i * MR * k;
            const T *w = (const T *)c->w + g * c->wg + i * MR * c->wm;
            if (c->NT == 1) {
                PACK(d, MR, w + k0 * c->wc + c->toff[0], m, c->wm, k, c->wc);
                continue;
            }
            if (plain) {
                PACK(d, MR, w + k0, m, c->wm, k, 1);
                continue;
            }
            for (int64_t p = 0; p < k; p++)
                for (int64_t l = 0; l < MR; l++)
                    d[p * MR + l] = l < m
                                        ? w[l * c->wm + (k0 + p) / c->NT * c->wc + c->toff[(k0 + p) % c->NT]]
                                        : 0;
        }
    }
}
/* Where a stretch of a panel goes: dv apart from `to` on. */
typedef struct {
    int64_t to, at, len;
} NAME(part);
static void NAME(spread)(const taps *c, const NAME(part) * part, int np, T *row, const T *from, int acc) {
    for (int q = 0; q < np; q++) {
        T *d = row + part[q].to;
        const T *s = from + part[q].at;
        int64_t len = part[q].len, dv = c->dv;
        if (dv == 1 && acc)
            for (int64_t e = 0; e < len; e++) d[e] += s[e];
        else if (dv == 1)
            for (int64_t e = 0; e < len; e++) d[e] = s[e];
        else if (acc)
            for (int64_t e = 0; e < len; e++) d[e * dv] += s[e];
        else
            for (int64_t e = 0; e < len; e++) d[e * dv] = s[e];
    }
}
static void NAME(col_task)(void *ctx, int64_t lo, int64_t hi) {
    NAME(run) *r = ctx;
    const taps *c = r->c;
    int64_t panels = ceil_div(c->M, MR), P = c->GH * c->GW, blocks = ceil_div(r->npan, r->per);
    T *pb = fbk_scratch(SLOT_D, (r->kstep * NR + 64) * (int64_t)sizeof(T));
    T tmp[MR * NR];
    if (!pb) {
        __atomic_store_n(&r->rc, FBK_ENOMEM, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t x = lo; x < hi; x++) {
        int64_t b = x % blocks, mi = x / blocks % r->mblk, g = x / blocks / r->mblk;
        int64_t i0 = mi * r->mb, i1 = MIN(i0 + r->mb, panels);
        for (int64_t jp = b * r->per; jp < MIN((b + 1) * r->per, r->npan); jp++) {
            NAME(seg) seg[NR];
            NAME(part) part[NR];
            int64_t j0 = jp * NR, n = MIN(NR, r->cols - j0), img = j0 / P, u = j0 % P / c->GW, v = j0 % c->GW;
            int ns = 0, np = 0, direct = c->dv == 1 && c->du == c->GW && j0 / P == (j0 + n - 1) / P;
            T *d0 = (T *)c->dst + g * c->M * c->dc + img * c->dn + u * c->du + v * c->dv;
            for (int64_t q = 0; q < n;) {
                int64_t len = MIN(n - q, c->GW - v);
                seg[ns++] = (NAME(seg)){(const T *)c->src + img * c->sn + g * c->CH * c->sc, u * c->SH,
                                        v * c->SW, q, len};
                int64_t to = img * c->dn + u * c->du + v * c->dv;
                if (np && part[np - 1].to + part[np - 1].len * c->dv == to) part[np - 1].len += len;
                else part[np++] = (NAME(part)){to, q, len};
                q += len, v = 0;
                if (++u == c->GH) u = 0, img++;
            }
            for (int64_t k0 = 0; k0 < r->K; k0 += r->kstep) {
                int64_t k = MIN(r->kstep, r->K - k0);
                NAME(pack_cols)(c, pb, seg, ns, n, k0, k);
                const T *pa = r->pa + g * panels * MR * r->K + k0 * panels * MR;
                for (int64_t i = i0; i < i1; i++) {
                    int64_t m = MIN(MR, c->M - i * MR);
                    if (direct) {
                        TILE(k, pa + i * MR * k, pb, d0 + i * MR * c->dc, c->dc, m, n, k0 != 0);
                        continue;
                    }
                    TILE(k, pa + i * MR * k, pb, tmp, NR, m, n, 0);
                    for (int64_t l = 0; l < m; l++)
                        NAME(spread)(c, part, np, (T *)c->dst + (g * c->M + i * MR + l) * c->dc, tmp + l * NR, k0 != 0);
                }
            }
            if (!c->bias) continue;
            for (int64_t l = i0 * MR; l < MIN(i1 * MR, c->M); l++) {
                T bias = ((const T *)c->bias)[g * c->M + l], *row = (T *)c->dst + (g * c->M + l) * c->dc;
                for (int q = 0; q < np; q++)
                    for (int64_t e = 0; e < part[q].len; e++) row[part[q].to + e * c->dv] += bias;
            }
        }
    }
}
static int64_t NAME(conv_run)(const taps *c) {
    NAME(run) r = {.c = c, .K = c->CH * c->NT, .cols = c->nimg * c->GH * c->GW};
    int64_t panels = ceil_div(c->M, MR), bytes;
    if (!r.cols || !c->M || !c->groups) return 0;
    r.kstep = ceil_div(r.K, MAX(1, ceil_div(r.K, 256)));
    r.npan = ceil_div(r.cols, NR);
    if (!r.K) { /* no taps reach these positions: bias or zero */
        for (int64_t j = 0; j < r.cols; j++)
            for (int64_t m = 0; m < c->M * c->groups; m++)
                ((T *)c->dst)[m * c->dc + j / (c->GH * c->GW) * c->dn + j / c->GW % c->GH * c->du +
                              j % c->GW * c->dv] = c->bias ? ((const T *)c->bias)[m] : 0;
        return 0;
    }
    bytes = (c->groups * panels * MR * r.K + 64) * (int64_t)sizeof(T);
    if (!(r.pa = fbc_alloc(bytes))) return FBK_ENOMEM;
    fbk_par(c->groups * panels, MAX(1, 32768 / (MR * r.K)), NAME(pack_weights), &r);
    r.mblk = 1, r.mb = panels, r.per = 1;
    while (r.per < 8 && c->groups * ceil_div(r.npan, 2 * r.per) >= 32) r.per *= 2;
    if (c->groups * r.npan < 16 && panels > 32)
        r.mblk = MIN(ceil_div(16, c->groups * r.npan), panels / 16), r.mb = ceil_div(panels, r.mblk);
    fbk_par(c->groups * r.mblk * ceil_div(r.npan, r.per), MAX(1, 500000 / (r.mb * MR * NR * r.K * r.per)),
            NAME(col_task), &r);
    fbc_free(r.pa, bytes);
    return r.rc;
}
