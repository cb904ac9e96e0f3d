"""For type checkers: at run time this is the module ``flambeau_func`` itself."""

from flambeau_func import *
