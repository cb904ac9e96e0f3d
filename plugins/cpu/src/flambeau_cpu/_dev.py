"""Rebuilds the C engine on import in an editable checkout when a C file changed; absent work in an installed wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def ensure_built(root: Path) -> None:
    """Build if any source is newer than the module. FLAMBEAU_CPU_AUTOBUILD=0 turns this off."""
    so = root / "src" / "flambeau_cpu" / "_C.abi3.so"
    if os.environ.get("FLAMBEAU_CPU_AUTOBUILD") == "0" or _is_fresh(root, so):
        return
    import fcntl

    (root / "build").mkdir(exist_ok=True)
    with open(root / "build" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes: one builds, the others wait
        if not _is_fresh(root, so):
            subprocess.run([sys.executable, str(root / "build_ext.py")], check=True, stdout=sys.stderr)


def _is_fresh(root: Path, so: Path) -> bool:
    if not so.exists():
        return False
    built = so.stat().st_mtime_ns
    sources = [*(root / "csrc").glob("*.[ch]"), root / "build_ext.py"]
    return all(os.stat(source).st_mtime_ns <= built for source in sources)
