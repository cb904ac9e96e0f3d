"""Random streams: Philox4x32-10, counter-based, so that a value depends on (seed, stream, place) alone.

Every random call takes the next stream of its generator. Which bits element i of a stream gets is written in
docs/random.md with test vectors. Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .devices import Device
from .errors import message

if TYPE_CHECKING:
    from ._tensor import Tensor

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed",
    "set_rng_state",
]  # fmt: skip

_MASK = (1 << 64) - 1
_DEFAULT_SEED = 67280421310721


class Generator:
    """A source of random streams.

    Args:
        device: accepted as PyTorch's; streams are the same on every device.

    >>> import flambeau as fb
    >>> g = fb.Generator().manual_seed(0)
    >>> bool((fb.rand(3, generator=g) == fb.rand(3, generator=fb.Generator().manual_seed(0))).all())
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = Device(device)
        self._seed = _DEFAULT_SEED
        self._stream = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed; returns the generator."""
        if not isinstance(seed, int):
            raise TypeError(message("manual_seed", "expected seed to be an int", seed=seed))
        if not -(1 << 63) <= seed <= _MASK:
            wrong = "Overflow when unpacking long"
            raise RuntimeError(f"[manual_seed] {wrong}: got {seed}, needed: a 64-bit integer.")
        self._seed, self._stream = seed & _MASK, 0
        return self

    def initial_seed(self) -> int:
        """The seed."""
        return self._seed

    def seed(self) -> int:
        """Start anew from a seed that the operating system gives; returns it."""
        import os

        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    @property
    def stream(self) -> int:
        """The number of the next stream; set it to go on elsewhere."""
        return self._stream

    @stream.setter
    def stream(self, number: int) -> None:
        self._stream = number & _MASK

    def next_stream(self) -> tuple[int, int]:
        """Seed and number of the next stream; every call advances by one."""
        stream = self._stream
        self._stream = (stream + 1) & _MASK
        return self._seed, stream

    def split(self, n: int = 2) -> list[Generator]:
        """Independent generators, made from the next streams of this one.

        Args:
            n: how many.
        """
        made = []
        for _ in range(n):
            seed, stream = self.next_stream()
            g = Generator(self.device)
            # A generator's seed is 64 random bits of the parent: word 0 and 1 of its stream's block at 2**63.
            w = philox(1 << 63, seed, stream)
            g._seed = w[0] | w[1] << 32
            made.append(g)
        return made

    def get_state(self) -> Tensor:
        """Seed and stream as 16 bytes in a uint8 tensor."""
        from .dtypes import uint8
        from .ops.interop import tensor

        raw = self._seed.to_bytes(8, "little") + self._stream.to_bytes(8, "little")
        return tensor(list(raw), dtype=uint8, device="cpu")

    def set_state(self, new_state: Tensor) -> Generator:
        """Go back to a state from `get_state`."""
        values = new_state.tolist()
        if len(values) != 16:
            raise RuntimeError(f"[set_state] RNG state is wrong size: got {len(values)} bytes, needed: 16.")
        raw = bytes(values)
        self._seed, self._stream = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
        return self

    def clone_state(self) -> Generator:
        """A generator of its own in the same state."""
        g = Generator(self.device)
        g._seed, g._stream = self._seed, self._stream
        return g

    def __getstate__(self) -> tuple[str, int, int]:
        return str(self.device), self._seed, self._stream

    def __setstate__(self, state: tuple[str, int, int]) -> None:
        self.device, self._seed, self._stream = Device(state[0]), state[1], state[2]

    def __repr__(self) -> str:
        return f"<flambeau.Generator seed={self._seed} stream={self._stream}>"


def philox(q: int, seed: int, stream: int) -> tuple[int, int, int, int]:
    """One block of Philox4x32-10 in plain Python.

    >>> [hex(w) for w in philox(0, 0, 0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    m = 0xFFFFFFFF
    c0, c1, c2, c3 = q & m, q >> 32 & m, stream & m, stream >> 32 & m
    k0, k1 = seed & m, seed >> 32 & m
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & m, (p0 >> 32) ^ c3 ^ k1, p0 & m
        k0, k1 = (k0 + 0x9E3779B9) & m, (k1 + 0xBB67AE85) & m
    return c0, c1, c2, c3


default_generator = Generator()


#: The default generator's methods as functions.
manual_seed, seed = default_generator.manual_seed, default_generator.seed
initial_seed = default_generator.initial_seed
get_rng_state, set_rng_state = default_generator.get_state, default_generator.set_state


class fork_rng:
    """Context manager: the default generator's state is restored at the end."""

    def __init__(self, devices: Any = None, enabled: bool = True) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.kept = (default_generator._seed, default_generator._stream)

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            default_generator._seed, default_generator._stream = self.kept
