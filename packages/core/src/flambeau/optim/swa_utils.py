"""For type checkers: at run time this is the module ``flambeau_optim.swa_utils`` itself."""

from flambeau_optim.swa_utils import *
