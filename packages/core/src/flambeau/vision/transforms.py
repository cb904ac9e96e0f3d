"""For type checkers: at run time this is the module ``flambeau_vision.transforms`` itself."""

from flambeau_vision.transforms import *
