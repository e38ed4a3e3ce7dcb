"""The quantities of `reversibility`, and the tolerances that they must meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .contract import Kind, Quantity, Term

PRECISIONS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Machine epsilon of the precisions in which the Verlet network is run back."""

RK4_STEPS = (16, 32, 64)
LINEAR_STEPS = (25, 50, 100, 200)
"""Steps of the linear round trip, eigenvalue 10, T = 1."""

DRIFT_STEPS = (0.5, 0.25, 0.125)
DRIFT_END = 64.0
ADAPTIVE_TOLERANCE = 1e-9
ROUNDOFF_STEPS = 1000

_BOTH = ("torch", "julia")


def adaptive_tolerance(options: Any) -> float:
    """rtol = atol of Dormand-Prince; single precision cannot do better than 1e-5."""
    return ADAPTIVE_TOLERANCE if options.dtype == "float64" else 1e-5


def quantities(options: Any) -> Sequence[Quantity]:
    """Arrays over amplitudes x horizons are medians over the seeds of ||X_rec - X||_F/||X||_F."""
    return [
        *_reference(options),
        *_round_trips(options),
        *_linear(options),
        *_structure(options),
        *(_trained(options) if options.trained else ()),
    ]


def _unit(options: Any) -> float:
    """How much coarser than float64 the working precision is."""
    return float(np.finfo(options.dtype).eps) / 2.0**-52


def _reference(options: Any) -> list[Quantity]:
    scale = _unit(options)
    rtol = 1e-12 * scale
    why = "a few hundred roundings, amplified by the flow's stretching (a factor of about 100)"

    def plain(name: str, kind: Kind, about: str, **more: Any) -> Quantity:
        return Quantity(name, kind, more.pop("rtol", rtol), more.pop("source", why), about, **more)

    def opinion(name: str, of: str, engines: tuple[str, ...], about: str) -> Quantity:
        return plain(name, "gradient", about, compare_with=of, engines=engines)

    def recomputed(name: str) -> str:
        return f"{name}/recomputed"

    out = []
    for net, parts in {"rk4": "Y (4 x sample)", "verlet": "Y over Z (2 x sample)"}.items():
        out += [
            plain(f"solution/{net}", "solution", f"{parts} at T of the reference case"),
            plain(
                f"inverse/{net}",
                "inverse",
                f"{parts} recovered from it",
                source="absolute, on inputs of size 1: " + why,
            ),
            plain(f"loss/{net}", "loss", "logistic loss of W Y(T) + mu, mean over the sample"),
            plain(f"gradient/{net}/K", "gradient", "of the loss, reverse mode, states stored"),
            plain(f"gradient/{net}/b", "gradient", "of the loss, reverse mode, states stored"),
            plain(f"gradient/{net}/directional", "gradient", "along (dK, db), forward mode"),
        ]
    out += [
        opinion(
            recomputed("gradient/verlet/K"),
            "gradient/verlet/K",
            _BOTH,
            "states not stored but recovered by the inverse, layer by layer",
        ),
        opinion(
            recomputed("gradient/verlet/b"), "gradient/verlet/b", _BOTH, "the same, by the biases"
        ),
        plain(
            recomputed("gradient/rk4/K"),
            "gradient",
            "RK4's adjoint at states recovered by the backward solve: what a wrong inverse does",
            rtol=10 * rtol,
        ),
        plain(
            "inverse/rk4/ordinarydiffeq",
            "inverse",
            "OrdinaryDiffEq's RK4, adaptive = false",
            rtol=10 * rtol,
            engines=("julia",),
            compare_with="inverse/rk4",
        ),
        plain(
            "inverse/rk4/torchdiffeq",
            "inverse",
            "torchdiffeq's rk4: the 3/8 rule has another truncation error, and another defect",
            engines=("torch",),
            compared=False,
        ),
        Quantity(
            "inverse/dopri5",
            "inverse",
            rtol,
            "the exact flow is invertible: the referee's answer is the input itself",
            f"Dormand-Prince 5, forward and back, rtol = atol = {adaptive_tolerance(options):g}",
            mode="native",
            terms=(
                Term(
                    "solver tolerance",
                    1e4 * adaptive_tolerance(options),
                    "tolerance of a step, times the steps, times the stretching on the way back",
                ),
            ),
        ),
    ]
    return out


