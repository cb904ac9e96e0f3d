"""Defects planted into the template backend, one by one, and the test of the conformance suite that catches each.

    python mutations.py              # plants all, writes the table to standard output; exit status 1 if one survives
    python mutations.py leak sort    # those whose name has one of these words

Each defect is a change of the source; the tests named beside it are run on the changed module, in this process.
"""

from __future__ import annotations

import re
import sys
import types
import warnings
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent / "src" / "flambeau_template" / "__init__.py"


class Defect(NamedTuple):
    """A piece of source, what it becomes, and a pattern of the ids of tests that should notice."""

    name: str
    old: str
    new: str
    tests: str


DEFECTS = [
    Defect("wrong contract version", "contract = (1, 0)", "contract = (2, 0)", "contract_version"),
    Defect("required entry removed", "    def sort(values", "    def srot(values", "contract_version"),
    Defect("entry with other arguments", "def synchronize(self, index: int)", "def synchronize(self)", "synchronize|complete|index_out"),
    Defect("capability not declared", "asynchronous = True", "asynchronous = False", "contract_capabilities"),
    Defect("misspelt lack", "erfc erfinv lgamma", "erfc erfnv lgamma", "contract_version"),
    Defect("strides ignored", "self.offset * kind.itemsize, strides)", "self.offset * kind.itemsize)", r"layout\[add-(step|negative)"),
    Defect("offset ignored", "self.memory.data, self.offset * kind.itemsize,", "self.memory.data, 0,", r"layout\[add|assignment|copy\[float32"),
    Defect("output strides ignored", "self.array()[...] = cast(", "self.array().reshape(-1).reshape(self.spec.shape)[...] = cast(", r"^scatter"),
    Defect("output strides of programs ignored", "part.array()[...] = result", "part.array().reshape(-1).reshape(part.spec.shape)[...] = result", r"^cast|^out"),
    Defect("result not converted to its dtype", "to.kind == \"b\":\n        return a != 0", "to.kind == \"b\":\n        return a.real > 0", r"^cast\[.*-bool"),
    Defect("bfloat16 cut off instead of rounded", "return (a.real if", "if to == ml_dtypes.bfloat16 and a.dtype == np.float32:\n        return (a.view(np.uint32) >> 16).astype(np.uint16).view(to)\n    return (a.real if", "rounding"),
    Defect("host reads device memory", "return found[0]", "return handle.data[offset : offset + nbytes].tobytes()", r"^copy\["),
    Defect("queue not drained before copy_out", "handle.device.wait()\n        return found[0]", "return found[0] if found else bytes(nbytes)", r"results_are_complete|handles"),
    Defect("copy_in keeps the caller's buffer", "np.frombuffer(bytes(data), np.uint8)", "np.frombuffer(data, np.uint8)", "copy_in_is"),
    Defect("copy_out at offset 0", "handle.data[offset : offset + nbytes].tobytes()", "handle.data[:nbytes].tobytes()", "handles"),
    Defect("copy_in at offset 0", "place = slice(offset, offset + staged.size)", "place = slice(0, staged.size)", "handles"),
    Defect("leak: freed memory still counted", "handle.device.account.free(nbytes)", "pass", "statistics|memory_is_returned"),
    Defect("free that raises", "handle.device.work.put(handle.release)", "raise RuntimeError('free')", "handles"),
    Defect("memory freed before its work is done", "handle.device.work.put(handle.release)", "handle.release()", r"memory_is_returned|results_are_complete|test_model|^model"),
    Defect("no out-of-memory error", "return device.account.allocate(nbytes, partial(Memory, device))", "return Memory(device, nbytes)", "never_be_met"),
    Defect("failed allocation counted", "return device.account.allocate(", "device.account.allocated += nbytes if nbytes > 256 << 20 else 0\n        return device.account.allocate(", "never_be_met|memory_is"),
    Defect("one device too few", "for index in range(2)]", "for index in range(1)]\n\n    def device_count(self):\n        return 2\n\n    def unused(self): ...\n", "numbered"),
    Defect("errors of the queue swallowed", "self.failure = self.failure or failure", "pass", "index_out_of_bounds|error"),
    Defect("index not checked", "if bad.any():", "if False:", r"index_out_of_bounds"),
    Defect("negative index wraps", "(at < 0)", "(at < -size)", r"index_out_of_bounds"),
    Defect("off by one in gather", "out.store(np.take_along_axis(x, at, dim))\n\n    @on_device\n    def scatter", "out.store(np.take_along_axis(x, np.maximum(at - 1, 0), dim))\n\n    @on_device\n    def scatter", r"^gather"),
    Defect("scatter: the first of equals stays", "held[tuple(where)] = values", "held[tuple(np.flip(w, dim).copy() for w in where)] = np.flip(values, dim).copy()", r"^scatter"),
    Defect("scatter overwrites instead of adding", "COMBINE[reduce].at(held, tuple(where), values)", "held[tuple(where)] = values", r"^scatter"),
    Defect("scatter adds once for equal places", "COMBINE[reduce].at(held, tuple(where), values)", "held[tuple(where)] = COMBINE[reduce](held[tuple(where)], values)", r"^scatter"),
    Defect("max drops NaN", "out.store(getattr(np, kind)(x, axis=tuple(dims), **how))", "out.store(getattr(np, kind.replace('max', 'nanmax'))(x, axis=tuple(dims), **how))", r"^reduce\[max"),
    Defect("argmax finds the last of equals", "out.store(getattr(np, kind)(rows, axis=-1))", "out.store(rows.shape[-1] - 1 - getattr(np, kind)(rows[..., ::-1], axis=-1))", r"^reduce\[arg"),
    Defect("sums of float32 in float16", "x = cast(x, wide(out)) if kind in", "x = cast(x, np.dtype('float16') if x.dtype == np.float32 else wide(out)) if kind in", r"^reduce(_lengths)?\[sum"),
    Defect("16-bit floats summed in 16 bits", "return np.dtype(", "if kind.itemsize == 2:\n        return kind\n    return np.dtype(", "accumulation"),
    Defect("cumulative maximum finds the first of equals", "np.maximum.accumulate(np.where((x == best) | (x != x), at, 0), axis=dim)", "np.maximum.accumulate(np.where((x == best) & (np.roll(best, 1, dim) != best) | (x != x), at, 0), axis=dim)", r"^scan2"),
    Defect("unstable sort", "axis=dim, kind=\"stable\")\n        if descending", "axis=dim, kind=\"quicksort\")\n        if descending", r"^sort"),
    Defect("descending sort reverses equals", "order = x.shape[dim] - 1 - np.flip(order, dim)", "order = np.flip(np.argsort(x, axis=dim, kind=\"stable\"), dim)", r"^sort"),
    Defect("matmul of transposed operands", "np.matmul(a.load(), b.load())", "np.matmul(a.load(), b.load().swapaxes(1, 2).reshape(b.spec.shape))", r"^matmul"),
    Defect("outputs written before inputs are read", "results = [np.array(np.broadcast_to(registers[r], shape)[0]) for r in program.results]", "results = [np.broadcast_to(registers[r], shape)[0] for r in program.results]\n        results = results if len(results) < 2 else [results[0]] * len(results)", "several_outputs"),
    Defect("remainder with the sign of the dividend", "\"rem\": np.remainder", "\"rem\": np.fmod", r"^program\[rem|^forward\[remainder|^extremes\[remainder"),
    Defect("minimum drops NaN", "maximum minimum fmax fmin floor", "maximum fmax fmin floor", r"^extremes\[minimum"),
    Defect("round half away from zero", "\"round\": np.rint", "\"round\": lambda x: np.trunc(x + np.copysign(0.5, x))", r"^extremes\[round|^program\[round"),
    Defect("wrong random stream", "np.uint64(stream.flat[0])", "np.uint64(stream.flat[0] + np.uint64(1))", "random_vectors"),
    Defect("random words of another order", "np.stack(words, 1)", "np.stack(words[::-1], 1)", "random_vectors"),
    Defect("lost determinism", "np.array([v], NUMPY[d]) for v, d in numbers]", "np.array([v + __import__('time').perf_counter_ns() % 7 * 1e-7 * v if d.is_floating_point else v], NUMPY[d]) for v, d in numbers]", "deterministic|random_bits"),
]  # fmt: skip


