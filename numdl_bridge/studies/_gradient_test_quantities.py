"""What `gradient_test` asks each engine for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .contract import Quantity, Term

ITERATES: tuple[Literal[0, 1, 3], ...] = (0, 1, 3)
"""Updates of the published training run after which the test is repeated."""

TOLERANCES = {"1e-7": (1e-7, 1e-9), "1e-2": (1e-2, 1e-2)}
"""(relative, absolute), of the forward and the adjoint solve alike, by name."""

Method = Literal["backsolve", "reset", "interpolation", "checkpoints"]
METHODS: tuple[Method, ...] = ("backsolve", "reset", "interpolation", "checkpoints")
"""How the continuous adjoint comes by the state on its way back: integrated backward and never
reset (2019); reset to the stored state at the data times; read from the dense output of the forward
solve; solved forward again between stored states and read from that."""

MISPRINTED = 1e-3
"""Both tolerances of the solve whose E0 two published files print for RK4 and for 1e-2."""

REFERENCE_SUBSTEPS = 40
"""RK4 steps per data interval of the reference gradient (discrete adjoint)."""

# What the continuous adjoint may be off by, by tolerance and iterate. A hundred times the tolerance
# where the flow is harmless; at iterate 1 it amplifies errors by 1e4 (relative error 1.0e-3 with
# resets at 1e-7, 3.6e-7 with interpolation), and at 1e-2 nothing can be expected there.
_ADJOINT_ERROR = {
    ("1e-7", 0): 1e-6,
    ("1e-7", 1): 1e-5,
    ("1e-7", 3): 1e-6,
    ("1e-2", 0): 5e-3,
    ("1e-2", 3): 3e-2,
}
_RESET_ERROR = {**_ADJOINT_ERROR, ("1e-7", 1): 1e-2}

SCIML = {
    "backsolve": (_RESET_ERROR, "BacksolveAdjoint(checkpointing = false), the adjoint of 2019"),
    "checkpoints": (_RESET_ERROR, "BacksolveAdjoint(checkpointing = true), its default"),
    "interpolating": (_ADJOINT_ERROR, "InterpolatingAdjoint"),
    "gauss": (_ADJOINT_ERROR, "GaussAdjoint, its default for as many parameters"),
}
"""SciMLSensitivity's adjoints by name; unavailable where that package is not installed."""

EVERYONE, TWO = ("torch", "julia", "referee"), ("torch", "julia")


def tolerances(options: Any) -> list[str]:
    """Names of the tolerances that the working precision can meet."""
    return [t for t, (r, _) in TOLERANCES.items() if r > np.finfo(options.dtype).eps]


def quantities(options: Any) -> list[Quantity]:
    """One set for each iterate k, names ending in `/k`; then steps and solutions at iterate 0."""
    found: list[Quantity] = []
    unit = float(np.finfo(options.dtype).eps)
    rounding = 5e3 * unit
    many = "29 RK4 steps, 116 evaluations: unit roundoff times the operations, measured 1e-14"

    def add(name, kind, rtol, source, about, engines=TWO, mode="aligned", **more):
        found.append(Quantity(name, kind, rtol, source, about, mode=mode, engines=engines, **more))

    for k in options.iterates:
        for variant, about in (
            ("rk4", "RK4 as published, steps of 1.5/n_steps"),
            ("rk4_aligned", "RK4, steps from data time to data time"),
        ):
            add(f"loss/{variant}/{k}", "loss", rounding, many, f"J by {about}", EVERYONE)
            add(
                f"gradient/{variant}/{k}", "gradient", rounding, many,
                f"discretise, then optimise: reverse mode through {about}", EVERYONE,
            )  # fmt: skip
        add(
            f"gradient/rk4/forward/{k}", "gradient", rounding, many,
            "the same by forward sensitivities", compare_with=f"gradient/rk4/{k}",
        )  # fmt: skip
        if k == 0:
            add(
                "gradient/rk4/eager/0", "gradient", rounding, many,
                "the same by one reverse sweep of autograd and of Zygote over all steps, as a user "
                "would write it", compare_with="gradient/rk4/0",
            )  # fmt: skip
        add(
            f"gradient/reference/{k}", "gradient", 10 * rounding,
            "1160 RK4 steps; at iterate 1 the flow amplifies rounding by 1e4",
            "RK4 with 40 steps per data interval, discrete adjoint: the continuous gradient to "
            "2.7e-11 ... 7e-10 (by halving the steps)", EVERYONE,
        )  # fmt: skip
        add(
            f"directional/rk4/{k}", "figure", rounding, many, "g.d of gradient/rk4", EVERYONE,
        )  # fmt: skip
        add(f"E0/rk4/{k}", "figure", rounding, many, "E0(h) of RK4 as published", EVERYONE)
        add(f"E1/rk4/{k}", "figure", rounding, many, "E1(h) of RK4 as published", EVERYONE)
        for name in tolerances(options):
            _adaptive(add, name, k, options.dtype == "float32")
    if 0 in options.iterates:
        _steps(add, options, rounding)
        if options.truth:
            _truth(add)
    return found


