"""The claims of `reversibility` that need no network: test equation, one step, one Hamiltonian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .contract import Arrays, Claim, Decision

COMPUTED = ("torch", "julia")
"""Who computes: the referee's value of these quantities is the formula, or zero by theory."""


def side_claims() -> Sequence[Claim]:
    """In the order of the page."""
    return [
        _linear_factor(),
        _linear_order(),
        _roundoff(),
        _slide_step(),
        _canonical_step(),
        _drift("two_line", 1),
        _drift("stormer_verlet", 2),
    ]


def eps(options: Any) -> float:
    """Machine epsilon of the working precision."""
    return float(np.finfo(options.dtype).eps)


def _linear_factor() -> Claim:
    needs = ("linear/factor/real", "linear/factor/imaginary")

    def check(values: Arrays, options: Any) -> Decision:
        z = np.array([-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0])
        real = 1 + z**6 / 72 + z**8 / 576
        imaginary = 1 - z**6 / 72 + z**8 / 576
        worst = max(
            np.abs(values[needs[0]] - real).max(), np.abs(values[needs[1]] - imaginary).max()
        )
        bound = 100 * eps(options)
        return Decision(bool(worst <= bound), f"within {worst:.1e} (bound {bound:.1e})")

    return Claim(
        "defect of a linear round trip",
        "one step of RK4 forward and one back multiply by 1 + z^6/72 + z^8/576",
        "product of the stability polynomials of z and -z",
        needs,
        check,
        COMPUTED,
    )


def _linear_order() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        error = values["linear/roundtrip"]
        orders = np.log2(error[:-1] / error[1:])
        exact = 1.389e-6  # N z^6/72 with N = 100, z = 1/10
        near = bool(abs(error[2] / exact - 1) < 0.01 + 1e4 * eps(options) / exact)
        slack = 0.1 if options.dtype == "float64" else np.inf  # float32 cannot see errors of 1e-7
        holds = near and bool(np.all(np.abs(orders - 5) < slack))
        return Decision(holds, f"{error[2]:.3e} with 100 steps; orders {_list(orders)}")

    return Claim(
        "linear round trips converge with order 5",
        "for lambda = 10, T = 1 the error with N steps is N z^6/72: 1.39e-6 with 100",
        "product of the stability polynomials of z and -z",
        ("linear/roundtrip",),
        check,
    )


def _roundoff() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        predicted = eps(options) * np.exp(np.array([10.0, 20.0, 30.0, 50.0]))
        decades = np.log10(values["linear/roundoff"][1:] / predicted[1:])
        holds = bool(np.all(np.abs(decades) < 2.5))
        return Decision(
            holds,
            f"{values['linear/roundoff'][-1]:.1e} at rate 50 (eps e^50 = {predicted[-1]:.1e})",
        )

    return Claim(
        "rounding grows on the way back",
        "integrating back, a mode that decayed at rate r has its rounding errors amplified by "
        "exp(r T), within two and a half decades",
        "backward integration of a decaying mode is unstable",
        ("linear/roundoff",),
        check,
    )


def _slide_step() -> Claim:
    needs = ("structure/volume_defect", "structure/symplectic_defect")

    def check(values: Arrays, options: Any) -> Decision:
        volume, form = (float(values[name][0]) for name in needs)
        holds = volume < 1e3 * eps(options) and form > 0.01
        return Decision(holds, f"|det - 1| = {volume:.1e}, symplectic defect {form:.2f}")

    return Claim(
        "the slide's system is not canonically Hamiltonian",
        "with K not symmetric its step preserves volume, not the symplectic form (defect > 0.01)",
        "correction of the slide",
        needs,
        check,
        COMPUTED,
    )


def _canonical_step() -> Claim:
    needs = ("structure/volume_defect", "structure/symplectic_defect")

    def check(values: Arrays, options: Any) -> Decision:
        volume, form = (float(values[name][1]) for name in needs)
        holds = max(volume, form) < 1e3 * eps(options)
        return Decision(holds, f"|det - 1| = {volume:.1e}, symplectic defect {form:.1e}")

    return Claim(
        "with K^T outside it is",
        "with K^T tanh(K . + b) in both lines the step preserves volume and the symplectic form",
        "gradients of log cosh",
        needs,
        check,
        COMPUTED,
    )


def _drift(method: str, order: int) -> Claim:
    quantity = f"hamiltonian/drift/{method}"
    name = {"two_line": "the two lines", "stormer_verlet": "Störmer-Verlet"}[method]

    def check(values: Arrays, options: Any) -> Decision:
        drift = values[quantity]
        orders = np.log2(drift[:-1] / drift[1:])
        holds = bool(np.all(np.abs(orders - order) < 0.25))
        return Decision(holds, f"drift {drift[-1]:.1e}, orders {_list(orders)}")

    return Claim(
        f"energy of {method}",
        f"with {name} the one-channel Hamiltonian's drift over T = 64 falls with order {order} "
        "(within 0.25)",
        "the two lines called Verlet are symplectic Euler",
        (quantity,),
        check,
    )


def _list(orders: np.ndarray) -> str:
    return ", ".join(f"{q:.2f}" for q in orders)
