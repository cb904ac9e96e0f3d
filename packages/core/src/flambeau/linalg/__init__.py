"""For type checkers: at run time this is the module ``flambeau_math.linalg`` itself."""

from flambeau_math.linalg import *
