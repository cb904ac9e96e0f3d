"""For type checkers: at run time this is the module ``flambeau_optim.amp`` itself."""

from flambeau_optim.amp import *
