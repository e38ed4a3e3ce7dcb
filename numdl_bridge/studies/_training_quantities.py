"""What `training` asks each engine for: histories of every variant, gradients along the path."""

from __future__ import annotations

from typing import Any

from .contract import Quantity, Term

VARIANTS = {
    "rk4": "discretise-then-optimise, 29 steps of 0.05 against data at spacing 1.5/29 (published)",
    "rk4_aligned": "discretise-then-optimise, 29 steps of 1.5/29: steps and data on one grid",
    "backsolve/1e-7": "continuous adjoint, state integrated backward and never reset, 1e-7/1e-9",
    "backsolve/1e-2": "the same at 1e-2/1e-2",
    "reset/1e-7": "continuous adjoint, state reset to the stored one at each data time, 1e-7/1e-9",
    "interpolating/1e-7": "continuous adjoint, state from the forward interpolant, 1e-7/1e-9",
}
"""The six ways to train, by name. Adaptive ones use the controller, norm and start of 2019."""

OF_JULIA = {
    "today/1e-7": "continuous adjoint, un-reset, 1e-7/1e-9, Tsit5 with the defaults of today",
    "sciml/backsolve": "SciMLSensitivity's BacksolveAdjoint(checkpointing = false), 1e-7/1e-9, "
    "as many updates as are compared with the published ones and a few",
    "sciml/checkpoints": "SciMLSensitivity's BacksolveAdjoint(checkpointing = true), 1e-7/1e-9",
    "sciml/interpolating": "SciMLSensitivity's InterpolatingAdjoint, 1e-7/1e-9",
    "sciml/gauss": "SciMLSensitivity's GaussAdjoint, 1e-7/1e-9",
}
"""What a user of Julia would train with today, answered by Julia alone."""

UNRESET = 20
"""Updates of `sciml/backsolve`: later each of its backward solves takes all the steps it may."""

TOLERANCES = {
    "backsolve/1e-7": (1e-7, 1e-9),
    "backsolve/1e-2": (1e-2, 1e-2),
    "reset/1e-7": (1e-7, 1e-9),
    "interpolating/1e-7": (1e-7, 1e-9),
}
"""(relative, absolute) of forward and adjoint solve alike, as published."""

