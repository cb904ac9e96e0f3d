"""For type checkers: at run time this is the module ``flambeau_math.masked`` itself."""

from flambeau_math.masked import *
