"""Gradients of a loss over observation times, three ways, for any right-hand side written in torch.

A `Fit` is the problem: a model y' = f(t, y, theta), its initial state, observation times, and a
loss of the states there. Its gradient with respect to theta (and to the initial state) is taken by

- `discrete_gradient`: discretise, then optimise. Reverse mode through the steps: exact for the
  discrete loss, whatever the step size.
- `forward_gradient`: forward sensitivities of the same steps; equal to it up to rounding.
- `continuous_gradient`: optimise, then discretise. The adjoint equation

      lambda' = -(df/dy)^T lambda,    g' = -(df/dtheta)^T lambda,    backward in time,

  with a jump dloss/dy_i of lambda at each observation time, solved adaptively; how the state y gets
  into it is the `method`:

  | method | the state on the way back |
  | --- | --- |
  | `"backsolve"` | integrated backward from its final value, never reset (the talk, 2019) |
  | `"reset"` | the same, reset to the stored state at each observation time (torchdiffeq) |
  | `"interpolation"` | read from the dense output of the forward solve |
  | `"checkpoints"` | solved forward again between stored states, then read from dense output |

All of them return a `Gradient`. The steps are compiled once for each `f` (`compiled.py`): define
`f` once and take gradients often.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ...errors import BadInputError
from .backward import Backward
from .compiled import kernel
from .controllers import ORDINARYDIFFEQ, Convention
from .fit import Fit, Gradient, march, observe, solve, vjp
from .integrators import Step, rk4
from .tableaux import TSITOURAS, Tableau

Method = Literal["backsolve", "reset", "interpolation", "checkpoints"]

__all__ = [
    "Fit",
    "Gradient",
    "Method",
    "continuous_gradient",
    "discrete_gradient",
    "forward_gradient",
    "observe",
    "solve",
]


def discrete_gradient(fit: Fit, theta: Tensor, step: Step = rk4, substeps: int = 1) -> Gradient:
    """Discretise, then optimise: reverse mode through fixed steps.

    The transposed step is the vector-Jacobian product of one step, so that only the states at the
    step ends are kept.
    """
    states, starts = march(fit, theta, step, substeps)
    value, jumps = fit.weigh(torch.stack(states))

    def pull(
        t: Any, h: Any, y: Tensor, p: Tensor, adjoint: Tensor, g: Tensor
    ) -> tuple[Tensor, Tensor]:
        def one(v: Tensor, q: Tensor) -> Tensor:
            return step(lambda s, w: fit.f(s, w, q), t, v, h)

        _, transpose = vjp(one, y, p)
        dy, dp = transpose(adjoint)
        return dy, g + dp

    g, adjoint = torch.zeros_like(theta), jumps[-1]
    back = kernel(
        fit.f, ("pull", step), pull, (fit.between, 1e-3, fit.y0, theta, adjoint, g), fit.backend
    )
    with torch.no_grad():
        for n in reversed(range(len(starts))):
            t, h, y = starts[n]
            adjoint, g = back(t, h, y, theta, adjoint, g)
            if n % substeps == 0:
                adjoint = adjoint + jumps[n // substeps]
    return Gradient(value, g, adjoint, torch.stack(states))


def forward_gradient(fit: Fit, theta: Tensor, step: Step = rk4, substeps: int = 1) -> Gradient:
    """Forward sensitivities: every column of dy/dtheta carried along by the same fixed steps.

    Batched over the parameters (and over the components of y0) by `torch.func`.
    """

    def states_of(p: Tensor, y0: Tensor) -> Tensor:
        y, states = y0, [y0]
        for t0, t1 in pairwise(fit.times):
            h = (t1 - t0) / substeps
            for j in range(substeps):
                y = step(lambda s, v: fit.f(s, v, p), t0 + j * h, y, h)
            states.append(y)
        return torch.stack(states)

    states = observe(fit, theta, step, substeps)
    value, jumps = fit.weigh(states)
    by_theta, by_y0 = torch.func.jacfwd(states_of, argnums=(0, 1))(theta, fit.y0)
    d = jumps.dim()
    return Gradient(
        value,
        torch.tensordot(jumps, by_theta, dims=d),
        torch.tensordot(jumps, by_y0, dims=d),
        states,
    )


def continuous_gradient(
    fit: Fit,
    theta: Tensor,
    method: Method = "backsolve",
    rtol: float = 1e-7,
    atol: float = 1e-9,
    tableau: Tableau = TSITOURAS,
    convention: Convention = ORDINARYDIFFEQ,
) -> Gradient:
    """Optimise, then discretise: the continuous adjoint at these tolerances, both ways.

    The backward state is z = (lambda, g, y), one error norm over all of it (or over lambda and g
    alone where y is known); the jumps are stops of the backward solve. Raises `BadInputError` for
    an unknown method; a solve that breaks down is reported in `outcome`.
    """
    if method not in get_args(Method):
        raise BadInputError(f"adjoint method {method!r}", f"one of {', '.join(get_args(Method))}")
    forward = solve(fit, theta, rtol, atol, tableau, convention, dense=method == "interpolation")
    nothing = torch.full_like(theta, torch.nan), torch.full_like(fit.y0, torch.nan)
    if not forward.ok:
        value = torch.full_like(fit.y0.sum(), torch.nan)
        return Gradient(
            value, *nothing, forward.states, None, forward, None, f"forward: {forward.outcome}"
        )
    value, jumps = fit.weigh(forward.states)
    back = Backward(fit, theta, rtol, atol, tableau, convention)
    with torch.no_grad():
        if method in ("backsolve", "reset"):
            z, solution = back.with_state(forward.states, jumps, method == "reset")
        elif method == "interpolation":
            z, solution = back.with_known(forward.dense, jumps)
        else:
            z, solution = back.with_checkpoints(forward.states, jumps)
    if not solution.ok:
        return Gradient(
            value,
            *nothing,
            forward.states,
            None,
            forward,
            solution,
            f"backward: {solution.outcome}",
        )
    adjoint, g, y = back.split(z)
    return Gradient(value, g, adjoint, forward.states, y, forward, solution)
