"""Executes docs/writing-a-backend.md in an empty folder: every command, every piece of code, in their order.

python tests/tutorial.py            # literally: with pip and the whole suite
python tests/tutorial.py --quick    # without pip (the environment names the plugin), one family of the suite
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "writing-a-backend.md"
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)


def follow(folder: Path, quick: bool) -> str:
    """Do what the page says; returns what the commands said.

    Raises:
        subprocess.CalledProcessError: a command failed.
    """
    said = []
    here, environment = (
        folder,
        {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )
    environment["PYTHONWARNINGS"] = "ignore"
    file = folder / "flambeau-npu" / "src" / "flambeau_npu" / "__init__.py"
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind == "python":
            file.write_text(file.read_text() + "\n\n" + text)
            continue
        for command in re.findall(r"^\$ (.*)$", text, re.M):
            if command.startswith("cd "):
                here = here / command[3:]
                continue
            if quick and command.startswith("pip "):
                names = re.search(r'^npu = "(.*)"$', (here / "pyproject.toml").read_text(), re.M)
                assert names is not None
                environment |= {
                    "PYTHONPATH": str(here / "src"),
                    "FLAMBEAU_PLUGINS": f"backends/npu={names[1]}",
                }
                continue
            if command.startswith("flambeau "):
                command = f"{sys.executable} -m {command}"
            if quick and " certify " in command:
                command += " --only randomness -n 0"
            done = subprocess.run(
                command, shell=True, cwd=here, env=environment, text=True, capture_output=True
            )
            said.append(f"$ {command}\n{done.stdout}{done.stderr}")
            if done.returncode and "doctor" not in command:  # which tells what else is wrong on this machine
                raise RuntimeError("\n".join(said))
    lines = sum(bool(line.strip()) for line in file.read_text().splitlines())
    return "\n".join(said) + f"\n{lines} lines of backend"


if __name__ == "__main__":
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        print(follow(Path(empty), "--quick" in sys.argv))
    print(f"{time.perf_counter() - began:.0f} s from the empty folder to the certificate")
