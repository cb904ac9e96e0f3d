"""For type checkers: at run time this is the module ``flambeau_nn.functional`` itself."""

from flambeau_nn.functional import *