ADAM = {"eta": 0.1, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
"""theta <- theta - eta mhat / (sqrt(vhat) + epsilon), epsilon outside the root, after bias
correction (Flux's ADAM; torch.optim.Adam is the same). eta = 0.1 is not Flux's default 0.001."""

THRESHOLDS = (100.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.5)
"""`first_below/...` gives the first iteration with a loss below each of these; -1 for never."""

ITERATES = (0, 1, 2, 3, 5, 10)
"""Iterations of the `backsolve/1e-7` run at which gradients are compared; the weights are inputs,
kept in `comparisons/inputs/training_path.csv` with the command that made them."""

WAYS = ("rk4", "backsolve/1e-7", "reset/1e-7", "interpolating/1e-7")
"""Gradients compared at the iterates, each against `gradient/reference`."""

REFERENCE_SUBSTEPS = 40
"""RK4 steps per data interval of the reference gradient (discrete adjoint)."""

AGREED = {"rk4": 140, "rk4_aligned": 100, "backsolve/1e-7": 17}
"""Last iteration up to which two engines must give the same loss; beyond that rounding has been
amplified to the size of the loss (see the notes)."""

PARTED = 1e-3
"""Two trajectories have parted at the first iteration where their losses differ by more."""


def trained(options: Any) -> list[str]:
    """Names of the variants that are trained."""
    return [v for v in VARIANTS if options.interpolating or not v.startswith("interpolating")]


def asked(variant: str, options: Any) -> int:
    """How many updates a variant is trained for."""
    return min(options.iterations, UNRESET) if variant == "sciml/backsolve" else options.iterations


def agreed(variant: str, options: Any) -> int:
    """Last iteration (at most `options.iterations`) up to which engines are compared."""
    # In single precision ADAM's first update, the sign of each entry, already differs.
    last = AGREED[variant] if options.dtype == "float64" else 0
    return min(last, options.iterations)


def quantities(options: Any) -> list[Quantity]:
    """Losses, weights, back-integrated initial states, gradients along the path."""
    found: list[Quantity] = []
    free = "not compared: rounding is amplified to the size of the loss"
    single = options.dtype == "float32"
    eps_adam = (
        "g/(|g| + 1e-8) amplifies rounding of small gradient entries by 1e8; measured against the "
        "exact trajectory: 2e-5 at iteration 1, 4e-5 at 140"
    )
    solver = "1e-7 solves by different controllers, amplified by ADAM; published digits are 1e-3"
    everyone, two = ("torch", "julia", "referee"), ("torch", "julia")

    def add(name, kind, about, *, rtol=0.0, source=free, compared=False, engines=two, **more):
        found.append(
            Quantity(
                name, kind, rtol, source, about=about, compared=compared, engines=engines, **more
            )
        )

    for variant in trained(options):
        about = VARIANTS[variant]
        fixed = variant.startswith("rk4")
        mode = "aligned" if fixed else "native"
        who = everyone if variant == "rk4" else two
        add(
            f"loss/{variant}",
            "loss",
            f"{about}; iterations 0, 1, ...",
            mode=mode,
            engines=who,
            parted=1e-3,
        )
        if variant in AGREED:
            add(
                f"loss/{variant}/agreed",
                "loss",
                f"its iterations 0 .. {agreed(variant, options)}",
                atol=(10.0 if single else 1e-3) if fixed else 5e-3,
                rtol=1e-2 if single else 0.0,
                source=eps_adam if fixed else solver,
                compared=True,
                mode=mode,
                engines=who,
            )
        add(f"theta/{variant}", "value", "weights at the end", mode=mode, engines=who)
        add(f"completed/{variant}", "count", "updates before the solve overflowed", mode=mode)
        add(
            f"first_below/{variant}",
            "count",
            "first iteration with loss below 100, 50, 25, 10, 5, 1, 0.5; -1 for never",
            mode=mode,
            engines=who,
        )
        if variant.startswith("backsolve"):
            add(
                f"inverse/{variant}",
                "inverse",
                "u(0) as the adjoint solve gets it back, at each iteration; exact: (2, 0)",
                mode=mode,
            )
    if options.dtype == "float64":
        for variant, about in OF_JULIA.items():
            if variant.startswith("today") or options.sciml:
                more = {"mode": "native", "engines": ("julia",)}
                add(f"loss/{variant}", "loss", f"{about}; iterations 0, 1, ...", **more)
                add(f"completed/{variant}", "count", "updates before the solve broke down", **more)
    # 40 x 29 RK4 steps amplify rounding by at most 1e3 or so at these weights.
    aligned = 1e-3 if single else 1e-9
    add(
        "gradient/reference",
        "gradient",
        "RK4 with 40 steps per data interval, at iterates 0, 1, 2, 3, 5, 10 of backsolve/1e-7",
        rtol=aligned,
        source="1160 steps of RK4, rounding amplified by the flow",
        compared=True,
        engines=everyone,
    )
    for way in WAYS:
        _along_the_path(add, way, aligned, single)
    add(
        "parting/rk4",
        "count",
        "first iteration where a start perturbed by 1e-16 (referee: where doubles against exact "
        "arithmetic) changes the loss by more than 1e-3; -1 for never",
        engines=everyone,
    )
    add("ensemble/final", "loss", "RK4 losses at the end, starts perturbed by 1e-16")
    add("ensemble/first_below_10", "count", "first iteration with loss below 10, each of them")
    add(
        "loss/rk4/proven",
        "loss",
        "the first losses, propagated in balls from the exact start",
        engines=("referee",),
    )
    return found


def _along_the_path(add: Any, way: str, aligned: float, single: bool) -> None:
    """One way's gradient at the iterates, and how far it is from the reference."""
    everyone, two = ("torch", "julia", "referee"), ("torch", "julia")
    more = {
        "mode": "aligned" if way == "rk4" else "native",
        "engines": everyone if way == "rk4" else two,
        # Single precision cannot meet 1e-7: what comes out is reported, NaN included.
        "compared": way == "rk4" or not single,
    }
    solver = "1e-7 solves: error 1e-3 at iterate 1, else 1e-7"
    # Same rules on both sides; integrated backward the state amplifies rounding, to 2e-6.
    between = 1e-4 if way == "backsolve/1e-7" else 1e-7
    rtol = aligned if way == "rk4" else 5e-2 if single else between
    source = "29 steps" if way == "rk4" else "same rules; rounding, amplified by the flow"
    # RK4 at this step and the un-reset backsolve are not the reference's gradient, nor meant to be.
    true = way in ("reset/1e-7", "interpolating/1e-7")
    add(
        f"gradient/{way}",
        "gradient",
        f"{VARIANTS[way]}, at the same iterates",
        rtol=rtol,
        source=source,
        compare_with="gradient/reference" if true else None,
        beside=Term("solver", 2e-2 if single else 5e-3, solver) if true else None,
        **more,
    )
    add(
        f"cosine/{way}",
        "figure",
        "cosine with the reference gradient",
        rtol=10 * rtol,
        source=source,
        **more,
    )
    # A small difference of two gradients, each of them known to the tolerances above.
    add(
        f"error/{way}",
        "figure",
        "relative error against the reference",
        rtol=1e-2,
        atol=0.1 if single else 1e-8,
        source="a difference of two gradients of engines that agree to their own tolerance",
        **more,
    )
