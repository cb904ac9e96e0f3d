"""cuDNN's graph interface: operations on the library itself (which needs no device), plans on a fake of it."""

from __future__ import annotations

from typing import Any

import pytest

from flambeau_cuda.dnn import Cudnn
from flambeau_cuda.dnn_graph import Refused, convolution_plan, operation
from flambeau_cuda.errors import Unavailable
from flambeau_cuda.nvrtc import find_library

SHAPES = (2, 8, 9, 9), (4, 8, 3, 3), (2, 4, 7, 7)
HOW = (1, 1), (0, 0), (1, 1)
BFLOAT16, FLOAT = 9, 0


@pytest.mark.parametrize("kind", range(3))
def test_cudnn_takes_the_operations(kind: int) -> None:
    try:
        lib = find_library("cudnn", ("libcudnn.so.9",), "cuDNN")
    except Unavailable as error:
        pytest.skip(str(error))
    for dtype, double in ((BFLOAT16, False), (FLOAT, False), (1, True)):
        assert operation(lib, kind, dtype, double, *SHAPES, *HOW).desc.value
    volume = (1, 4, 5, 5, 5), (6, 2, 3, 3, 3), (1, 6, 3, 3, 3)  # two groups
    assert operation(lib, kind, FLOAT, False, *volume, (1,) * 3, (0,) * 3, (1,) * 3).desc.value
    with pytest.raises(Refused):
        operation(lib, kind, FLOAT, False, (2, 8, 9, 9), (4, 8, 3, 3), (2, 4, 9, 9), *HOW)


class FakeLibrary:
    """Descriptors as dicts; engines with given notes."""

    def __init__(self, engines: list[tuple[set[int], int]], fails: int = 0) -> None:
        self.engines, self.fails = engines, fails
        self.nodes: dict[int, dict[Any, Any]] = {}
        self.ran: list[Any] = []
        self.cudnnBackendExecute = Function(self._execute)
        self.cudnnAddTensor, self.cudnnSetStream = Function(lambda *a: 0), Function(lambda *a: 0)
        for name in ("Forward", "BackwardData", "BackwardFilter"):
            setattr(self, f"cudnnConvolution{name}", Function(lambda *a: 0))

    def cudnnCreate(self, at: Any) -> int:
        at._obj.value = 7
        return 0

    def cudnnCreateTensorDescriptor(self, at: Any) -> int:
        at._obj.value = 99
        return 0

    def cudnnSetTensorNdDescriptor(self, *args: Any) -> int:
        return 0

    def cudnnBackendCreateDescriptor(self, kind: int, at: Any) -> int:
        at._obj.value = len(self.nodes) + 1
        self.nodes[len(self.nodes) + 1] = {"kind": kind}
        return 0

    def cudnnBackendDestroyDescriptor(self, desc: Any) -> int:
        return 0

    def cudnnBackendFinalize(self, desc: Any) -> int:
        return 0

    def cudnnBackendSetAttribute(self, desc: Any, name: int, kind: int, n: Any, array: Any) -> int:
        self.nodes[desc.value][name] = list(array)
        return 0

    def cudnnBackendGetAttribute(
        self, desc: Any, name: int, kind: int, n: Any, count: Any, array: Any
    ) -> int:
        node = self.nodes[desc.value]
        if name == 202:
            count._obj.value = len(self.engines)
            for k, config in enumerate(array or ()):
                self.nodes[config]["engine"] = self.engines[k]
        elif name == 300:
            self.nodes[array[0]]["engine"] = node["engine"]
        elif name == 1303:
            notes = sorted(node["engine"][0])
            array[: len(notes)] = notes
            count._obj.value = len(notes)
        elif name == 402:
            array[0] = self.nodes[node[401][0]]["engine"][1]
        return 0

    def _execute(self, handle: int, plan: Any, pack: Any) -> int:
        node = self.nodes[pack.value]
        self.ran.append(
            (self.nodes[self.nodes[plan.value][401][0]]["engine"], node[1000], node[1001], node[1003])
        )
        return self.fails


class Function:
    """A function of a library, which takes ``argtypes``."""

    def __init__(self, fn: Any) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> Any:
        return self.fn(*args)


class FakeBackend:
    """Memory in numbers."""

    def __init__(self) -> None:
        self.runtime = self
        self.pools, self.queues = [self], [[5]]
        self.freed: list[Any] = []

    def use(self, index: int) -> None:
        pass

    enter = use

    def guarded(self, launch: Any, index: int) -> Any:
        return launch

    def allocate(self, nbytes: int) -> int:
        return 1 << 20

    def free(self, address: int, nbytes: int) -> None:
        self.freed.append((address, nbytes))


def test_the_first_engine_that_will_do() -> None:
    tensor_cores, nondeterministic, huge, plain = (
        ({0}, 0),
        ({0, 4}, 0),
        (set[int](), 1 << 40),
        (set[int](), 64),
    )
    lib = FakeLibrary([nondeterministic, huge, tensor_cores, plain])
    made = operation(lib, 0, FLOAT, False, *SHAPES, *HOW)
    for exact, engine in ((False, tensor_cores), (True, plain)):
        plan = convolution_plan(lib, 7, made, exact, 1 << 30)
        assert plan is not None
        assert plan.workspace == engine[1]
        assert plan.run(11, 12, 13, 14) == 0
        assert lib.ran[-1] == (engine, [1, 2, 3], [11, 12, 13], [14])
    assert convolution_plan(FakeLibrary([nondeterministic]), 7, made, False, 1 << 30) is None


@pytest.mark.parametrize(("kind", "places"), [(0, [1, 2, 9]), (1, [9, 1, 2]), (2, [1, 9, 2])])
def test_operands_go_where_they_belong(kind: int, places: list[int]) -> None:
    backend: Any = FakeBackend()
    lib = FakeLibrary([(set(), 64)])
    launch = Cudnn(backend, 0, lib).plan(kind, "bfloat16", *SHAPES, *HOW, 1, kind == 0, False)
    assert launch is not None
    launch(9, 1, 2, 3)
    launch(9, 1, 2, 3)
    assert [ran[2] for ran in lib.ran] == [places] * 2
    assert backend.freed == [(1 << 20, 64)] * 2


def test_the_older_interface_takes_over_where_a_plan_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(Cudnn, "_older_plan", lambda self, *sizes: lambda *places: calls.append(places))
    backend: Any = FakeBackend()
    lib = FakeLibrary([(set(), 0)], fails=3)
    launch = Cudnn(backend, 0, lib).plan(0, "float32", *SHAPES, *HOW, 1, False, True)
    assert launch is not None
    launch(9, 1, 2)
    launch(9, 1, 2)
    assert len(lib.ran) == 1
    assert calls == [(9, 1, 2, 0)] * 2
    monkeypatch.setattr(Cudnn, "_older_plan", lambda self, *sizes: None)
    failing = Cudnn(backend, 0, lib).plan(0, "float32", *SHAPES, *HOW, 1, False, True)
    assert failing is not None
    with pytest.raises(RuntimeError, match="cuDNN failed in execute: status 3"):
        failing(9, 1, 2)
