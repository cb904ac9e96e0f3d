"""For type checkers: at run time this is the module ``flambeau_math.fft`` itself."""

from flambeau_math.fft import *
