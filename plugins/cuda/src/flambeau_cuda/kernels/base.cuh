// Types, conversions and the opcodes of elementwise programs; included by every kernel.
//
// The same text is compiled by NVRTC for a GPU and, with HOST_SIM, by the host's C++ compiler (see sim.h). What the
// opcodes compute is written in docs/programs.md of the project.
#pragma once

#ifdef HOST_SIM
#include "sim.h"
#define FB_DEV static inline
#define FB_MATH(name) __builtin_##name
#else
#define FB_DEV __device__ __forceinline__
#define FB_DEV_MEMBER __device__ __forceinline__
#define FB_UNION_INIT(U) __device__ __forceinline__ U() {}
#define FB_MATH(name) name
#define SHARED(T, name, n)                                                                                             \
    __shared__ alignas(16) char name##_room[sizeof(T) * (n)];                                                          \
    T *name = (T *)name##_room
#define DYN_SHARED(T, name)                                                                                            \
    extern __shared__ __align__(16) char fb_dyn_room[];                                                                  \
    T *name = (T *)fb_dyn_room
#define FB_KERNEL(name, P, fn, threads)                                                                                \
    extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ P p) { fn(p); }
#define FB_KERNEL_SYNC(name, P, fn, threads) FB_KERNEL(name, P, fn, threads)
#endif

typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
typedef bool b8;

struct alignas(2) f16 { u16 bits; };
struct alignas(2) bf16 { u16 bits; };
template <class R> struct alignas(2 * sizeof(R)) cpx { R re, im; };
typedef cpx<f32> c64;
typedef cpx<f64> c128;

template <class T, int N> struct alignas(sizeof(T) * N) vec { T v[N]; };

// ---- kinds of types

template <class T> struct kind { static const bool flt = false, cplx = false, sgn = false; typedef T real; };
template <> struct kind<f32> { static const bool flt = true, cplx = false, sgn = true; typedef f32 real; };
template <> struct kind<f64> { static const bool flt = true, cplx = false, sgn = true; typedef f64 real; };
template <> struct kind<c64> { static const bool flt = false, cplx = true, sgn = true; typedef f32 real; };
template <> struct kind<c128> { static const bool flt = false, cplx = true, sgn = true; typedef f64 real; };
template <> struct kind<i8> { static const bool flt = false, cplx = false, sgn = true; typedef i8 real; };
template <> struct kind<i16> { static const bool flt = false, cplx = false, sgn = true; typedef i16 real; };
template <> struct kind<i32> { static const bool flt = false, cplx = false, sgn = true; typedef i32 real; };
template <> struct kind<i64> { static const bool flt = false, cplx = false, sgn = true; typedef i64 real; };

template <int N> struct word;
template <> struct word<1> { typedef u8 t; };
template <> struct word<2> { typedef u16 t; };
template <> struct word<4> { typedef u32 t; };
template <> struct word<8> { typedef u64 t; };
template <class T> using uns = typename word<sizeof(T)>::t;

template <class A, class B> struct same { static const bool v = false; };
template <class A> struct same<A, A> { static const bool v = true; };

template <class To, class From> FB_DEV To bits_as(From x) {
    union U { From a; To b; FB_UNION_INIT(U) } u;
    u.a = x;
    return u.b;
}

// ---- 16-bit floats

FB_DEV f32 wide(f16 h) {
#ifdef HOST_SIM
    u32 sign = (u32)(h.bits & 0x8000) << 16, body = h.bits & 0x7fff;
    if (body >= 0x7c00) return bits_as<f32>(sign | 0x7f800000u | (body & 0x3ff) << 13);
    f32 size = body < 0x400 ? (f32)body * 0x1p-24f : bits_as<f32>((body << 13) + (112u << 23));
    return bits_as<f32>(bits_as<u32>(size) | sign);
#else
    f32 f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
#endif
}
FB_DEV f32 wide(bf16 h) { return bits_as<f32>((u32)h.bits << 16); }

