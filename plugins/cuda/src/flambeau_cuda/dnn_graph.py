"""Convolutions by cuDNN's graph interface, whose heuristics know the newest kernels; through ctypes.

One operation makes a graph; the heuristics name engines for it, best first; the first one that is deterministic, as
exact as asked and finalizes becomes the plan. Numbers are those of cudnn_graph.h (cuDNN 9).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

__all__ = ["Refused", "convolution_plan", "operation"]

_CONVOLUTION, _ENGINE, _ENGINE_CONFIG, _HEURISTICS, _PLAN, _GRAPH, _PACK, _TENSOR = 1, 2, 3, 4, 5, 15, 16, 17
#: By kind (0: the result, 1: gradient of the input, 2: of the weight): the operation's descriptor, and its attributes:
#: alpha, beta, convolution, then weight, input and result.
_OPERATIONS = (
    (10, (700, 701, 702, 703, 704, 705)),
    (12, (706, 707, 708, 709, 710, 711)),
    (11, (712, 713, 714, 715, 716, 717)),
)
# Types of attributes.
_HANDLE, _DATA_TYPE, _INT64, _FLOAT, _DOUBLE, _POINTER, _MODE, _HEURISTIC, _NOTE, _DESCRIPTOR = (
    0, 1, 3, 4, 5, 6, 7, 8, 11, 15,
)  # fmt: skip
_TENSOR_CORE, _DOWN_CONVERT, _REDUCED, _NONDETERMINISTIC = 0, 1, 2, 4
_CROSS_CORRELATION = 1
_MODES = (3, 2)  # heuristics A, then the fallback
_UID_X, _UID_W, _UID_Y = 1, 2, 3
_CTYPES: dict[int, Any] = {
    _HANDLE: ctypes.c_void_p, _DATA_TYPE: ctypes.c_int, _INT64: ctypes.c_int64, _FLOAT: ctypes.c_float,
    _DOUBLE: ctypes.c_double, _POINTER: ctypes.c_void_p, _MODE: ctypes.c_int, _HEURISTIC: ctypes.c_int,
    _NOTE: ctypes.c_int, _DESCRIPTOR: ctypes.c_void_p,
}  # fmt: skip
_PACKS = 256  # prepared sets of addresses that are kept for a plan


class Refused(Exception):
    """cuDNN doesn't take something; the older interface may."""


class _Node:
    """A descriptor, destroyed with its last reference."""

    def __init__(self, lib: Any, kind: int) -> None:
        self.lib = lib
        self.desc = ctypes.c_void_p()
        self.keep: list[Any] = []
        if lib.cudnnBackendCreateDescriptor(kind, ctypes.byref(self.desc)):
            raise Refused("create")

    def set(self, name: int, kind: int, *values: Any) -> _Node:
        """Set an attribute; descriptors are kept alive."""
        raw = [v.desc.value if isinstance(v, _Node) else v for v in values]
        self.keep += [v for v in values if isinstance(v, _Node)]
        array = (_CTYPES[kind] * len(raw))(*raw)
        if self.lib.cudnnBackendSetAttribute(self.desc, name, kind, ctypes.c_int64(len(raw)), array):
            raise Refused(f"attribute {name}")
        return self

    def get(self, name: int, kind: int, array: Any) -> int:
        """Read an attribute into an array (None: ask how many there are); returns how many there are."""
        count = ctypes.c_int64()
        most = 0 if array is None else len(array)
        if self.lib.cudnnBackendGetAttribute(
            self.desc, name, kind, ctypes.c_int64(most), ctypes.byref(count), array
        ):
            raise Refused(f"attribute {name}")
        return count.value

    def done(self) -> _Node:
        """Finalize."""
        if self.lib.cudnnBackendFinalize(self.desc):
            raise Refused("finalize")
        return self

    def __del__(self) -> None:
        if self.desc:
            self.lib.cudnnBackendDestroyDescriptor(self.desc)


def _tensor(lib: Any, uid: int, dtype: int, shape: Sequence[int]) -> _Node:
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = strides[d + 1] * shape[d + 1]
    node = _Node(lib, _TENSOR).set(901, _DATA_TYPE, dtype).set(902, _INT64, *shape).set(903, _INT64, *strides)
    return node.set(906, _INT64, uid).set(900, _INT64, 16).done()


