"""Case 2, "High-order vs. Symplectic?": the linear harmonic oscillator at equal cost.

q' = p, p' = -omega^2 q, with energy E = (p^2 + omega^2 q^2)/2, is integrated over many periods by
five fixed-step methods that may each spend the same number of evaluations a period: an s-stage
Runge-Kutta method takes s-times fewer, longer steps than Verlet, which costs one force a step.
The exact solution is periodic, so that the final state should be the initial one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BadInputError
from ._oscillator_claims import claims
from ._oscillator_results import results
from .contract import Options, Quantity, Study

STAGES = {"forward_euler": 1, "rk2": 2, "rk4": 4, "symplectic_euler": 1, "verlet": 1}
"""Evaluations a step. Verlet's last force is the next step's first; its one extra at the very start
is not counted."""

CAP = 10.0
"""An energy that is off by more than tenfold is reported as 10: that run has blown up, by how much
(1e83, or an overflow to NaN) says nothing."""


class OscillatorOptions(Options, frozen=True, kw_only=True):
    """**Arguments:**

    - `periods`: how long to integrate.
    - `budgets`: evaluations of the right-hand side a period, increasing, multiples of four.
    - `record`: the one of `budgets` whose states, inverses and gradients are kept.
    - `gradient_periods`: how long to integrate where the final energy is differentiated: by omega,
      terms that grow with time cancel, and their rounding does not.
    - `starts`: initial values; the first is (1, 0), where the printed formulas hold.
    """

    periods: int = 100
    budgets: tuple[int, ...] = (8, 16, 32, 64, 96, 128, 256)
    record: int = 64
    gradient_periods: int = 10
    starts: int = 16


def steps_per_period(method: str, budget: int) -> int:
    """How many steps a period `method` can afford."""
    return budget // STAGES[method]


def draw(options: OscillatorOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs.

    - `y0`: `(2, starts)`: rows q and p; the first column is (1, 0), the others normal.
    - `omega`: `()`: the angular frequency, 1.
    - `h/<s>`: `(budgets,)`: step sizes 2 pi s / budget of methods with s stages, for s = 1, 2, 4.
      An input and not a formula, because languages differ in the last bit of 2 pi s / budget.
    """
    b = options.budgets
    if not b or list(b) != sorted(set(b)) or any(n < 8 or n % 4 for n in b):
        raise BadInputError(
            f"budgets = {b}",
            "increasing multiples of four from 8 on (RK4 spends four evaluations a step)",
            "for example --set budgets=[16,64,256]",
        )
    counts = (options.periods, options.gradient_periods, options.starts)
    if options.record not in b or min(counts) < 1:
        raise BadInputError(
            f"record = {options.record}; periods, gradient_periods, starts = {counts}",
            f"record one of {b}, and the others at least 1",
            "see `numdl list oscillator`",
        )
    y0 = rng.standard_normal((2, options.starts))
    y0[:, 0] = 1.0, 0.0
    steps = {f"h/{s}": np.array([2 * math.pi * s / n for n in b]) for s in (1, 2, 4)}
    return {"y0": y0, "omega": np.array(1.0), **steps}


