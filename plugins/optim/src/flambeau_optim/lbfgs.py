"""L-BFGS: a quasi-Newton method that evaluates the loss several times per step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flambeau as fb
from flambeau import Tensor
from flambeau.plugin import message

from .group import check_at_least_zero, check_scalar
from .multi import multi_apply
from .optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, "Numerical Optimization", algorithms 7.4, 7.5, 3.5 and 3.6).

    The last ``history_size`` changes of the parameters and of the gradient stand in for the inverse of the Hessian.
    For losses that are deterministic from one evaluation to the next; all parameters form one group.

    Args:
        params: tensors or ``(name, tensor)`` pairs.
        lr: length of a step along the direction found (with a line search: of the first trial).
        max_iter: iterations per call of `step`.
        max_eval: evaluations of the loss per call of `step` (default: ``max_iter * 5 // 4``).
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when loss or parameters change less.
        history_size: how many changes are kept; each takes twice the memory of the parameters.
        line_search_fn: None, or ``"strong_wolfe"``.

    Raises:
        ValueError: an option is out of its range, or there are several groups.

    >>> import flambeau as fb
    >>> x = fb.tensor([-1.0, 2.0], requires_grad=True)
    >>> optimizer = fb.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2  # Rosenbrock's function
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(5):
    ...     loss = optimizer.step(closure)
    >>> [round(v, 3) for v in x.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_scalar("LBFGS", lr=lr)
        check_at_least_zero("LBFGS", lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group of parameters.

        Raises:
            ValueError: there is one already.
        """
        if self.param_groups:
            wrong = "LBFGS doesn't support per-parameter options (parameter groups)"
            raise ValueError(message("LBFGS", wrong, "one group"))
        super().add_param_group(param_group)

    def _pieces(self) -> list[Tensor]:
        return [fb.view_as_real(p) if p.is_complex() else p for p in self.param_groups[0]["params"]]

    def _flat_grad(self) -> Tensor:
        flat = []
        for p in self.param_groups[0]["params"]:
            g = fb.zeros_like(p) if p.grad is None else p.grad.detach()
            flat.append((fb.view_as_real(g) if g.is_complex() else g).reshape(-1))
        return fb.cat(flat)

    def _move(self, t: float, d: Tensor) -> None:
        """Go ``t`` times the flat vector ``d`` from where the parameters are."""
        pieces = self._pieces()
        parts = [
            part.view(p.shape) for p, part in zip(pieces, d.split([p.numel() for p in pieces]), strict=True)
        ]
        multi_apply(_go, (pieces,), (parts,), (t,))

    @fb.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Run up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.

        Returns:
            The loss before the step.
        """
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(
                message(
                    "LBFGS",
                    "only 'strong_wolfe' is supported",
                    "None or 'strong_wolfe'",
                    line_search_fn=search,
                )
            )

        def evaluate() -> tuple[Any, Tensor]:
            with fb.enable_grad():
                value = closure()
            state["func_evals"] = state.get("func_evals", 0) + 1
            return value, self._flat_grad()

        state.setdefault("n_iter", 0)
        first, g = evaluate()
        loss, evaluations = float(first), 1
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(g) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            fresh = state["n_iter"] == 1
            d = self._direction(state, g, group["history_size"])
            lr = float(group["lr"])
            t = min(1.0, 1.0 / float(g.abs().sum())) * lr if fresh else lr
            slope, before = float(g.dot(d)), loss
            state.update(d=d, t=t, prev_flat_grad=g.clone(), prev_loss=loss)
            if slope > -group["tolerance_change"]:
                break
            if search:
                trial, used = self._search(
                    evaluate, Trial(0.0, loss, g, slope), t, d, group["max_eval"] - evaluations
                )
                t, loss, g = trial.t, trial.loss, trial.grad
                state["t"] = t
                evaluations += used
                self._move(t, d)
            else:
                self._move(t, d)
                if iteration < group["max_iter"]:  # the last point's loss is for the next call
                    value, g = evaluate()
                    loss, evaluations = float(value), evaluations + 1
            if (
                evaluations >= group["max_eval"]
                or _largest(d) * t <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], g: Tensor, size: int) -> Tensor:
        """Where to go: minus the estimate of the inverse Hessian times the gradient."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        dirs, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * float(state["t"])
        ys = float(y.dot(s))
        if ys > 1e-10:  # otherwise the estimate would lose its sign
            if len(dirs) == size:
                del dirs[0], steps[0], ro[0]
            dirs.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            state["H_diag"] = ys / float(y.dot(y))
        q = -g
        weights = []
        for y, s, r in reversed(list(zip(dirs, steps, ro, strict=True))):
            weights.append(float(s.dot(q)) * float(r))
            q = q - weights[-1] * y
        q = q * float(state["H_diag"])
        for y, s, r, a in zip(dirs, steps, ro, reversed(weights), strict=True):
            q = q + (a - float(y.dot(q)) * float(r)) * s
        return q

    def _search(
        self, evaluate: Callable[[], tuple[Any, Tensor]], start: Trial, t: float, d: Tensor, most: int
    ) -> tuple[Trial, int]:
        home = [p.clone() for p in self._pieces()]

        def at(t: float) -> Trial:
            self._move(t, d)
            value, g = evaluate()
            multi_apply(_return, (self._pieces(),), (home,))
            return Trial(t, float(value), g, float(g.dot(d)))

        tolerance = self.param_groups[0]["tolerance_change"] / max(_largest(d), 1e-300)
        return strong_wolfe(at, start, t, most, tolerance)


