"""For type checkers: at run time this is the module ``flambeau_func.transforms`` itself."""

from flambeau_func.transforms import *
