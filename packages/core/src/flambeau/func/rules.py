"""For type checkers: at run time this is the module ``flambeau_func.rules`` itself."""

from flambeau_func.rules import *
