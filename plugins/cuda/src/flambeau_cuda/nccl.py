"""Sums and copies over several devices of this process, by NCCL; PyTorch's ``torch.cuda.nccl``.

On the simulator the host does the arithmetic, so that what goes where is tested without GPUs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from .backend import GpuBackend
from .doors import place

__all__ = [
    "AVG",
    "MAX",
    "MIN",
    "PROD",
    "SUM",
    "all_gather",
    "all_reduce",
    "broadcast",
    "reduce",
    "reduce_scatter",
]

SUM, PROD, MAX, MIN, AVG = range(5)
_TYPES = {
    "int8": 0, "bool": 1, "uint8": 1, "int32": 2, "uint32": 3, "int64": 4, "uint64": 5, "float16": 6, "float32": 7,
    "float64": 8, "bfloat16": 9,
}  # fmt: skip
_made: dict[tuple[str, tuple[int, ...]], Any] = {}

#: What is to be done on one device: address read, address written, elements, dtype, stream.
Part = tuple[int, int, int, str, int]


class NcclCommunicator:
    """NCCL over devices of this process.

    Args:
        nccl: CuPy's module.
        devices: their numbers.
    """

    def __init__(self, nccl: Any, devices: list[int]) -> None:
        self.nccl = nccl
        self.ranks = nccl.NcclCommunicator.initAll(devices)

    def __call__(self, what: str, parts: Sequence[Part], op: int, root: int) -> None:
        """Do one thing on all devices.

        Args:
            what: ``allReduce``, ``reduce``, ``broadcast``, ``allGather`` or ``reduceScatter``.
            parts: what each device reads and writes; the elements are those of one device's smaller side.
            op: how elements are joined.
            root: the place of the device that hands round or collects.
        """
        options = {
            "allReduce": (op,), "reduce": (op, root), "broadcast": (root,), "allGather": (), "reduceScatter": (op,),
        }[what]  # fmt: skip
        self.nccl.groupStart()
        for rank, (source, to, n, dtype, stream) in zip(self.ranks, parts, strict=True):
            getattr(rank, what)(source, to, n, _TYPES[dtype], *options, stream)
        self.nccl.groupEnd()


class HostCommunicator:
    """The same by the host, for the simulator."""

    def __call__(self, what: str, parts: Sequence[Part], op: int, root: int) -> None:
        """As `NcclCommunicator`."""
        import numpy as np

        def read(address: int, n: int, dtype: str) -> Any:
            kind = np.dtype("uint16" if dtype == "bfloat16" else dtype)
            raw = np.frombuffer(ctypes.string_at(address, n * kind.itemsize), kind)
            return (raw.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else raw

        def write(address: int, values: Any, dtype: str) -> None:
            if dtype == "bfloat16":
                bits = values.astype(np.float32).view(np.uint32)
                values = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)
            else:
                values = values.astype(dtype)
            ctypes.memmove(address, values.tobytes(), values.nbytes)

        _, _, n, dtype, _ = parts[0]
        wide = n * len(parts) if what == "reduceScatter" else n
        given = [read(source, wide, dtype) for source, *_ in parts]
        if what == "allGather":
            results = [np.concatenate(given)] * len(parts)
        elif what == "broadcast":
            results = [given[root]] * len(parts)
        else:
            total = given[0]
            for more in given[1:]:
                total = (np.add, np.multiply, np.maximum, np.minimum, np.add)[op](total, more)
            total = total / len(parts) if op == AVG else total
            results = [total] * len(parts)
            if what == "reduceScatter":
                results = np.split(total, len(parts))
        for k, (_, to, _, _, _) in enumerate(parts):
            if what != "reduce" or k == root:
                write(to, results[k], dtype)


def _run(
    what: str, inputs: Sequence[Any], outputs: Sequence[Any], numel: int, op: int = SUM, root: int = 0
) -> None:
    places: list[tuple[GpuBackend, int]] = [place(t.device) for t in inputs]
    backend, devices = places[0][0], tuple(index for _, index in places)
    first = inputs[0]
    wrong = len(set(devices)) < len(devices) or any(b is not backend for b, _ in places)
    if wrong or len(inputs) != len(outputs):
        raise ValueError(
            f"[{what}] tensors of several devices are needed, an output for each input: got {len(inputs)} inputs on "
            f"{', '.join(str(t.device) for t in inputs)} and {len(outputs)} outputs."
        )
    for t, out in zip(inputs, outputs, strict=True):
        fits = t.dtype is first.dtype and out.dtype is first.dtype and t.numel() == first.numel()
        if not (fits and t.is_contiguous() and out.is_contiguous() and t.device == out.device):
            raise ValueError(
                f"[{what}] tensors don't fit: got {t.spec} and {out.spec}, needed: one dtype and size, dense, each "
                "output on its input's device. Use contiguous()."
            )
    if first.dtype.name not in _TYPES:
        raise TypeError(f"[{what}] NCCL has no dtype {first.dtype.name}: needed: one of {', '.join(_TYPES)}.")
    key = backend.name, devices
    if key not in _made:
        _made[key] = backend.runtime.communicator(devices)
    parts = [
        (t.data_ptr(), out.data_ptr(), numel, first.dtype.name, backend.queues[index][0])
        for t, out, index in zip(inputs, outputs, devices, strict=True)
    ]
    _made[key](what, parts, op, root)
    from flambeau.plugin import touched

    touched(what, *outputs)


def all_reduce(inputs: Sequence[Any], outputs: Sequence[Any] | None = None, op: int = SUM) -> None:
    """Join the tensors of several devices, element by element; each device gets the result.

    Args:
        inputs: a dense tensor on each device, of one size and dtype.
        outputs: where the results go (default: in place).
        op: ``SUM``, ``PROD``, ``MAX``, ``MIN`` or ``AVG``.

    Raises:
        ValueError: tensors on one device, or of different sizes.
    """
    _run("allReduce", inputs, inputs if outputs is None else outputs, inputs[0].numel(), op)


def reduce(inputs: Sequence[Any], output: Any = None, root: int = 0, op: int = SUM) -> None:
    """Join the tensors of several devices; the device at place ``root`` gets the result.

    Args:
        output: where it goes (default: the root's input).
    """
    outputs = list(inputs)
    outputs[root] = inputs[root] if output is None else output
    _run("reduce", inputs, outputs, inputs[0].numel(), op, root)


def broadcast(inputs: Sequence[Any], root: int = 0) -> None:
    """Overwrite the tensors of all devices with that at place ``root``."""
    _run("broadcast", inputs, inputs, inputs[0].numel(), root=root)


def all_gather(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Each device gets the tensors of all, on end.

    Args:
        outputs: on each device, room for as many elements as all inputs have.
    """
    _sized("allGather", outputs, inputs[0].numel() * len(inputs))
    _run("allGather", inputs, outputs, inputs[0].numel())


def reduce_scatter(inputs: Sequence[Any], outputs: Sequence[Any], op: int = SUM) -> None:
    """Join the tensors of several devices; each device gets its part of the result.

    Args:
        outputs: on each device, room for an equal part of the elements.
    """
    _sized("reduceScatter", inputs, outputs[0].numel() * len(inputs))
    _run("reduceScatter", inputs, outputs, outputs[0].numel(), op)


def _sized(what: str, tensors: Sequence[Any], numel: int) -> None:
    for t in tensors:
        if t.numel() != numel:
            raise ValueError(f"[{what}] wrong size: got {t.spec}, needed: {numel} elements.")
