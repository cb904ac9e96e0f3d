/* Loads the bundled OpenBLAS by dlopen (private: RTLD_LOCAL) at its first use. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "blas.h"

static fbc_blas_t blas;
static int loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char path_[4096], core_[64], error_[4200] = "no path was given";

void fbc_blas_set_path(const char *path, const char *core) {
    snprintf(path_, sizeof path_, "%s", path);
    snprintf(core_, sizeof core_, "%s", core ? core : "");
}

/* OpenBLAS reads its environment in its constructor. What is set there is meant for other copies: hide it meanwhile. */
static const char *const names[] = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OPENBLAS_L2_SIZE"};

static void load(void) {
    char *saved[3];
    const char *ours[3] = {core_[0] ? core_ : NULL, "1", NULL};
    for (int i = 0; i < 3; i++) {
        const char *old = getenv(names[i]);
        saved[i] = old ? strdup(old) : NULL;
        if (ours[i]) setenv(names[i], ours[i], 1);
        else if (old) unsetenv(names[i]);
    }
    void *lib = path_[0] ? dlopen(path_, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!lib && path_[0]) snprintf(error_, sizeof error_, "%s", dlerror());
    for (int i = 0; i < 3; i++) {
        if (saved[i]) setenv(names[i], saved[i], 1);
        else unsetenv(names[i]);
        free(saved[i]);
    }
    if (!lib) return;
    void (*set_threads)(int) = (void (*)(int))dlsym(lib, "scipy_openblas_set_num_threads");
    if (set_threads) set_threads(1);
    blas.handle = lib;
#define GET(f) *(void **)&blas.f = dlsym(lib, "scipy_cblas_" #f)
    GET(sgemm), GET(dgemm), GET(cgemm), GET(zgemm), GET(sgemv), GET(dgemv);
#undef GET
    if (!blas.sgemm || !blas.dgemm || !blas.cgemm || !blas.zgemm || !blas.sgemv || !blas.dgemv) {
        snprintf(error_, sizeof error_, "%s has no scipy_cblas_* functions", path_);
        return;
    }
    error_[0] = 0;
    loaded = 1;
}

const fbc_blas_t *fbc_blas(void) {
    pthread_once(&once, load);
    return loaded ? &blas : NULL;
}
int fbc_blas_load(void) { return fbc_blas() ? 0 : -1; }
const char *fbc_blas_error(void) { return error_; }
const char *fbc_blas_core(void) {
    const char *(*name)(void) = fbc_blas() ? (const char *(*)(void))dlsym(blas.handle, "scipy_openblas_get_corename") : NULL;
    return name ? name() : "";
}