FB_DEV f16 to_f16(f32 x) {
    f16 h;
#ifdef HOST_SIM
    u32 b = bits_as<u32>(x), sign = b >> 16 & 0x8000;
    b &= 0x7fffffff;
    if (b > 0x7f800000) h.bits = (u16)(sign | 0x7e00);
    else if (b >= 0x47800000) h.bits = (u16)(sign | 0x7c00);
    else if (b < 0x38800000) { // subnormal: the sum rounds at 2^-24
        f32 sum = bits_as<f32>(b) + 0.5f;
        h.bits = (u16)(sign | (bits_as<u32>(sum) - 0x3f000000));
    } else h.bits = (u16)(sign | (b + 0xfff + (b >> 13 & 1) - (112u << 23)) >> 13);
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
#endif
    return h;
}
FB_DEV bf16 to_bf16(f32 x) {
    bf16 h;
#if !defined(HOST_SIM) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
#else
    u32 b = bits_as<u32>(x);
    h.bits = x != x ? (u16)((b >> 16 & 0x8000) | 0x7fc0) : (u16)((b + 0x7fff + (b >> 16 & 1)) >> 16);
#endif
    return h;
}

// ---- casts

template <class R> FB_DEV i64 whole_in(R x, R limit) {
    return x >= -limit && x < limit ? (i64)x : (i64)-limit;
}
template <class T, class R> FB_DEV T float_to_int(R x) {
    // As x86 converts: through int32 or int64, whose lowest number stands for what they can't hold.
    if (same<T, u64>::v) {
        bool high = x >= (R)0x1p63;
        i64 w = whole_in(high ? x - (R)0x1p63 : x, (R)0x1p63);
        return (T)((u64)w ^ (u64)high << 63);
    }
    if (sizeof(T) == 8 || same<T, u32>::v) return (T)whole_in(x, (R)0x1p63);
    return (T)whole_in(x, (R)0x1p31);
}

template <class To, class From> struct caster {
    static FB_DEV_MEMBER To go(From x) { return (To)x; }
};
template <class R, class From> struct caster<cpx<R>, From> {
    static FB_DEV_MEMBER cpx<R> go(From x) { return {(R)x, (R)0}; }
};
template <class To, class R> struct caster<To, cpx<R>> {
    static FB_DEV_MEMBER To go(cpx<R> x) { return caster<To, R>::go(x.re); }
};
template <class R, class Q> struct caster<cpx<R>, cpx<Q>> {
    static FB_DEV_MEMBER cpx<R> go(cpx<Q> x) { return {(R)x.re, (R)x.im}; }
};
template <class R> struct caster<bool, cpx<R>> {
    static FB_DEV_MEMBER bool go(cpx<R> x) { return x.re != 0 || x.im != 0; }
};
#define FB_FLOAT_TO_INT(F, T)                                                                                          \
    template <> struct caster<T, F> {                                                                                  \
        static FB_DEV_MEMBER T go(F x) { return float_to_int<T, F>(x); }                                               \
    };
#define FB_FLOAT_TO_INTS(F)                                                                                            \
    FB_FLOAT_TO_INT(F, i8) FB_FLOAT_TO_INT(F, i16) FB_FLOAT_TO_INT(F, i32) FB_FLOAT_TO_INT(F, i64)                     \
    FB_FLOAT_TO_INT(F, u8) FB_FLOAT_TO_INT(F, u16) FB_FLOAT_TO_INT(F, u32) FB_FLOAT_TO_INT(F, u64)
FB_FLOAT_TO_INTS(f32)
FB_FLOAT_TO_INTS(f64)

template <class To, class From> FB_DEV To cast(From x) {
    if constexpr (same<To, From>::v) return x;
    else if constexpr (same<From, f16>::v || same<From, bf16>::v) return cast<To>(wide(x));
    else if constexpr (same<To, f16>::v) return to_f16(cast<f32>(x));
    else if constexpr (same<To, bf16>::v) return to_bf16(cast<f32>(x));
    else return caster<To, From>::go(x);
}

// ---- functions of the compiler's library, for both floats

#define FB_FN1(name)                                                                                                   \
    FB_DEV f32 m_##name(f32 x) { return FB_MATH(name##f)(x); }                                                         \
    FB_DEV f64 m_##name(f64 x) { return FB_MATH(name)(x); }
#define FB_FN2(name)                                                                                                   \
    FB_DEV f32 m_##name(f32 x, f32 y) { return FB_MATH(name##f)(x, y); }                                               \
    FB_DEV f64 m_##name(f64 x, f64 y) { return FB_MATH(name)(x, y); }
