"""Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): the random words of a tensor; see docs/random.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["philox4x32", "words32", "words64"]

Array = np.ndarray[Any, Any]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def philox4x32(counter: Sequence[Array], key: tuple[int, int]) -> list[Array]:
    """Ten rounds; the four words of the counters are uint64 arrays of 32-bit numbers, so are the results."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (p1 >> 32) ^ c1 ^ np.uint64(k0), p1 & _MASK
        c2, c3 = (p0 >> 32) ^ c3 ^ np.uint64(k1), p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return [c0, c1, c2, c3]


def _blocks(seed: int, stream: int, count: int) -> list[Array]:
    q = np.arange(count, dtype=np.uint64)
    high = np.full(count, stream >> 32, np.uint64)
    low = np.full(count, stream & _MASK, np.uint64)
    return philox4x32((q & _MASK, q >> 32, low, high), (seed & _MASK, seed >> 32))


def words32(shape: Sequence[int], seed: Array, stream: Array) -> Array:
    """A uint32 per element: word i mod 4 of block i div 4."""
    n = int(np.prod(shape, dtype=np.int64))
    words = np.stack(_blocks(int(seed.flat[0]), int(stream.flat[0]), -(-n // 4)), axis=1)
    return words.astype(np.uint32).reshape(-1)[:n].reshape(shape)


def words64(shape: Sequence[int], seed: Array, stream: Array) -> Array:
    """A uint64 per element: half i mod 2 of block i div 2, lower word first."""
    n = int(np.prod(shape, dtype=np.int64))
    w0, w1, w2, w3 = _blocks(int(seed.flat[0]), int(stream.flat[0]), -(-n // 2))
    words = np.stack((w0 | w1 << 32, w2 | w3 << 32), axis=1)
    return words.reshape(-1)[:n].reshape(shape)
