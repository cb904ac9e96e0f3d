"""The conformance suite: what a backend must do, driven by the records of ops.

A backend's whole test file::

    from flambeau.testing import BackendSuite

    class TestMyDevice(BackendSuite):
        device = "mydevice"
        expected_failures = {"forward[erfinv-float64]": "computed in float32"}

The oracle is the reference backend in float64 (or the widest type of the kind).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from .. import dtypes as dt
from ..autograd import grad, gradcheck, gradgradcheck
from ..devices import Device
from ..registry import OPS, backend_of, force_defaults
from .samples import Target, targets
from .values import Call, build, mapped, tensors_in

__all__ = ["BackendSuite", "compare", "run", "sampled"]

#: Relative and absolute tolerance by result dtype, for one op.
TOLERANCE = {
    dt.float16: (4e-3, 4e-3), dt.bfloat16: (3e-2, 3e-2), dt.float32: (3e-5, 3e-5), dt.float64: (1e-9, 1e-9),
    dt.complex64: (5e-5, 5e-5), dt.complex128: (1e-9, 1e-9),
}  # fmt: skip
WIDE = {"f": dt.float64, "c": dt.complex128, "i": dt.int64, "u": None, "b": None}


def sampled() -> list[Target]:
    """What has sample calls."""
    return targets()


def _dtypes(op: Target) -> list[dt.DType]:
    floats = [dt.float32, dt.float64, dt.float16, dt.bfloat16]
    if op.floats:
        return floats
    return [*floats, dt.int64, dt.int32, dt.uint8, dt.int16, dt.bool_, dt.complex64, dt.complex128, dt.uint32]


def compare(got: Any, want: Any, what: str, loose: float = 1.0) -> None:
    """Compare results with an oracle's, element by element, up to the rounding of the result's dtype.

    Raises:
        AssertionError: they differ; the message says where.
    """
    import numpy as np

    a, b = tensors_in(got), tensors_in(want)
    assert len(a) == len(b), f"{what}: {len(a)} results, expected {len(b)}"
    if not a:
        assert got == want, f"{what}: got {got}, expected {want}"
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        assert x.shape == y.shape, f"{what}: result {k} has shape {list(x.shape)}, expected {list(y.shape)}"
        rtol, atol = TOLERANCE.get(x.dtype, (0.0, 0.0))
        wide = dt.complex128 if y.dtype.is_complex or x.dtype.is_complex else dt.float64
        xs = x.detach().to("reference").to(wide).numpy()
        ys = y.detach().to("reference").to(wide).numpy()
        if x.dtype is dt.float16:
            ys = np.where(np.abs(ys) > 65504, np.copysign(np.inf, ys), ys)
        with np.errstate(all="ignore"):
            close = np.isclose(xs, ys, rtol=rtol * loose, atol=atol * loose, equal_nan=True)
        if not close.all():
            at = tuple(int(i) for i in np.argwhere(~close)[0])
            raise AssertionError(
                f"{what}: result {k} ({x.dtype.name}) differs at {at}: got {xs[at]!r}, expected {ys[at]!r} "
                f"({int((~close).sum())} of {close.size} elements)"
            )


def run(
    op: Target, sample: Call, dtype: dt.DType, device: str, how: str = "dense", gradient: bool = False
) -> tuple[Any, Any]:
    """Run a sample call; returns the arguments and the result."""
    seed = f"{op.name}{sample!r}"
    args = build(list(sample.args), dtype, device, seed, how, gradient)
    kwargs = {k: build(v, dtype, device, seed + k, how, gradient) for k, v in sample.kwargs.items()}
    if (
        not tensors_in([args, kwargs])
        and "dtype" not in kwargs
        and op.op is not None
        and "device" in op.op.names
    ):
        kwargs |= {"device": device, "dtype": dtype}
    return [*args, *kwargs.values()], op.call(*args, **kwargs)


def expected(op: Target, sample: Call, dtype: dt.DType) -> Any:
    """The oracle's result: on the reference backend, with the same numbers in the widest type of their kind."""
    seed = f"{op.name}{sample!r}"
    wide = WIDE[dtype.kind]

    def widen(t: Any) -> Any:
        return t.to(wide) if wide is not None and t.dtype is dtype else t

    args = mapped(build(list(sample.args), dtype, "reference", seed), widen)
    kwargs = {k: mapped(build(v, dtype, "reference", seed + k), widen) for k, v in sample.kwargs.items()}
    if (
        not tensors_in([args, kwargs])
        and "dtype" not in kwargs
        and op.op is not None
        and "device" in op.op.names
    ):
        kwargs |= {"device": "reference", "dtype": wide or dtype}
    return op.call(*args, **kwargs)


