"""The claims of `reversibility`: what has an inverse and what has not, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._reversibility_quantities import PRECISIONS, RK4_STEPS
from .contract import Arrays, Claim, Decision

_SLIDE = 'Case 1, "Reversibility: Continuous vs. Discrete"'
_LAYERS = 32


def claims(options: Any) -> Sequence[Claim]:
    """Those that can be checked with these amplitudes and horizons."""
    out = [_verlet(precision) for precision in PRECISIONS]
    if 1.0 in options.amplitudes and 4.0 in options.horizons:
        out += [_far_apart(), _whatever_precision(), _padding()]
    if min(options.amplitudes) <= 1:
        out.append(_order())
    out += [_flow(), _linear_factor(), _linear_order(), _roundoff()]
    out += [_slide_step(), _canonical_step(), _drift("two_line", 1), _drift("stormer_verlet", 2)]
    out.append(_recomputed())
    if options.trained:
        out.append(_trained())
    return out


def _cell(values: Arrays, name: str, options: Any) -> float:
    """Amplitude 1, T = 4."""
    return float(values[name][options.amplitudes.index(1.0), options.horizons.index(4.0)])


def _eps(options: Any) -> float:
    return float(np.finfo(options.dtype).eps)


def _verlet(precision: str) -> Claim:
    name = f"roundtrip/verlet/{precision}"

    def check(values: Arrays, options: Any) -> Decision:
        # Float32 inputs are exact in float64, so this bound is the precision's whatever the dtype.
        bound = 10 * PRECISIONS[precision] * _LAYERS
        worst = float(np.max(values[name]))
        return Decision(worst <= bound, f"largest median {worst:.1e} (bound {bound:.1e})")

    return Claim(
        f"Verlet inverts in {precision}",
        f"in {precision} the two-line network returns its input with a median error of at most "
        "10 eps x 32 layers, for every amplitude and horizon",
        _SLIDE,
        (name,),
        check,
    )


def _far_apart() -> Claim:
    needs = ("roundtrip/rk4/16/float64", "roundtrip/verlet/float64")

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet = (_cell(values, name, options) for name in needs)
        return Decision(rk4 > 1e6 * verlet, f"RK4 {rk4:.1e}, Verlet {verlet:.1e}")

    return Claim(
        "RK4 does not invert",
        "at equal cost (64 layer evaluations), T = 4 and amplitude 1, RK4's round trip error is "
        "more than a million times Verlet's",
        _SLIDE,
        needs,
        check,
    )


def _whatever_precision() -> Claim:
    needs = ("roundtrip/rk4/16/float64", "roundtrip/rk4/16/float32")

    def check(values: Arrays, options: Any) -> Decision:
        double, single = (_cell(values, name, options) for name in needs)
        return Decision(
            abs(single / double - 1) < 0.01, f"float64 {double:.4e}, float32 {single:.4e}"
        )

    return Claim(
        "precision does not mend it",
        "RK4's round trip error at T = 4 and amplitude 1 is the same in both precisions within 1 %",
        _SLIDE,
        needs,
        check,
    )


def _padding() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        norm = _cell(values, "padding/rk4", options)
        return Decision(norm > 1e-4, f"norm {norm:.1e} of that of the input")

    return Claim(
        "the padding comes back non-zero",
        "at T = 4, amplitude 1 the recovered padding rows have more than 1e-4 of the input's norm",
        _SLIDE,
        ("padding/rk4",),
        check,
    )


def _order() -> Claim:
    needs = tuple(f"roundtrip/rk4/{n}/float64" for n in RK4_STEPS)

    def check(values: Arrays, options: Any) -> Decision:
        rows = [i for i, a in enumerate(options.amplitudes) if a <= 1]
        shortest = options.refined.index(min(options.refined))
        coarse = values[needs[0]][rows, options.horizons.index(min(options.refined))]
        middle, fine = (values[name][rows, shortest] for name in needs[1:])
        first, second = np.log2(coarse / middle), np.log2(middle / fine)
        least = float(min(first.min(), second.min()))
        return Decision(least >= 3.5, f"at least {least:.2f} per halving")

    return Claim(
        "RK4's round trip converges",
        "at the shortest horizon and amplitudes up to 1, each halving of h from 16 to 64 steps "
        "divides RK4's round trip error by at least 2^3.5",
        "order 4 of the scheme, 5 on linear problems",
        needs,
        check,
    )


def _flow() -> Claim:
    needs = ("inverse/dopri5", "inverse/rk4")

    def check(values: Arrays, options: Any) -> Decision:
        # The padding rows are known to be zero whatever the data.
        adaptive, fixed = (float(np.abs(values[name][2:]).max()) for name in needs)
        bound = 1e-5 if options.dtype == "float64" else 5e-3
        return Decision(
            adaptive <= bound < fixed, f"padding back at {adaptive:.1e}, RK4/16 {fixed:.1e}"
        )

    return Claim(
        "the flow itself is invertible",
        "solved to a tolerance of 1e-9 both ways, the padding comes back zero to 1e-5 (1e-5 and "
        "5e-3 in single precision); with 16 steps of RK4 it does not",
        _SLIDE,
        needs,
        check,
    )


def _linear_factor() -> Claim:
    needs = ("linear/factor/real", "linear/factor/imaginary")

    def check(values: Arrays, options: Any) -> Decision:
        z = np.array([-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0])
        real = 1 + z**6 / 72 + z**8 / 576
        imaginary = 1 - z**6 / 72 + z**8 / 576
        worst = max(
            np.abs(values[needs[0]] - real).max(), np.abs(values[needs[1]] - imaginary).max()
        )
        bound = 100 * _eps(options)
        return Decision(bool(worst <= bound), f"within {worst:.1e} (bound {bound:.1e})")

    return Claim(
        "defect of a linear round trip",
        "one step of RK4 forward and one back multiply by 1 + z^6/72 + z^8/576",
        "product of the stability polynomials of z and -z",
        needs,
        check,
    )


def _linear_order() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        error = values["linear/roundtrip"]
        orders = np.log2(error[:-1] / error[1:])
        exact = 1.389e-6  # N z^6/72 with N = 100, z = 1/10
        near = bool(abs(error[2] / exact - 1) < 0.01 + 1e4 * _eps(options) / exact)
        slack = 0.1 if options.dtype == "float64" else np.inf  # float32 cannot see errors of 1e-7
        holds = near and bool(np.all(np.abs(orders - 5) < slack))
        return Decision(holds, f"{error[2]:.3e} with 100 steps; orders {np.round(orders, 2)}")

    return Claim(
        "linear round trips converge with order 5",
        "for lambda = 10, T = 1 the error with N steps is N z^6/72: 1.39e-6 with 100",
        "product of the stability polynomials of z and -z",
        ("linear/roundtrip",),
        check,
    )


def _roundoff() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        predicted = _eps(options) * np.exp(np.array([10.0, 20.0, 30.0, 50.0]))
        decades = np.log10(values["linear/roundoff"][1:] / predicted[1:])
        holds = bool(np.all(np.abs(decades) < 3))
        return Decision(
            holds,
            f"{values['linear/roundoff'][-1]:.1e} at rate 50 (eps e^50 = {predicted[-1]:.1e})",
        )

    return Claim(
        "rounding grows on the way back",
        "integrating back, a mode that decayed at rate r has its rounding errors amplified by "
        "exp(r T), within three decades",
        "backward integration of a decaying mode is unstable",
        ("linear/roundoff",),
        check,
    )


def _slide_step() -> Claim:
    needs = ("structure/volume_defect", "structure/symplectic_defect")

    def check(values: Arrays, options: Any) -> Decision:
        volume, form = (float(values[name][0]) for name in needs)
        holds = volume < 1e3 * _eps(options) and form > 0.01
        return Decision(holds, f"|det - 1| = {volume:.1e}, symplectic defect {form:.2f}")

    return Claim(
        "the slide's system is not canonically Hamiltonian",
        "with K not symmetric its step preserves volume, not the symplectic form (defect > 0.01)",
        "correction of the slide",
        needs,
        check,
    )


def _canonical_step() -> Claim:
    needs = ("structure/volume_defect", "structure/symplectic_defect")

    def check(values: Arrays, options: Any) -> Decision:
        volume, form = (float(values[name][1]) for name in needs)
        holds = max(volume, form) < 1e3 * _eps(options)
        return Decision(holds, f"|det - 1| = {volume:.1e}, symplectic defect {form:.1e}")

    return Claim(
        "with K^T outside it is",
        "with K^T tanh(K . + b) in both lines the step preserves volume and the symplectic form",
        "gradients of log cosh",
        needs,
        check,
    )


def _drift(method: str, order: int) -> Claim:
    name = f"hamiltonian/drift/{method}"

    def check(values: Arrays, options: Any) -> Decision:
        drift = values[name]
        orders = np.log2(drift[:-1] / drift[1:])
        holds = bool(np.all(np.abs(orders - order) < 0.25))
        return Decision(holds, f"drift {drift[-1]:.1e}, orders {np.round(orders, 2)}")

    return Claim(
        f"energy of {method}",
        f"the one-channel Hamiltonian's drift over T = 64 falls with order {order} (within 0.25)",
        "the two lines called Verlet are symplectic Euler",
        (name,),
        check,
    )


def _recomputed() -> Claim:
    needs = (
        "gradient/verlet/K",
        "gradient/verlet/K/recomputed",
        "gradient/rk4/K",
        "gradient/rk4/K/recomputed",
    )

    def check(values: Arrays, options: Any) -> Decision:
        exact, recovered, right, wrong = (values[name] for name in needs)
        verlet = np.linalg.norm(recovered - exact) / np.linalg.norm(exact)
        rk4 = np.linalg.norm(wrong - right) / np.linalg.norm(right)
        bound = 1e4 * _eps(options)
        return Decision(
            bool(verlet <= bound and rk4 > 1e-4),
            f"relative error Verlet {verlet:.1e}, RK4 {rk4:.1e}",
        )

    return Claim(
        "an inverse pays in memory",
        "a gradient whose states are recovered, not stored, is right to rounding with Verlet and "
        "wrong by more than 1e-4 with RK4",
        "Case 1 meets Case 3",
        needs,
        check,
    )


def _trained() -> Claim:
    needs = (
        "trained/roundtrip/rk4/float64",
        "trained/roundtrip/verlet/float64",
        "trained/accuracy/rk4",
    )

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet, accuracy = (values[name] for name in needs)
        holds = bool(rk4.min() > 1e6 * verlet.max() and accuracy.min() >= 0.9)
        return Decision(
            holds,
            f"RK4 at least {rk4.min():.1e} (accuracy {accuracy.min():.3f}), "
            f"Verlet at most {verlet.max():.1e}",
        )

    return Claim(
        "trained networks say the same",
        "of networks trained to 90 % and more, RK4's round trip error exceeds a million times "
        "Verlet's",
        _SLIDE,
        needs,
        check,
    )
