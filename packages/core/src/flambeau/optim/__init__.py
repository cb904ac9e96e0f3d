"""For type checkers: at run time this is the module ``flambeau_optim`` itself."""

from flambeau_optim import *
