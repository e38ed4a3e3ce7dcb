"""What the landscape study asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import Quantity, Term

T = 10.0
"""Final time: the step size of a network with N layers is T / N."""
TRUE_LAYERS = 200
TRUE_THETA = (1.0, 1.0)
UNSTABLE, STABLE = 5, 100
"""The two networks of the slides: h = 2 and h = 0.1."""
OPTIMISED = (5, 10, 15, 20, 100, 200)
"""Numbers of layers that the optimiser is run with; h < 1/3 holds for the last two only."""
SAMPLED = (5, 100, 200)
"""Numbers of layers of which values and gradients are compared at the sample points."""
BASIN = 0.15
"""An optimisation has succeeded when it ends this close to (1, 1), in the Euclidean norm."""


def quantities(options: Any) -> list[Quantity]:
    """See `landscape`; batch (samples, grid points, seeds, starts) is the last axis throughout."""
    u = float(np.finfo(options.dtype).eps) / 2
    double = options.dtype == "float64"
    both = ("torch", "julia")
    forward = 1e4 * u
    source = (
        "forward Euler is aligned step by step; an error of u in Y grows to about 13 u |Y| a layer "
        "for N = 5, and is divided by |Y_N - C| / |Y_N| ~ 1e-3 for N >= 100: 1e4 unit roundoffs"
    )
    found = [
        Quantity(
            "target", "solution", 1e2 * u, "200 contractive layers", "C = Y_200(1, 1), first seed"
        )
    ]
    for n in SAMPLED:
        found += [
            Quantity(f"loss/N={n}", "loss", forward, source, f"Phi_{n} at the sample points"),
            Quantity(
                f"gradient/N={n}",
                "gradient",
                forward,
                source,
                f"gradient of Phi_{n} at the sample points, reverse mode",
            ),
            Quantity(
                f"gradient/N={n}/forward",
                "gradient",
                forward,
                source,
                f"the same by forward mode: sensitivities dY/dtheta carried through {n} layers",
                compare_with=f"gradient/N={n}",
                engines=both,
            ),
        ]
    found.append(
        Quantity(
            "hessian",
            "jacobian",
            1e3 * u,
            "S^T S with well-scaled sensitivities S = dY_200/dtheta: the residual vanishes at the "
            "truth, only rounding of Y (divided by |S| ~ 1e-4) is left of the second-order term",
            "Hessian of Phi_200 at theta = (1, 1), where the residual is zero",
            terms=(Term("residual", 1e4 * u, "rounding of Y_200 - C, that is zero on paper"),),
        )
    )
    for n in (UNSTABLE, STABLE):
        found += [
            Quantity(
                f"surface/N={n}",
                "value",
                forward,
                source,
                f"Phi_{n} of the first seed, [i, j] at theta = (axis[i], axis[j])",
                engines=both,
            ),
            Quantity(
                f"truth/N={n}",
                "value",
                forward,
                source,
                f"Phi_{n} at the weights (1, 1) that made the data, by seed",
                engines=both,
            ),
            Quantity(
                f"minima/N={n}",
                "count",
                0.0,
                "differences of neighbouring grid values are far above rounding",
                "strict local minima of the grid (below all of up to 8 neighbours), by seed",
                engines=both,
                compared=double,
            ),
            Quantity(
                f"argmin/N={n}",
                "value",
                0.0,
                "grid points are inputs; the lowest is separated by far more than rounding",
                "theta of the lowest grid point, by seed",
                engines=both,
                compared=double,
            ),
            Quantity(
                f"difference/N={n}/absolute",
                "figure",
                forward,
                source,
                "max over the grid of |Phi_train - Phi_test|, by seed (what the slides show)",
                engines=both,
            ),
            Quantity(
                f"difference/N={n}/relative",
                "figure",
                forward,
                source,
                "||Phi_train - Phi_test||_F / ||Phi_train||_F, by seed (what they do not show)",
                engines=both,
            ),
        ]
    for n in OPTIMISED:
        stable = T / n < 1 / 3
        found += [
            Quantity(
                f"optimum/N={n}",
                "value",
                1e-4,
                "L-BFGS stops at a gradient of 1.5e-8 for a loss of 1 at the start",
                "where L-BFGS ends from each start"
                + ("" if stable else "; the surface is rough, so each library ends elsewhere"),
                mode="native",
                engines=both,
                compared=stable and double,
            ),
            Quantity(
                f"success/N={n}",
                "count",
                0.0,
                "",
                f"starts that end within {BASIN} of (1, 1)",
                mode="native",
                engines=both,
                compared=double,
            ),
        ]
    return found
