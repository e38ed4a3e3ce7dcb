"""The claims of `oscillator`: the closed forms of each method, and who wins where."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .contract import Arrays, Claim, Decision

_COMPUTED = ("torch", "julia")
"""Who steps through time: the referee's energies and inverses are the closed forms themselves."""

_SLIDE = 'Case 2, "Example: High-order vs. Symplectic?"'


def claims(options: Any) -> Sequence[Claim]:
    """Those that can be checked at these budgets and this number of periods."""
    budgets, periods = options.budgets, options.periods
    out = [
        _drift_law("forward_euler", 1, lambda h: 1 + h**2, "1 + h^2"),
        _drift_law("rk2", 2, lambda h: 1 + h**4 / 4, "1 + h^4/4"),
        _drift_law("rk4", 4, lambda h: 1 - h**6 / 72 + h**8 / 576, "1 - h^6/72 + h^8/576"),
        _bound("verlet", lambda h: h**2 / 4, "h^2/4"),
        _bound("symplectic_euler", lambda h: (h / 2) / (1 - h / 2), "(h/2)/(1 - h/2)"),
        _bounded_in_time("verlet"),
        _linear_in_time(),
        _inverse(),
        _gradient(),
    ]
    if periods >= 100 and 64 in budgets:
        out.append(_verlet_wins())
        out.append(_position())
    if periods == 100 and 256 in budgets:  # later RK4's drift has overtaken
        out.append(_rk4_wins())
    if periods >= 10 and 96 in budgets:
        out.append(_crossover())
    return out


def _steps(options: Any, stages: int) -> np.ndarray:
    return np.array([2 * math.pi * stages / n for n in options.budgets])


def _at(values: Arrays, name: str, options: Any, budget: int) -> float:
    return float(values[name][options.budgets.index(budget)])


def _rounding(options: Any) -> float:
    """What rounding may do to an energy: random walk over all steps, with room."""
    total = options.periods * max(options.budgets)
    return 16 * math.sqrt(total) * float(np.finfo(options.dtype).eps)


def _drift_law(
    method: str, stages: int, factor: Callable[[np.ndarray], np.ndarray], formula: str
) -> Claim:
    name = f"energy/error/{method}"

    def check(values: Arrays, options: Any) -> Decision:
        h = _steps(options, stages)
        n = options.periods * np.array(options.budgets) // stages
        # The error is monotone in time, its last value is the largest; 10 is the study's cap.
        exact = np.minimum(np.abs(np.expm1(n * np.log(factor(h)))), 10.0)
        worst = float(np.max(np.abs(values[name] - exact) / (1 + exact)))
        bound = 1e-9 + _rounding(options)
        return Decision(worst <= bound, f"largest deviation {worst:.1e} (bound {bound:.1e})")

    return Claim(
        f"energy factor of {method}",
        f"every step of {method} multiplies the energy by {formula} exactly",
        "stability polynomial",
        (name,),
        check,
        _COMPUTED,
    )


def _bound(method: str, exact: Callable[[np.ndarray], np.ndarray], formula: str) -> Claim:
    name = f"energy/error/{method}"

    def check(values: Arrays, options: Any) -> Decision:
        bound = exact(_steps(options, 1))
        ratio = values[name] / bound
        slack = 1e-9 + _rounding(options) / float(bound.min())
        # A supremum over all phases: reached up to the spacing of the phases that are visited.
        holds = bool(np.all(ratio <= 1 + slack) and np.all(ratio >= 0.95 - slack))
        return Decision(holds, f"{ratio.min():.6f} to {ratio.max():.6f} times {formula}")

    return Claim(
        f"energy bound of {method}",
        f"the energy error of {method} from (1, 0) comes to {formula} and never exceeds it "
        "(between 0.95 and 1 times)",
        "modified energy: an ellipse",
        (name,),
        check,
        _COMPUTED,
    )


def _bounded_in_time(method: str) -> Claim:
    name = f"energy/growth/{method}"

    def check(values: Arrays, options: Any) -> Decision:
        first = values[name][:, min(1, options.periods - 1)]
        growth = float(np.max((values[name][:, -1] - _rounding(options)) / first))
        return Decision(growth <= 1.1, f"at most {growth:.4f} times that of two periods")

    return Claim(
        "Verlet's energy error is bounded",
        "the largest energy error over all periods is at most 1.1 times that of the first two",
        _SLIDE,
        (name,),
        check,
    )


def _linear_in_time() -> Claim:
    name = "energy/growth/rk4"

    def check(values: Arrays, options: Any) -> Decision:
        # The largest budget, far from saturation, whose drift stands out from rounding.
        clear = np.flatnonzero(values[name][:, -1] >= 100 * _rounding(options))
        drift = values[name][clear[-1] if clear.size else -1]
        monotone = bool(np.all(np.diff(drift) > 0))
        rate = drift / np.arange(1, len(drift) + 1)
        # 1 - (1 - a)^n is n a up to half its own size.
        bend = float(rate.max() / rate.min() - 1)
        holds = monotone and drift[-1] < 0.5 and bend <= float(drift[-1]) + 0.01
        grows = "in every period" if monotone else "not in every period"
        return Decision(bool(holds), f"grows {grows}; drift a period varies by {bend:.1e}")

    return Claim(
        "RK4's energy drifts linearly",
        "at the largest budget whose drift stands out from rounding RK4's energy error grows in "
        "every period, by the same amount up to its own size",
        _SLIDE,
        (name,),
        check,
    )


