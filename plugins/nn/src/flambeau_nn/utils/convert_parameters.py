"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import flambeau as fb
from flambeau.errors import message

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[fb.Tensor]) -> fb.Tensor:
    """All parameters, flattened, one after another.

    >>> parameters_to_vector([fb.ones(2), fb.zeros(1, 1)]).tolist()
    [1.0, 1.0, 0.0]
    """
    return fb.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: fb.Tensor, parameters: Iterable[fb.Tensor]) -> None:
    """Put the vector's parts into the parameters: their data becomes views of it."""
    if not isinstance(vec, fb.Tensor):
        raise TypeError(f"[vector_to_parameters] expected a Tensor: got {type(vec).__name__}.")
    start = 0
    for parameter in parameters:
        part = vec[start : start + parameter.numel()]
        if part.numel() != parameter.numel():
            raise RuntimeError(
                message("vector_to_parameters", "the vector is too short", vec=vec, parameter=parameter)
            )
        parameter.data = part.view(parameter.shape).data
        start += parameter.numel()