def _between(name: str, k: int, method: str = "") -> tuple[float, str]:
    """What two engines that follow the same rules may differ by: rtol and its source.

    Where the adjoint is smooth its error estimate is rounding, and so are the steps chosen; the
    result is not. Integrated backward at iterates 1 and 3 the state is unstable, and amplifies.
    """
    if method == "backsolve" and k > 0:
        return 1e-4, "same rules on both sides; the backward solve amplifies rounding, to 4e-6"
    return (1e-7 if k else 1e-8), "same rules on both sides; rounding decides steps, to 1e-9"


def _adaptive(add: Any, name: str, k: int, single: bool) -> None:
    """The adaptive solves of 2019 at one tolerance and iterate, and today's native ones."""
    rtol = TOLERANCES[name][0]
    solver = f"solver tolerance {rtol:g}, times 100 (times the flow's amplification at iterate 1)"
    # At iterate 1 the loss at 1e-2 is numerically discontinuous: 1.3e3 to 1.9e3 by rounding alone.
    erratic = name == "1e-2" and k == 1

    def between(method: str = "") -> tuple[float, str]:
        # In single precision rounding is as large as the tolerance.
        return (_RESET_ERROR.get((name, k), rtol), solver) if single else _between(name, k, method)

    add(
        f"loss/{name}/{k}", "loss", *between(),
        f"J at {name}, Tsit5 with the controller, norm and start of 2019", mode="native",
        compared=not erratic,
    )  # fmt: skip
    for method in METHODS:
        allowed = (_ADJOINT_ERROR if method in METHODS[2:] else _RESET_ERROR).get((name, k), 0.0)
        # Nobody's truth: at iterates 1 and 3 this gradient is wrong, on both sides alike.
        wrong = method == "backsolve" and k > 0
        add(
            f"gradient/{method}/{name}/{k}", "gradient", *between(method),
            f"continuous adjoint at {name}, rules of 2019, state by {method}", mode="native",
            compare_with=None if wrong else f"gradient/reference/{k}",
            beside=Term("solver", allowed, solver), compared=not erratic,
        )  # fmt: skip
        add(
            f"directional/{method}/{name}/{k}", "figure", *between(method), "g.d of that gradient",
            mode="native", compared=not erratic,
        )  # fmt: skip
    add(
        f"inverse/{name}/{k}", "inverse", *between("backsolve"),
        "u(0) as the backsolve reconstructs it; exact: (2, 0)", mode="native",
        compared=not erratic,
    )  # fmt: skip
    add(
        f"E0/{name}/{k}", "figure", *between(), f"E0(h) at {name}, rules of 2019",
        mode="native", compared=not erratic,
    )  # fmt: skip
    for method in ("backsolve", "interpolation"):
        add(
            f"E1/{method}/{name}/{k}", "figure", *between(method),
            f"E1(h) with the {method} gradient at {name}, rules of 2019", mode="native",
            compared=not erratic,
        )  # fmt: skip
    if name == "1e-7":
        _today(add, k, solver)


