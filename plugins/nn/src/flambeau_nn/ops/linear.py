"""The affine map of a linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.plugin import Call, kernel, message

if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["linear"]


def _rows(x: Any) -> Any:
    """All leading dimensions as one."""
    k = x.shape[-1]
    return x if x.ndim == 2 else x.reshape((x.numel() // k if k else _count(x), k))


def _count(x: Any) -> int:
    n = 1
    for s in x.shape[:-1]:
        n *= s
    return n


def _gradients(g: Any, input: Any, weight: Any, needs: tuple[bool, ...]) -> list[Any]:
    if weight.ndim == 1:
        g = g.unsqueeze(-1)
    matrix = weight if weight.ndim == 2 else weight.unsqueeze(0)
    rows = input
    if g.is_complex():
        matrix, rows = matrix.conj(), rows.conj()
    gx = g.matmul(matrix) if needs[0] else None
    gw = _rows(g).mT.matmul(_rows(rows)).reshape(weight.shape) if needs[1] else None
    gb = None
    if needs[2]:
        gb = _rows(g).sum(0) if weight.ndim == 2 else g.sum()
    return [gx, gw, gb]


def _default(input: Any, weight: Any, bias: Any) -> Any:
    y = input.matmul(weight.mT if weight.ndim == 2 else weight)
    return y if bias is None else y + bias


@kernel(
    batch="flambeau_nn.ops.batching:linear", module="nn", method=False, function=False, default=_default,
    vjp=lambda g, input, weight, needs: _gradients(g, input, weight, needs),
)  # fmt: skip
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """``input @ weight.T + bias``.

    Args:
        input: [..., K].
        weight: [N, K], or [K].
        bias: [N], or [] for a weight [K].
    """
    x: Any = input
    w: Any = weight
    b: Any = bias
    got = {"input": x, "weight": w} | ({} if b is None else {"bias": b})
    if any(t.dtype is not x.dtype for t in got.values()):
        raise RuntimeError(
            message(
                "linear",
                "expected input, weight and bias to have the same dtype",
                do="Convert the input with .to(dtype), or the layer.",
                **got,
            )
        )
    if w.ndim not in (1, 2):
        raise RuntimeError(message("linear", "weight must have 1 or 2 dimensions", "[N, K] or [K]", **got))
    if not x.ndim or x.shape[-1] != w.shape[-1]:
        n = x.numel // x.shape[-1] if x.ndim and x.shape[-1] else 1
        columns = x.shape[-1] if x.ndim else 1
        raise RuntimeError(
            message(
                "linear",
                f"mat1 and mat2 shapes cannot be multiplied ({n}x{columns} and {w.shape[-1]}x{(*w.shape, 1)[0]})",
                f"an input whose last dimension is {w.shape[-1]}",
                "Reshape the input, or change the layer's number of input features.",
                **got,
            )
        )
    if b is not None and tuple(b.shape) not in ((), tuple(w.shape[:-1]), (1,)):
        raise RuntimeError(
            message("linear", "bias must have one element per output feature", f"{list(w.shape[:-1])}", **got)
        )
    plain = w.ndim == 2 and (b is None or b.shape == w.shape[:-1])
    return Call(x.like(shape=(*x.shape[:-1], *w.shape[:-1])), "native" if plain else "default")
