"""For type checkers: at run time this is the module ``flambeau_nn.utils.fusion`` itself."""

from flambeau_nn.utils.fusion import *
