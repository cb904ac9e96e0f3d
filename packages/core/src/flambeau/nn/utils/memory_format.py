"""For type checkers: at run time this is the module ``flambeau_nn.utils.memory_format`` itself."""

from flambeau_nn.utils.memory_format import *
