"""Forward Euler and classic Runge-Kutta with hand-derived discrete adjoints and sensitivities.

A scheme is a function of a right-hand side (see `networks.py`); states are arrays of any shape, of
either number type. Step sizes are numbers of that type too: in balls, `h/6` is a division with a
proven remainder, not a rounded weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .networks import Pullback


class RightHandSide(Protocol):
    """What a scheme asks of f(t, y; theta)."""

    def value(self, t: Any, y: np.ndarray) -> np.ndarray: ...
    def linearise(self, t: Any, y: np.ndarray) -> tuple[np.ndarray, Pullback]: ...
    def jvp(self, t: Any, y: np.ndarray, dy: np.ndarray, dtheta: np.ndarray) -> np.ndarray: ...


class ForwardEuler:
    """y + h f(t, y)."""

    stages = 1

    @staticmethod
    def step(f: Any, t: Any, y: np.ndarray, h: Any) -> np.ndarray:
        """One step, from t to t + h."""
        return y + h * f.value(t, y)

    @staticmethod
    def linearise(f: RightHandSide, t: Any, y: np.ndarray, h: Any) -> tuple[np.ndarray, Pullback]:
        """The step, and v -> (v^T d(step)/dy, v^T d(step)/dtheta)."""
        k, pull = f.linearise(t, y)

        def pullback(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            back, grad = pull(v)
            return v + h * back, h * grad

        return y + h * k, pullback

    @staticmethod
    def pushforward(
        f: RightHandSide, t: Any, y: np.ndarray, h: Any, dy: np.ndarray, dtheta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The step, and its derivative in the directions dy and dtheta."""
        return y + h * f.value(t, y), dy + h * f.jvp(t, y, dy, dtheta)


