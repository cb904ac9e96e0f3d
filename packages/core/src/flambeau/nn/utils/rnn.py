"""For type checkers: at run time this is the module ``flambeau_nn.utils.rnn`` itself."""

from flambeau_nn.utils.rnn import *
