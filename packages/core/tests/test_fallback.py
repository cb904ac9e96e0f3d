"""What a device can't do is computed on the host, told once per op and place, counted, and forbidden on demand."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import Backend, BackendError, FallbackWarning, explain_fallbacks, register_backend
from flambeau.reference import ReferenceBackend
from flambeau.registry import _backends, backend_of


class Hidden(ReferenceBackend):
    """The reference, with limits, in memory that it keeps to itself."""

    host_visible = False
    dtypes = frozenset({"bool", "int64", "float32", "uint32", "uint64"})
    max_dims = 3
    lacks = frozenset({"sort", "reduce.prod", "erfinv"})

    def host_buffer(self, mem: object) -> None:
        return None


@pytest.fixture
def device() -> Iterator[str]:
    backend = Hidden()
    backend.name = "hidden"
    register_backend(backend)
    explain_fallbacks(reset=True)
    yield "hidden"
    del _backends["hidden"]
    explain_fallbacks(reset=True)


def fell(run: object) -> list[tuple[str, str, str, int]]:
    explain_fallbacks(reset=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        run()  # type: ignore[operator]
    return [(f.op, f.entry, f.reason, f.calls) for f in explain_fallbacks()]


def test_a_dtype_that_the_device_lacks(device: str) -> None:
    x = fb.arange(6.0).to(device).reshape(2, 3)
    with pytest.warns(FallbackWarning, match=r"\[add\] device 'hidden' can't do it.*no float64"):
        y = fb.full((3,), 2.0, dtype=fb.float64).to(device) + x
    assert y.device.type == device
    assert y.dtype is fb.float64
    np.testing.assert_array_equal(y.cpu().numpy(), np.arange(6.0).reshape(2, 3) + 2)


@pytest.mark.parametrize(
    ("run", "want"),
    [
        (lambda x: x.sort(), ("sort", "sort", "it lacks sort", 1)),
        (lambda x: x.prod(), ("prod", "reduce", "it lacks reduce.prod", 1)),
        (lambda x: x.erfinv(), ("erfinv", "run_program", "it lacks the instruction erfinv", 1)),
        (lambda x: x.half(), ("half_cast", "copy", "it has no float16", 1)),
        (lambda x: x.reshape(1, 1, 2, 3).exp(), ("exp", "run_program", "it takes 3 dimensions, not 4", 1)),
        (lambda x: x.msort(), ("msort", "sort", "it lacks sort", 1)),
        (lambda x: x.erfinv_(), ("erfinv", "run_program", "it lacks the instruction erfinv", 1)),
    ],
)
def test_the_op_and_the_reason_are_named(device: str, run: object, want: tuple[str, str, str, int]) -> None:
    x = fb.linspace(-0.9, 0.9, 6).to(device).reshape(2, 3)
    for _ in range(2):  # the second call goes through the prepared plan
        assert want in fell(lambda: run(x))  # type: ignore[operator]


def test_strided_results_keep_what_lies_between(device: str) -> None:
    x = fb.zeros(4, 4, dtype=fb.float64).to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        x[:, 1::2] = fb.ones(4, 2, dtype=fb.float64).to(device)
        x.t()[::-1].add_(1)
    want = np.ones((4, 4))
    want[:, 1::2] = 2
    np.testing.assert_array_equal(x.cpu().numpy(), want)


def test_gradients_fall_back_too(device: str) -> None:
    x = fb.linspace(-0.5, 0.5, 5).to(device).requires_grad_()
    want = x.detach().cpu().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        x.erfinv().square().sum().backward()
    want.erfinv().square().sum().backward()
    assert x.grad is not None
    assert want.grad is not None
    np.testing.assert_allclose(x.grad.cpu().numpy(), want.grad.numpy(), rtol=1e-6)


def test_one_warning_for_each_op_and_place_and_every_call_is_counted(device: str) -> None:
    x = fb.ones(3, device=device)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(5):
            x.sort()
        x.sort()
    assert [w.category for w in told] == [FallbackWarning] * 2
    assert all(w.filename == __file__ for w in told)
    found = explain_fallbacks()
    assert [f.calls for f in found] == [5, 1]
    assert found[0].site.rpartition(":")[0] == __file__


def test_fallbacks_can_be_forbidden(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = fb.ones(3, device=device)
    monkeypatch.setenv("FLAMBEAU_FALLBACK", "error")
    with pytest.raises(RuntimeError, match=r"\[sort\] device 'hidden' can't do it.*FLAMBEAU_FALLBACK=error"):
        x.sort()
    monkeypatch.setenv("FLAMBEAU_FALLBACK", "silent")
    with pytest.raises(RuntimeError, match=r"needed: 'warn' or 'error'"):
        x.sort()


def test_declared_lacks_need_no_method() -> None:
    class Small(Backend):
        lacks = frozenset({"sort", "scan2"})

    assert "sort" not in Small.__abstractmethods__
    assert "matmul" in Small.__abstractmethods__
    assert Backend.__abstractmethods__ >= {"sort", "scan2"}


@pytest.mark.parametrize(("field", "value"), [("lacks", "srot"), ("dtypes", "float23")])
def test_misspelt_declarations_are_errors(field: str, value: str) -> None:
    backend = type("Misspelt", (Hidden,), {field: frozenset({value})})()
    backend.name = "misspelt"
    with pytest.raises(BackendError, match=rf"declares {field} that don't exist: got \['{value}'\]"):
        register_backend(backend)


def test_backends_without_limits_are_left_alone() -> None:
    assert "reduce" not in vars(backend_of(fb.device("reference")))
