/* Which instruction set is used: our own CPUID reading at load time, FLAMBEAU_CPU_ISA, and a switch for tests. */
#include <stdlib.h>
#include <string.h>
#include "map.h"

int fbc_isa = FBC_BASE;
int fbc_bf16_ok = 0;
static int max_isa = FBC_BASE;
static int has_bf16 = 0;

#ifdef __x86_64__
#include <cpuid.h>
static uint64_t xgetbv0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}
static void detect(void) {
    uint32_t a, b, c, d, b7, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const uint32_t need1 = 1u << 12 /* FMA */ | 1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ | 1u << 29 /* F16C */;
    if ((c & need1) != need1) return;
    uint64_t xcr0 = xgetbv0();
    if ((xcr0 & 0x6) != 0x6) return;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return;
    const uint32_t need2 = 1u << 5 /* AVX2 */ | 1u << 8 /* BMI2 */;
    if ((b7 & need2) != need2) return;
    max_isa = FBC_AVX2;
    const uint32_t need512 = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */;
    if ((xcr0 & 0xe0) != 0xe0 || (b7 & need512) != need512) return;
    max_isa = FBC_AVX512;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) has_bf16 = (a >> 5) & 1;
}
#else
static void detect(void) {}
#endif

int fbc_get_isa(void) { return fbc_isa; }
int fbc_max_isa(void) { return max_isa; }
int fbc_set_isa(int level) {
    if (level < 0 || level > max_isa) return -1;
    fbc_isa = level;
    fbc_bf16_ok = has_bf16 && level == FBC_AVX512;
    fbc_map_fill();
    return 0;
}

__attribute__((constructor)) static void choose(void) {
    static const char *const names[] = {"base", "avx2", "avx512"};
    detect();
    int level = max_isa;
    const char *wanted = getenv("FLAMBEAU_CPU_ISA");
    for (int i = 0; wanted && i <= max_isa; i++)
        if (strcmp(wanted, names[i]) == 0) level = i;
    fbc_set_isa(level);
}
