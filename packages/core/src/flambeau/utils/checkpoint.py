"""The same module as `flambeau_optim.checkpoint`, under PyTorch's name."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("flambeau.optim.checkpoint")
