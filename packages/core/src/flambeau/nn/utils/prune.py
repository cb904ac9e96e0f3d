"""For type checkers: at run time this is the module ``flambeau_nn.utils.prune`` itself."""

from flambeau_nn.utils.prune import *
