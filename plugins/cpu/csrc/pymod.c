/* The module's init: cffi's `ffi` and `lib`, plus a few functions written against Python's limited API, because a cffi call
   (60 ns, and it gives up the GIL each time) is too slow for what happens once per op. */
#include <Python.h>
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

PyObject *fbc_cffi_init(void);
#define METHOD(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL

static int address(PyObject *o, uintptr_t *out) {
    *out = (uintptr_t)PyLong_AsVoidPtr(o);
    return FBC_UNLIKELY(!*out) && PyErr_Occurred() ? -1 : 0;
}

static PyObject *on_failure; /* called with nbytes when there is no memory; raises what is to be raised */

static PyObject *py_set_on_failure(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 1) return PyErr_Format(PyExc_TypeError, "set_on_failure(fn)");
    PyObject *old = on_failure;
    Py_INCREF(args[0]);
    on_failure = args[0];
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

/* Raise what `on_failure` raises; nbytes 0: working memory of the engine's own. */
static PyObject *no_memory(int64_t nbytes) {
    if (on_failure && on_failure != Py_None) {
        PyObject *size = PyLong_FromLongLong(nbytes), *result = size ? PyObject_CallFunctionObjArgs(on_failure, size, NULL) : NULL;
        Py_XDECREF(size);
        Py_XDECREF(result);
    }
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static PyObject *py_alloc(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    int64_t nbytes = n ? PyLong_AsLongLong(args[0]) : 0;
    if (nbytes == -1 && PyErr_Occurred()) return NULL;
    void *p;
    if (nbytes >= 1 << 20) { /* may ask the system */
        PyThreadState *state = PyEval_SaveThread();
        p = fbc_alloc(nbytes);
        PyEval_RestoreThread(state);
    } else p = fbc_alloc(nbytes);
    if (FBC_UNLIKELY(!p) && on_failure && on_failure != Py_None) return no_memory(nbytes);
    return PyLong_FromVoidPtr(p);
}

static PyObject *py_free(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    uintptr_t p;
    if (n < 2) return PyErr_Format(PyExc_TypeError, "free(address, nbytes)"), NULL;
    int64_t nbytes = PyLong_AsLongLong(args[1]);
    if ((nbytes == -1 && PyErr_Occurred()) || address(args[0], &p)) return NULL;
    fbc_free((void *)p, nbytes);
    Py_RETURN_NONE;
}

/* A Python number as 16 bytes of the dtype. */
static int store_number(char *to, int dtype, PyObject *o) {
    double re = 0, im = 0;
    uint64_t bits = 0;
    int over = 0;
    float f[2];
    memset(to, 0, 16);
    switch (dtype) {
    case FBC_BOOL: {
        int truth = PyObject_IsTrue(o);
        *to = truth == 1;
        return truth < 0 ? -1 : 0;
    }
    case FBC_F16: case FBC_BF16: case FBC_F32: case FBC_F64:
        re = PyFloat_AsDouble(o);
        if (re == -1 && PyErr_Occurred()) return -1;
        fbc_cast(FBC_F64, dtype, 1, to, &re);
        return 0;
    case FBC_C64: case FBC_C128:
        re = PyComplex_RealAsDouble(o), im = PyComplex_ImagAsDouble(o);
        if (PyErr_Occurred()) return -1;
        if (dtype == FBC_C64) f[0] = (float)re, f[1] = (float)im, memcpy(to, f, 8);
        else memcpy(to, &re, 8), memcpy(to + 8, &im, 8);
        return 0;
    default:
        if (PyFloat_Check(o)) bits = (uint64_t)(int64_t)PyFloat_AsDouble(o); /* towards zero, as casts */
        else bits = (uint64_t)PyLong_AsLongLongAndOverflow(o, &over);
        if (over > 0) bits = PyLong_AsUnsignedLongLong(o);
        if (over < 0 || (over > 0 && PyErr_Occurred()))
            return PyErr_SetString(PyExc_OverflowError, "[number] int too big to convert: needed: 64 bits. Use a float."), -1;
        if (bits == (uint64_t)-1 && PyErr_Occurred()) return -1;
        memcpy(to, &bits, (size_t)fbc_itemsize(dtype)); /* the low bytes: wraps */
        return 0;
    }
}

/* ---- plans ---- */
static void free_plan(PyObject *capsule) { fbc_plan_free(PyCapsule_GetPointer(capsule, NULL)); }

static PyObject *launch(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    const fbc_plan *p = PyCapsule_GetPointer(self, NULL);
    int n_ptr = p->n_out + p->n_in;
    if (FBC_UNLIKELY(n != n_ptr + p->n_scalar))
        return PyErr_Format(PyExc_TypeError, "launch: got %zd arguments, needed: %d addresses and %d scalars", n, n_ptr, p->n_scalar);
    uintptr_t *ptrs = alloca(sizeof(uintptr_t) * (size_t)(n_ptr + 1));
    char *scalars = alloca(16 * (size_t)p->n_scalar + 16);
    for (int k = 0; k < n_ptr; k++)
        if (address(args[k], &ptrs[k])) return NULL;
    for (int k = 0; k < p->n_scalar; k++)
        if (store_number(scalars + 16 * k, p->scalar_dtype[k], args[n_ptr + k])) return NULL;
    int failed;
    if (p->heavy) {
        PyThreadState *state = PyEval_SaveThread();
        failed = fbc_plan_run(p, ptrs, scalars);
        PyEval_RestoreThread(state);
    } else failed = fbc_plan_run(p, ptrs, scalars);
    if (failed) return no_memory(0);
    Py_RETURN_NONE;
}
static PyMethodDef launch_method = {"launch", METHOD(launch), "launch(*addresses of outputs, *addresses of inputs, *scalars)"};

/* ---- many plans of one program ---- */
typedef struct {
    int n, width, n_out, n_scalar, heavy;
    PyObject *launches; /* keeps the plans alive */
    const fbc_plan *plans[];
} many;
static void free_many(PyObject *capsule) {
    many *m = PyCapsule_GetPointer(capsule, NULL);
    Py_DECREF(m->launches);
    free(m);
}

static PyObject *launch_many(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    const many *m = PyCapsule_GetPointer(self, NULL);
    PyObject *addresses = n == 2 ? args[0] : NULL, *numbers = NULL, *result = NULL;
    if (!addresses || !PyList_Check(addresses) || PyList_Size(addresses) != (Py_ssize_t)m->n * m->width || !(numbers = PySequence_List(args[1]))
        || PyList_Size(numbers) != m->n_scalar) {
        Py_XDECREF(numbers);
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "launch: needed: a list of %d addresses and %d scalars", m->n * m->width, m->n_scalar);
    }
    int n_ptr = m->n_out + m->width;
    uintptr_t *ptrs = malloc(sizeof(uintptr_t) * (size_t)(m->n * n_ptr + 1) + 16 * (size_t)(m->n * m->n_scalar + 1));
    if (!ptrs) { no_memory(0); goto done; }
    char *scalars = (char *)ptrs + ((sizeof(uintptr_t) * (size_t)(m->n * n_ptr + 1) + 15) & ~(size_t)15);
    for (int k = 0; k < m->n; k++) {
        uintptr_t *at = ptrs + (size_t)k * n_ptr;
        char *values = scalars + 16 * (size_t)k * m->n_scalar;
        for (int i = 0; i < m->width; i++)
            if (address(PyList_GetItem(addresses, (Py_ssize_t)k * m->width + i), &at[m->n_out + i])) goto done;
        memcpy(at, at + m->n_out, sizeof(uintptr_t) * (size_t)m->n_out);
        const uint8_t *dtypes = m->plans[k]->scalar_dtype;
        if (k && !memcmp(dtypes, m->plans[k - 1]->scalar_dtype, (size_t)m->n_scalar)) memcpy(values, values - 16 * m->n_scalar, 16 * (size_t)m->n_scalar);
        else
            for (int i = 0; i < m->n_scalar; i++)
                if (store_number(values + 16 * i, dtypes[i], PyList_GetItem(numbers, i))) goto done;
    }
    PyThreadState *state = m->heavy ? PyEval_SaveThread() : NULL;
    int failed = fbc_plan_run_many(m->n, m->plans, ptrs, scalars);
    if (state) PyEval_RestoreThread(state);
    if (failed) no_memory(0);
    else result = Py_None, Py_INCREF(result);
done:
    free(ptrs);
    Py_DECREF(numbers);
    return result;
}
static PyMethodDef many_method = {"launch_many", METHOD(launch_many), "launch(addresses of the inputs of each plan on end, scalars)"};

