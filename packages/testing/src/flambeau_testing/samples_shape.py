"""Sample calls of ops that move elements: views, joining, indexing by tensors."""

from __future__ import annotations

from .values import Call, T, call

__all__ = ["SHAPE"]


def _index(*shape: int, high: int) -> T:
    return T(*shape, low=0, high=high, kind="index")


_ROWS = [call(T(3, 4)), call(T(2, 3, 4))]
_STACK = [call([T(2, 3), T(2, 3)]), call([T(2, 3), T(2, 3), T(2, 3)], 1)]
_JOIN = [call([T(2, 3), T(2, 3)])]

SHAPE: dict[str, list[Call]] = {
    "view_shape": [call(T(3, 4), (4, 3)), call(T(0, 2), (2, 0))],
    "view": [call(T(3, 4), (2, -1)), call(T(), (1, 1))],
    "view_as": [call(T(3, 4), T(12, kind="same"))],
    "reshape": [call(T(3, 4), (2, 6)), call(T(0, 3), (0,)), call(T(2, 3, 2), (-1,))],
    "reshape_as": [call(T(3, 4), T(12, kind="same"))],
    "transpose": [call(T(3, 4), 0, 1), call(T(2, 3, 4), -1, 0), call(T(), 0, 0)],
    "permute": [call(T(2, 3, 4), (2, 0, 1)), call(T(), ())],
    "expand": [call(T(3, 1), (3, 4)), call(T(3), (2, -1))],
    "expand_as": [call(T(3, 1), T(3, 4, kind="same"))],
    "broadcast_to": [call(T(3, 1), (2, 3, 4))],
    "t": [call(T(3, 4)), call(T(3))],
    "flatten": [call(T(2, 3, 4)), call(T(2, 3, 4), 1), call(T())],
    "unflatten": [call(T(2, 6), 1, (2, 3)), call(T(2, 6), -1, (-1, 2))],
    "ravel": _ROWS,
    "squeeze": [call(T(1, 3, 1)), call(T(1, 3, 1), 0), call(T(1, 3, 1), (0, 2))],
    "unsqueeze": [call(T(3, 4), 0), call(T(3, 4), -1), call(T(), 0)],
    "movedim": [call(T(2, 3, 4), 0, 2), call(T(2, 3, 4), (0, 1), (2, 0))],
    "select": [call(T(3, 4), 0, 1), call(T(3, 4), 1, -1)],
    "narrow": [call(T(5, 3), 0, 1, 3), call(T(5, 3), 1, -2, 2)],
    "diagonal": [call(T(3, 4)), call(T(3, 4), 1), call(T(2, 3, 4), -1, 1, 2)],
    "unfold": [call(T(7), 0, 3, 2), call(T(2, 6), 1, 2, 2)],
    "unbind": [call(T(3, 4)), call(T(3, 4), 1)],
    "split": [call(T(5, 3), 2), call(T(5, 3), [1, 4]), call(T(2, 6), 4, 1)],
    "split_with_sizes": [call(T(5, 3), [2, 3])],
    "chunk": [call(T(5, 3), 2), call(T(5, 3), 3, 1)],
    "tensor_split": [call(T(7), 3), call(T(7, 2), (1, 4))],
    "hsplit": [call(T(4, 6), 2)],
    "vsplit": [call(T(4, 6), 2)],
    "dsplit": [call(T(2, 3, 4), 2)],
    **dict.fromkeys(("atleast_1d", "atleast_2d", "atleast_3d"), [call(T()), call(T(3)), call(T(2, 3))]),
    **dict.fromkeys(("cat", "stack"), _STACK),
    **dict.fromkeys(("hstack", "vstack", "dstack", "column_stack"), _JOIN),
    "repeat": [call(T(2, 3), (2, 1)), call(T(3), (2, 2))],
    "tile": [call(T(2, 3), (2,))],
    "repeat_interleave": [call(T(3), 2), call(T(2, 3), 2, 1), call(T(3, 2), _index(3, high=3), 0)],
    "flip": [call(T(3, 4), (0,)), call(T(3, 4), (0, 1))],
    **dict.fromkeys(("fliplr", "flipud"), _ROWS),
    "roll": [call(T(3, 4), 1), call(T(3, 4), 2, 0), call(T(3, 4), (1, 2), (0, 1))],
    **dict.fromkeys(("tril", "triu"), [call(T(3, 4)), call(T(4, 3), 1), call(T(2, 3, 3), -1)]),
    "diag": [call(T(3)), call(T(3, 4), 1)],
    "diag_embed": [call(T(2, 3)), call(T(3), 1)],
    "sum_to_size": [call(T(2, 3, 4), (3, 1))],
    "gather": [call(T(3, 4), 1, _index(3, 2, high=4)), call(T(3, 4), 0, _index(2, 4, high=3)), call(T(0, 4), 1, _index(0, 2, high=4))],
    "scatter": [call(T(3, 4), 1, T(3, 1, low=0, high=4, kind="index"), T(3, 1)), call(T(3, 4), 1, T(3, 1, low=0, high=4, kind="index"), 1.0)],
    "scatter_add": [call(T(3, 4), 1, _index(3, 5, high=4), T(3, 5))],
    "take": [call(T(3, 4), _index(5, high=12))],
    "take_along_dim": [call(T(3, 4), _index(3, 4, high=4), 1)],
    "index_select": [call(T(3, 4), 0, _index(5, high=3)), call(T(3, 4), 1, _index(2, high=4)), call(T(3, 4), 0, _index(0, high=3))],
    "index_add": [call(T(3, 4), 0, _index(5, high=3), T(5, 4))],
    "index_fill": [call(T(3, 4), 0, _index(2, high=3), 2)],
    "masked_select": [call(T(3, 4), T(3, 4, kind="mask")), call(T(3, 4), T(4, kind="mask"))],
    "masked_fill": [call(T(3, 4), T(4, kind="mask"), 2)],
    "where": [call(T(3, 4, kind="mask"), T(3, 4), T(4))],
    **dict.fromkeys(("nonzero", "argwhere"), [call(T(3, 4)), call(T(5)), call(T())]),
    "view_as_complex": [],
    "scatter_reduce": [call(T(3, 4), 1, _index(3, 4, high=4), T(3, 4, distinct=True), "sum"), call(T(3, 4), 0, _index(2, 4, high=3), T(2, 4, distinct=True), "amax", include_self=False)],
    "index_copy": [call(T(4, 3), 0, T(1, low=1, high=3, kind="index"), T(1, 3))],
    "put": [call(T(3, 4), T(1, low=0, high=12, kind="index"), T(1))],
    "index_put": [call(T(3, 4), (T(2, low=0, high=3, kind="index"),), T(4), True)],
    "masked_scatter": [call(T(3, 4), T(3, 4, kind="mask"), T(12))],
    "diagflat": [call(T(3)), call(T(2, 2), 1)],
}  # fmt: skip
