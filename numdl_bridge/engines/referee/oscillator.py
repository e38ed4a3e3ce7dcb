"""The oscillator in closed form: every method is a 2 x 2 matrix M, and n steps are M^n.

In the variables (omega q, p) and with w = omega h:

- Runge-Kutta methods are R(w J), J a rotation by 90 degrees: the energy is multiplied by |R(i w)|^2
  in every step.
- symplectic Euler and Verlet have eigenvalues exp(+-i theta), cos(theta) = 1 - w^2/2. From (1, 0)
  the energies are 1 - (w^2/4) sin^2(n theta) (Verlet) and (S_n - S_{n-1})^2 + w^2 S_n^2 with
  S_n = sin(n theta)/sin(theta) (symplectic Euler).

Nothing is stepped, so that no enclosure wraps: powers are taken by repeated squaring. Derivatives
by omega are hand-made with the product rule, on pairs (M, dM/d omega).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...studies.oscillator import CAP, STAGES, steps_per_period

Pair = tuple[np.ndarray, np.ndarray]
"""A matrix and its derivative by omega."""

_ROUNDINGS = {"forward_euler": 3, "rk2": 4, "rk4": 6, "symplectic_euler": 3, "verlet": 5}
"""Roundings of numbers as large as the state, a step: those of the stages are h times smaller."""


def _times(a: Pair, b: Pair) -> Pair:
    return a[0] @ b[0], a[1] @ b[0] + a[0] @ b[1]


def _power(a: Pair, n: int, field: Any) -> Pair:
    result: Pair = (field.array(np.eye(2)), field.array(np.zeros((2, 2))))
    while n:
        if n & 1:
            result = _times(result, a)
        a, n = _times(a, a), n >> 1
    return result


def step_matrix(method: str, omega: Any, h: Any, field: Any) -> Pair:
    """M and dM/d omega of one step on (q, p)."""
    eye, zero = field.array(np.eye(2)), field.array(np.zeros((2, 2)))
    upper, lower = field.array([[0, 1], [0, 0]]), field.array([[0, 0], [1, 0]])
    force = -omega * omega
    if method in ("symplectic_euler", "verlet"):
        kick_by = h if method == "symplectic_euler" else h / 2
        drift: Pair = (eye + h * upper, zero)
        kick: Pair = (eye + kick_by * force * lower, -2 * kick_by * omega * lower)
        if method == "symplectic_euler":
            return _times(kick, drift)
        return _times(kick, _times(drift, kick))
    # Runge-Kutta of order s with s stages: the Taylor polynomial of exp(h A).
    A: Pair = (h * (upper + force * lower), -2 * h * omega * lower)
    term: Pair = (eye, zero)
    total: Pair = (eye, zero)
    for k in range(1, STAGES[method] + 1):
        product = _times(term, A)
        term = (product[0] / k, product[1] / k)
        total = (total[0] + term[0], total[1] + term[1])
    return total


def _gradients(Mn: Pair, y0: np.ndarray, omega: Any, field: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of E(M^n y0) by y0, `(2, starts)`, and by omega, `(starts,)`."""
    y, dy = Mn[0] @ y0, Mn[1] @ y0
    weights = field.array(np.ones((2, 1)))
    weights[0, 0] = omega * omega
    by_state = weights * y
    return Mn[0].T @ by_state, (by_state * dy).sum(0) + omega * y[0] * y[0]


def _runge_kutta_growth(method: str, w: Any, steps: int, periods: int, field: Any) -> np.ndarray:
    """|E/E0 - 1| at the end of each period, `(periods,)`: monotone, so it is the maximum so far."""
    one = field.number(1)
    factor = {
        "forward_euler": one + w**2,
        "rk2": one + w**4 / 4,
        "rk4": one - w**6 / 72 + w**8 / 576,
    }[method]
    period, value, out = factor**steps, one, []
    for _ in range(periods):
        value = value * period
        out.append(abs(value - 1))
    return np.array(out, dtype=object if field.bits > 53 else float)