def _round_trips(options: Any) -> list[Quantity]:
    coarse = _unit(options)
    out = []
    for precision, eps in list(PRECISIONS.items())[:2]:
        rtol = max(1e-10, 1e3 * eps) * max(1.0, coarse if precision == "float64" else 1.0)
        steps = RK4_STEPS if precision == "float64" else RK4_STEPS[:1]
        for n in steps:
            grid = "amplitudes x horizons" if n == RK4_STEPS[0] else "amplitudes x refined horizons"
            out.append(
                Quantity(
                    f"roundtrip/rk4/{n}/{precision}",
                    "inverse",
                    rtol,
                    "truncation, not rounding: rounding enters in the eps-th digit, amplified",
                    f"median error of the recovered input, {n} steps; {grid}",
                    engines=_BOTH,
                )
            )
    out.append(
        Quantity(
            "padding/rk4",
            "inverse",
            1e-10 * coarse,
            "as the round trip",
            "median norm of the recovered padding rows by that of the input, 16 steps, float64",
            engines=_BOTH,
        )
    )
    for precision in PRECISIONS:
        # Reduced precisions that a language lacks are asked only of the one that has them.
        engines = ("torch",) if precision == "bfloat16" else _BOTH
        for suffix, which in (("", "median"), ("/max", "largest")):
            out.append(
                Quantity(
                    f"roundtrip/verlet/{precision}{suffix}",
                    "inverse",
                    0.0,
                    "rounding errors themselves: their size is the result, not their digits",
                    f"{which} error over the seeds in {precision}; amplitudes x horizons",
                    engines=engines,
                    compared=False,
                )
            )
    return out


def _linear(options: Any) -> list[Quantity]:
    scale = _unit(options)
    return [
        *(
            Quantity(
                f"linear/factor/{axis}",
                "inverse",
                1e-15 * scale,
                "two steps, a dozen roundings of numbers of size exp(2)",
                f"one RK4 step forward and one back on y' = lambda y, h lambda = {z}",
                atol=1e-13 * scale,
            )
            for axis, z in (("real", "z"), ("imaginary", "i z, a rotation of (1, 0)"))
        ),
        Quantity(
            "linear/roundtrip",
            "inverse",
            1e-12,
            "an error of 1e-6 of a number of size 1 (growing to exp(10) in between)",
            "error of the round trip for lambda = 10, T = 1 with 25, 50, 100, 200 steps",
            atol=1e-13 * scale,
        ),
        Quantity(
            "linear/roundoff",
            "inverse",
            0.0,
            "amplified rounding errors: their size is the result, not their digits",
            "round trip error of a fast mode beside a slow one, by `rates`, 1000 steps",
            engines=_BOTH,
            compared=False,
        ),
    ]


def _structure(options: Any) -> list[Quantity]:
    scale = _unit(options)
    few = "one step of six variables: a few dozen roundings"
    out = [
        Quantity(f"jacobian/step/{form}", "jacobian", 1e-14 * scale, few, about)
        for form, about in {
            "slide": "of the slide's step by (Y, Z), three channels, h = 1/2, from `x_step`",
            "canonical": "the same with K^T tanh(K . + b) in both lines",
        }.items()
    ]
    out += [
        Quantity(
            f"structure/{name}",
            "figure",
            1e-13 * scale,
            few,
            about,
            atol=1e-13 * scale,
        )
        for name, about in {
            "volume_defect": "|det J - 1| of (slide, canonical)",
            "symplectic_defect": "||J^T Omega J - Omega||_F of (slide, canonical)",
        }.items()
    ]
    out += [
        Quantity(
            f"hamiltonian/drift/{method}",
            "figure",
            1e-12 * scale,
            "up to 512 steps, rounded a few times each",
            f"max |H - H(0)| to T = 64 with h = 1/2, 1/4, 1/8: {about}",
            atol=1e-13 * scale,
        )
        for method, about in {
            "two_line": "the slide's step, which is symplectic Euler",
            "stormer_verlet": "kick-drift-kick",
        }.items()
    ]
    return out


def _trained(options: Any) -> list[Quantity]:
    scale = _unit(options)
    out = []
    for net in ("rk4", "verlet"):
        out += [
            Quantity(
                f"trained/loss/{net}",
                "loss",
                1e-11 * scale,
                "several hundred roundings, trained weights larger than random ones",
                "logistic loss of each trained network on its points",
                atol=1e-14 * scale,
                engines=_BOTH,
            ),
            Quantity(
                f"trained/accuracy/{net}",
                "figure",
                1e-12,
                "a whole number of points; a single one off would be 1/500",
                "share of its points that each trained network classifies correctly",
                engines=_BOTH,
            ),
        ]
    for precision, eps in list(PRECISIONS.items())[:2]:
        out.append(
            Quantity(
                f"trained/roundtrip/rk4/{precision}",
                "inverse",
                max(1e-9, 1e4 * eps) * max(1.0, scale if precision == "float64" else 1.0),
                "truncation, not rounding: rounding enters in the eps-th digit, amplified",
                "round trip error of each trained network, 16 steps",
                engines=_BOTH,
            )
        )
        out.append(
            Quantity(
                f"trained/roundtrip/verlet/{precision}",
                "inverse",
                0.0,
                "rounding errors themselves: their size is the result, not their digits",
                "round trip error of each trained network",
                engines=_BOTH,
                compared=False,
            )
        )
    return out
