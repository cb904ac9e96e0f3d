"""``flambeau <command>``: only ``doctor`` so far."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] == "doctor":
        from .doctor import main as doctor

        return doctor(given[1:])
    asked = given in (["-h"], ["--help"])
    print("usage: flambeau doctor [--help]", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
