"""For type checkers: at run time this is the module ``flambeau_nn.modules`` itself."""

from flambeau_nn.modules import *
