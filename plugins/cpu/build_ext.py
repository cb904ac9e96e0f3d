"""Incremental builder of flambeau_cpu/_C.abi3.so, for hatch_build.py, an editable checkout's _dev.py, and by hand.

Needs cffi and any C compiler. What it finds in csrc/ it builds, there is no list of files to edit:
- `k_*.c` are kernels: compiled once per instruction set (x86-64: base, avx2, avx512), with FBC_ISA_<name> defined;
- `bf16_*.c` are compiled once, for AVX-512-BF16 where the machine is x86-64 (FBC_BF16 is then defined);
- every other `*.c` is compiled once, for the baseline;
- the text between `//@cdef` and `//@end` in every `*.h` is what Python sees through cffi.
A file may add flags of its own in a comment among its first lines: `/* cflags: -ffp-contract=fast */`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "csrc"
PKG = ROOT / "src" / "flambeau_cpu"
SO = PKG / "_C.abi3.so"
X86 = platform.machine() in ("x86_64", "AMD64")
BASELINE = "-march=x86-64-v2" if X86 else ""
AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mbmi2 -mprefer-vector-width=512"
ISA = {"base": BASELINE, "avx2": "-mavx2 -mfma -mf16c -mbmi2", "avx512": AVX512} if X86 else {"base": ""}
FLAGS = (
    "-std=gnu11 -O3 -fPIC -fvisibility=hidden -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp-simd"
    " -fno-strict-aliasing -Wall -Wextra -Wno-unused-parameter -Wno-type-limits -Wno-unknown-pragmas -Wno-psabi -g1"
)


class Unit(NamedTuple):
    """One translation unit: source, name of its object, extra flags."""

    source: Path
    name: str
    flags: str


def find_cc() -> list[str]:
    """The C compiler: FLAMBEAU_CC, CC, the one on PATH, or the `ziglang` wheel (see hatch_build.py)."""
    if chosen := os.environ.get("FLAMBEAU_CC") or os.environ.get("CC"):
        return shlex.split(chosen)
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine()}-linux-gnu.2.28"]


def headers() -> list[Path]:
    """The headers with something for Python, fbc.h first."""
    found = sorted(CSRC.glob("*.h"), key=lambda path: (path.name != "fbc.h", path.name))
    return [path for path in found if "//@cdef" in path.read_text()]


def cdef() -> str:
    """All text between //@cdef and //@end."""
    parts = (re.findall(r"^//@cdef$(.*?)^//@end$", path.read_text(), re.S | re.M) for path in headers())
    return "\n".join(text for found in parts for text in found)


