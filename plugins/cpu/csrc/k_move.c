/* Moving elements between layouts: rows, fills, transposes, copies past the caches. */
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#include "program.h"

typedef struct { uint64_t lo, hi; } pair;

#define FILL(size, T)                                                \
    FBC_INLINE void fill_##size(T *d, T v, int64_t n) {              \
        for (int64_t i = 0; i < n; i++) d[i] = v;                    \
    }
FILL(1, uint8_t)
FILL(2, uint16_t)
FILL(4, uint32_t)
FILL(8, uint64_t)
FILL(16, pair)

FBC_KERNEL(void, fbc_fill, (int isize, void *dst, const void *value, int64_t n), (isize, dst, value, n)) {
    switch (isize) {
    case 1: memset(dst, *(const uint8_t *)value, (size_t)n); return;
    case 2: fill_2(dst, *(const uint16_t *)value, n); return;
    case 4: fill_4(dst, *(const uint32_t *)value, n); return;
    case 8: fill_8(dst, *(const uint64_t *)value, n); return;
    default: fill_16(dst, *(const pair *)value, n); return;
    }
}

#ifdef __AVX2__
/* 8 x 8 four-byte elements: d rows are s columns */
FBC_INLINE void transpose8x8(const uint32_t *s, int64_t ss, uint32_t *d, int64_t ds) {
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps((const float *)(s + i * ss));
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(d + i * ds), _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps((float *)(d + (i + 4) * ds), _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
#endif

#ifdef __AVX512F__
/* 16 x 16: whole lines are read and written, so that rows which fall on the same lines of the cache don't matter. */
FBC_INLINE void transpose16x16(const uint32_t *s, int64_t ss, uint32_t *d, int64_t ds) {
    __m512i r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(s + i * ss);
    for (int i = 0; i < 16; i += 2) t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]), t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            r[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
            r[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    for (int i = 0; i < 4; i++) { /* r[4 g + i]: in each quarter q, column 4 q + i of rows 4 g .. 4 g + 3 */
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88), t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88), t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(d + i * ds, _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88));
        _mm512_storeu_si512(d + (8 + i) * ds, _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd));
        _mm512_storeu_si512(d + (4 + i) * ds, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88));
        _mm512_storeu_si512(d + (12 + i) * ds, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd));
    }
}
#endif

/* d[r*drs + c] = s[c*scs + r]: both are walked along their dense dims in small blocks */
#define TRANSPOSE(size, T)                                                                                    \
    static void transpose_##size(T *d, int64_t drs, const T *s, int64_t scs, int64_t rows, int64_t cols) {    \
        for (int64_t r0 = 0; r0 < rows; r0 += 16)                                                             \
            for (int64_t c0 = 0; c0 < cols; c0 += 16) {                                                       \
                int64_t r1 = r0 + 16 < rows ? r0 + 16 : rows, c1 = c0 + 16 < cols ? c0 + 16 : cols;           \
                for (int64_t r = r0; r < r1; r++)                                                             \
                    for (int64_t c = c0; c < c1; c++) d[r * drs + c] = s[c * scs + r];                        \
            }                                                                                                 \
    }
TRANSPOSE(1, uint8_t)
TRANSPOSE(2, uint16_t)
TRANSPOSE(8, uint64_t)
TRANSPOSE(16, pair)
static void transpose_4(uint32_t *d, int64_t drs, const uint32_t *s, int64_t scs, int64_t rows, int64_t cols) {
    int64_t r = 0;
#ifdef __AVX512F__
    if (cols >= 16)
        for (; r + 16 <= rows; r += 16) {
            int64_t c = 0;
            for (; c + 16 <= cols; c += 16) transpose16x16(s + c * scs + r, scs, d + r * drs + c, drs);
            for (; c < cols; c++)
                for (int64_t k = r; k < r + 16; k++) d[k * drs + c] = s[c * scs + k];
        }
#endif
#ifdef __AVX2__
    for (; r + 8 <= rows; r += 8) { /* whole lines are written; the other order of the loops was half as fast */
        int64_t c = 0;
        for (; c + 8 <= cols; c += 8) transpose8x8(s + c * scs + r, scs, d + r * drs + c, drs);
        for (; c < cols; c++)
            for (int64_t k = r; k < r + 8; k++) d[k * drs + c] = s[c * scs + k];
    }
#endif
    for (; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) d[r * drs + c] = s[c * scs + r];
}

/* d[c] = s[c * k] for the small k that are known beforehand: whole vectors are read and shuffled */
#define APART(size, T)                                                                    \
    FBC_INLINE int apart_##size(T *d, const T *s, int64_t k, int64_t cols) {              \
        if (k == 2) for (int64_t c = 0; c < cols; c++) d[c] = s[c * 2];                   \
        else if (k == 3) for (int64_t c = 0; c < cols; c++) d[c] = s[c * 3];              \
        else if (k == 4) for (int64_t c = 0; c < cols; c++) d[c] = s[c * 4];              \
        else return 0;                                                                    \
        return 1;                                                                         \
    }
APART(1, uint8_t)
APART(2, uint16_t)
APART(4, uint32_t)
APART(8, uint64_t)
APART(16, pair)

