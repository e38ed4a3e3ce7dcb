"""The claims of `reversibility`: what has an inverse and what has not, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._reversibility_quantities import PRECISIONS, RK4_STEPS
from ._reversibility_side_claims import COMPUTED, eps, side_claims
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
    out += [_flow(), *side_claims(), _recomputed()]
    if options.trained:
        out.append(_trained())
    return out


def _cell(values: Arrays, name: str, options: Any) -> float:
    """Amplitude 1, T = 4."""
    return float(values[name][options.amplitudes.index(1.0), options.horizons.index(4.0)])


def _verlet(precision: str) -> Claim:
    """In half precision 100 eps is no small number: there only short horizons are claimed."""
    name, half = f"roundtrip/verlet/{precision}", precision in ("float16", "bfloat16")
    units, longest, widest = (10, 4.0, 1.0) if half else (100, np.inf, np.inf)

    def check(values: Arrays, options: Any) -> Decision:
        # Float32 inputs are exact in float64, so this bound is the precision's whatever the dtype.
        rows = np.array(options.amplitudes) <= widest
        columns = np.array(options.horizons) <= longest
        bound = units * PRECISIONS[precision]
        worst = float(np.max(np.asarray(values[name])[np.ix_(rows, columns)]))
        return Decision(worst <= bound, f"largest median {worst:.1e} (bound {bound:.1e})")

    where = "amplitudes up to 1 and horizons up to 4" if half else "every amplitude and horizon"
    return Claim(
        f"Verlet inverts in {precision}",
        f"in {precision} the two-line network returns its input with a median error of at most "
        f"{units} eps, for {where}",
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
        bound = 1e-5 if options.dtype == "float64" else 1e-2
        return Decision(
            adaptive <= bound < fixed, f"padding back at {adaptive:.1e}, RK4/16 {fixed:.1e}"
        )

    return Claim(
        "the flow itself is invertible",
        "solved to a tolerance of 1e-9 both ways, the padding comes back zero to 1e-5 (1e-5 and "
        "1e-2 in single precision); with 16 steps of RK4 it does not",
        _SLIDE,
        needs,
        check,
        COMPUTED,
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
        bound = 1e4 * eps(options)
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
        "trained/accuracy/verlet",
    )

    def check(values: Arrays, options: Any) -> Decision:
        rk4, verlet, right, also = (values[name] for name in needs)
        holds = bool(rk4.min() > 1e6 * verlet.max() and min(right.min(), also.min()) >= 0.9)
        return Decision(
            holds,
            f"RK4 at least {rk4.min():.1e} (accuracy {right.min():.3f}), "
            f"Verlet at most {verlet.max():.1e} (accuracy {also.min():.3f})",
        )

    return Claim(
        "trained networks say the same",
        "of networks trained to 90 % and more, RK4's round trip error exceeds a million times "
        "Verlet's",
        _SLIDE,
        needs,
        check,
    )
