"""For type checkers: at run time this is the module ``flambeau_data`` itself."""

from flambeau_data import *
