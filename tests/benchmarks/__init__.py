"""Speed and size, side by side with PyTorch in one run where it is installed: ``python -m tests.benchmarks``."""
