"""The layers and losses, one file for each family; the package above has them all."""