def _today(add: Any, k: int, solver: str) -> None:
    """Tsit5 as it is today at 1e-7; what users of each library get; the published E0 columns."""
    name, rtol = "1e-7", TOLERANCES["1e-7"][0]
    if k == 0:
        add(
            "loss/native/0", "loss", 10 * rtol, solver,
            "J as users of each library compute it: torchdiffeq's odeint (dopri5); "
            "OrdinaryDiffEq's Tsit5", mode="native",
        )  # fmt: skip
        add(
            "gradient/native/0", "gradient", _RESET_ERROR[name, k], solver,
            "its gradient as users get it: torchdiffeq's odeint_adjoint, which resets the state at "
            "the data times; SciMLSensitivity, or our adjoint on OrdinaryDiffEq", mode="native",
            compare_with="gradient/reference/0",
        )  # fmt: skip
        add(
            "E0/1e-3/0", "figure", *_between(name, 0),
            "E0(h) of a solve at 1e-3/1e-3, rules of 2019: what two published files print",
            mode="native",
        )  # fmt: skip
    # OrdinaryDiffEq's controller takes powers in single precision: steps differ by 1e-6.
    own = (1e-3 if k else 1e-8), "today's rules; steps differ by 1e-6, backward errors amplify them"
    add(
        f"gradient/tsit5/{k}", "gradient", *own,
        "un-reset backsolve with OrdinaryDiffEq's conventions of today", mode="native",
        compare_with=f"gradient/reference/{k}" if k == 0 else None,
        beside=Term("solver", _ADJOINT_ERROR[name, k], solver),
    )  # fmt: skip
    add(
        f"inverse/tsit5/{k}", "inverse", *own,
        "u(0) as that backsolve reconstructs it; exact: (2, 0)", mode="native",
    )  # fmt: skip
    for sensealg, (sizes, about) in SCIML.items():
        add(
            f"gradient/sciml/{sensealg}/{k}", "gradient", sizes[name, k], solver,
            f"SciMLSensitivity's {about}, Tsit5 of today", ("julia",), mode="native",
            compare_with=f"gradient/reference/{k}",
            compared=not (sensealg == "backsolve" and k > 0),
        )  # fmt: skip


def _truth(add: Any) -> None:
    """The exact flow at iterate 0: what every solver and adjoint approximates."""
    proven = "enclosed by Taylor series with proven remainder, radius below 1e-10"
    for name, kind, about in (
        ("loss/continuous/0", "loss", "J of the exact flow"),
        ("gradient/continuous/0", "gradient", "its gradient with respect to all 252 weights"),
        ("directional/continuous/0", "figure", "g.d of that gradient"),
    ):
        add(name, kind, 1e-10, proven, about, ("referee",))


def _steps(add: Any, options: Any, rounding: float) -> None:
    """The sequence of steps of Tsit5 with OrdinaryDiffEq's conventions, forward, at iterate 0."""
    powers = (
        "OrdinaryDiffEq's controller takes powers in single precision; the last bits of exp2 in "
        "Float32, 1.2e-7, accumulate over the factors"
    )
    for name in tolerances(options):
        rtol = TOLERANCES[name][0]
        about = f"Tsit5 at {name} with the conventions of OrdinaryDiffEq 7"
        add(f"steps/tsit5/{name}", "figure", 1e-5, powers, f"{about}: sizes of accepted steps")
        add(f"accepted/tsit5/{name}", "count", 0.0, "exact", f"{about}: 1 accepted, 0 rejected")
        add(f"evaluations/tsit5/{name}", "count", 0.0, "exact", f"{about}: of the right-hand side")
        add(
            f"solution/tsit5/{name}", "solution", max(1e-4 * rtol, rounding),
            "its steps differ by 1e-5, and so do its errors", f"{about}: at the data times",
        )  # fmt: skip
    if "1e-7" in tolerances(options):
        add(
            "solution/tsit5/1e-7/replayed", "solution", rounding,
            "35 steps given as input, one order of operations",
            "Tsit5 on the steps of the input `grid/1e-7`, interpolated at the data times", EVERYONE,
        )  # fmt: skip
