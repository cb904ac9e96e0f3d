"""For type checkers: at run time this is the module ``flambeau_vision.datasets`` itself."""

from flambeau_vision.datasets import *
