"""For type checkers: at run time this is the module ``flambeau_math.distributions`` itself."""

from flambeau_math.distributions import *
