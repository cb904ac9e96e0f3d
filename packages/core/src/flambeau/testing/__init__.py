"""For type checkers: at run time this is the module ``flambeau_testing`` itself."""

from flambeau_testing import *
