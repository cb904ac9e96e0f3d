"""Random numbers: the documented vectors, bit for bit; determinism of everything."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau as fb
from flambeau.plugin import OPS, host_bytes

from ..cases import Case, compare, each, run, sampled, snapshot, takes
from .base import SuiteBase

__all__ = ["Randomness"]

_SEEDS = {"zero": (0, 0), "small": (42, 3), "wide": (2**40 + 1, 0), "full": (2**64 - 1, 7)}
_DRAWS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "rand": ("rand", ((1037,),), {}),
    "rand-0d": ("rand", ((),), {}),
    "rand-empty": ("rand", ((0, 3),), {}),
    "rand-float64": ("rand", ((33, 5),), {"dtype": fb.float64}),
    "rand-float16": ("rand", ((70,),), {"dtype": fb.float16}),
    "rand-bfloat16": ("rand", ((70,),), {"dtype": fb.bfloat16}),
    "randn": ("randn", ((1037,),), {}),
    "randn-float64": ("randn", ((101,),), {"dtype": fb.float64}),
    "randint": ("randint", (-5, 1000, (513,)), {}),
    "randint-uint8": ("randint", (0, 200, (65,)), {"dtype": fb.uint8}),
    "randperm": ("randperm", (301,), {}),
}
#: Calls whose results could depend on the order of work.
_REPEATED = (
    "sum mean prod matmul softmax logsumexp cumsum std var scatter_add index_add sort topk addmm norm bmm mm "
    "scatter_reduce index_put log_softmax max argmax median cumprod"
).split()
_TARGETS = {t.name: t for t in sampled()}


def _words32(seed: int, stream: int, n: int) -> list[int]:
    return [fb.random.philox(i // 4, seed, stream)[i % 4] for i in range(n)]


def _words64(seed: int, stream: int, n: int) -> list[int]:
    blocks = [fb.random.philox(i // 2, seed, stream)[2 * (i % 2) : 2 * (i % 2) + 2] for i in range(n)]
    return [low | high << 32 for low, high in blocks]


class Randomness(SuiteBase):
    """Random numbers and determinism."""

    @each(_SEEDS)
    def test_random_vectors(self, case: tuple[int, int]) -> None:
        """Uniform numbers and integers are those that docs/random.md works out from (seed, stream, place)."""
        seed, skipped = case

        def drawn(name: str, *args: Any, **kwargs: Any) -> list[Any]:
            g = fb.Generator().manual_seed(seed)
            for _ in range(skipped):
                g.next_stream()
            made: list[Any] = OPS[name](*args, generator=g, device=self.device, **kwargs).tolist()
            return made

        assert drawn("rand", (9,)) == [(w >> 8) * 2.0**-24 for w in _words32(seed, skipped, 9)]
        words = _words64(seed, skipped, 7)
        assert drawn("rand", (7,), dtype=fb.float64) == [(w >> 11) * 2.0**-53 for w in words]
        assert drawn("randint", -5, 100, (7,)) == [-5 + w % 105 for w in words]

    @each(_DRAWS)
    def test_random_bits(self, case: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
        """Draws equal the reference's bit for bit (normals to their rounding), twice."""
        name, args, kwargs = case
        draws = [
            OPS[name](*args, generator=fb.Generator().manual_seed(7), device=d, **kwargs)
            for d in (self.device, "reference", self.device)
        ]
        assert bytes(host_bytes(draws[0])) == bytes(host_bytes(draws[2]))
        if name == "randn":
            compare(draws[0], draws[1], name, 0.1)
        else:
            assert bytes(host_bytes(draws[0])) == bytes(host_bytes(draws[1])), f"{name}{args} differs"

    def test_random_streams_differ(self) -> None:
        """Two draws of one generator differ; two generators of one seed don't."""
        g, same = fb.Generator().manual_seed(1), fb.Generator().manual_seed(1)
        a, b = (OPS["rand"]((50,), generator=g, device=self.device) for _ in range(2))
        assert a.tolist() == OPS["rand"]((50,), generator=same, device=self.device).tolist()
        assert not set(a.tolist()) & set(b.tolist())

    def test_dropout_mask_returns_in_backward(self) -> None:
        """The gradient of dropout is zero exactly where the output is."""
        x = OPS["ones"]((500,), device=self.device).requires_grad_()
        y = OPS["dropout_keep"](x, 0.4, 1 / 0.6, 11, 3)
        (g,) = fb.autograd.grad(y.sum(), x)
        assert bool(((g == 0) == (y == 0)).all())
        assert 0.3 < float((y == 0).float().mean()) < 0.5

    @each(
        {
            name: Case(_TARGETS[name], fb.float32, s)
            for name in _REPEATED
            if name in _TARGETS
            for s in _TARGETS[name].samples[:1]
            if takes(_TARGETS[name], fb.float32)
        },
    )
    def test_deterministic(self, case: Case) -> None:
        """The same call gives the same bits every time."""
        first = snapshot(run(case, self.device)[1])
        for _ in range(4):
            assert snapshot(run(case, self.device)[1]) == first, f"{case} differs from run to run"

    @each(
        {name: name for name in "sum matmul softmax cumsum std scatter_add index_add sort exp".split()},
    )
    def test_deterministic_when_large(self, case: str) -> None:
        """So do calls on tensors that devices cut into parts, and their gradients."""
        x = OPS["rand"](
            (257, 129), device=self.device, generator=fb.Generator().manual_seed(3)
        ).requires_grad_()
        places = OPS["randint"](
            0, 50, (257, 129), device=self.device, generator=fb.Generator().manual_seed(4)
        )

        def once() -> list[bytes]:
            zero = OPS["zeros"]((50, 129), device=self.device)
            made = {
                "sum": lambda: x.sum(),
                "matmul": lambda: x.t() @ x,
                "softmax": lambda: x.softmax(1),
                "cumsum": lambda: x.cumsum(0),
                "std": lambda: x.std(0),
                "scatter_add": lambda: zero.scatter_add(0, places, x),
                "index_add": lambda: zero.index_add(0, places[:, 0], x),
                "sort": lambda: x.sort(0)[0],
                "exp": lambda: x.exp(),
            }[case]()
            (g,) = fb.autograd.grad((made * made).sum(), x)
            return snapshot([made, g])

        first = once()
        assert all(once() == first for _ in range(3)), f"{case} differs from run to run"

    def test_same_values_wherever_they_lie(self) -> None:
        """A sum doesn't depend on where its operand lies in memory."""
        values = np.random.default_rng(0).uniform(-1, 1, 1000)
        x = OPS["zeros"]((1003,), device=self.device)
        found = set()
        for start in range(4):
            x[start : start + 1000] = _floats(values).to(self.device)
            found.add(float(x[start : start + 1000].sum()))
        assert len(found) == 1


def _floats(values: Any) -> Any:

    return fb.from_numpy(values).to("reference").to(fb.float32)
