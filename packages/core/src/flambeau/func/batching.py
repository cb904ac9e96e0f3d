"""For type checkers: at run time this is the module ``flambeau_func.batching`` itself."""

from flambeau_func.batching import *
