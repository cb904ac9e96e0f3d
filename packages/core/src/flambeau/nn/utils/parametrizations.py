"""For type checkers: at run time this is the module ``flambeau_nn.utils.parametrizations`` itself."""

from flambeau_nn.utils.parametrizations import *