class RK4:
    """The classic scheme, weights 1/6, 2/6, 2/6, 1/6."""

    stages = 4

    @staticmethod
    def step(f: Any, t: Any, y: np.ndarray, h: Any) -> np.ndarray:
        """One step, from t to t + h."""
        half, mid = h / 2, t + h / 2
        k1 = f.value(t, y)
        k2 = f.value(mid, y + half * k1)
        k3 = f.value(mid, y + half * k2)
        k4 = f.value(t + h, y + h * k3)
        return y + (h / 6) * (k1 + 2 * (k2 + k3) + k4)

    @staticmethod
    def linearise(f: RightHandSide, t: Any, y: np.ndarray, h: Any) -> tuple[np.ndarray, Pullback]:
        """The step, and v -> (v^T d(step)/dy, v^T d(step)/dtheta) from the last stage back."""
        half, mid, w = h / 2, t + h / 2, h / 6
        k1, pull1 = f.linearise(t, y)
        k2, pull2 = f.linearise(mid, y + half * k1)
        k3, pull3 = f.linearise(mid, y + half * k2)
        k4, pull4 = f.linearise(t + h, y + h * k3)

        def pullback(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            a4, g4 = pull4(w * v)
            a3, g3 = pull3((2 * w) * v + h * a4)
            a2, g2 = pull2((2 * w) * v + half * a3)
            a1, g1 = pull1(w * v + half * a2)
            return v + a1 + a2 + a3 + a4, g1 + g2 + g3 + g4

        return y + w * (k1 + 2 * (k2 + k3) + k4), pullback

    @staticmethod
    def pushforward(
        f: RightHandSide, t: Any, y: np.ndarray, h: Any, dy: np.ndarray, dtheta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The step, and its derivative in the directions dy and dtheta."""
        half, mid = h / 2, t + h / 2
        k1, d1 = f.value(t, y), f.jvp(t, y, dy, dtheta)
        y2, e2 = y + half * k1, dy + half * d1
        k2, d2 = f.value(mid, y2), f.jvp(mid, y2, e2, dtheta)
        y3, e3 = y + half * k2, dy + half * d2
        k3, d3 = f.value(mid, y3), f.jvp(mid, y3, e3, dtheta)
        y4, e4 = y + h * k3, dy + h * d3
        k4, d4 = f.value(t + h, y4), f.jvp(t + h, y4, e4, dtheta)
        w = h / 6
        return y + w * (k1 + 2 * (k2 + k3) + k4), dy + w * (d1 + 2 * (d2 + d3) + d4)


Scheme = type[ForwardEuler] | type[RK4]


def grid(h: Any, n_steps: int, t0: Any = 0) -> list[tuple[Any, Any]]:
    """(t_j, h) of equal steps, t_j = t0 + j h."""
    return [(t0 + j * h, h) for j in range(n_steps)]


def grid_of(times: np.ndarray) -> list[tuple[Any, Any]]:
    """(t_j, t_{j+1} - t_j) of given times, of either number type; in balls without rounding."""
    return [(times[j], times[j + 1] - times[j]) for j in range(len(times) - 1)]


Grid = Sequence[tuple[Any, Any]]


def trajectory(scheme: Scheme, f: Any, y0: np.ndarray, steps: Grid) -> list[np.ndarray]:
    """y_0, ..., y_N over the steps (t_j, h_j)."""
    states = [y0]
    for t, h in steps:
        states.append(scheme.step(f, t, states[-1], h))
    return states


def linearised_trajectory(
    scheme: Scheme, f: RightHandSide, y0: np.ndarray, steps: Grid
) -> tuple[list[np.ndarray], list[Pullback]]:
    """y_0, ..., y_N over the steps (t_j, h_j), and the pullback of each of the N steps."""
    states, pullbacks = [y0], []
    for t, h in steps:
        y, pullback = scheme.linearise(f, t, states[-1], h)
        states.append(y)
        pullbacks.append(pullback)
    return states, pullbacks


def adjoint(
    pullbacks: Sequence[Pullback], loss_gradient: Callable[[int], np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of L(y_0, ..., y_N) with respect to y_0 and theta: the discrete adjoint equation.

    `loss_gradient(j)` is dL/dy_j, or None where the loss does not see y_j; at j = N it must not be
    None.
    """
    v = loss_gradient(len(pullbacks))
    assert v is not None
    total: np.ndarray | int = 0
    for j in range(len(pullbacks) - 1, -1, -1):
        v, grad = pullbacks[j](v)
        total = total + grad
        jump = loss_gradient(j)
        if jump is not None:
            v = v + jump
    return v, np.asarray(total)


def sensitivity(
    scheme: Scheme,
    f: RightHandSide,
    y0: np.ndarray,
    dy0: np.ndarray,
    dtheta: np.ndarray,
    steps: Grid,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """States and their derivatives in the directions dy0 and dtheta: forward sensitivities."""
    states, moved = [y0], [dy0]
    for t, h in steps:
        y, dy = scheme.pushforward(f, t, states[-1], h, moved[-1], dtheta)
        states.append(y)
        moved.append(dy)
    return states, moved


def misfit(states: Sequence[np.ndarray], data: np.ndarray, every: int = 1) -> Any:
    """sum_i |y_(i every) - data[:, i]|^2, no 1/2 and no mean (the talk's loss)."""
    return sum(((y - data[:, i]) ** 2).sum() for i, y in enumerate(states[::every]))


def misfit_gradient(
    scheme: Scheme,
    f: RightHandSide,
    y0: np.ndarray,
    steps: Grid,
    data: np.ndarray,
    every: int = 1,
) -> tuple[Any, np.ndarray]:
    """The misfit to `data` (features x times), seen after `every` steps, and its theta gradient."""
    states, pullbacks = linearised_trajectory(scheme, f, y0, steps)

    def jump(j: int) -> np.ndarray | None:
        i, between = divmod(j, every)
        return None if between else 2 * (states[j] - data[:, i])

    return misfit(states, data, every), adjoint(pullbacks, jump)[1]