def quantities(options: OscillatorOptions) -> Sequence[Quantity]:
    """See `about` of each; arrays over budgets are in the order of `options.budgets`."""
    u = float(np.finfo(options.dtype).eps) / 2
    scale = u / 2**-53
    n = options.periods * options.record
    walk = f"{n} steps, each rounded a few times, errors adding like a random walk: sqrt(n) u times"
    rtol, source = 1e-12 * scale, f"{walk} a dozen"
    out = []
    for m in STAGES:
        back = "the same steps undone line by line" if m in _SPLIT else "the same steps with -h"
        out += [
            Quantity(f"solution/{m}", "solution", rtol, source, "final (q, p), record budget"),
            Quantity(
                f"energy/error/{m}",
                "figure",
                1e-11 * scale,
                "an energy error of 1e-4 inherits the rounding of energies of size 1",
                "max over time of |E/E0 - 1|, by budget, start (1, 0), at most 10",
            ),
            Quantity(
                f"energy/growth/{m}",
                "figure",
                1e-11 * scale,
                "as the energy's error",
                "the same, up to the end of each period: budgets x periods",
            ),
            Quantity(
                f"position/error/{m}",
                "figure",
                1e-11 * scale,
                f"{source}, for the largest budget",
                "|(q, p) - (q0, p0)| at the end, by budget, start (1, 0), at most 10",
            ),
            Quantity(
                f"inverse/{m}", "inverse", rtol, source, f"initial values from the end: {back}"
            ),
            Quantity(
                f"gradient/{m}/y0",
                "gradient",
                rtol,
                source,
                "of the final energy, by start, with respect to (q0, p0): reverse mode",
            ),
            Quantity(
                f"gradient/{m}/omega",
                "gradient",
                rtol,
                source,
                "of the final energy, by start, with respect to omega: reverse mode",
            ),
        ]
    out += _further_opinions(rtol, source)
    return out


_SPLIT = ("symplectic_euler", "verlet")


def _further_opinions(rtol: float, source: str) -> list[Quantity]:
    def opinion(name: str, of: str, kind: Any, engines: tuple[str, ...], about: str) -> Quantity:
        return Quantity(
            name, kind, 10 * rtol, f"{source}, other order", about, engines=engines, compare_with=of
        )

    both = ("torch", "julia")
    library = [
        opinion(
            f"solution/{m}/ordinarydiffeq",
            f"solution/{m}",
            "solution",
            ("julia",),
            f"OrdinaryDiffEq's {theirs}, fixed step",
        )
        for m, theirs in {
            "forward_euler": "Euler",
            "rk4": "RK4 with adaptive = false",
            "symplectic_euler": "SymplecticEuler with q as its velocity (it moves that first)",
            "verlet": "VelocityVerlet",
        }.items()
    ]
    return [
        *library,
        opinion(
            "solution/rk4/torchdiffeq",
            "solution/rk4",
            "solution",
            ("torch",),
            "torchdiffeq's rk4 is the 3/8 rule; on a linear problem both are the same polynomial",
        ),
        opinion(
            "gradient/rk4/y0/adjoint",
            "gradient/rk4/y0",
            "gradient",
            both,
            "optimise-then-discretise: RK4 of the adjoint equation, the same on linear problems",
        ),
        opinion(
            "gradient/rk4/omega/sensitivity",
            "gradient/rk4/omega",
            "gradient",
            both,
            "the forward sensitivity equation, integrated beside in the same steps",
        ),
        opinion(
            "gradient/verlet/omega/sensitivity",
            "gradient/verlet/omega",
            "gradient",
            both,
            "the forward sensitivity equation, integrated beside in the same steps",
        ),
    ]


STUDY = Study(
    name="oscillator",
    order=3,
    title="Integrators on the harmonic oscillator",
    slide='Case 2, "Example: High-order vs. Symplectic?"',
    question="At equal cost, does a symplectic method of order 2 beat Runge-Kutta of order 4?",
    options=OscillatorOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    sizes={
        "quick": {"budgets": (16, 32, 64), "starts": 4, "periods": 20},
        "full": {"periods": 1000, "starts": 64},
    },
    notes=(
        'The slide\'s answer, "use the right (in this case lower-order) integrator", is about the '
        "energy, over long times, at moderate budgets. With 256 evaluations a period over 100 "
        "periods RK4 keeps the energy better than Verlet, and in *position* RK4 is ahead from 64 "
        "evaluations a period on, because Verlet's phase is off by h^2/24 per unit of time. The "
        "study checks both sides.\n\n"
        "`torchdiffeq`'s `rk4` is the 3/8 rule and OrdinaryDiffEq's `RK4` the classic scheme; "
        "all explicit four-stage methods of order 4 have the same stability polynomial, so that on "
        "this linear problem they agree to rounding all the same."
    ),
)
