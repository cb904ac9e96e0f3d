"""For type checkers: at run time this is the module ``flambeau_vision`` itself."""

from flambeau_vision import *