def write_cffi_module(path: Path) -> None:
    """Let cffi write the C file of the module (rewritten only when its content changes)."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(cdef())
    ffi.set_source(
        "flambeau_cpu._C", "".join(f'#include "{h.name}"\n' for h in headers()), py_limited_api=True
    )
    with contextlib.redirect_stdout(io.StringIO()):
        ffi.emit_c_code(str(path))


def units(generated: Path) -> list[Unit]:
    """Every translation unit with its flags."""
    python = f"-DPy_LIMITED_API=0x030B0000 -I{sysconfig.get_path('include')}"
    # The module's own init (pymod.c) wraps the one that cffi writes.
    found = [Unit(generated, "_C", f"{BASELINE} {python} -DPyInit__C=fbc_cffi_init -Wno-extra -Wno-unused")]
    for source in sorted(CSRC.glob("*.c")):
        own = re.search(r"/\* cflags: (.*?) \*/", source.read_text()[:2000])
        extra = own.group(1) if own else ""
        if source.name.startswith("k_"):
            found += [
                Unit(source, f"{source.stem}.{i}", f"-DFBC_ISA_{i}=1 {f} {extra}") for i, f in ISA.items()
            ]
        elif source.name.startswith("bf16_"):
            bf16 = f"{AVX512} -mavx512bf16 -DFBC_HAS_BF16=1" if X86 else ""
            found.append(Unit(source, source.stem, f"{bf16} {extra}"))
        else:
            extra += f" {python}" if source.name.startswith("py") else ""
            found.append(Unit(source, source.stem, f"{BASELINE} {extra}"))
    return found


def is_fresh(obj: Path, dep: Path, stamp: Path, signature: str) -> bool:
    """Whether the object is newer than all that it was made from, and was made by the same command."""
    if not (obj.exists() and dep.exists() and stamp.exists() and stamp.read_text() == signature):
        return False
    names = dep.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    built = obj.stat().st_mtime_ns
    return all(os.path.exists(name) and os.stat(name).st_mtime_ns <= built for name in names)


def compile_all(cc: list[str], bdir: Path, verbose: bool) -> tuple[list[str], bool]:
    """Compile what is stale; returns all objects and whether any changed."""
    jobs: list[tuple[list[str], Path, str]] = []
    objects: list[str] = []
    for unit in units(bdir / "_C.c"):
        obj, dep, stamp = (bdir / f"{unit.name}.{ext}" for ext in ("o", "d", "cmd"))
        flags = shlex.split(f"{FLAGS} {unit.flags} {os.environ.get('FLAMBEAU_CFLAGS', '')}")
        if "ziglang" in cc:
            flags = [flag.replace("x86-64-v2", "x86_64_v2") for flag in flags]
        command = [*cc, *flags, f"-I{CSRC}", "-MMD", "-MF", str(dep), "-c", str(unit.source), "-o", str(obj)]
        # Without the tree's own path: a checkout that was moved or copied keeps its objects.
        signature = hashlib.sha256("\0".join(command).replace(str(ROOT), "").encode()).hexdigest()
        objects.append(str(obj))
        if not is_fresh(obj, dep, stamp, signature):
            jobs.append((command, stamp, signature))

    def run(job: tuple[list[str], Path, str]) -> str:
        command, stamp, signature = job
        if verbose:
            print(shlex.join(command), file=sys.stderr)
        stamp.unlink(missing_ok=True)
        start = time.time_ns()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return f"{shlex.join(command)}\n{done.stderr}"
        if done.stderr:
            print(done.stderr, file=sys.stderr)
        os.utime(command[-1], ns=(start, start))  # an edit made meanwhile counts as newer
        stamp.write_text(signature)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [text for text in pool.map(run, jobs) if text]
    if failures:
        raise SystemExit("\n".join(failures))
    return objects, bool(jobs)


def bundle_openblas() -> list[Path]:
    """Copy the OpenBLAS of the build requirement `scipy-openblas32`, with its licence, into the package."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        dist = distribution("scipy-openblas32")
    except PackageNotFoundError:
        return []
    files = [str(file) for file in dist.files or []]
    library = next(f for f in files if f.endswith("/lib/libscipy_openblas.so"))
    licence = next(f for f in files if f.endswith("LICENSE.txt"))
    (PKG / "_libs").mkdir(exist_ok=True)
    copied: list[Path] = []
    for name, target in ((library, "libflambeau_openblas.so"), (licence, "LICENSE.openblas.txt")):
        source, copy = Path(str(dist.locate_file(name))), PKG / "_libs" / target
        if not copy.exists() or copy.stat().st_size != source.stat().st_size:
            shutil.copy2(source, copy.with_suffix(".tmp"))
            os.replace(copy.with_suffix(".tmp"), copy)
        copied.append(copy)
    return copied


def build(verbose: bool = False) -> list[Path]:
    """Bring the module up to date; returns the files that belong in the wheel."""
    cc, bdir = find_cc(), ROOT / "build" / platform.machine()
    bdir.mkdir(parents=True, exist_ok=True)
    start = time.time_ns()
    write_cffi_module(bdir / "_C.c")
    objects, changed = compile_all(cc, bdir, verbose)
    listing, linked = bdir / "objects.txt", "\n".join(objects)
    if changed or not SO.exists() or not listing.exists() or listing.read_text() != linked:
        temporary = SO.with_suffix(".tmp")  # never write over a mapped library: link aside, then rename
        command = [*cc, "-shared", "-o", str(temporary), *objects, "-ldl", "-lm", "-lpthread"]
        subprocess.run([*command, "-Wl,--as-needed,-z,now,-S"], check=True)
        os.replace(temporary, SO)
        listing.write_text(linked)
    os.utime(SO, ns=(start, start))
    return [SO, *bundle_openblas()]


if __name__ == "__main__":
    print(*build(verbose="-v" in sys.argv), sep="\n")
