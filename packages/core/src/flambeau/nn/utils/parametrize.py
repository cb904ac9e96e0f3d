"""For type checkers: at run time this is the module ``flambeau_nn.utils.parametrize`` itself."""

from flambeau_nn.utils.parametrize import *
