/* Small helpers of the index kernels: copying elements by size, truth of elements, the first bad index. */
#ifndef FBK_INDEX_H
#define FBK_INDEX_H
#include "k_common.h"

INL void index_bad(int64_t *bad,
                   int64_t pos) { /* keeps the smallest position, whatever the order of the threads */
    int64_t old = __atomic_load_n(bad, __ATOMIC_RELAXED);
    while (pos < old && !__atomic_compare_exchange_n(bad, &old, pos, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
INL void copy_one(char *d, const char *s, int64_t es) {
    switch (es) {
    case 1: *d = *s; break;
    case 2: memcpy(d, s, 2); break;
    case 4: memcpy(d, s, 4); break;
    case 8: memcpy(d, s, 8); break;
    default: memcpy(d, s, 16);
    }
}
static inline void copy_strided(char *d, int64_t ds, const char *s, int64_t ss, int64_t n, int64_t es) {
    for (int64_t i = 0; i < n; i++) copy_one(d + i * ds * es, s + i * ss * es, es);
}
/* n truth values as bytes; f (room for n) is used unless the source will do. */
static inline const uint8_t *flags(uint8_t *f, const char *p, int dt, int64_t n, int64_t st) {
    switch (dt) {
    case DT_BOOL:
    case DT_U8:
    case DT_I8:
        if (st == 1) return (const uint8_t *)p;
        for (int64_t i = 0; i < n; i++) f[i] = p[i * st] != 0;
        break;
    case DT_U16:
    case DT_I16:
        for (int64_t i = 0; i < n; i++) f[i] = ((const int16_t *)p)[i * st] != 0;
        break;
    case DT_F16:
    case DT_BF16:
        for (int64_t i = 0; i < n; i++) f[i] = (((const int16_t *)p)[i * st] & 0x7fff) != 0;
        break;
    case DT_U32:
    case DT_I32:
        for (int64_t i = 0; i < n; i++) f[i] = ((const int32_t *)p)[i * st] != 0;
        break;
    case DT_U64:
    case DT_I64:
        for (int64_t i = 0; i < n; i++) f[i] = ((const int64_t *)p)[i * st] != 0;
        break;
    case DT_F32:
        for (int64_t i = 0; i < n; i++) f[i] = ((const float *)p)[i * st] != 0;
        break;
    case DT_F64:
        for (int64_t i = 0; i < n; i++) f[i] = ((const double *)p)[i * st] != 0;
        break;
    case DT_C64:
        for (int64_t i = 0; i < n; i++)
            f[i] = ((const float *)p)[2 * i * st] != 0 || ((const float *)p)[2 * i * st + 1] != 0;
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            f[i] = ((const double *)p)[2 * i * st] != 0 || ((const double *)p)[2 * i * st + 1] != 0;
    }
    return f;
}
#endif
