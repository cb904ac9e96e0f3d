"""What backend authors are given: the suite's own promises, the certificate, the scaffold, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.__main__ import main
from flambeau.testing import BackendSuite
from flambeau.testing.cases import has_oracle, sampled
from flambeau.testing.conformance.base import chosen
from flambeau.testing.scaffold import scaffold
from flambeau.testing.suite import expected_failure, test_ids


class Suite(BackendSuite):
    device = "reference"
    expected_failures = {"forward[exp-float32-0]": "one", "cast[bool-*]": "many"}


def test_the_suite_has_more_than_five_thousand_tests_with_ids_that_are_unique() -> None:
    ids = test_ids(Suite)
    assert len(ids) == len(set(ids)) > 5000
    assert {
        "forward[exp-float32-0]",
        "sort[float32-down]",
        "model[mlp-float32]",
        "expected_failures_exist",
    } <= set(ids)


def test_expected_failures_are_ids_or_patterns() -> None:
    assert expected_failure(Suite, "test_forward[exp-float32-0]") == "one"
    assert expected_failure(Suite, "test_cast[bool-int8]") == "many"
    assert expected_failure(Suite, "test_forward[exp-float32-1]") is None
    Suite().test_expected_failures_exist()


def test_expected_failures_that_name_no_test_fail() -> None:
    class Misspelt(BackendSuite):
        expected_failures = {"forward[epx-float32-0]": "never"}

    with pytest.raises(AssertionError, match=r"name no test: \['forward\[epx-float32-0\]'\]"):
        Misspelt().test_expected_failures_exist()


def test_a_share_is_the_same_everywhere_and_never_nothing() -> None:
    keys = [f"case-{k}" for k in range(1000)]
    some = chosen(keys, 0.1)
    assert len(some) == 100
    assert set(some) == set(chosen(reversed(keys), 0.1)) <= set(chosen(keys, 0.2))
    assert chosen(keys, 1) == keys
    assert len(chosen(keys, 1e-9)) == len(chosen(["one"], 0.5)) == 1


@pytest.mark.parametrize("share", [None, "0.01", "1"])
def test_the_environment_takes_the_place_of_a_suites_share(tmp_path: Path, share: str | None) -> None:
    (tmp_path / "test_it.py").write_text(
        "from flambeau.testing import BackendSuite\n"
        "class TestIt(BackendSuite):\n    device, share = 'reference', 0.02\n"
    )
    known = {key: value for key, value in os.environ.items() if key != "FLAMBEAU_CONFORMANCE_SHARE"}
    known |= {} if share is None else {"FLAMBEAU_CONFORMANCE_SHARE": share}
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    ids = test_ids(Suite)
    wanted = {None: 0.02, "0.01": 0.01, "1": 1}[share] * len(ids)
    found = done.stdout.count("TestIt::test_")
    assert wanted <= found <= wanted + len({name.partition("[")[0] for name in ids})


def test_most_records_of_the_core_are_said_a_second_time_in_numpy() -> None:
    core = [t for t in sampled() if t.op is not None and t.op.fn.__module__.startswith("flambeau.ops")]
    without = sorted(t.name for t in core if not has_oracle(t))
    assert len(without) < len(core) / 4, without


def _run(*command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flambeau", *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_new_backend_passes_its_first_tests_and_falls_back_for_all_computing(tmp_path: Path) -> None:
    made = _run("new-backend", "npu", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    project = tmp_path / "flambeau-npu"
    known = {"PYTHONPATH": str(project / "src"), "FLAMBEAU_PLUGINS": "backends/npu=flambeau_npu:NpuBackend"}
    command = [
        "certify",
        "--device",
        "npu",
        "--tests",
        "tests/test_conformance.py",
        "-n",
        "0",
        "--only",
        "randomness",
    ]
    done = _run(*command, folder=project, **known)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((project / "npu-certificate.json").read_text())
    assert not written["certified"], "a part of the suite is no certificate"
    assert written["partial"] == ["randomness"]
    assert written["failing"] == {}
    assert written["families"]["randomness"]["fallback"] > 20
    assert written["versions"]["contract"] == "1.0"
    assert "FLAMBEAU_PLUGINS (flambeau_npu:NpuBackend)" in written["versions"]["backend"]


def test_a_failing_device_gets_no_certificate(tmp_path: Path) -> None:
    scaffold("npu", tmp_path)
    file = tmp_path / "src" / "flambeau_npu" / "__init__.py"
    file.write_text(
        file.read_text().replace("return bytes(handle[offset : offset + nbytes])", "return bytes(nbytes)")
    )
    known = {"PYTHONPATH": str(tmp_path / "src"), "FLAMBEAU_PLUGINS": "backends/npu=flambeau_npu:NpuBackend"}
    done = _run("certify", "--device", "npu", "-n", "0", "--only", "mistakes", folder=tmp_path, **known)
    assert done.returncode == 1
    assert "FAILED error[" in done.stdout
    assert json.loads((tmp_path / "npu-certificate.json").read_text())["failing"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["new-backend", "N-P-U"], "not the name of a device: got 'N-P-U'"),
        (["new-backend", "cpu"], "device 'cpu' is there already"),
        (["new-backend", "meta"], "device 'meta' is there already"),
        (["new-backend", "npu", "--folder", "."], "is not empty"),
        (["certify", "--device", "npu"], "no plugin provides device 'npu'"),
        (["certify", "--device", "reference", "--only", "nothing"], "no such family: got ['nothing']"),
        (["certify", "--device", "reference", "--tests", "no.py"], "no test file no.py"),
    ],
)
def test_mistakes_on_the_command_line(
    command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert said in capsys.readouterr().out


def test_the_command_line_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert {"doctor", "certify", "new-backend"} <= set(capsys.readouterr().out.split())
    assert main(["no-such-command"]) == 2