def caught_by(defect: Defect) -> str | None:
    """The id of the first test that fails on the changed backend, or None."""
    from flambeau import registry
    from flambeau.plugin import register_backend
    from flambeau.testing import BackendSuite
    from flambeau.testing.suite import cases_of

    text = SOURCE.read_text()
    assert text.count(defect.old) == 1, f"{defect.name}: {text.count(defect.old)} places of {defect.old!r}"
    changed = text.replace(defect.old, defect.new)
    if defect.name == "minimum drops NaN":
        changed = changed.replace('"sub": np.subtract,', '"minimum": np.fmin, "sub": np.subtract,')
    if defect.name == "one device too few":
        changed = changed.replace(
            "    def device_count(self) -> int:\n        return len(self.devices)\n", "", 1
        )
    module = types.ModuleType("changed_template")
    exec(compile(changed, "changed_template", "exec"), module.__dict__)

    class Suite(BackendSuite):
        device = "template"
        capabilities = {"asynchronous": True, "host_visible": False}

    registry._backends.pop("template", None)
    registry.forget_plans()
    try:
        kind = module.TemplateBackend
        if kind.__abstractmethods__:
            return f"refused: lacks required entries {sorted(kind.__abstractmethods__)}"
        register_backend(kind())
    except RuntimeError as error:
        return f"refused: {str(error)[:70]}"
    for name, test in cases_of(Suite):
        if re.search(defect.tests, name):
            try:
                test(Suite())
            except BaseException as error:
                return name if not isinstance(error, KeyboardInterrupt) else None
    return None


def main(words: list[str]) -> int:
    """Plant the defects and print the table."""
    warnings.simplefilter("ignore")
    chosen = [d for d in DEFECTS if not words or any(w in d.name for w in words)]
    survived = []
    print("| defect | caught by |\n|---|---|")
    for defect in chosen:
        found = caught_by(defect)
        print(f"| {defect.name} | {f'`{found}`' if found else '**nothing**'} |", flush=True)
        if found is None:
            survived.append(defect.name)
    print(f"\n{len(chosen) - len(survived)} of {len(chosen)} caught.")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