FB_FN1(exp) FB_FN1(exp2) FB_FN1(expm1) FB_FN1(log) FB_FN1(log2) FB_FN1(log10) FB_FN1(log1p) FB_FN1(sqrt)
FB_FN1(sin) FB_FN1(cos) FB_FN1(tan) FB_FN1(asin) FB_FN1(acos) FB_FN1(atan) FB_FN1(sinh) FB_FN1(cosh) FB_FN1(tanh)
FB_FN1(asinh) FB_FN1(acosh) FB_FN1(atanh) FB_FN1(erf) FB_FN1(erfc) FB_FN1(lgamma)
FB_FN1(floor) FB_FN1(ceil) FB_FN1(rint) FB_FN1(trunc) FB_FN1(fabs)
FB_FN2(pow) FB_FN2(fmod) FB_FN2(atan2) FB_FN2(hypot) FB_FN2(copysign) FB_FN2(nextafter)

template <class R> FB_DEV bool is_nan(R x) { return x != x; }
FB_DEV bool nan_of(c64 z) { return z.re != z.re || z.im != z.im; }
FB_DEV bool nan_of(c128 z) { return z.re != z.re || z.im != z.im; }
template <class T> FB_DEV bool nan_of(T x) {
    if constexpr (kind<T>::flt) return x != x;
    else return false;
}
template <class R> FB_DEV R infinity() { return (R)bits_as<f32>(0x7f800000u); }
template <class R> FB_DEV R not_a_number() { return (R)bits_as<f32>(0x7fc00000u); }

// ---- complex arithmetic

