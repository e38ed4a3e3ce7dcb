"""The study `gradient_test` in the referee: RK4 and a replayed Tsit5, proven; continuous truth."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ...studies._gradient_test_quantities import REFERENCE_SUBSTEPS, tolerances
from ...studies.contract import Arrays
from ...studies.gradient_test import GradientTestOptions
from .integrators import RK4, grid_of, misfit, misfit_gradient, trajectory
from .linalg import widths
from .networks import NeuralODE
from .number import Ball, Field, midpoint
from .tsitouras import replay

BITS = 384
"""Enough for 29 steps at all iterates, and for the reference at 0 and 3."""

NARROW = 1e-20
"""Radius, relative to the largest entry, that the reference gradient must come out with."""

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
        found |= _discrete(w, w["theta"][:, column], k, field)
    if 0 in options.iterates and "1e-7" in tolerances(options):
        f = NeuralODE(w["theta"][:, options.iterates.index(0)])
        states = replay(f, w["u0"], w["grid/1e-7"], w["times"], field)
        found["solution/tsit5/1e-7/replayed"] = np.stack(states, axis=1)
    return {name: np.asarray(value) for name, value in found.items()}


def _discrete(w: Arrays, theta: np.ndarray, k: int, field: Field) -> Answer:
    """RK4 as published, aligned, and with 40 steps per interval; the test of the first."""
    f, data, d = NeuralODE(theta), w["data"], w["d"]
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
        f"gradient/reference/{k}": _reference(w, theta, field),
        f"directional/rk4/{k}": slope,
        f"E0/rk4/{k}": abs(along - loss),
        f"E1/rk4/{k}": abs(along - loss - w["h"] * slope),
    }


def _reference(w: Arrays, theta: np.ndarray, field: Field) -> np.ndarray:
    """Gradient of RK4 with 40 steps per interval, in as many bits as it takes.

    At iterate 1 the 1160 steps widen balls by a factor of 1e190: naive balls wrap where the flow
    turns and is stiff. Twice the bits are cheaper than a cleverer set.
    """
    while True:
        with field.working():
            steps = refined(w["times"], REFERENCE_SUBSTEPS)
            _, g = misfit_gradient(
                RK4, NeuralODE(theta), w["u0"], steps, w["data"], REFERENCE_SUBSTEPS
            )
            if widths(g).max() <= NARROW * np.abs(midpoint(g)).max():
                return g
        field = Ball(field.bits * 7 // 3)


def rounding(inputs: Arrays, options: GradientTestOptions) -> dict[str, float]:
    """None: balls in working precision lose 12 of 16 digits over 116 stages (they wrap), which
    would excuse far more than rounding does; the tolerances of the quantities stand."""
    return {}
