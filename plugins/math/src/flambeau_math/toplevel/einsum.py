"""Sums of products over pairs of dimensions: Einstein summation by matmul, two operands at a time; tensordot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flambeau as fb
from flambeau.plugin import ints, refuse, wrap_dim

from .._records import Space

if TYPE_CHECKING:
    from flambeau import Tensor

__all__: list[str] = []

top = Space("")


def _fail(equation: str, wrong: str) -> RuntimeError:
    return RuntimeError(f"[einsum] {wrong}: got equation {equation!r}.")


def _read(equation: str, operands: Sequence[Any]) -> tuple[list[list[str]], list[str]]:
    """The letters of every operand and of the result; broadcast dimensions become ``"0"``, ``"1"``..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise _fail(equation, f"{len(terms)} operands in the equation, {len(operands)} were given")
    wide = 0
    for term, t in zip(terms, operands, strict=True):
        if "..." in term:
            wide = max(wide, t.ndim - len(term.replace("...", "")))
    letters: list[list[str]] = []
    for term, t in zip(terms, operands, strict=True):
        head, dots, tail = term.partition("...")
        if not (head + tail).isalpha() and head + tail:
            raise _fail(equation, f"subscripts must be letters, not {term!r}")
        n = t.ndim - len(head) - len(tail)
        if n < 0 or (n and not dots):
            raise _fail(equation, f"term {term!r} has {len(head + tail)} subscripts for {t.ndim} dimensions")
        letters.append([*head, *[str(k) for k in range(wide - n, wide)], *tail])
    if arrow:
        head, dots, tail = right.partition("...")
        out = [*head, *([str(k) for k in range(wide)] if dots else []), *tail]
        if len(set(out)) != len(out):
            raise _fail(equation, "a subscript appears twice in the result")
        for c in out:
            if not any(c in ls for ls in letters):
                raise _fail(equation, f"result subscript {c!r} does not appear in any operand")
        return letters, out
    every = [c for ls in letters for c in ls]
    return letters, [str(k) for k in range(wide)] + sorted(
        c for c in set(every) if c.isalpha() and every.count(c) == 1
    )


def _diagonals(t: Any, letters: list[str]) -> tuple[Any, list[str]]:
    """Repeated letters of one operand: its diagonal."""
    letters = list(letters)
    for c in list(letters):
        while letters.count(c) > 1:
            a = letters.index(c)
            b = letters.index(c, a + 1)
            t = t.diagonal(0, a, b)
            letters = [x for k, x in enumerate(letters) if k not in (a, b)] + [c]
    return t, letters


def _contract(a: Any, la: list[str], b: Any, lb: list[str], keep: set[str]) -> tuple[Any, list[str]]:
    """Two operands by one batched matmul; letters that nobody needs any more are summed."""
    for letters, other in ((la, lb), (lb, la)):
        gone = [c for c in letters if c not in other and c not in keep]
        if gone:
            t = a if letters is la else b
            t = t.sum([letters.index(c) for c in gone])
            rest = [c for c in letters if c not in gone]
            if letters is la:
                a, la = t, rest
            else:
                b, lb = t, rest
    if a.dtype is not b.dtype:  # a sum of integers is int64
        d = fb.promote_types(a.dtype, b.dtype)
        a, b = a.to(d), b.to(d)
    shared = [c for c in la if c in lb]
    # A size of 1 against a larger one broadcasts: it is repeated.
    for c in shared:
        m, n = a.shape[la.index(c)], b.shape[lb.index(c)]
        if m < n:
            a = a.expand([n if x == c else -1 for x in la])
        elif n < m:
            b = b.expand([m if x == c else -1 for x in lb])
    batch = [c for c in shared if c in keep]
    inner = [c for c in shared if c not in keep]
    rows = [c for c in la if c not in shared]
    cols = [c for c in lb if c not in shared]

    def sizes(t: Any, ls: list[str], which: list[str]) -> list[int]:
        return [t.shape[ls.index(c)] for c in which]

    bs, ks, ms, ns = sizes(a, la, batch), sizes(a, la, inner), sizes(a, la, rows), sizes(b, lb, cols)
    x = a.permute([la.index(c) for c in batch + rows + inner]).reshape(
        (math.prod(bs), math.prod(ms), math.prod(ks))
    )
    y = b.permute([lb.index(c) for c in batch + inner + cols]).reshape(
        (math.prod(bs), math.prod(ks), math.prod(ns))
    )
    if not inner and a.dtype.is_floating_point:
        return (x * y).reshape(bs + ms + ns), batch + rows + cols
    return (x @ y).reshape(bs + ms + ns), batch + rows + cols


@top.composite(method=False)
def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that an equation in Einstein's notation describes.

    Args:
        equation: such as ``"bij,bjk->bik"``; ``...`` stands for broadcast dimensions; without ``->`` the result has
            the letters that appear once, in alphabetical order.
        operands: the tensors, in the equation's order.

    >>> import flambeau as fb
    >>> fb.einsum("ij,j->i", fb.ones(2, 3), fb.ones(3))
    tensor([3., 3.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    letters, out = _read(equation, operands)
    sizes: dict[str, int] = {}
    for t, ls in zip(operands, letters, strict=True):
        for n, c in zip(t.shape, ls, strict=True):
            if sizes.setdefault(c, n) != n:
                if 1 not in (sizes[c], n):
                    raise _fail(
                        equation, f"subscript {c!r} has size {n} for one operand and {sizes[c]} for another"
                    )
                sizes[c] = max(sizes[c], n)
    terms = [_diagonals(t, ls) for t, ls in zip(operands, letters, strict=True)]
    acc, have = terms[0]
    for k, (t, ls) in enumerate(terms[1:], 1):
        keep = set(out).union(*[set(rest) for _, rest in terms[k + 1 :]])
        acc, have = _contract(acc, have, t, ls, keep)
    gone = [d for d, c in enumerate(have) if c not in out]
    if gone:
        acc, have = acc.sum(gone), [c for c in have if c in out]
    return acc.permute([have.index(c) for c in out]) if have != out else acc  # type: ignore[no-any-return]


@top.composite()
def tensordot(self: Tensor, other: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over pairs of dimensions: the last ``dims`` of one and the first of the other."""
    if isinstance(dims, int):
        left: Sequence[int] = range(self.ndim - dims, self.ndim)
        right: Sequence[int] = range(dims)
    else:
        left, right = ints(dims[0]), ints(dims[1])
    left = [wrap_dim(d, self.ndim, "tensordot") for d in left]
    right = [wrap_dim(d, other.ndim, "tensordot") for d in right]
    for i, j in zip(left, right, strict=len(left) == len(right)):
        if 1 in (self.shape[i], other.shape[j]) and self.shape[i] != other.shape[j]:  # one of them broadcasts
            self, other = self.sum(i, True, dtype=self.dtype), other.sum(j, True, dtype=other.dtype)
    if [self.shape[d] for d in left] != [other.shape[d] for d in right]:
        refuse("tensordot", f"contracted dimensions {left} and {right} need to match", self=self, other=other)
    rows = [d for d in range(self.ndim) if d not in left]
    cols = [d for d in range(other.ndim) if d not in right]
    k = math.prod(self.shape[d] for d in left)
    a = self.permute((*rows, *left)).reshape((-1, k) if k else (math.prod(self.shape[d] for d in rows), 0))
    b = other.permute((*right, *cols)).reshape((k, -1) if k else (0, math.prod(other.shape[d] for d in cols)))
    return (a @ b).reshape([self.shape[d] for d in rows] + [other.shape[d] for d in cols])