template <class R> FB_DEV cpx<R> operator+(cpx<R> a, cpx<R> b) { return {a.re + b.re, a.im + b.im}; }
template <class R> FB_DEV cpx<R> operator-(cpx<R> a, cpx<R> b) { return {a.re - b.re, a.im - b.im}; }
template <class R> FB_DEV cpx<R> operator*(cpx<R> a, cpx<R> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
template <class R> FB_DEV cpx<R> operator/(cpx<R> a, cpx<R> b) { // Smith's algorithm
    if (m_fabs(b.re) >= m_fabs(b.im)) {
        if (b.re == 0 && b.im == 0) return {a.re / m_fabs(b.re), a.im / m_fabs(b.re)};
        R q = b.im / b.re, s = (R)1 / (b.re + b.im * q);
        return {(a.re + a.im * q) * s, (a.im - a.re * q) * s};
    }
    R q = b.re / b.im, s = (R)1 / (b.im + b.re * q);
    return {(a.re * q + a.im) * s, (a.im * q - a.re) * s};
}
template <class R> FB_DEV bool operator==(cpx<R> a, cpx<R> b) { return a.re == b.re && a.im == b.im; }
template <class R> FB_DEV bool operator!=(cpx<R> a, cpx<R> b) { return !(a == b); }

// Functions of complex numbers are computed in double precision. Branch cuts: W. Kahan, "Branch cuts for complex
// elementary functions", 1987.
FB_DEV c128 z_times_i(c128 z) { return {-z.im, z.re}; }
FB_DEV c128 z_over_i(c128 z) { return {z.im, -z.re}; }
FB_DEV c128 z_exp(c128 z) {
    f64 e = m_exp(z.re);
    return {e * m_cos(z.im), z.im == 0 ? z.im : e * m_sin(z.im)};
}
FB_DEV c128 z_log(c128 z) {
    f64 big = m_fabs(z.re), small = m_fabs(z.im), t;
    if (big < small) { t = big; big = small; small = t; }
    f64 size = big > 0.5 && big < 2 ? 0.5 * m_log1p((big - 1) * (big + 1) + small * small) : m_log(m_hypot(z.re, z.im));
    return {size, m_atan2(z.im, z.re)};
}
FB_DEV c128 z_log1p(c128 z) {
    bool near = m_hypot(z.re, z.im) < 0.5;
    f64 square = near ? z.re * (2 + z.re) + z.im * z.im : 0;
    return {near ? 0.5 * m_log1p(square) : m_log(m_hypot(1 + z.re, z.im)), m_atan2(z.im, 1 + z.re)};
}
FB_DEV c128 z_sqrt(c128 z) {
    if (z.re == 0 && z.im == 0) return {0, z.im};
    if (m_fabs(z.im) == infinity<f64>()) return {m_fabs(z.im), z.im};
    if (m_fabs(z.re) == infinity<f64>())
        return z.re > 0 ? c128{z.re, z.im * 0} : c128{is_nan(z.im) ? z.im : 0, m_copysign(m_fabs(z.re), z.im)};
    f64 t = m_sqrt(0.5 * (m_hypot(z.re, z.im) + m_fabs(z.re)));
    if (z.re >= 0) return {t, z.im / (2 * t)};
    return {m_fabs(z.im) / (2 * t), m_copysign(t, z.im)};
}
FB_DEV c128 z_sinh(c128 z) { return {m_sinh(z.re) * m_cos(z.im), m_cosh(z.re) * m_sin(z.im)}; }
FB_DEV c128 z_cosh(c128 z) { return {m_cosh(z.re) * m_cos(z.im), m_sinh(z.re) * m_sin(z.im)}; }
FB_DEV c128 z_tanh(c128 z) {
    if (m_fabs(z.re) > 20) return {m_copysign(1.0, z.re), 4 * m_sin(z.im) * m_cos(z.im) * m_exp(-2 * m_fabs(z.re))};
    f64 t = m_tan(z.im), beta = 1 + t * t, s = m_sinh(z.re), rho = m_sqrt(1 + s * s);
    if (m_fabs(t) == infinity<f64>()) return {rho / s, 1 / t};
    f64 d = 1 + beta * s * s;
    return {beta * rho * s / d, t / d};
}
FB_DEV c128 z_asin(c128 z) {
    c128 a = z_sqrt({1 - z.re, -z.im}), b = z_sqrt({1 + z.re, z.im});
    return {m_atan2(z.re, (a * b).re), m_asinh((c128{a.re, -a.im} * b).im)};
}
FB_DEV c128 z_acos(c128 z) {
    c128 a = z_sqrt({1 - z.re, -z.im}), b = z_sqrt({1 + z.re, z.im});
    return {2 * m_atan2(a.re, b.re), m_asinh((c128{b.re, -b.im} * a).im)};
}
FB_DEV c128 z_acosh(c128 z) {
    c128 a = z_sqrt({z.re - 1, z.im}), b = z_sqrt({z.re + 1, z.im});
    return {m_asinh((c128{a.re, -a.im} * b).re), 2 * m_atan2(a.im, b.re)};
}
FB_DEV c128 z_atanh(c128 z) {
    f64 x = z.re, y = z.im, near = (1 - x) * (1 - x) + y * y;
    f64 size = m_fabs(x) < 1e150 && m_fabs(y) < 1e150 ? 0.25 * m_log1p(4 * x / near) : 0;
    f64 turn = 0.5 * m_atan2(2 * y, (1 - x) * (1 + x) - y * y);
    if (y == 0 && m_fabs(x) > 1) turn = m_copysign(1.5707963267948966, y);
    return {size, turn};
}
FB_DEV c128 z_sin(c128 z) { return z_over_i(z_sinh(z_times_i(z))); }
FB_DEV c128 z_cos(c128 z) { return z_cosh(z_times_i(z)); }
FB_DEV c128 z_tan(c128 z) { return z_over_i(z_tanh(z_times_i(z))); }
FB_DEV c128 z_asinh(c128 z) { return z_over_i(z_asin(z_times_i(z))); }
FB_DEV c128 z_atan(c128 z) { return z_over_i(z_atanh(z_times_i(z))); }
FB_DEV c128 z_expm1(c128 z) {
    f64 h = m_sin(0.5 * z.im), e = m_expm1(z.re);
    return {e * m_cos(z.im) - 2 * h * h, (e + 1) * m_sin(z.im)};
}
FB_DEV c128 z_exp2(c128 z) { return z_exp({z.re * 0.6931471805599453, z.im * 0.6931471805599453}); }
FB_DEV c128 z_log2(c128 z) { c128 l = z_log(z); return {l.re * 1.4426950408889634, l.im * 1.4426950408889634}; }
FB_DEV c128 z_log10(c128 z) { c128 l = z_log(z); return {l.re * 0.4342944819032518, l.im * 0.4342944819032518}; }
FB_DEV c128 z_rsqrt(c128 z) { return c128{1, 0} / z_sqrt(z); }
FB_DEV c128 z_sigmoid(c128 z) {
    if (z.re >= 0) return c128{1, 0} / (c128{1, 0} + z_exp({-z.re, -z.im}));
    c128 e = z_exp(z);
    return e / (c128{1, 0} + e);
}
FB_DEV c128 z_pow(c128 a, c128 b) {
    if (b.re == 0 && b.im == 0) return {1, 0};
    if (a.re == 0 && a.im == 0) {
        if (b.re > 0 && b.im == 0) return {0, 0};
        return {not_a_number<f64>(), not_a_number<f64>()};
    }
    if (b.im == 0 && b.re == m_rint(b.re) && m_fabs(b.re) < 100) {
        i32 n = (i32)m_fabs(b.re);
        c128 r = {1, 0}, p = a;
        for (; n; n >>= 1) {
            if (n & 1) r = r * p;
            p = p * p;
        }
        return b.re < 0 ? c128{1, 0} / r : r;
    }
    return z_exp(b * z_log(a));
}

// ---- opcodes

template <class T> FB_DEV T op_add(T a, T b) {
    if constexpr (kind<T>::flt || kind<T>::cplx) return a + b;
    else if constexpr (same<T, bool>::v) return a || b;
    else return (T)(uns<T>)((uns<T>)a + (uns<T>)b);
}
template <class T> FB_DEV T op_sub(T a, T b) {
    if constexpr (kind<T>::flt || kind<T>::cplx) return a - b;
    else if constexpr (same<T, bool>::v) return a != b;
    else return (T)(uns<T>)((uns<T>)a - (uns<T>)b);
}
template <class T> FB_DEV T op_mul(T a, T b) {
    if constexpr (kind<T>::flt || kind<T>::cplx) return a * b;
    else if constexpr (same<T, bool>::v) return a && b;
    else return (T)(uns<T>)((u64)(uns<T>)a * (u64)(uns<T>)b);
}
template <class T> FB_DEV T op_div(T a, T b) { return a / b; }
template <class T> FB_DEV T op_fmod(T a, T b) {
    if constexpr (kind<T>::flt) return m_fmod(a, b);
    else if constexpr (kind<T>::sgn) return b == 0 || b == (T)-1 ? (T)0 : (T)(a % b);
    else return b == 0 ? (T)0 : (T)(a % b);
}
template <class T> FB_DEV T op_rem(T a, T b) {
    T m = op_fmod(a, b);
    if constexpr (kind<T>::flt) {
        if (m != 0) return (b < 0) != (m < 0) ? m + b : m;
        return b == 0 ? m : m_copysign((T)0, b);
    } else if constexpr (kind<T>::sgn) return m != 0 && (b < 0) != (m < 0) ? (T)(m + b) : m;
    else return m;
}
template <class T> FB_DEV T op_floordiv(T a, T b) {
    if constexpr (kind<T>::flt) {
        if (b == 0) return a / b;
        T m = m_fmod(a, b), d = (a - m) / b;
        if (m != 0 && (b < 0) != (m < 0)) d -= 1;
        if (d == 0) return m_copysign((T)0, a / b);
        T f = m_floor(d);
        return d - f > (T)0.5 ? f + 1 : f;
    } else if constexpr (kind<T>::sgn) {
        if (b == 0) return 0;
        if (b == (T)-1) return (T)(uns<T>)((uns<T>)0 - (uns<T>)a);
        return (T)(a / b - ((a % b != 0) && ((a < 0) != (b < 0))));
    } else return b == 0 ? (T)0 : (T)(a / b);
}
template <class T> FB_DEV T op_pow(T a, T b) {
    if constexpr (kind<T>::flt) return m_pow(a, b);
    else if constexpr (kind<T>::cplx) return cast<T>(z_pow(cast<c128>(a), cast<c128>(b)));
    else {
        if constexpr (kind<T>::sgn)
            if (b < 0) return a == 1 ? (T)1 : a == (T)-1 ? (T)(b & 1 ? -1 : 1) : (T)0;
        T r = 1;
        for (uns<T> n = (uns<T>)b; n; n >>= 1) {
            if (n & 1) r = op_mul(r, a);
            a = op_mul(a, a);
        }
        return r;
    }
}
template <class T> FB_DEV T op_neg(T a) {
    if constexpr (kind<T>::cplx) return {-a.re, -a.im};
    else if constexpr (kind<T>::flt) return -a;
    else return op_sub((T)0, a);
}
template <class T> FB_DEV typename kind<T>::real op_abs(T a) {
    if constexpr (kind<T>::cplx) return m_hypot(a.re, a.im);
    else if constexpr (kind<T>::flt) return m_fabs(a);
    else if constexpr (kind<T>::sgn) return a < 0 ? op_neg(a) : a;
    else return a;
}
template <class T> FB_DEV T op_sign(T a) {
    if constexpr (kind<T>::flt) return a > 0 ? (T)1 : a < 0 ? (T)-1 : a == 0 ? (T)0 : a;
    else if constexpr (kind<T>::sgn) return (T)((a > 0) - (a < 0));
    else return (T)(a != 0);
}
template <class T> FB_DEV T op_maximum(T a, T b) { return nan_of(a) || a > b ? a : b; }
template <class T> FB_DEV T op_minimum(T a, T b) { return nan_of(a) || a < b ? a : b; }
template <class T> FB_DEV T op_fmax(T a, T b) { return nan_of(b) || a > b ? a : b; }
template <class T> FB_DEV T op_fmin(T a, T b) { return nan_of(b) || a < b ? a : b; }

#define FB_OP1(name)                                                                                                   \
    template <class T> FB_DEV T op_##name(T x) {                                                                       \
        if constexpr (kind<T>::cplx) return cast<T>(z_##name(cast<c128>(x)));                                          \
        else return m_##name(x);                                                                                       \
    }
FB_DEV f32 m_rsqrt(f32 x) {
#ifdef HOST_SIM
    return (f32)(1.0 / __builtin_sqrt((f64)x));
#else
    return rsqrtf(x);
#endif
}
FB_DEV f64 m_rsqrt(f64 x) { return 1.0 / m_sqrt(x); }
FB_DEV f32 m_sigmoid(f32 x) { return 1.0f / (1.0f + m_exp(-x)); }
FB_DEV f64 m_sigmoid(f64 x) { return 1.0 / (1.0 + m_exp(-x)); }
FB_OP1(exp) FB_OP1(exp2) FB_OP1(expm1) FB_OP1(log) FB_OP1(log2) FB_OP1(log10) FB_OP1(log1p) FB_OP1(sqrt) FB_OP1(rsqrt)
FB_OP1(sin) FB_OP1(cos) FB_OP1(tan) FB_OP1(asin) FB_OP1(acos) FB_OP1(atan) FB_OP1(sinh) FB_OP1(cosh) FB_OP1(tanh)
FB_OP1(asinh) FB_OP1(acosh) FB_OP1(atanh) FB_OP1(sigmoid)
#define FB_REAL1(name, fn)                                                                                             \
    template <class T> FB_DEV T op_##name(T x) { return fn(x); }
FB_REAL1(erf, m_erf) FB_REAL1(erfc, m_erfc) FB_REAL1(lgamma, m_lgamma)
#define FB_WHOLE1(name, fn)                                                                                            \
    template <class T> FB_DEV T op_##name(T x) {                                                                       \
        if constexpr (kind<T>::flt) return fn(x);                                                                      \
        else return x;                                                                                                 \
    }
