"""For type checkers: at run time this is the module ``flambeau_nn.utils.stateless`` itself."""

from flambeau_nn.utils.stateless import *
