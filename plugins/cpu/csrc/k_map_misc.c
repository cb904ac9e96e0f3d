/* Loops of selection, the element's index and the Philox counter-based random bits. */
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#include "map.h"

#define SELECT(size, T)                                             \
    static void where_##size(FBC_ARGS) {                            \
        const uint8_t *A = a;                                       \
        const T *B = b, *C = c;                                     \
        T *D = d;                                                   \
        FBC_LOOP { T y = B[i], z = C[i]; D[i] = A[i] ? y : z; }     \
    }
typedef struct { uint64_t lo, hi; } pair;
SELECT(1, uint8_t)
SELECT(2, uint16_t)
SELECT(4, uint32_t)
SELECT(8, uint64_t)
SELECT(16, pair)

/* a points to the index of the first element */
static void iota(FBC_ARGS) {
    int64_t start = *(const int64_t *)a, *D = d;
    FBC_LOOP { D[i] = start + i; }
}

/* Philox4x32-10. A vector holds one 32-bit word of LANES counters in the low halves of its 64-bit elements; what stands in the high
   halves doesn't matter to mul_32, and is shifted or masked away at the end. */
#if defined(__AVX512F__)
typedef uint64_t words_t __attribute__((vector_size(64)));
FBC_INLINE words_t mul_32(words_t a, words_t b) { return (words_t)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif defined(__AVX2__)
typedef uint64_t words_t __attribute__((vector_size(32)));
FBC_INLINE words_t mul_32(words_t a, words_t b) { return (words_t)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#else
typedef uint64_t words_t __attribute__((vector_size(16)));
#ifdef __SSE2__
FBC_INLINE words_t mul_32(words_t a, words_t b) { return (words_t)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#else
FBC_INLINE words_t mul_32(words_t a, words_t b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
#endif
#endif
enum { LANES = sizeof(words_t) / 8, VECTORS = LANES == 8 ? 4 : 2, BATCH = VECTORS * LANES }; /* vectors whose multiplications overlap */
FBC_INLINE words_t all(uint64_t x) { return x - (words_t){0}; }
/* d[0..]: a[0], b[0], a[1], b[1]... */
FBC_INLINE void interleave(uint32_t *d, words_t a, words_t b) {
#if defined(__AVX512F__)
    const __m512i lo = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), hi = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    _mm512_storeu_si512(d, _mm512_permutex2var_epi64((__m512i)a, lo, (__m512i)b));
    _mm512_storeu_si512(d + 16, _mm512_permutex2var_epi64((__m512i)a, hi, (__m512i)b));
#else
    uint64_t pairs[2 * LANES];
    for (int l = 0; l < LANES; l++) pairs[2 * l] = a[l], pairs[2 * l + 1] = b[l];
    memcpy(d, pairs, sizeof pairs);
#endif
}

/* The four words of counters q .. q + BATCH - 1 */
static void philox(uint64_t q, uint64_t seed, uint64_t stream, uint32_t *out) {
    words_t c0[VECTORS], c1[VECTORS], c2[VECTORS], c3[VECTORS], lane;
    for (int l = 0; l < LANES; l++) lane[l] = (uint64_t)l;
    for (int h = 0; h < VECTORS; h++) {
        words_t counter = lane + (q + (uint64_t)(h * LANES));
        c0[h] = counter, c1[h] = counter >> 32, c2[h] = all(stream), c3[h] = all(stream >> 32);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        _Pragma("GCC unroll 4") for (int h = 0; h < VECTORS; h++) {
            words_t p = mul_32(c0[h], all(0xD2511F53u)), r = mul_32(c2[h], all(0xCD9E8D57u));
            c0[h] = (r >> 32) ^ c1[h] ^ all(k0), c1[h] = r;
            c2[h] = (p >> 32) ^ c3[h] ^ all(k1), c3[h] = p;
        }
    _Pragma("GCC unroll 4") for (int h = 0; h < VECTORS; h++)
        interleave(out + 4 * LANES * h, (c0[h] & 0xffffffffu) | c1[h] << 32, (c2[h] & 0xffffffffu) | c3[h] << 32);
}
/* Words start .. start+n-1 of the stream; element i of 32 bits is word i, of 64 bits words 2i (low) and 2i+1. */
static void words(uint64_t start, uint64_t n, uint32_t *d, uint64_t seed, uint64_t stream) {
    uint32_t block[4 * BATCH];
    while (n) {
        uint64_t skip = start % 4, m = 4 * BATCH - skip < n ? 4 * BATCH - skip : n;
        if (m == 4 * BATCH) philox(start / 4, seed, stream, d);
        else {
            philox(start / 4, seed, stream, block);
            memcpy(d, block + skip, m * 4);
        }
        d += m, start += m, n -= m;
    }
}
/* a: index of the first element, b: seed, c: stream */
static void philox32(FBC_ARGS) { words((uint64_t)*(const int64_t *)a, (uint64_t)n, d, *(const uint64_t *)b, *(const uint64_t *)c); }
static void philox64(FBC_ARGS) {
    words(2 * (uint64_t)*(const int64_t *)a, 2 * (uint64_t)n, d, *(const uint64_t *)b, *(const uint64_t *)c);
}

FBC_KERNEL(void, fbc_map_misc, (fbc_map_row *t), (t)) {
    for (int k = 0; k < FBC_DTYPES; k++) {
        int size = fbc_itemsize(k);
        FBC_SET(where, k, size == 1 ? where_1 : size == 2 ? where_2 : size == 4 ? where_4 : size == 8 ? where_8 : where_16);
    }
    FBC_SET(iota, FBC_I64, iota);
    FBC_SET(philox32, FBC_U64, philox32);
    FBC_SET(philox64, FBC_U64, philox64);
}