def operation(
    lib: Any, kind: int, dtype: int, double: bool, x: Sequence[int], w: Sequence[int], y: Sequence[int],
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
) -> _Node:  # fmt: skip
    """The finalized operation; made without a device. Groups follow from the shapes.

    Raises:
        Refused: cuDNN doesn't know it.
    """
    convolution = _Node(lib, _CONVOLUTION).set(100, _DATA_TYPE, 1 if double else 0)
    convolution.set(101, _MODE, _CROSS_CORRELATION).set(106, _INT64, len(stride)).set(102, _INT64, *dilation)
    convolution.set(103, _INT64, *stride).set(104, _INT64, *padding).set(105, _INT64, *padding).done()
    described, (alpha, beta, conv, *operands) = _OPERATIONS[kind]
    number = _DOUBLE if double else _FLOAT
    made = (
        _Node(lib, described)
        .set(alpha, number, 1.0)
        .set(beta, number, 0.0)
        .set(conv, _DESCRIPTOR, convolution)
    )
    for name, uid, shape in zip(operands, (_UID_W, _UID_X, _UID_Y), (w, x, y), strict=True):
        made.set(name, _DESCRIPTOR, _tensor(lib, uid, dtype, shape))
    return made.done()


class _Plan:
    """A finalized plan.

    Attributes:
        workspace: bytes of scratch memory that it needs.
    """

    def __init__(self, lib: Any, handle: int, plan: _Node) -> None:
        self.lib, self.handle, self.plan = lib, handle, plan
        size = (ctypes.c_int64 * 1)()
        plan.get(402, _INT64, size)
        self.workspace = int(size[0])
        self._packs: dict[tuple[int, int, int, int], _Node] = {}

    def run(self, x: int, w: int, y: int, scratch: int) -> int:
        """Start it; the status."""
        key = x, w, y, scratch
        pack = self._packs.get(key)
        if pack is None:
            if len(self._packs) >= _PACKS:
                self._packs.clear()
            pack = (
                _Node(self.lib, _PACK).set(1000, _INT64, _UID_X, _UID_W, _UID_Y).set(1001, _POINTER, x, w, y)
            )
            self._packs[key] = pack.set(1003, _POINTER, scratch).done()
        return int(self.lib.cudnnBackendExecute(self.handle, self.plan.desc, pack.desc))


def convolution_plan(lib: Any, handle: int, made: _Node, exact: bool, most_scratch: int) -> _Plan | None:
    """The best plan of an operation, or None where there is no deterministic one.

    Args:
        made: what `operation` gave.
        exact: whether float32 operands must not be rounded: engines that use tensor cores are left out.
        most_scratch: the most bytes of scratch memory.

    Raises:
        Refused: cuDNN doesn't take the graph.
    """
    graph = _Node(lib, _GRAPH).set(800, _HANDLE, handle).set(801, _DESCRIPTOR, made).done()
    for mode in _MODES:
        heuristics = _Node(lib, _HEURISTICS).set(201, _DESCRIPTOR, graph).set(200, _HEURISTIC, mode)
        try:
            heuristics.done()
            count = heuristics.get(202, _DESCRIPTOR, None)
        except Refused:
            continue
        configs = [_Node(lib, _ENGINE_CONFIG) for _ in range(count)]
        found = heuristics.get(202, _DESCRIPTOR, (ctypes.c_void_p * count)(*(c.desc.value for c in configs)))
        for config in configs[:found]:
            plan = _finalized(lib, handle, config, exact, most_scratch)
            if plan is not None:
                return plan
    return None


def _finalized(lib: Any, handle: int, config: _Node, exact: bool, most_scratch: int) -> _Plan | None:
    """An engine's plan, or None where it won't do."""
    try:
        engine = _Node(lib, _ENGINE)
        config.get(300, _DESCRIPTOR, (ctypes.c_void_p * 1)(engine.desc.value))
        notes = (ctypes.c_int * 16)()
        said = set(notes[: engine.get(1303, _NOTE, notes)])
        if _NONDETERMINISTIC in said or _REDUCED in said:
            return None
        if exact and said & {_TENSOR_CORE, _DOWN_CONVERT}:
            return None
        node = _Node(lib, _PLAN).set(400, _HANDLE, handle).set(401, _DESCRIPTOR, config).done()
        plan = _Plan(lib, handle, node)
    except Refused:
        return None
    return plan if plan.workspace <= most_scratch else None
