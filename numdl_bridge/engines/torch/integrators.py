"""Fixed-step time integrators: the object of study, so they are ours.

Two families of steps, one driver. A step knows nothing about weights, batches or gradients: it
calls the right-hand side that it is given, so that reverse mode, `torch.func.vmap` and
`torch.func.jvp` go through it, and dtype and device are those of the state.

- For `y' = f(t, y)`: `forward_euler`, `rk2`, `rk4`, with signature `step(f, t, y, h) -> y`.
- For separable systems `q' = v(t, p)`, `p' = a(t, q)`: `symplectic_euler`, `verlet`, `leapfrog`,
  with signature `step((v, a), t, state, h) -> state`. For a Hamiltonian `H = T(p) + V(q)` that is
  `v = T'(p)`, `a = -V'(q)`.

Time is a Python float (64 bits) and stays one whatever the precision of the state. A negative `h`
integrates backward.

Sources: Hairer, Norsett & Wanner, "Solving Ordinary Differential Equations I", II.1; Hairer, Lubich
& Wanner, "Geometric Numerical Integration", I.1 and VI.3; Ascher, "Numerical Methods for
Evolutionary Differential Equations", 2008 (the talk's reference).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...errors import BadInputError

Size = float | Tensor
"""A step size: a number, or a tensor of one for each member of the batch."""

RightHandSide = Callable[[Any, Any], Any]
Separable = tuple[RightHandSide, RightHandSide]
Step = Callable[..., Any]


def forward_euler(f: RightHandSide, t: float, y: Tensor, h: Size) -> Tensor:
    """Order 1, one evaluation: y + h f(t, y). A residual block is one such step."""
    return y + h * f(t, y)


def rk2(f: RightHandSide, t: float, y: Tensor, h: Size) -> Tensor:
    """Order 2, two evaluations: the explicit midpoint rule y + h f(t + h/2, y + h/2 f(t, y))."""
    k1 = f(t, y)
    return y + h * f(t + h / 2, y + (h / 2) * k1)


def rk4(f: RightHandSide, t: float, y: Tensor, h: Size) -> Tensor:
    """Order 4, four evaluations: the classic Runge-Kutta scheme with weights 1/6, 2/6, 2/6, 1/6.

    Not the 3/8 rule, which is what `torchdiffeq.odeint(..., method="rk4")` runs.
    """
    k1 = f(t, y)
    k2 = f(t + h / 2, y + (h / 2) * k1)
    k3 = f(t + h / 2, y + (h / 2) * k2)
    k4 = f(t + h, y + h * k3)
    return y + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)


def symplectic_euler(
    system: Separable, t: float, state: tuple[Tensor, Tensor], h: Size
) -> tuple[Tensor, Tensor]:
    """Order 1, one evaluation of each: q first, then p at the new q.

    q+ = q + h v(t, p), p+ = p + h a(t + h, q+). This is the talk's two-line "Verlet" step.
    """
    v, a = system
    q, p = state
    q = q + h * v(t, p)
    return q, p + h * a(t + h, q)


def undo_symplectic_euler(
    system: Separable, t: float, state: tuple[Tensor, Tensor], h: Size
) -> tuple[Tensor, Tensor]:
    """The algebraic inverse of `symplectic_euler`: its two lines in reverse order, signs changed.

    Not the same as a step with -h, which would move q first again.
    """
    v, a = system
    q, p = state
    p = p - h * a(t + h, q)
    return q - h * v(t, p), p


def verlet(
    system: Separable, t: float, state: tuple[Tensor, ...], h: Size
) -> tuple[Tensor, Tensor, Tensor]:
    """Order 2, Stormer-Verlet as kick-drift-kick: one new force a step.

    `state` is (q, p) or (q, p, force at q); the force at the new q is returned with the state and
    is the first force of the next step (first same as last), so that N steps cost N + 1 forces.
    Only where the force does not depend on time through a jump at the step's end.
    """
    v, a = system
    q, p = state[0], state[1]
    force = state[2] if len(state) == 3 else a(t, q)
    p = p + (h / 2) * force
    q = q + h * v(t + h / 2, p)
    force = a(t + h, q)
    return q, p + (h / 2) * force, force


def leapfrog(
    system: Separable, t: float, state: tuple[Tensor, Tensor], h: Size
) -> tuple[Tensor, Tensor]:
    """Order 2, one evaluation of each: staggered leapfrog, p lives half a step before q.

    The state is (q at t, p at t - h/2): p(t+h/2) = p(t-h/2) + h a(t, q), then
    q(t+h) = q + h v(t+h/2, p(t+h/2)). Eliminating p for v(p) = p gives the two-step form
    q(t+h) = 2 q(t) - q(t-h) + h^2 a(t, q(t)). Start it with p(-h/2) = p0 - h/2 a(0, q0).
    """
    v, a = system
    q, p = state
    p = p + h * a(t, q)
    return q + h * v(t + h / 2, p), p


def integrate(step: Step, f: Any, y0: Any, times: Sequence[float] | Tensor) -> Any:
    """All states at `times`, one step from each time to the next.

    **Arguments:**

    - `step`: one of the steps of this module, or any `(f, t, y, h) -> y`.
    - `f`: what the step calls: a right-hand side, or the pair (v, a) of a separable system.
    - `y0`: state at `times[0]`: a tensor of any shape, or a tuple of tensors.
    - `times`: increasing or decreasing, not necessarily equidistant; float64 as a tensor.

    **Returns:** a tensor of shape `(len(times), *y0.shape)`, or a tuple of them, the first entries
    of `times` being `y0` itself; of a longer state (Verlet's force) the parts that `y0` has.

    Raises `BadInputError` where there is no time or a time is not finite.
    """
    clock = _clock(times)
    y, states = y0, [y0]
    for t, t_next in pairwise(clock):
        y = step(f, t, y, t_next - t)
        states.append(y)
    if isinstance(y0, tuple):
        return tuple(torch.stack([state[i] for state in states]) for i in range(len(y0)))
    return torch.stack(states)


def final_state(step: Step, f: Any, y0: Any, times: Sequence[float] | Tensor) -> Any:
    """The state at `times[-1]` only: `integrate` without keeping the trajectory.

    Arguments, errors and parts of the state as in `integrate`.
    """
    clock = _clock(times)
    y = y0
    for t, t_next in pairwise(clock):
        y = step(f, t, y, t_next - t)
    return y[: len(y0)] if isinstance(y0, tuple) else y


def advance(step: Step, f: Any, y0: Any, t0: float, h: Size, n_steps: int) -> Any:
    """The state after `n_steps` steps of exactly the same size `h`, the j-th from t0 + j h.

    For aligned comparisons: the differences of a rounded time grid are not all equal to `h`, and
    another language's are not equal to ours. Parts of the state as in `integrate`.
    """
    y = y0
    for j in range(n_steps):
        y = step(f, t0 + j * h, y, h)
    return y[: len(y0)] if isinstance(y0, tuple) else y


def uniform_times(t0: float, t1: float, n_steps: int) -> list[float]:
    """The `n_steps + 1` times t0 + j h, h = (t1 - t0)/n_steps, the last one exactly t1.

    Raises `BadInputError` where `n_steps` is not a positive integer.
    """
    if int(n_steps) != n_steps or n_steps < 1:
        raise BadInputError(
            f"n_steps = {n_steps!r}", "a positive integer", "pass at least one step"
        )
    h = (t1 - t0) / n_steps
    return [t0 + j * h for j in range(int(n_steps))] + [t1]


def _clock(times: Sequence[float] | Tensor) -> list[float]:
    clock = times.double().tolist() if isinstance(times, Tensor) else [float(t) for t in times]
    if not clock or not all(abs(t) < float("inf") for t in clock):
        raise BadInputError(f"times {clock!r}", "at least one time, all finite", "pass a time grid")
    return clock
