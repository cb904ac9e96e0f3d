"""``python -m tests.benchmarks [small large products steps budgets] [--threads N]``: the report, on standard output."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", default=["small", "large", "products", "steps", "budgets"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    from tests.benchmarks import speed
    from tests.benchmarks.budgets import budgets
    from tests.benchmarks.timing import table

    import flambeau as fb
    from flambeau.registry import backend_of

    fb.set_num_threads(options.threads)
    if speed.torch is not None:
        speed.torch.set_num_threads(options.threads)
    said = backend_of(fb.device("cpu")).properties(0)
    versions = f"PyTorch {speed.torch.__version__}" if speed.torch is not None else "PyTorch not installed"
    print(f"Python {platform.python_version()}, {versions}, {options.threads} thread(s), {said}")
    cores = {k: v for k, v in os.environ.items() if k.startswith("OPENBLAS")}
    print(f"environment: {cores or 'no OPENBLAS variables'}\n")
    titles = {"small": "Small ops", "large": "Large ops", "products": "Products", "steps": "Steps"}
    for group in options.groups:
        if group == "budgets":
            print(budgets())
        else:
            print(table(titles[group], getattr(speed, group)()), flush=True)


if __name__ == "__main__":
    main()
