"""The study `training` in the referee: the RK4 run as exact arithmetic would take it.

Two runs. `loss/rk4/proven` propagates balls from the exact start, so that everything is enclosed;
boxes in 252 dimensions wrap, at some 50 digits an update, and that is affordable for a few updates.
`loss/rk4` drops the radii after each update: every update is enclosed to 1e-40 or better, the path
as a whole is a pseudo-orbit in `field.bits`, returned as plain floats because it is not proven.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...studies._training_quantities import ADAM, PARTED, REFERENCE_SUBSTEPS, THRESHOLDS, agreed
from ...studies.contract import Arrays
from ...studies.training import TrainingOptions
from .integrators import RK4, grid, misfit_gradient
from .linalg import centres, root, widths
from .networks import NeuralODE
from .number import Ball, Double, Field, midpoint

PROVEN = 8
"""Updates that are propagated in balls."""

PROVEN_BITS = 2048
"""616 digits, of which an update costs about 50."""


TRUSTED = 1e-40
"""Largest radius of a weight after one update; beyond it the update is redone in more bits.

Updates enclosed to 1e-20 only would end at another loss (0.70 instead of 0.546): the path amplifies
perturbations by about that much."""


class State(NamedTuple):
    """Weights, running means of g and g^2, and the powers of beta1 and beta2."""

    theta: np.ndarray
    m: np.ndarray
    v: np.ndarray
    power1: Any
    power2: Any


def start(inputs: Arrays, field: Field) -> State:
    """The state before the first update."""
    with field.working():
        theta = field.array(inputs["theta0"])
        beta1, beta2 = (field.number(ADAM[name]) for name in ("beta1", "beta2"))
        return State(theta, 0 * theta, 0 * theta, beta1, beta2)


def update(inputs: Arrays, state: State, field: Field) -> tuple[Any, State]:
    """The loss at `state` and the state after one update: RK4 with h = 0.05, ADAM(0.1) of Flux.

    The constants 0.1, 0.9, 0.999 and 1e-8 are the doubles of that name, taken exactly; so is h.
    """
    with field.working():
        data, u0 = field.array(inputs["data"]), field.array(inputs["u0"])
        h = field.number(float(inputs["h"][0]))
        eta, beta1, beta2, epsilon = (
            field.number(ADAM[name]) for name in ("eta", "beta1", "beta2", "epsilon")
        )
        steps = grid(h, data.shape[1] - 1)
        loss, g = misfit_gradient(RK4, NeuralODE(state.theta), u0, steps, data)
        m = beta1 * state.m + (1 - beta1) * g
        v = beta2 * state.v + (1 - beta2) * (g * g)
        mhat, vhat = m / (1 - state.power1), v / (1 - state.power2)
        theta = state.theta - eta * mhat / (root(vhat) + epsilon)
        return loss, State(theta, m, v, state.power1 * beta1, state.power2 * beta2)


def enclosed_run(inputs: Arrays, iterations: int, field: Field) -> tuple[list[Any], State]:
    """Losses 0 .. iterations and the last state, every ball propagated (doubles: plain)."""
    state, losses = start(inputs, field), []
    for _ in range(iterations + 1):
        last = state
        loss, state = update(inputs, last, field)
        losses.append(loss)
    return losses, last


def pseudo_orbit(inputs: Arrays, iterations: int, bits: int) -> tuple[list[Any], State, float]:
    """The same with radii dropped after each update, and the largest radius that was dropped.

    An update whose weights come out wider than `TRUSTED` is redone in half as many bits again.
    """
    field = Ball(bits)
    state, losses, worst = start(inputs, field), [], 0.0
    for _ in range(iterations + 1):
        last = state
        while True:
            loss, state = update(inputs, last, field)
            width = float(widths(state.theta).max())
            if width <= TRUSTED:
                break
            field = Ball(field.bits * 3 // 2)
        worst = max(worst, width)
        losses.append(loss)
        with field.working():
            state = State(*(centres(np.asarray(part)) for part in state))
    return losses, last, worst


def _floats(values: Any) -> np.ndarray:
    """Doubles nearest to the centres: a float array, by which the referee says 'not proven'."""
    return midpoint(np.array(values))


def first_below(losses: np.ndarray) -> np.ndarray:
    """First index with a loss below each threshold, -1 for never."""
    below = losses[:, None] < np.array(THRESHOLDS)
    return np.where(below.any(axis=0), below.argmax(axis=0), -1)


def answer(inputs: dict[str, np.ndarray], options: TrainingOptions, field: Field) -> dict[str, Any]:
    """The RK4 quantities of the study."""
    doubles, last = enclosed_run(inputs, options.iterations, Double())
    proven: list[Any] = doubles[: PROVEN + 1]
    run = doubles
    if isinstance(field, Ball):
        run, last, _ = pseudo_orbit(inputs, options.iterations, field.bits)
        proven, _ = enclosed_run(inputs, min(PROVEN, options.iterations), Ball(PROVEN_BITS))
    losses = _floats(run)
    parted = np.abs(losses - np.array(doubles)) > PARTED
    return {
        **_compared(inputs),
        "loss/rk4": losses,
        "loss/rk4/agreed": losses[: agreed("rk4", options) + 1],
        "theta/rk4": _floats(last.theta),
        "first_below/rk4": first_below(losses),
        "parting/rk4": int(parted.argmax()) if parted.any() else -1,
        "loss/rk4/proven": np.array(proven),
    }


def _compared(inputs: Arrays) -> dict[str, Any]:
    """Gradients at the iterates: as published and by the reference, in doubles (not proven)."""
    plain = Double()
    data, u0 = plain.array(inputs["data"]), plain.array(inputs["u0"])
    n = data.shape[1] - 1
    coarse, aligned = (float(h) for h in inputs["h"])
    fine = grid(aligned / REFERENCE_SUBSTEPS, n * REFERENCE_SUBSTEPS)
    reference, published = [], []
    for theta in plain.array(inputs["iterates"]):
        f = NeuralODE(theta)
        reference.append(misfit_gradient(RK4, f, u0, fine, data, REFERENCE_SUBSTEPS)[1])
        published.append(misfit_gradient(RK4, f, u0, grid(coarse, n), data)[1])
    exact, g = np.stack(reference), np.stack(published)
    size, exact_size = np.linalg.norm(g, axis=1), np.linalg.norm(exact, axis=1)
    return {
        "gradient/reference": exact,
        "gradient/rk4": g,
        "cosine/rk4": (g * exact).sum(axis=1) / (size * exact_size),
        "error/rk4": np.linalg.norm(g - exact, axis=1) / exact_size,
    }


def rounding(inputs: dict[str, np.ndarray], options: TrainingOptions) -> dict[str, float]:
    """None: ADAM amplifies rounding by a factor that no operation count bounds usefully."""
    return {}