FB_WHOLE1(floor, m_floor) FB_WHOLE1(ceil, m_ceil) FB_WHOLE1(round, m_rint) FB_WHOLE1(trunc, m_trunc)
template <class T> FB_DEV T op_atan2(T a, T b) { return m_atan2(a, b); }
template <class T> FB_DEV T op_hypot(T a, T b) { return m_hypot(a, b); }
template <class T> FB_DEV T op_copysign(T a, T b) { return m_copysign(a, b); }
template <class T> FB_DEV T op_nextafter(T a, T b) { return m_nextafter(a, b); }

// The inverse of erf: Winitzki's approximation (2e-3), made exact by three steps of Halley's method.
FB_DEV f64 erfinv64(f64 x) {
    f64 p = m_fabs(x);
    if (p == 1) return m_copysign(infinity<f64>(), x);
    if (!(p < 1)) return not_a_number<f64>();
    f64 log = m_log1p(-p * p), half = 4.330746750799873 + 0.5 * log; // 2 / (pi * 0.147)
    f64 y = m_sqrt(m_sqrt(half * half - log / 0.147) - half);
    for (int k = 0; k < 3; k++) {
        f64 miss = p > 0.5 ? (1 - p) - m_erfc(y) : m_erf(y) - p;
        f64 step = miss * 0.8862269254527580 * m_exp(y * y);
        y -= step / (1 + y * step);
    }
    return m_copysign(y, x);
}
template <class T> FB_DEV T op_erfinv(T x) { return (T)erfinv64((f64)x); }

