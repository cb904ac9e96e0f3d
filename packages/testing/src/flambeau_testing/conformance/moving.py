"""Copies between devices and the host, several devices in one process, and mixtures that are refused."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.plugin import DTYPES, OPS

from ..cases import compare, each
from .base import SuiteBase

__all__ = ["Moving"]

_LAYOUTS: dict[str, Any] = {
    "dense": lambda t: t,
    "transposed": lambda t: t.transpose(0, 2),
    "step": lambda t: t[:, slice(None, None, 2), slice(None, None, -1)],
    "expanded": lambda t: t[0, 0, 0].expand((3, 5)),
    "offset": lambda t: t[1, 1],
    "empty": lambda t: t[:, 0:0],
    "0d": lambda t: t[1, 2, 3],
}


class Moving(SuiteBase):
    """Copies and mixtures of devices."""

    @each({f"{d.name}-{how}": (d, fn) for d in DTYPES for how, fn in _LAYOUTS.items()})
    def test_copy(self, case: tuple[fb.dtype, Any]) -> None:
        """There and back, over dtypes and strides; there in one piece."""
        dtype, layout = case
        x = OPS["arange"](24, device="reference").reshape((2, 3, 4)).to(dtype)
        there = x.to(self.device, copy=True)
        assert there.device is fb.device(self.device).home
        assert there.dtype is dtype
        compare(layout(there).to("reference"), layout(x).clone(), "from the device")
        back = layout(x).to(self.device, copy=True)
        assert back.spec.dense or self.device == "reference"  # a clone may keep the order of dimensions
        compare(back, layout(x).clone(), "to the device")

    @each({d.name: d for d in DTYPES})
    def test_copy_leaves_the_source_alone(self, case: fb.dtype) -> None:
        """A copy has memory of its own."""
        x = OPS["ones"]((3,), dtype=case, device="reference")
        there = x.to(self.device, copy=True)
        there.zero_()
        again = there.clone()
        again.fill_(1)
        assert bool((x.to("reference") == 1).all())
        assert not bool((there.to("reference") == 1).any())

    def test_host_memory_is_copied_at_the_call(self) -> None:
        """Changing the array after the copy doesn't change the tensor, however late the device works."""
        values = np.arange(100_000, dtype=np.float32)
        there = fb.from_numpy(values).to(self.device)
        if self.device == "cpu":
            there = there.clone()
        doubled = there * 2
        values[:] = -1
        compare(doubled, np.arange(100_000) * 2.0, "doubled")

    def test_results_are_complete_when_read(self) -> None:
        """Reading waits for a long chain of work."""
        x = OPS["ones"]((64, 64), device=self.device)
        for _ in range(200):
            x = x * 1.0 + 1
        compare(x, np.full((64, 64), 201.0), "a chain of 200")
        self.backend.synchronize(0)

    def test_numpy_sees_the_memory_or_says_why_not(self) -> None:
        """``numpy()`` shares host memory; elsewhere it is an error that says what to do."""
        x = OPS["ones"]((3,), device=self.device)
        if self.backend.host_visible:
            x.numpy()[1] = 5
            assert x.tolist() == [1, 5, 1]
        else:
            with pytest.raises(TypeError, match=r"can't convert .* to numpy.*Tensor.cpu\(\)"):
                x.numpy()
            assert self.backend.host_buffer(x.mem) is None

    def test_gradients_travel_back(self) -> None:
        """A copy between devices is differentiable."""
        x = OPS["ones"]((3,), device="reference").requires_grad_()
        (x.to(self.device) * 2).sum().to("reference").backward()
        assert x.grad.tolist() == [2, 2, 2]
        assert x.grad.device.type == "reference"

    @each({"add": "add", "matmul": "matmul", "cat": "cat", "where": "where", "copy_across": "copy_"})
    def test_mixing_devices(self, case: str) -> None:
        """Operands on two devices are an error that names both; only ``copy_`` moves."""
        other = "reference" if self.device != "reference" else "cpu"
        x = OPS["ones"]((2, 2), device=self.device)
        y = OPS["full"]((2, 2), 3.0, device=other)
        if case == "copy_":
            x.copy_(y)
            compare(x, np.full((2, 2), 3.0), "copy_")
            return
        calls = {
            "add": lambda: x + y,
            "matmul": lambda: x @ y,
            "cat": lambda: OPS["cat"]([x, y]),
            "where": lambda: OPS["where"](x > 0, x, y),
        }
        with pytest.raises(
            RuntimeError, match=rf"\[{case}\w*\] Expected all tensors to be on the same device.*\.to\("
        ) as told:
            calls[case]()
        assert self.device in str(told.value)
        assert other in str(told.value)

    def test_numbers_on_the_cpu_mix(self) -> None:
        """A 0-d tensor of the CPU counts as a number."""
        x = OPS["ones"]((2,), device=self.device)
        y = x * OPS["full"]((), 3.0, device="cpu")
        assert y.device is fb.device(self.device).home
        assert y.tolist() == [3, 3]

    def test_devices_are_numbered(self) -> None:
        """Each index is a device of its own; beyond the last is an error."""
        count = self.backend.device_count()
        assert count >= 1
        made = [OPS["full"]((2,), float(k), device=f"{self.device}:{k}") for k in range(count)]
        moved = [t.to(f"{self.device}:{count - 1 - k}") for k, t in enumerate(made)]
        assert [t.tolist() for t in moved] == [[float(k)] * 2 for k in range(count)]
        for k in range(count):
            assert isinstance(self.backend.properties(k), dict)
        with pytest.raises(RuntimeError, match=rf"no device {self.device}:{count}: .* has {count} device"):
            OPS["ones"]((1,), device=f"{self.device}:{count}")

    def test_default_device(self) -> None:
        """``with device(...)`` creates there."""
        with fb.device(self.device):
            assert OPS["zeros"]((2,)).device is fb.device(self.device).home
            assert OPS["arange"](3).device is fb.device(self.device).home

    def test_meta_tensors(self) -> None:
        """Shapes can be worked out without data, and data can't be had of them."""
        x = OPS["ones"]((3, 4), device=self.device)
        empty = x.to("meta")
        assert (empty @ empty.t()).shape == (3, 3)
        assert empty.is_meta
        with pytest.raises((RuntimeError, NotImplementedError), match="no data"):
            empty.to(self.device)

    def test_deepcopy_and_pickle(self) -> None:
        """Copies of tensors as objects stay on the device."""
        x = OPS["arange"](6.0, device=self.device).reshape((2, 3)).t()
        for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert made.device is fb.device(self.device).home
            compare(made, x, "copy")
            assert made.mem is not x.mem

    @each(
        {
            "repr": repr,
            "tolist": lambda t: t.tolist(),
            "item": lambda t: t[1].item(),
            "bool": lambda t: bool(t[1]),
            "float": lambda t: float(t[1]),
            "iter": lambda t: [float(v) for v in t],
        },
    )
    def test_reading(self, case: Any) -> None:
        """Values come to the host through every door."""
        x = OPS["arange"](3.0, device=self.device)
        got, want = case(x), case(OPS["arange"](3.0, device="reference"))
        if isinstance(got, str):
            assert self.device == "cpu" or f"device='{self.device}" in got
            got, want = (re.sub(r", device='[^']*'", "", text) for text in (got, want))
        assert got == want