static PyObject *py_plan_many(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 2 || !PyTuple_Check(args[0])) return PyErr_Format(PyExc_TypeError, "plan_many(launches, n_out)");
    Py_ssize_t size = PyTuple_Size(args[0]);
    long n_out = PyLong_AsLong(args[1]);
    if (n_out == -1 && PyErr_Occurred()) return NULL;
    many *m = malloc(sizeof *m + sizeof(void *) * (size_t)(size + 1));
    if (!m) return no_memory(0);
    *m = (many){.n = (int)size, .n_out = (int)n_out};
    int64_t work = 0;
    for (Py_ssize_t k = 0; k < size; k++) {
        PyObject *launch_k = PyTuple_GetItem(args[0], k), *capsule = PyCFunction_Check(launch_k) ? PyCFunction_GetSelf(launch_k) : NULL;
        const fbc_plan *p = capsule && PyCapsule_CheckExact(capsule) && PyCFunction_GetFunction(launch_k) == (PyCFunction)(void (*)(void))launch
                                ? PyCapsule_GetPointer(capsule, NULL) : NULL;
        if (k == 0 && p) m->width = p->n_in, m->n_scalar = p->n_scalar;
        if (!p || p->n_out != n_out || p->n_in != m->width || p->n_scalar != m->n_scalar || n_out > p->n_in) {
            free(m);
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "plan_many: launch %zd is no plan with %ld outputs and the first one's inputs", k, n_out);
        }
        m->plans[k] = p;
        m->heavy |= p->heavy;
        work += p->n * p->n_instr;
    }
    m->heavy |= work > 20000;
    PyObject *capsule = PyCapsule_New(m, NULL, free_many), *result = NULL;
    if (!capsule) return free(m), NULL;
    m->launches = args[0];
    Py_INCREF(m->launches);
    result = PyCFunction_NewEx(&many_method, capsule, NULL);
    Py_DECREF(capsule);
    return result;
}

