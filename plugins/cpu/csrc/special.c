/* Scalar special functions that the C library lacks. */
#define _GNU_SOURCE
#include <math.h>
#include "fbc.h"

double fbc_erfinv(double y);
double fbc_digamma(double x);

/* Winitzki's closed form, three digits, then two Halley steps on erf (erfc near 1, where 1 - |y| is exact). */
double fbc_erfinv(double y) {
    double t = fabs(y);
    if (!(t < 1)) return t == 1 ? copysign(INFINITY, y) : NAN;
    if (t < 1e-8) return y * 0.88622692545275801;
    const double a = 0.147;
    double l = log1p(-t * t), g = 2 / (M_PI * a) + l / 2;
    double x = sqrt(sqrt(g * g - l / a) - g);
    for (int step = 0; step < 2; step++) {
        double error = t < 0.5 ? erf(x) - t : (1 - t) - erfc(x);
        double u = error / (M_2_SQRTPI * exp(-x * x));
        x -= u / (1 + x * u);
    }
    return copysign(x, y);
}

/* Upward recurrence to x >= 10, then the asymptotic series; reflection for negative x. */
double fbc_digamma(double x) {
    if (x == 0) return copysign(INFINITY, -x);
    double extra = 0;
    if (x < 0) {
        if (x == floor(x)) return NAN;
        extra = -M_PI / tan(M_PI * (x - rint(x)));
        x = 1 - x;
    }
    for (; x < 10; x += 1) extra -= 1 / x;
    if (x == INFINITY) return x;
    double z = 1 / (x * x);
    double s = z * (1. / 12 - z * (1. / 120 - z * (1. / 252 - z * (1. / 240 - z * (1. / 132 - z * (691. / 32760 - z / 12))))));
    return log(x) - 0.5 / x - s + extra;
}
