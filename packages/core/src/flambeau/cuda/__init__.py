"""For type checkers: at run time this is the module ``flambeau_cuda`` itself."""

from flambeau_cuda import *
