"""For type checkers: at run time this is the module ``flambeau_io.safetensors`` itself."""

from flambeau_io.safetensors import *
