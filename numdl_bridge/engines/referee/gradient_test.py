"""The study `gradient_test` in the referee: RK4 and a replayed Tsit5, proven; continuous truth."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ...studies._gradient_test_quantities import REFERENCE_SUBSTEPS, tolerances
from ...studies.contract import Arrays
from ...studies.gradient_test import GradientTestOptions
from .integrators import (
    RK4,
    adjoint,
    grid_of,
    linearised_trajectory,
    misfit,
    misfit_gradient,
    trajectory,
)
from .linalg import widths
from .networks import NeuralODE
from .number import Ball, Field
from .taylor import solve
from .tsitouras import replay

BITS = 384
"""Enough for 29 steps at all iterates, and for the reference at 0 and 3."""

TRUTH_BITS = 192
"""For the Taylor series, whose remainder of 1e-20 a step decides, not rounding."""

NARROW = 1e-60
"""Radius of the last state up to which the reference gradient is enclosed (it needs as many digits
again on the way back)."""

Answer = dict[str, Any]


def refined(times: np.ndarray, pieces: int) -> list[tuple[Any, Any]]:
    """(t, h) of steps that split each interval of `times` into equal pieces."""
    steps = []
    for t0, t1 in pairwise(times):
        h = (t1 - t0) / pieces
        steps += [(t0 + j * h, h) for j in range(pieces)]
    return steps


def answer(inputs: Arrays, options: GradientTestOptions, field: Field) -> Answer:
    """Every quantity that has a truth of its own."""
    w = {name: field.array(value) for name, value in inputs.items()}
    found: Answer = {}
    for column, k in enumerate(options.iterates):
        found |= _discrete(w, inputs, column, k, options.truth)
    if 0 in options.iterates and "1e-7" in tolerances(options):
        f = NeuralODE(w["theta"][:, options.iterates.index(0)])
        states = replay(f, w["u0"], w["grid/1e-7"], w["times"], field)
        found["solution/tsit5/1e-7/replayed"] = np.stack(states, axis=1)
    if 0 in options.iterates and options.truth:
        found |= _truth(inputs, options)
    return {name: np.asarray(value) for name, value in found.items()}


def _truth(inputs: Arrays, options: GradientTestOptions) -> Answer:
    """Loss and gradient of the exact flow at iterate 0 (at 1 and 3 naive balls would wrap)."""
    field = Ball(TRUTH_BITS)
    with field.working():
        theta = field.array(inputs["theta"][:, options.iterates.index(0)])
        truth = solve(theta, field.array(inputs["u0"]), inputs["times"], field)
        data, d = field.array(inputs["data"]), field.array(inputs["d"])
        g = truth.misfit_gradient(data)
        return {
            "loss/continuous/0": truth.misfit(data),
            "gradient/continuous/0": g,
            "directional/continuous/0": g @ d,
        }


def _discrete(w: Arrays, inputs: Arrays, column: int, k: int, enclose: bool) -> Answer:
    """RK4 as published, aligned, and with 40 steps per interval; the test of the first."""
    theta, data, d = w["theta"][:, column], w["data"], w["d"]
    f = NeuralODE(theta)
    published = grid_of(w["times_published"])
    loss, g = misfit_gradient(RK4, f, w["u0"], published, data)
    aligned_loss, aligned = misfit_gradient(RK4, f, w["u0"], grid_of(w["times"]), data)
    slope = g @ d
    moved = [NeuralODE(theta + h * d) for h in w["h"]]
    along = np.array([misfit(trajectory(RK4, m, w["u0"], published), data) for m in moved])
    return {
        f"loss/rk4/{k}": loss,
        f"loss/rk4_aligned/{k}": aligned_loss,
        f"gradient/rk4/{k}": g,
        f"gradient/rk4_aligned/{k}": aligned,
        f"gradient/reference/{k}": _reference(w, inputs, column, enclose),
        f"directional/rk4/{k}": slope,
        f"E0/rk4/{k}": abs(along - loss),
        f"E1/rk4/{k}": abs(along - loss - w["h"] * slope),
    }


def _reference(w: Arrays, inputs: Arrays, column: int, enclose: bool) -> np.ndarray:
    """Gradient of RK4, 40 steps per interval: enclosed where balls stay narrow, else in doubles.

    At iterate 1 the 1160 steps widen balls by 1e190 (they wrap where the flow turns and is stiff);
    that is seen after the forward half, and a plain array then says that there is no proof.
    """
    states: list[np.ndarray] = []
    if enclose:
        steps = refined(w["times"], REFERENCE_SUBSTEPS)
        f = NeuralODE(w["theta"][:, column])
        states, pullbacks = linearised_trajectory(RK4, f, w["u0"], steps)
    if not enclose or widths(states[-1]).max() > NARROW:
        plain = {name: np.asarray(inputs[name], dtype=float) for name in ("times", "u0", "data")}
        f = NeuralODE(np.asarray(inputs["theta"][:, column], dtype=float))
        steps = refined(plain["times"], REFERENCE_SUBSTEPS)
        return misfit_gradient(RK4, f, plain["u0"], steps, plain["data"], REFERENCE_SUBSTEPS)[1]

    def jump(j: int) -> np.ndarray | None:
        i, between = divmod(j, REFERENCE_SUBSTEPS)
        return None if between else 2 * (states[j] - w["data"][:, i])

    return adjoint(pullbacks, jump)[1]


def rounding(inputs: Arrays, options: GradientTestOptions) -> dict[str, float]:
    """None: balls in working precision lose 12 of 16 digits over 116 stages (they wrap), which
    would excuse far more than rounding does; the tolerances of the quantities stand."""
    return {}
