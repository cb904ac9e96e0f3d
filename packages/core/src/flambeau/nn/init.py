"""For type checkers: at run time this is the module ``flambeau_nn.init`` itself."""

from flambeau_nn.init import *