/* d[c] = s[-c] */
#define BACK(size, T)                                                                     \
    FBC_INLINE void back_##size(T *d, const T *s, int64_t cols) {                         \
        for (int64_t c = 0; c < cols; c++) d[c] = s[-c];                                  \
    }
BACK(1, uint8_t)
BACK(2, uint16_t)
BACK(8, uint64_t)
BACK(16, pair)
FBC_INLINE void back_4(uint32_t *d, const uint32_t *s, int64_t cols) {
    int64_t c = 0;
#if defined(__AVX512F__)
    const __m512i last = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (; c + 16 <= cols; c += 16)
        _mm512_storeu_si512(d + c, _mm512_permutexvar_epi32(last, _mm512_loadu_si512(s - c - 15)));
#elif defined(__AVX2__)
    const __m256i last = _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (; c + 8 <= cols; c += 8)
        _mm256_storeu_si256((__m256i *)(d + c), _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)(s - c - 7)), last));
#endif
    for (; c < cols; c++) d[c] = s[-c];
}

#define MOVE(size, T)                                                                                                     \
    static void move_##size(T *d, int64_t drs, int64_t dcs, const T *s, int64_t srs, int64_t scs, int64_t rows, int64_t cols) { \
        if (dcs == 1 && scs == 0) {                                                                                       \
            for (int64_t r = 0; r < rows; r++) fill_##size(d + r * drs, s[r * srs], cols);                                \
        } else if (dcs == 1 && scs == 1) {                                                                                \
            if (cols * size >= 64)                                                                                        \
                for (int64_t r = 0; r < rows; r++) memcpy(d + r * drs, s + r * srs, (size_t)cols * size);                 \
            else                                                                                                          \
                for (int64_t r = 0; r < rows; r++)                                                                        \
                    for (int64_t c = 0; c < cols; c++) d[r * drs + c] = s[r * srs + c];                                   \
        } else if (dcs == 1 && scs == -1) {                                                                               \
            for (int64_t r = 0; r < rows; r++) back_##size(d + r * drs, s + r * srs, cols);                               \
        } else if (dcs == 1 && srs == 1 && rows >= 8 && cols >= 8) {                                                      \
            transpose_##size(d, drs, s, scs, rows, cols);                                                                 \
        } else if (drs == 1 && scs == 1 && rows >= 8 && cols >= 8) { /* the same, seen from the other side */             \
            transpose_##size(d, dcs, s, srs, cols, rows);                                                                 \
        } else if (dcs == 1) {                                                                                            \
            for (int64_t r = 0; r < rows; r++)                                                                            \
                if (!apart_##size(d + r * drs, s + r * srs, scs, cols))                                                   \
                for (int64_t c = 0; c < cols; c++) d[r * drs + c] = s[r * srs + c * scs];                                 \
        } else                                                                                                            \
            for (int64_t r = 0; r < rows; r++)                                                                            \
                for (int64_t c = 0; c < cols; c++) d[r * drs + c * dcs] = s[r * srs + c * scs];                           \
    }
MOVE(1, uint8_t)
MOVE(2, uint16_t)
MOVE(4, uint32_t)
MOVE(8, uint64_t)
MOVE(16, pair)

FBC_KERNEL(void, fbc_move2,
           (int isize, char *dst, int64_t drs, int64_t dcs, const char *src, int64_t srs, int64_t scs, int64_t rows, int64_t cols),
           (isize, dst, drs, dcs, src, srs, scs, rows, cols)) {
    switch (isize) {
    case 1: move_1((void *)dst, drs, dcs, (const void *)src, srs, scs, rows, cols); return;
    case 2: move_2((void *)dst, drs, dcs, (const void *)src, srs, scs, rows, cols); return;
    case 4: move_4((void *)dst, drs, dcs, (const void *)src, srs, scs, rows, cols); return;
    case 8: move_8((void *)dst, drs, dcs, (const void *)src, srs, scs, rows, cols); return;
    default: move_16((void *)dst, drs, dcs, (const void *)src, srs, scs, rows, cols); return;
    }
}

FBC_INLINE void stream(char *d, const char *s, int64_t nbytes) {
#ifdef __SSE2__
    int64_t head = (int64_t)(-(uintptr_t)d & 63);
    if (head >= nbytes) head = nbytes;
    memcpy(d, s, (size_t)head);
    d += head, s += head, nbytes -= head;
    for (; nbytes >= 64; d += 64, s += 64, nbytes -= 64) {
#if defined(__AVX512F__)
        _mm512_stream_si512((void *)d, _mm512_loadu_si512(s));
#elif defined(__AVX2__)
        _mm256_stream_si256((__m256i *)d, _mm256_loadu_si256((const __m256i *)s));
        _mm256_stream_si256((__m256i *)d + 1, _mm256_loadu_si256((const __m256i *)s + 1));
#else
        for (int k = 0; k < 4; k++) _mm_stream_si128((__m128i *)d + k, _mm_loadu_si128((const __m128i *)s + k));
#endif
    }
#endif
    memcpy(d, s, (size_t)nbytes);
}
FBC_KERNEL(void, fbc_stream, (void *dst, int64_t step, const void *src, int64_t rows, int64_t nbytes), (dst, step, src, rows, nbytes)) {
    for (int64_t r = 0; r < rows; r++) stream((char *)dst + r * step, (const char *)src + r * nbytes, nbytes);
}
