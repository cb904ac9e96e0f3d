"""Backends that are faulty in every way that a plugin can be: one clear message at use, the doctor shows it, and
everything else goes on working."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SOUND = """
    from flambeau.reference import ReferenceBackend
    class backend(ReferenceBackend): pass
"""
#: Module text of the plugin, and what is told at use and by the doctor.
FAULTS = {
    "wrong contract": (
        "from flambeau.reference import ReferenceBackend\nclass backend(ReferenceBackend): contract = (2, 7)",
        "[device] backend 'npu' speaks contract 2.7, this flambeau speaks 1.0. Install versions of both that agree.",
    ),
    "later minor contract": (
        "from flambeau.reference import ReferenceBackend\nclass backend(ReferenceBackend): contract = (1, 99)",
        "[device] backend 'npu' speaks contract 1.99, this flambeau speaks 1.0.",
    ),
    "contract misdeclared": (
        "from flambeau.reference import ReferenceBackend\nclass backend(ReferenceBackend): contract = '1'",
        "[device] backend 'npu' doesn't say which contract it speaks: got '1', needed: a pair of integers",
    ),
    "missing entry": (
        "from flambeau.plugin import Backend\nclass backend(Backend):\n"
        + "".join(
            f"    def {name}(self, *args): pass\n"
            for name in "allocate free copy_in copy_out run_program reduce scan matmul gather scatter".split()
        ),
        "[device] backend 'npu' lacks required entries: got my_npu.backend without scan2, sort.",
    ),
    "entry point to no module": (
        "",
        "my-npu 1.2 (my_npu:nothing) raised AttributeError: module 'my_npu' has no attribute",
    ),
    "exception on load": ("1 / 0", "raised ZeroDivisionError: division by zero. To mend it: pip install"),
    "exit on load": ("import sys; sys.exit(3)", "raised RuntimeError: it called exit(3)"),
    "exception on start": (
        "from flambeau.reference import ReferenceBackend\nclass backend(ReferenceBackend):\n"
        "    def __init__(self): raise OSError('no driver')",
        "[device] backend 'npu' didn't start: my_npu.backend() raised OSError: no driver.",
    ),
    "import loop": (
        "import flambeau\nx = flambeau.ones(1, device='npu')\nbackend = 1",
        "backends/npu asks for itself while it is being imported: backends/npu (my_npu:backend) -> backends/npu",
    ),
    "not a backend": ("backend = 3", "[device] the entry point of device 'npu' is not a Backend: got int."),
    "a dtype that doesn't exist": (
        "from flambeau.reference import ReferenceBackend\n"
        "class backend(ReferenceBackend): dtypes = frozenset({'float24'})",
        "[device] backend 'npu' declares dtypes that don't exist: got ['float24']",
    ),
}


class Site:
    """A folder of installed distributions and an interpreter that sees it first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, dist: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{dist.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(entry_points)
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(dedent(text))

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.folder), *filter(None, sys.path)])
        return subprocess.run(
            [sys.executable, "-c", dedent(code)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            cwd=self.folder,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


USE = """
    import flambeau as fb
    assert (fb.ones(2) + 1).tolist() == [2, 2]
    for _ in range(2):
        try:
            print("made", fb.ones(2, device="npu"))
        except RuntimeError as error:
            print(error)
    assert fb.ones(2, device="tpu").device.type == "tpu"
    assert (fb.ones(2, device="reference") + 1).tolist() == [2, 2]
"""
DOCTOR = "from flambeau.doctor import main; raise SystemExit(main([]))"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_backend_is_told_at_use_and_by_the_doctor(site: Site, fault: str) -> None:
    text, said = FAULTS[fault]
    value = "nothing" if fault == "entry point to no module" else "backend"
    site.add("my-npu", f"[flambeau.backends]\nnpu = my_npu:{value}\n", my_npu=text)
    site.add("my-tpu", "[flambeau.backends]\ntpu = my_tpu:backend\n", my_tpu=SOUND)
    done = site.run(USE)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second, "the message must not change at the second use"
    assert said in first
    doctor = site.run(DOCTOR)
    assert doctor.returncode == 1, doctor.stdout + doctor.stderr
    assert said.partition(" To mend")[0].partition(" raised ")[2] or said in doctor.stdout
    assert "npu: " in doctor.stdout
    assert "tpu: my_tpu.backend, contract 1.0, devices: 1" in doctor.stdout


@pytest.mark.parametrize("name", ["meta", "reference"])
def test_a_name_that_is_built_in(site: Site, name: str) -> None:
    site.add("my-own", f"[flambeau.backends]\n{name} = my_own:backend\n", my_own="1 / 0")
    done = site.run(f"import flambeau as fb; print(fb.ones(2, device='{name}').shape)")
    assert done.returncode == 0, done.stderr
    assert (
        f"PluginWarning: [plugins] plugin left out: my-own 1.2 (my_own:backend): device type '{name}' is built in."
        in done.stderr
    )
    doctor = site.run(DOCTOR)
    assert doctor.returncode == 1
    assert f"failed: PluginError: device type '{name}' is built in" in doctor.stdout


def test_a_namespace_that_is_the_cores_own(site: Site) -> None:
    site.add("my-own", "[flambeau.namespaces]\nautograd = my_own\n", my_own="")
    assert "flambeau/autograd" in site.run("import flambeau.autograd as a; print(a.__file__)").stdout
    doctor = site.run(DOCTOR)
    assert doctor.returncode == 1
    assert "failed: PluginError: flambeau.autograd is the core's own" in doctor.stdout


def test_one_backend_under_two_names(site: Site) -> None:
    site.add(
        "my-npu",
        "[flambeau.backends]\nnpu = my_npu:it\ntpu = my_npu:it\n",
        my_npu="from flambeau.reference import ReferenceBackend\nit = ReferenceBackend()",
    )
    done = site.run("import flambeau as fb; fb.ones(1, device='npu'); fb.ones(1, device='tpu')")
    assert "[device] device 'tpu' has the backend object of device 'npu'" in done.stderr
