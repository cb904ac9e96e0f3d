"""For type checkers: at run time this is the module ``flambeau_math.distributions.transforms`` itself."""

from flambeau_math.distributions.transforms import *
