"""The same module as `flambeau.data`, under PyTorch's name."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("flambeau.data")