def _split_growth(method: str, w: Any, steps: int, periods: int, field: Any) -> np.ndarray:
    """Largest |E/E0 - 1| up to the end of each period, `(periods,)`."""
    n = field.array(np.arange(steps * periods + 1))
    theta = _acos(field.number(1) - w * w / 2)
    sines = np.sin(n * theta)
    if method == "verlet":
        error = (w * w / 4) * sines[1:] ** 2
    else:
        s = sines / np.sin(np.array([theta], dtype=n.dtype))[0]
        error = np.abs((s[1:] - s[:-1]) ** 2 + w * w * s[1:] ** 2 - 1)
    return _running_max(error)[steps - 1 :: steps]


def _acos(x: Any) -> Any:
    return x.acos() if hasattr(x, "acos") else np.arccos(x)


def _larger(a: Any, b: Any) -> Any:
    return a.max(b) if hasattr(a, "mid") else max(a, b)


def _running_max(values: np.ndarray) -> np.ndarray:
    out = np.empty_like(values)
    so_far = values[0]
    for i, value in enumerate(values):
        so_far = _larger(so_far, value)
        out[i] = so_far
    return out


def _capped(values: np.ndarray, field: Any) -> np.ndarray:
    cap = field.number(CAP)
    out = np.empty_like(values)
    for index, value in np.ndenumerate(values):
        out[index] = value.min(cap) if hasattr(value, "mid") else min(value, cap)
    return out


def answer(inputs: dict[str, np.ndarray], options: Any, field: Any) -> dict[str, Any]:
    y0, omega = field.array(inputs["y0"]), field.array(inputs["omega"])[()]
    out: dict[str, Any] = {}
    for method, stages in STAGES.items():
        sizes = field.array(inputs[f"h/{stages}"])
        record = options.budgets.index(options.record)
        n_steps = options.periods * steps_per_period(method, options.record)
        M = step_matrix(method, omega, sizes[record], field)
        Mn = _power(M, n_steps, field)
        y = Mn[0] @ y0
        out[f"solution/{method}"] = y
        short = options.gradient_periods * steps_per_period(method, options.record)
        by_start, by_omega = _gradients(_power(M, short, field), y0, omega, field)
        out[f"gradient/{method}/y0"], out[f"gradient/{method}/omega"] = by_start, by_omega
        if method in ("symplectic_euler", "verlet"):
            # Their inverses are exact: Verlet is symmetric, symplectic Euler is undone.
            out[f"inverse/{method}"] = y0.copy()
        else:
            back = step_matrix(method, omega, -sizes[record], field)
            out[f"inverse/{method}"] = _power(back, n_steps, field)[0] @ y
        growth, off = [], []
        for h, budget in zip(sizes, options.budgets, strict=True):
            steps = steps_per_period(method, budget)
            law = _runge_kutta_growth if stages > 1 or method == "forward_euler" else _split_growth
            growth.append(law(method, omega * h, steps, options.periods, field))
            n = options.periods * steps
            end = _power(step_matrix(method, omega, h, field), n, field)[0] @ y0[:, 0]
            off.append(np.sqrt(((end - y0[:, 0]) ** 2).sum(keepdims=True))[0])
        table = _capped(np.array(growth), field)
        out[f"energy/growth/{method}"], out[f"energy/error/{method}"] = table, table[:, -1].copy()
        out[f"position/error/{method}"] = _capped(np.array(off), field)
    return out


def rounding(inputs: dict[str, np.ndarray], options: Any) -> dict[str, float]:
    """n c u: in each of n steps c roundings of numbers of the state's size, none of them growing
    faster than the state itself, because the powers of M all grow alike (in the energy norm)."""
    u = float(np.finfo(options.dtype).eps) / 2
    out = {}
    for method in STAGES:
        n = options.periods * steps_per_period(method, options.record)
        bound = n * _ROUNDINGS[method] * u
        out[f"solution/{method}"] = bound
        out[f"inverse/{method}"] = 2 * bound
        short = bound * options.gradient_periods / options.periods
        out[f"gradient/{method}/y0"] = 2 * short
        # A phase error enters dy/d omega multiplied by omega T.
        phase = 2 * np.pi * options.gradient_periods
        out[f"gradient/{method}/omega"] = 2 * short * phase
    return out
