"""For type checkers: at run time this is the module ``flambeau_math.distributions.constraint_registry`` itself."""

from flambeau_math.distributions.constraint_registry import *
