"""For type checkers: at run time this is the module ``flambeau_math.signal.windows`` itself."""

from flambeau_math.signal.windows import *