def _verlet_wins() -> Claim:
    needs = ("energy/error/rk4", "energy/error/verlet")

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet = (_at(values, name, options, 64) for name in needs)
        return Decision(
            rk4 >= 10 * verlet, f"RK4 {rk4:.2e}, Verlet {verlet:.2e}: {rk4 / verlet:.0f} times"
        )

    return Claim(
        "more bang for the buck",
        "with 64 evaluations a period over all periods (100 or more) Verlet's energy error is at "
        "least 10 times smaller than RK4's",
        _SLIDE,
        needs,
        check,
    )


def _rk4_wins() -> Claim:
    needs = ("energy/error/rk4", "energy/error/verlet")

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet = (_at(values, name, options, 256) for name in needs)
        return Decision(rk4 < verlet, f"RK4 {rk4:.2e}, Verlet {verlet:.2e}")

    return Claim(
        "where the higher order wins",
        "with 256 evaluations a period over 100 periods RK4's energy error is the smaller one",
        "the talk's claim has this limit",
        needs,
        check,
    )


def _position() -> Claim:
    needs = ("position/error/rk4", "position/error/verlet")

    def check(values: Arrays, options: Any) -> Decision:
        first = options.budgets.index(64)
        rk4, verlet = (values[name][first:] for name in needs)
        ratio = verlet / rk4
        return Decision(
            bool(np.all(ratio > 1)),
            f"Verlet's error is {ratio.min():.1f} to {ratio.max():.0f} times",
        )

    return Claim(
        "in position RK4 wins",
        "with 64 and more evaluations a period over 100 periods RK4's position is the better one",
        "the talk's claim is about the energy only",
        needs,
        check,
    )


def _crossover() -> Claim:
    needs = ("energy/growth/rk4", "energy/growth/verlet")

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet = (float(values[name][options.budgets.index(96), 9]) for name in needs)
        ratio = rk4 / verlet
        return Decision(0.95 < ratio < 1.05, f"RK4 {rk4:.3e}, Verlet {verlet:.3e}")

    return Claim(
        "cross-over",
        "with 96 evaluations a period both energy errors are equal (within 5 %) after 10 periods",
        "h_RK4^6/72 steps = h_Verlet^2/4",
        needs,
        check,
    )


def _inverse() -> Claim:
    needs = ("inverse/verlet", "inverse/rk4")

    def check(values: Arrays, options: Any) -> Decision:
        h = 2 * math.pi * 4 / options.record
        n = options.periods * options.record // 4
        # Both are maps of the same start (1, 0): Verlet comes back, RK4 shrinks twice.
        shrunk = math.exp(n * math.log1p(-(h**6) / 72 + h**8 / 576))
        rk4 = abs(float(values["inverse/rk4"][0, 0]) - shrunk)
        verlet = abs(float(values["inverse/verlet"][0, 0]) - 1)
        bound = _rounding(options)
        return Decision(
            max(rk4, verlet) <= bound,
            f"Verlet returns to 1 within {verlet:.1e}, RK4 to {shrunk:.6f} within {rk4:.1e}",
        )

    return Claim(
        "Verlet is reversible, RK4 is not",
        "integrated back, Verlet returns to its start and RK4 to (1 - h^6/72 + h^8/576)^n times it",
        "Case 1 on the oscillator",
        needs,
        check,
        _COMPUTED,
    )


def _gradient() -> Claim:
    needs = ("gradient/verlet/y0", "gradient/rk4/y0")

    def check(values: Arrays, options: Any) -> Decision:
        # Exactly, energy is conserved: d E(T)/d y0 at (1, 0) is (omega^2, 0) = (1, 0).
        verlet, rk4 = (float(np.hypot(*(values[name][:, 0] - [1.0, 0.0]))) for name in needs)
        h = 2 * math.pi / options.record
        n = options.gradient_periods * options.record // 4
        loss = -math.expm1(n * math.log1p(-((4 * h) ** 6) / 72 + (4 * h) ** 8 / 576))
        holds = verlet <= h**2 / 2 and abs(rk4 - loss) <= 1e-9 + _rounding(options)
        return Decision(holds, f"error Verlet {verlet:.2e} (bound {h**2 / 2:.2e}), RK4 {rk4:.2e}")

    return Claim(
        "gradients inherit the energy",
        "the gradient of the final energy at (1, 0) is off by at most h^2/2 with Verlet and by the "
        "whole energy loss with RK4",
        "Case 2 meets Case 3",
        needs,
        check,
    )
