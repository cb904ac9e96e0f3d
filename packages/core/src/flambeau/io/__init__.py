"""For type checkers: at run time this is the module ``flambeau_io`` itself."""

from flambeau_io import *
