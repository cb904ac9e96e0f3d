"""One library in a process of its own: builds a case when asked, gives its numbers, times rounds of calls.

Requests and answers are lines of JSON on standard input and output; see ``report.py`` for the other side.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

__all__: list[str] = []


def _numbers(value: Any) -> list[float]:
    """A few hundred of a result's numbers, spread over it."""
    if isinstance(value, (tuple, list)):
        return [n for v in value for n in _numbers(v)]
    if not hasattr(value, "detach"):
        return []
    flat = value.detach().reshape(-1)
    size = flat.shape[0]
    picked = flat[:: max(1, size // 257)] if size else flat
    return [float(x) for x in picked.tolist()]


def _once(fn: Callable[[], Any], n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        fn()
    return (time.perf_counter() - start) / n


def limits() -> dict[str, float]:
    """What memory does at best: bytes read and written per second by a copy."""
    big = np.ones(64 << 20, np.uint8)
    to = np.empty_like(big)
    np.copyto(to, big)
    copy = min(_once(lambda: np.copyto(to, big), 1) for _ in range(7))
    return {"copy": 2 * big.nbytes / copy}


def main() -> None:
    """Answer requests until the input ends."""
    library, threads = sys.argv[1], int(sys.argv[2])
    t: Any = import_module(library)
    t.set_num_threads(threads)
    from . import models  # noqa: F401  (adds cases)
    from .cases import CASES

    gc.disable()
    fn: Any = None
    for line in sys.stdin:
        ask = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if ask["do"] == "build":
                fn = None
                gc.collect()
                case = CASES[ask["case"]]
                seed = zlib.crc32(case.name.partition("|")[0].encode())
                fn = case.build(t, np.random.default_rng(seed))
                answer["numbers"] = _numbers(fn())
                fn()
                answer["seconds"] = min(_once(fn, 1) for _ in range(3))
            elif ask["do"] == "time":
                answer["seconds"] = _once(fn, ask["n"])
                gc.collect()
            elif ask["do"] == "limits":
                answer = limits()
        except Exception as error:  # told to the other side, which reports the row as failed
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
