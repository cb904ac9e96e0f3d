"""For type checkers: at run time this is the module ``flambeau_math.array_api.linalg`` itself."""

from flambeau_math.array_api.linalg import *