static int int_row(PyObject *tuple, Py_ssize_t n, int64_t *to) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != n) return PyErr_Format(PyExc_TypeError, "plan: needed: tuples of one length"), -1;
    for (Py_ssize_t k = 0; k < n; k++) to[k] = PyLong_AsLongLong(PyTuple_GetItem(tuple, k));
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *py_plan(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    char *code, *consts = NULL;
    Py_ssize_t size;
    int64_t *strides = NULL;
    PyObject *capsule = NULL, *result = NULL;
    fbc_plan *plan = NULL;
    if (n < 3 || PyBytes_AsStringAndSize(args[0], &code, &size) || !PyTuple_Check(args[1]) || !PyTuple_Check(args[2]))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "plan(code, consts, shape, *strides)");
    const int64_t *words = (const int64_t *)code;
    int64_t n_ops = words[0] + words[1], n_const = words[3], nd = PyTuple_Size(args[2]);
    if (n != 3 + n_ops || PyTuple_Size(args[1]) != n_const || nd > FBC_MAX_DIMS)
        return PyErr_Format(PyExc_TypeError, "plan: the program has %lld operands and %lld constants, at most %d dims", (long long)n_ops,
                            (long long)n_const, FBC_MAX_DIMS);
    strides = malloc(sizeof(int64_t) * (size_t)(nd * (n_ops + 1) + 1));
    consts = malloc(16 * (size_t)n_const + 16);
    if (!strides || !consts) { no_memory(0); goto done; }
    for (Py_ssize_t k = 0; k <= n_ops; k++)
        if (int_row(args[2 + k], (Py_ssize_t)nd, strides + k * nd)) goto done;
    const int64_t *const_dtypes = words + 5 + n_ops + words[2];
    for (int64_t k = 0; k < n_const; k++)
        if (store_number(consts + 16 * k, (int)const_dtypes[k], PyTuple_GetItem(args[1], (Py_ssize_t)k))) goto done;
    int bad = 0;
    plan = fbc_plan_new(words, (int)nd, strides, strides + nd, consts, &bad);
    if (!plan) {
        if (bad < 0) no_memory(0);
        else if (bad >= FBC_CASTS) PyErr_Format(PyExc_TypeError, "plan: no conversion from dtype %d to %d", (bad - FBC_CASTS) / 16, bad % 16);
        else PyErr_Format(PyExc_TypeError, "plan: opcode %s is not defined on dtype %d", fbc_op_name(bad / 16), bad % 16);
        goto done;
    }
    if (!(capsule = PyCapsule_New(plan, NULL, free_plan))) { fbc_plan_free(plan); goto done; }
    result = PyCFunction_NewEx(&launch_method, capsule, NULL);
    Py_DECREF(capsule);
