"""For type checkers: at run time this is the module ``flambeau_func.functional`` itself."""

from flambeau_func.functional import *