def _go(p: Any, d: Any, t: Any) -> Any:
    return (p + t * d,)


def _return(p: Any, home: Any) -> Any:
    return (home,)


def _largest(v: Tensor) -> float:
    return float(v.abs().max()) if v.numel() else 0.0


class Trial(NamedTuple):
    """A point on the line: how far along, the loss, the flat gradient and its part along the line."""

    t: float
    loss: float
    grad: Any
    slope: float


def strong_wolfe(
    at: Callable[[float], Trial],
    start: Trial,
    t: float,
    most: int,
    tolerance: float,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Trial, int]:
    """A point on a line that satisfies the strong Wolfe conditions, or the best one found.

    Args:
        at: evaluates a point.
        start: where the line begins; its slope is negative.
        t: the first trial.
        most: iterations at most.
        tolerance: stop when the bracket is narrower.
        c1: how much of the first slope's promise the loss must keep.
        c2: how much of the first slope may be left.

    Returns:
        The point, and how many were evaluated.
    """

    def too_high(point: Trial) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    def flat(point: Trial) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    last, point = start, at(t)
    evaluations, n = 1, 0
    while n < most:  # go on until a minimum lies behind
        if too_high(point) or (n > 1 and point.loss >= last.loss):
            break
        if flat(point):
            return point, evaluations
        if point.slope >= 0:
            break
        t = _minimum(last, point, point.t + 0.01 * (point.t - last.t), point.t * 10.0)
        last, point = point, at(t)
        evaluations, n = evaluations + 1, n + 1
    ends = [start if n == most else last, point]
    low = 0 if ends[0].loss <= ends[1].loss else 1
    stalled = False
    while n < most and abs(ends[1].t - ends[0].t) >= tolerance:  # narrow the bracket
        left, right = sorted((ends[0].t, ends[1].t))
        t = _minimum(ends[0], ends[1], left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            stalled = False
        elif stalled or not left < t < right:  # twice too near an end: move away from it
            t = right - margin if right - t < t - left else left + margin
            stalled = False
        else:
            stalled = True
        point = at(t)
        evaluations, n = evaluations + 1, n + 1
        if too_high(point) or point.loss >= ends[low].loss:
            ends[1 - low] = point
            low = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if flat(point):
            return point, evaluations
        if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = point
    return ends[low], evaluations


def _minimum(a: Trial, b: Trial, least: float, most: float) -> float:
    """Where the cubic through two points and their slopes is lowest, within bounds."""
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (least + most) / 2.0
    d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2.0
    d2 = math.sqrt(square)
    span = b.slope - a.slope + 2.0 * d2
    if span == 0:
        return (least + most) / 2.0
    return min(max(b.t - (b.t - a.t) * ((b.slope + d2 - d1) / span), least), most)
