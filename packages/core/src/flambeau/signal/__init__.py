"""For type checkers: at run time this is the module ``flambeau_math.signal`` itself."""

from flambeau_math.signal import *