// The derivative of lgamma: recurrence to 10 and beyond, then the asymptotic series (Abramowitz and Stegun 6.3.18);
// near the positive root, where both cancel, the Taylor series about it is not needed at this precision but for
// the two-part root.
FB_DEV f64 digamma_positive(f64 x) {
    f64 total = 0;
    while (x < 12) {
        total -= 1 / x;
        x += 1;
    }
    f64 s = 1 / (x * x);
    f64 tail = s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s * (1.0 / 132 - s * (691.0 / 32760 -
               s * (1.0 / 12)))))));
    return total + m_log(x) - 0.5 / x - tail;
}
FB_DEV f64 digamma64(f64 x) {
    if (x == 0) return m_copysign(infinity<f64>(), -x);
    if (x > 0) return digamma_positive(x);
    f64 off = x - m_rint(x);
    if (off == 0) return not_a_number<f64>();
    return digamma_positive(1 - x) - 3.141592653589793 / m_tan(3.141592653589793 * off);
}
template <class T> FB_DEV T op_digamma(T x) { return (T)digamma64((f64)x); }

template <class T> FB_DEV bool op_eq(T a, T b) { return a == b; }
template <class T> FB_DEV bool op_ne(T a, T b) { return a != b; }
template <class T> FB_DEV bool op_lt(T a, T b) { return a < b; }
template <class T> FB_DEV bool op_le(T a, T b) { return a <= b; }
template <class T> FB_DEV bool op_gt(T a, T b) { return a > b; }
template <class T> FB_DEV bool op_ge(T a, T b) { return a >= b; }
template <class T> FB_DEV bool op_isnan(T a) { return nan_of(a); }
template <class T> FB_DEV bool op_isinf(T a) {
    if constexpr (kind<T>::cplx) return op_isinf(a.re) || op_isinf(a.im);
    else if constexpr (kind<T>::flt) return m_fabs(a) == infinity<T>();
    else return false;
}
template <class T> FB_DEV bool op_isfinite(T a) {
    if constexpr (kind<T>::cplx) return op_isfinite(a.re) && op_isfinite(a.im);
    else if constexpr (kind<T>::flt) return m_fabs(a) < infinity<T>();
    else return true;
}
template <class T> FB_DEV bool op_signbit(T a) {
    if constexpr (kind<T>::flt) return (i64)(bits_as<uns<T>>(a) >> (sizeof(T) * 8 - 1)) != 0;
    else return a < (T)0;
}
template <class T> FB_DEV T op_and(T a, T b) { return (T)(a & b); }
template <class T> FB_DEV T op_or(T a, T b) { return (T)(a | b); }
template <class T> FB_DEV T op_xor(T a, T b) { return (T)(a ^ b); }
template <class T> FB_DEV T op_not(T a) {
    if constexpr (same<T, bool>::v) return !a;
    else return (T)~a;
}
template <class T> FB_DEV bool shift_inside(T n) { return n >= (T)0 && (u64)n < sizeof(T) * 8; }
template <class T> FB_DEV T op_shl(T a, T n) { return shift_inside(n) ? (T)(uns<T>)((u64)(uns<T>)a << (u64)n) : (T)0; }
template <class T> FB_DEV T op_shr(T a, T n) {
    if (shift_inside(n)) return (T)(a >> n);
    return kind<T>::sgn && a < (T)0 ? (T)-1 : (T)0;
}
template <class T> FB_DEV T op_where(bool c, T a, T b) { return c ? a : b; }
template <class T> FB_DEV T op_conj(T z) {
    if constexpr (kind<T>::cplx) return {z.re, -z.im};
    else return z;
}
template <class T> FB_DEV typename kind<T>::real op_real(T z) { return z.re; }
template <class T> FB_DEV typename kind<T>::real op_imag(T z) { return z.im; }
template <class T> FB_DEV typename kind<T>::real op_angle(T z) {
    if constexpr (kind<T>::cplx) return m_atan2(z.im, z.re);
    else if constexpr (kind<T>::flt) return is_nan(z) ? z : op_signbit(z) && z != 0 ? (T)3.141592653589793 : (T)0;
    else return z < (T)0 ? (T)3 : (T)0;
}
template <class R> FB_DEV cpx<R> op_complex(R re, R im) { return {re, im}; }

