"""PyTorch's own operator records replayed on flambeau; needs PyTorch. See `python -m tests.parity --help`."""
