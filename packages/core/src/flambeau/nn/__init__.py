"""For type checkers: at run time this is the module ``flambeau_nn`` itself."""

from flambeau_nn import *