done:
    free(strides), free(consts);
    return result;
}

/* ---- any C function as a Python function ---- */
typedef struct {
    int64_t (*fn)(const void *context, const uintptr_t *args);
    int keep_gil, n_args;
    _Alignas(16) char context[];
} bound;
static void free_bound(PyObject *capsule) { free(PyCapsule_GetPointer(capsule, NULL)); }

static PyObject *call_bound(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    const bound *b = PyCapsule_GetPointer(self, NULL);
    if (FBC_UNLIKELY(n != b->n_args)) return PyErr_Format(PyExc_TypeError, "got %zd arguments, needed: %d", n, b->n_args);
    uintptr_t *values = alloca(sizeof(uintptr_t) * (size_t)(n + 1));
    for (Py_ssize_t k = 0; k < n; k++) {
        values[k] = (uintptr_t)PyLong_AsUnsignedLongLongMask(args[k]);
        if (FBC_UNLIKELY(values[k] == (uintptr_t)-1) && PyErr_Occurred()) return NULL;
    }
    int64_t code;
    if (b->keep_gil) code = b->fn(b->context, values);
    else {
        PyThreadState *state = PyEval_SaveThread();
        code = b->fn(b->context, values);
        PyEval_RestoreThread(state);
    }
    return PyLong_FromLongLong(code);
}
static PyMethodDef bound_method = {"bound", METHOD(call_bound), "bound(*integers) -> the C function's result"};

static PyObject *py_bind(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    uintptr_t fn;
    char *context;
    Py_ssize_t size;
    if (n != 4) return PyErr_Format(PyExc_TypeError, "bind(fn_address, context, n_args, keep_gil)");
    if (address(args[0], &fn) || PyBytes_AsStringAndSize(args[1], &context, &size)) return NULL;
    long n_args = PyLong_AsLong(args[2]);
    if (n_args == -1 && PyErr_Occurred()) return NULL;
    bound *b = malloc(sizeof *b + (size_t)size + 16);
    if (!b) return no_memory(0);
    b->fn = (int64_t(*)(const void *, const uintptr_t *))fn;
    b->n_args = (int)n_args, b->keep_gil = PyObject_IsTrue(args[3]) == 1;
    memcpy(b->context, context, (size_t)size);
    PyObject *capsule = PyCapsule_New(b, NULL, free_bound);
    if (!capsule) return free(b), NULL;
    PyObject *result = PyCFunction_NewEx(&bound_method, capsule, NULL);
    Py_DECREF(capsule);
    return result;
}

static PyMethodDef methods[] = {
    {"alloc", METHOD(py_alloc), "alloc(nbytes, index=0) -> address; with no memory: what set_on_failure's function raises, else 0"},
    {"free", METHOD(py_free), "free(address, nbytes, index=0)"},
    {"set_on_failure", METHOD(py_set_on_failure), "set_on_failure(fn): alloc calls fn(nbytes) when there is no memory; None: nothing"},
    {"plan", METHOD(py_plan), "plan(code, consts, shape, *strides of outputs, *strides of inputs) -> launch"},
    {"plan_many", METHOD(py_plan_many), "plan_many(launches, n_out) -> launch(addresses, scalars): plans whose outputs are their first inputs"},
    {"bind", METHOD(py_bind),
     "bind(fn_address, context, n_args, keep_gil) -> a function of n_args integers that calls the C function\n"
     "int64_t fn(const void *context, const uintptr_t *args) with a copy of the context bytes (16-byte aligned)"},
    {NULL, NULL, 0, NULL},
};

PyMODINIT_FUNC PyInit__C(void) {
    PyObject *module = fbc_cffi_init();
    if (module && PyModule_AddFunctions(module, methods) < 0) Py_CLEAR(module);
    return module;
}