def _differentiable(target: Target) -> bool:
    op = target.op
    if not target.samples[0].tensors:
        return False
    return op is None or not (
        (op.kind == "kernel" and not op.vjp) or getattr(op, "differentiable", True) is False
    )


class BackendSuite:
    """Tests of a device; subclass it and name the device.

    Attributes:
        device: the device type under test.
        defaults: run the ops' default implementations instead of the backend's own kernels.
        dtypes: names of dtypes that the device has; None means all.
        expected_failures: test ids (as pytest shows them, without ``test_``) with the reason why they fail.
    """

    device: ClassVar[str] = "cpu"
    defaults: ClassVar[bool] = False
    dtypes: ClassVar[frozenset[str] | None] = None
    expected_failures: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _configured(self, request: pytest.FixtureRequest) -> Iterator[None]:
        name = request.node.name.removeprefix("test_")
        reason = self.expected_failures.get(name)
        if reason is not None:
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        with force_defaults() if self.defaults else contextlib.nullcontext():
            yield

    def _takes(self, dtype: dt.DType) -> bool:
        return self.dtypes is None or dtype.name in self.dtypes

    def test_expected_failures_exist(self, request: pytest.FixtureRequest) -> None:
        """Ids that match no test are errors."""
        known = {
            i.name.removeprefix("test_")
            for i in request.session.items
            if getattr(i, "cls", None) is type(self)
        }
        unknown = set(self.expected_failures) - known
        assert len(known) < 50 or not unknown, f"expected_failures name no test: {sorted(unknown)}"

    @pytest.mark.parametrize("op", sampled(), ids=lambda o: o.name)
    def test_forward(self, op: Target) -> None:
        """Values over dtypes; inputs stay as they were."""
        tried = 0
        for dtype in _dtypes(op):
            if not self._takes(dtype):
                continue
            for sample in op.samples:
                try:
                    want = expected(op, sample, dtype)
                    shape_like = run(op, sample, dtype, "reference")[1]
                except (RuntimeError, TypeError, IndexError) as error:
                    with pytest.raises((type(error), RuntimeError, TypeError)):
                        run(op, sample, dtype, self.device)
                    continue
                what = f"{op.name}{sample!r} {dtype.name}"
                args, got = run(op, sample, dtype, self.device)
                for x, y in zip(tensors_in(got), tensors_in(shape_like), strict=True):
                    assert (x.dtype, x.shape) == (y.dtype, y.shape), (
                        f"{what}: {x.dtype} {x.shape}, expected {y.dtype} {y.shape}"
                    )
                # Integers may differ from the wide oracle by overflow; then the same dtype is compared.
                compare(got, shape_like if dtype.rank < 2 else want, what, 1 if dtype.rank < 2 else 4)
                before = run(op, sample, dtype, "reference")[0]
                for x, y in zip(tensors_in(args), tensors_in(before), strict=True):
                    compare(x, y, f"{what}: an input was modified")
                tried += 1
        assert tried, f"{op.name}: no dtype was taken"

    @pytest.mark.parametrize("op", [o for o in sampled() if o.samples[0].tensors], ids=lambda o: o.name)
    def test_strides(self, op: Target) -> None:
        """Operands that are not dense give the same result."""
        dtype = dt.float32 if _accepts(op, dt.float32) else dt.int64
        for sample in op.samples:
            dense = run(op, sample, dtype, self.device)[1]
            for how in ("step", "transposed"):
                try:
                    got = run(op, sample, dtype, self.device, how)[1]
                except RuntimeError:
                    if "view" not in op.name:
                        raise
                    continue  # a view of memory that isn't laid out for it
                compare(got, dense, f"{op.name}{sample!r} with {how} operands", 4)

    @pytest.mark.parametrize("op", [o for o in sampled() if _differentiable(o)], ids=lambda o: o.name)
    def test_gradient(self, op: Target) -> None:
        """Gradients: by finite differences on the reference, elsewhere equal to the reference's."""
        self._gradients(op, 1)

    @pytest.mark.parametrize("op", [o for o in sampled() if _differentiable(o)], ids=lambda o: o.name)
    def test_double_gradient(self, op: Target) -> None:
        """Gradients of gradients, likewise."""
        self._gradients(op, 2)

    def _gradients(self, op: Target, order: int) -> None:
        if not _accepts(op, dt.float64):
            pytest.skip("takes no floating-point numbers")
        if not self._takes(dt.float64):
            pytest.skip("the device has no float64")
        for sample in [s for s in op.samples if s.grad][: 6 if order == 1 else 3]:
            args, out = run(op, sample, dt.float64, self.device, gradient=True)
            leaves = [t for t in tensors_in(args) if t.requires_grad]
            if not leaves or not any(t.requires_grad for t in tensors_in(out)):
                continue
            size = sum(t.numel() for t in leaves)
            if size > 3000:
                continue
            if self.device == "reference" and size <= (200 if order == 1 else 40):
                fn = _function(op, sample)
                check = gradcheck if order == 1 else gradgradcheck
                assert check(fn, leaves, atol=2e-4, rtol=2e-3), f"{op.name}{sample!r}"
                continue
            got = _derivatives(op, sample, self.device, order)
            want = _derivatives(op, sample, "reference", order)
            for k, (x, y) in enumerate(zip(got, want, strict=True)):
                assert (x is None) == (y is None), f"{op.name}{sample!r}: gradient {k} is {x}, expected {y}"
                if x is not None:
                    compare(x, y, f"{op.name}{sample!r}: gradient {k}", 100)

    @pytest.mark.parametrize(
        "op", [o for o in sampled() if o.op is not None and o.op.inplace], ids=lambda o: o.name
    )
    def test_in_place(self, op: Target) -> None:
        """The in-place form and ``out=`` give the result of the function."""
        from ..inplace import inplace

        for sample in op.samples:
            for dtype in (dt.float32, dt.int64):
                if not _accepts(op, dtype, sample) or not hasattr(sample.args[0], "shape"):
                    continue
                args, want = run(op, sample, dtype, self.device)
                if (
                    not hasattr(want, "spec")
                    or want.shape != args[0].shape
                    or want.dtype is not args[0].dtype
                ):
                    continue
                fresh = run(op, sample, dtype, self.device)[0]
                n = len(sample.args)
                got = inplace(op.op, fresh[0], fresh[1:n], dict(zip(sample.kwargs, fresh[n:], strict=True)))
                assert got is fresh[0]
                compare(got, want, f"{op.name}_{sample!r}")

    def test_random_bits(self) -> None:
        """Random numbers are those of the reference, bit for bit (normals up to rounding)."""
        from ..random import Generator

        cases: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
            ("rand", ((1037,),), {}),
            ("rand", ((33, 5),), {"dtype": dt.float64}),
            ("rand", ((70,),), {"dtype": dt.float16}),
            ("randn", ((1037,),), {}),
            ("randint", (-5, 1000, (513,)), {}),
            ("randint", (0, 200, (65,)), {"dtype": dt.uint8}),
            ("randperm", (301,), {}),
        ]
        for name, args, kwargs in cases:
            if not self._takes(kwargs.get("dtype", dt.float32)):
                continue
            both = [
                OPS[name](*args, generator=Generator().manual_seed(7), device=d, **kwargs).to("reference")
                for d in (self.device, "reference")
            ]
            if name == "randn":
                compare(both[0], both[1], name, 0.1)
            else:
                assert bool((both[0] == both[1]).all()), f"{name}{args} differs from the reference"

    def test_dropout_mask_returns_in_backward(self) -> None:
        """The gradient of dropout is zero exactly where the output is."""
        x = OPS["ones"]((500,), device=self.device).requires_grad_()
        y = OPS["dropout_keep"](x, 0.4, 1 / 0.6, 11, 3)
        (g,) = grad(y.sum(), x)
        assert bool(((g == 0) == (y == 0)).all())
        share = float((y == 0).float().mean())
        assert 0.3 < share < 0.5

    def test_copies(self) -> None:
        """Tensors go to the device and come back, over dtypes and strides."""
        for dtype in dt.DTYPES:
            if not self._takes(dtype):
                continue
            x = OPS["arange"](24, device="reference").reshape((2, 3, 4)).to(dtype)
            there = x.to(self.device)
            assert str(there.device) == str(Device(self.device))
            assert there.dtype is dtype
            compare(there.to("reference"), x, dtype.name)
            compare(there.transpose(0, 2).to("reference"), x.transpose(0, 2), f"{dtype.name} transposed")

    def test_memory_is_returned(self) -> None:
        """A thousand steps leave as much memory in use as ten."""
        backend = backend_of(Device(self.device))
        x = OPS["ones"]((64, 64), device=self.device).requires_grad_()

        def step() -> None:
            ((x * 2).exp().sum() + (x @ x).mean()).backward()
            x.grad = None

        for _ in range(10):
            step()
        stats = backend.memory_stats(0)
        if "allocated" not in stats:
            pytest.skip("the backend counts no memory")
        before = stats["allocated"]
        for _ in range(1000 if self.device != "reference" else 100):
            step()
        assert backend.memory_stats(0)["allocated"] <= before + 4096

    def test_deterministic(self) -> None:
        """The same call twice gives the same bits."""
        x = OPS["rand"]((257, 129), device=self.device, generator=None)
        first, second = ([x.sum(), x.T @ x, x.softmax(1), x.cumsum(0), x.std(0)] for _ in range(2))
        assert all(bool((a == b).all()) for a, b in zip(first, second, strict=True))

    @pytest.mark.parametrize("case", range(9))
    def test_errors(self, case: int) -> None:
        """Mistakes are errors of PyTorch's types in the grammar of messages."""
        x = OPS["ones"]((2, 3), device=self.device)
        y = OPS["ones"]((4,), device=self.device)
        leaf = OPS["ones"]((2,), device=self.device).requires_grad_()
        cases: list[tuple[Any, type[Exception], str]] = [
            (lambda: x + y, RuntimeError, r"\[add\] shapes don't broadcast: got \[2, 3\] and \[4\]"),
            (lambda: x @ y, RuntimeError, r"\[matmul\] mat1 and mat2 shapes cannot be multiplied"),
            (lambda: x.sum(2), IndexError, r"\[sum\] Dimension out of range: got dim=2"),
            (
                lambda: x.reshape(4, 2),
                RuntimeError,
                r"\[reshape\] shape '\[4, 2\]' is invalid for input of size 6",
            ),
            (
                lambda: leaf.add_(1),
                RuntimeError,
                r"\[add_\] a leaf Variable that requires grad is being used in an in-place",
            ),
            (
                lambda: (leaf * 2).backward(),
                RuntimeError,
                r"\[backward\] grad can be implicitly created only for scalar outputs",
            ),
            (lambda: x.gather(1, OPS["full"]((2, 1), 7, device=self.device)), IndexError, r"7"),
            (lambda: x.to(dt.int64).mean(), RuntimeError, r"\[mean\] could not infer output dtype"),
            (
                lambda: x.add_(OPS["ones"]((5, 2, 3), device=self.device)),
                RuntimeError,
                r"doesn't match the broadcast shape",
            ),
        ]
        call, kind, text = cases[case]
        with pytest.raises(kind, match=text):
            call()

    def test_saved_tensor_changed_in_place(self) -> None:
        """Changing what backward needs is an error that names both ops."""
        x = OPS["ones"]((3,), device=self.device).requires_grad_()
        y = x.exp()
        z = y * y
        y.add_(1)
        with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*add_ at .*suite\.py"):
            z.sum().backward()

    def test_backward_twice(self) -> None:
        """A second backward says that the first one freed what it needs."""
        x = OPS["ones"]((3,), device=self.device).requires_grad_()
        y = (x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward()


def _accepts(op: Target, dtype: dt.DType, sample: Call | None = None) -> bool:
    try:
        run(op, sample or op.samples[0], dtype, "reference")
    except (RuntimeError, TypeError, IndexError):
        return False
    return True


def _function(op: Target, sample: Call) -> Any:
    """The op as a function of the leaves alone."""
    args, _ = run(op, sample, dt.float64, "reference", gradient=True)
    n = len(sample.args)

    def fn(*leaves: Any) -> Any:
        left = iter(leaves)
        filled = mapped(args, lambda t: next(left) if t.requires_grad else t)
        out = op.call(*filled[:n], **dict(zip(sample.kwargs, filled[n:], strict=True)))
        return tuple(t for t in tensors_in(out))

    return fn


def _derivatives(op: Target, sample: Call, device: str, order: int) -> list[Any]:
    args, out = run(op, sample, dt.float64, device, gradient=True)
    leaves = [t for t in tensors_in(args) if t.requires_grad]
    outs = [t for t in tensors_in(out) if t.requires_grad]
    loss = sum_of([(o * o).sum() + o.sum() for o in outs])
    first = grad(loss, leaves, create_graph=order == 2, allow_unused=True)
    if order == 1:
        return list(first)
    live = [g for g in first if g is not None and g.requires_grad]
    if not live:
        return []
    return list(grad(sum_of([(g * g).sum() for g in live]), leaves, allow_unused=True))


def sum_of(terms: list[Any]) -> Any:
    """The sum of 0-d tensors."""
    total = terms[0]
    for t in terms[1:]:
        total = total + t
    return total
