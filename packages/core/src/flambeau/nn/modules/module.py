"""For type checkers: at run time this is the module ``flambeau_nn.modules.module`` itself."""

from flambeau_nn.modules.module import *
