"""For type checkers: at run time this is the module ``flambeau_optim.lr_scheduler`` itself."""

from flambeau_optim.lr_scheduler import *
