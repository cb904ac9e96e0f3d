"""For type checkers: at run time this is the module ``flambeau_nn.attention`` itself."""

from flambeau_nn.attention import *
