"""``flambeau <command>``: ``doctor``, ``certify``, ``new-backend``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

_COMMANDS = {
    "doctor": ("flambeau.doctor", "what is installed, and what of it works"),
    "certify": ("flambeau.testing.certify", "run the conformance suite on a device, write a certificate"),
    "new-backend": ("flambeau.testing.scaffold", "start the project of a backend"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _COMMANDS:
        try:
            command = import_module(_COMMANDS[given[0]][0])
        except ModuleNotFoundError as error:  # it says what to install
            print(error, file=sys.stderr)
            return 2
        status: int = command.main(given[1:])
        return status
    asked = given in (["-h"], ["--help"])
    lines = [
        "usage: flambeau COMMAND [--help]",
        *(f"  {name:12} {what}" for name, (_, what) in _COMMANDS.items()),
    ]
    print("\n".join(lines), file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
