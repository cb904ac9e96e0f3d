"""For type checkers: at run time this is the module ``flambeau_math.distributions.constraints`` itself."""

from flambeau_math.distributions.constraints import *