// ---- Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011); which word an element gets is in docs/random.md

struct four { u32 w[4]; };
FB_DEV u32 high_product(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
FB_DEV four philox(u64 q, u64 seed, u64 stream) {
    u32 c0 = (u32)q, c1 = (u32)(q >> 32), c2 = (u32)stream, c3 = (u32)(stream >> 32);
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll // straight code: the four words of a block are then worked out once
    for (int r = 0; r < 10; r++) {
        u32 h0 = high_product(0xD2511F53u, c0), l0 = 0xD2511F53u * c0;
        u32 h1 = high_product(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ k0;
        c1 = l1;
        c2 = h0 ^ c3 ^ k1;
        c3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}
// Words of element i. `captured`: null, or what a replayed graph adds to the stream and (by xor) to the seed. v: the
// place in a run of elements that begins at a block, so that neighbours share `kept`, or -1.
FB_DEV u32 draw_philox32(u64 seed, u64 stream, const u64 *captured, i64 i, int v, four &kept) {
    if (captured) { stream += captured[0]; seed ^= captured[1]; }
    if (v < 0 || (v & 3) == 0) kept = philox((u64)i >> 2, seed, stream);
    u32 at = v < 0 ? (u32)i & 3 : (u32)v & 3;
    return at < 2 ? (at == 0 ? kept.w[0] : kept.w[1]) : (at == 2 ? kept.w[2] : kept.w[3]);
}
FB_DEV u64 draw_philox64(u64 seed, u64 stream, const u64 *captured, i64 i, int v, four &kept) {
    if (captured) { stream += captured[0]; seed ^= captured[1]; }
    if (v < 0 || (v & 1) == 0) kept = philox((u64)i >> 1, seed, stream);
    return (v < 0 ? i : (i64)v) & 1 ? kept.w[2] | (u64)kept.w[3] << 32 : kept.w[0] | (u64)kept.w[1] << 32;
}

// ---- places

// Division by an invariant: n / d for n < 2^31. Granlund and Montgomery, 1994.
struct divider { u32 d, mul, shift, pad; };
FB_DEV u32 divide(u32 n, divider d) {
#ifdef HOST_SIM
    return ((u32)((u64)n * d.mul >> 32) + n) >> d.shift;
#else
    return (__umulhi(n, d.mul) + n) >> d.shift;
#endif
}

// Dimensions of a walk, the last one fastest, with the strides (in elements) of N operands.
const int MAX_DIMS = 12;
template <int N> struct walk {
    i64 ndim, numel;
    i64 size[MAX_DIMS];
    i64 stride[N][MAX_DIMS];
};
template <int N> FB_DEV void locate(const walk<N> &w, i64 at, i64 *offset) {
#pragma unroll
    for (int k = 0; k < N; k++) offset[k] = 0;
    if (w.numel < 0x7fffffff) {
        u32 rest = (u32)at;
        for (int d = (int)w.ndim - 1; d > 0; d--) {
            u32 n = (u32)w.size[d], q = rest / n, c = rest - q * n;
            rest = q;
#pragma unroll
            for (int k = 0; k < N; k++) offset[k] += (i64)c * w.stride[k][d];
        }
        at = rest;
    } else {
        for (int d = (int)w.ndim - 1; d > 0; d--) {
            i64 q = at / w.size[d], c = at - q * w.size[d];
            at = q;
#pragma unroll
            for (int k = 0; k < N; k++) offset[k] += c * w.stride[k][d];
        }
    }
    if (w.ndim > 0)
#pragma unroll
        for (int k = 0; k < N; k++) offset[k] += at * w.stride[k][0];
}

FB_DEV i64 thread_number() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
