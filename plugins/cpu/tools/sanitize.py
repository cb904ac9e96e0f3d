"""Runs tests of the CPU plugin on a build of the C engine with the compiler's sanitizers.

    python plugins/cpu/tools/sanitize.py address             # AddressSanitizer and UBSan
    python plugins/cpu/tools/sanitize.py thread              # ThreadSanitizer
    python plugins/cpu/tools/sanitize.py address -k softmax  # what follows goes to pytest

Needs gcc (or FLAMBEAU_CC) with its sanitizers' runtime libraries, on Linux. The engine is built beside the ordinary
one, in ``build/sanitized-address`` and ``build/sanitized-thread``; the first build takes minutes. Python itself is not
instrumented: the runtime library is loaded in front of it. Tests run one after the other, up to the first error.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PLUGIN = Path(__file__).resolve().parents[1]
TESTS = PLUGIN / "tests"


class Kind(NamedTuple):
    """A sanitizer: flags of the compiler, the library to load first, its options, and the tests that say most."""

    flags: str
    library: str
    options: dict[str, str]
    tests: list[str]


#: Vectors are loaded by instructions that take any address, so alignment to more than an element means nothing.
ADDRESS = Kind(
    "-fsanitize=address,undefined -fno-sanitize=alignment,shift-base -fno-sanitize-recover=undefined",
    "libasan.so",
    {
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=1:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    },
    [*(str(path) for path in sorted(TESTS.glob("test_[ek]*.py"))), str(TESTS / "test_faults.py"),
     str(TESTS / "test_conformance.py")],
)  # fmt: skip
THREAD = Kind(
    "-fsanitize=thread",
    "libtsan.so",
    {"TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:die_after_fork=0"},
    [
        str(TESTS / "test_engine_memory.py"),
        f"{TESTS / 'test_faults.py'}::test_two_threads_train_at_once",
        f"{TESTS / 'test_conformance.py'}::TestNative::test_threads",
        f"{TESTS / 'test_conformance.py'}::TestNative::test_model",
    ],
)
KINDS = {"address": ADDRESS, "thread": THREAD}


def build(name: str, kind: Kind) -> Path:
    """The folder to import the instrumented plugin from."""
    folder = PLUGIN / "build" / f"sanitized-{name}"
    for pattern in ("build_ext.py", "csrc/*.[ch]", "src/flambeau_cpu/*.py", "src/flambeau_cpu/_libs/*.so"):
        found = {folder / path.relative_to(PLUGIN): path for path in PLUGIN.glob(pattern)}
        for left in set(folder.glob(pattern)) - set(found):
            left.unlink()
        for target, path in found.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _same(path, target):  # not over a library that a process has mapped
                shutil.copyfile(path, target)
    compiler = os.environ.get("FLAMBEAU_CC", "gcc")
    known = {
        **os.environ,
        "FLAMBEAU_CC": f"{compiler} {kind.flags}",
        "FLAMBEAU_CFLAGS": "-O1 -g1 -fno-omit-frame-pointer",
    }
    subprocess.run([sys.executable, str(folder / "build_ext.py")], env=known, check=True)
    return folder / "src"


def _same(source: Path, target: Path) -> bool:
    return target.exists() and target.read_bytes() == source.read_bytes()


def main(arguments: list[str]) -> int:
    """Build, run the tests, and return their exit status."""
    if not arguments or arguments[0] not in KINDS:
        print(__doc__)
        return 2
    kind = KINDS[arguments[0]]
    source = build(arguments[0], kind)
    compiler = shlex.split(os.environ.get("FLAMBEAU_CC", "gcc"))
    found = subprocess.run(
        [*compiler, f"-print-file-name={kind.library}"], capture_output=True, text=True, check=True
    )
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    known = {**os.environ, **kind.options, "PYTHONPATH": path}
    # NumPy's threads aren't instrumented: what they write would be reported.
    known |= {"FLAMBEAU_CPU_AUTOBUILD": "0", "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    chosen = [] if any(".py" in text for text in arguments[1:]) else kind.tests
    command += ["--rootdir", str(PLUGIN), *chosen, *arguments[1:]]
    # Without random addresses: ThreadSanitizer's shadow doesn't fit between them on newer kernels.
    command = ["setarch", platform.machine(), "-R", "env", f"LD_PRELOAD={found.stdout.strip()}", *command]
    return subprocess.run(command, env=known).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
