"""Sequences of different lengths as one batch: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import flambeau as fb

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Packed(NamedTuple):
    data: fb.Tensor
    batch_sizes: fb.Tensor
    sorted_indices: fb.Tensor | None
    unsorted_indices: fb.Tensor | None


class PackedSequence(_Packed):
    """The steps of several sequences after one another: all first steps, all second steps, and so on.

    Made by `pack_padded_sequence` and `pack_sequence`; recurrent layers take and return it.

    Attributes:
        data: ``(sum of lengths, *)``.
        batch_sizes: int64, on the CPU: how many sequences have a first step, a second step, ...
        sorted_indices: the order by length in which sequences are packed; None where they came in that order.
        unsorted_indices: the way back.

    >>> pack_sequence([fb.tensor([1, 2]), fb.tensor([3])])
    PackedSequence(data=tensor([1, 3, 2]), batch_sizes=tensor([2, 1]), sorted_indices=None, unsorted_indices=None)
    """

    __slots__ = ()

    def __new__(
        cls, data: fb.Tensor, batch_sizes: fb.Tensor | None = None, sorted_indices: fb.Tensor | None = None,
        unsorted_indices: fb.Tensor | None = None,
    ) -> Self:  # fmt: skip
        if batch_sizes is None:
            raise ValueError("[PackedSequence] batch_sizes must be given.")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"PackedSequence({fields})"

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence with its data moved or cast as ``Tensor.to`` does; the sizes stay on the CPU."""
        data = self.data.to(*args, **kwargs)
        move = [
            None if t is None else t.to(data.device) for t in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *move)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence on the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        """The sequence on a CUDA device."""
        return self.to(device)

    def float(self) -> PackedSequence:
        """The sequence in float32."""
        return self.to(dtype=fb.float32)

    def double(self) -> PackedSequence:
        """The sequence in float64."""
        return self.to(dtype=fb.float64)

    def half(self) -> PackedSequence:
        """The sequence in float16."""
        return self.to(dtype=fb.float16)

    def long(self) -> PackedSequence:
        """The sequence in int64."""
        return self.to(dtype=fb.int64)

    def int(self) -> PackedSequence:
        """The sequence in int32."""
        return self.to(dtype=fb.int32)

    def short(self) -> PackedSequence:
        """The sequence in int16."""
        return self.to(dtype=fb.int16)

    def char(self) -> PackedSequence:
        """The sequence in int8."""
        return self.to(dtype=fb.int8)

    def byte(self) -> PackedSequence:
        """The sequence in uint8."""
        return self.to(dtype=fb.uint8)

    def pin_memory(self) -> PackedSequence:
        """The sequence itself."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"


def invert_permutation(permutation: fb.Tensor | None) -> fb.Tensor | None:
    """The permutation that undoes one; None for None."""
    if permutation is None:
        return None
    places = fb.arange(permutation.numel(), device=permutation.device, dtype=permutation.dtype)
    return fb.empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: fb.Tensor,
    lengths: fb.Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack sequences that were padded to one length.

    Args:
        input: ``(T, B, *)``, or ``(B, T, *)`` with `batch_first`.
        lengths: B lengths, at least 1, on the CPU.
        batch_first: whether the batch is the first dimension.
        enforce_sorted: the sequences come from the longest to the shortest; else they are sorted here.

    Raises:
        RuntimeError: a length is below 1, or the sequences aren't sorted.

    >>> pack_padded_sequence(fb.tensor([[1, 3], [2, 0]]), [2, 1]).data
    tensor([1, 3, 2])
    """
    op = "pack_padded_sequence"
    counts = [int(n) for n in (lengths.tolist() if isinstance(lengths, fb.Tensor) else lengths)]
    x = input.transpose(0, 1) if batch_first else input
    if x.ndim < 2 or x.shape[1] != len(counts):
        raise RuntimeError(
            f"[{op}] expected `len(lengths)` to be equal to batch_size: got {len(counts)}, input {list(input.shape)}."
        )
    if not counts or min(counts) < 1:
        raise RuntimeError(
            f"[{op}] length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0: "
            f"got {counts}."
        )
    if max(counts) > x.shape[0]:
        raise RuntimeError(
            f"[{op}] a sequence of {max(counts)} steps is longer than the input: {list(input.shape)}."
        )
    order: fb.Tensor | None = None
    if enforce_sorted:
        if counts != sorted(counts, reverse=True):
            raise RuntimeError(
                f"[{op}] `lengths` array must be sorted in decreasing order when `enforce_sorted` is True: got "
                f"{counts}. You can pass `enforce_sorted=False` to sort the sequences here."
            )
    else:
        order = fb.tensor(sorted(range(len(counts)), key=lambda k: -counts[k]), device=x.device)
        counts.sort(reverse=True)
        x = x.index_select(1, order)
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    data = fb.cat([x[t, :size] for t, size in enumerate(sizes)])
    return PackedSequence(data, fb.tensor(sizes, dtype=fb.int64, device="cpu"), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[fb.Tensor, fb.Tensor]:
    """Unpack into one padded tensor.

    Args:
        sequence: what was packed.
        batch_first: whether the batch comes first in the result.
        padding_value: what fills up short sequences.
        total_length: pad to this length.

    Returns:
        ``(T, B, *)``, or ``(B, T, *)``, and the lengths.

    >>> pad_packed_sequence(pack_sequence([fb.tensor([1, 2]), fb.tensor([3])]), batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    sizes = sequence.batch_sizes.tolist()
    steps, batch = len(sizes), sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "[pad_packed_sequence] expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being {steps}."
            )
        steps = total_length
    data = sequence.data
    rows, at = [], 0
    for size in sizes:
        part = data[at : at + size]
        at += size
        if size < batch:
            rest = fb.full(
                (batch - size, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device
            )
            part = fb.cat([part, rest])
        rows.append(part)
    if steps > len(sizes):
        blank = fb.full((batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
        rows += [blank] * (steps - len(sizes))
    padded = fb.stack(rows)
    lengths = fb.tensor([sum(size > k for size in sizes) for k in range(batch)], dtype=fb.int64)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices
        padded, lengths = padded.index_select(1, back), lengths[back.to(lengths.device)]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: fb.Tensor | Iterable[fb.Tensor], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> fb.Tensor:  # fmt: skip
    """Sequences of any lengths as one tensor, the shorter ones filled up.

    Args:
        sequences: tensors ``(L, *)``.
        batch_first: give ``(B, T, *)`` instead of ``(T, B, *)``.
        padding_value: what fills up.
        padding_side: ``"right"`` or ``"left"``.

    >>> pad_sequence([fb.tensor([1, 2]), fb.tensor([3])], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"[pad_sequence] padding_side should be either 'right' or 'left': got {padding_side!r}."
        )
    parts = list(sequences.unbind(0) if isinstance(sequences, fb.Tensor) else sequences)
    if not parts:
        raise RuntimeError("[pad_sequence] received an empty list of sequences.")
    longest = max(part.shape[0] for part in parts)
    rows = []
    for part in parts:
        missing = longest - part.shape[0]
        if missing:
            rest = fb.full((missing, *part.shape[1:]), padding_value, dtype=part.dtype, device=part.device)
            part = fb.cat([part, rest] if padding_side == "right" else [rest, part])
        rows.append(part)
    return fb.stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: fb.Tensor, lengths: fb.Tensor, batch_first: bool = False
) -> list[fb.Tensor]:
    """The sequences of a padded tensor, each of its own length: the inverse of `pad_sequence`."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(x.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: Sequence[fb.Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences ``(L, *)`` of any lengths; the arguments are `pack_padded_sequence`'s."""
    lengths = [part.shape[0] for part in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[fb.Tensor]:
    """The sequences of a packed one: the inverse of `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
