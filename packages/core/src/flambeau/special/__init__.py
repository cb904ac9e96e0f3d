"""For type checkers: at run time this is the module ``flambeau_math.special`` itself."""

from flambeau_math.special import *
