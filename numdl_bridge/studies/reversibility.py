"""Case 1, "Reversibility: Continuous vs. Discrete": can the input be had back from the output?

Two networks, 64 evaluations of a layer each, are run forward and then backward:

1. Idea 1, `rk4`: Y' = tanh(K(t) Y + b(t)) for Y of 4 x n, the data in rows 1-2, zeros in rows 3-4;
   RK4, 16 steps; K and b piecewise linear on 17 nodes. The inverse integrates backward in time.
2. Idea 2, `verlet`: Y+ = Y + h tanh(K_j Z + b_j), Z+ = Z - h tanh(K_j^T Y+ + b_j) with one channel
   each, 32 steps, K and b constant on each. The inverse undoes the two lines in reverse order.

A continuous flow is invertible whatever its right-hand side. Its Runge-Kutta discretisation run
with -h is not the inverse map; the two lines have an algebraic inverse.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from .. import resources
from ..errors import BadInputError
from ._reversibility_claims import claims
from ._reversibility_quantities import quantities
from ._reversibility_results import results
from .contract import Options, Study

Positive = Annotated[int, msgspec.Meta(ge=1)]

NODES = 17
LAYERS = 32
TRAINED = 4
"""Trained networks of each kind; their horizon is T = 4 and their points are 500."""


class ReversibilityOptions(Options, frozen=True, kw_only=True):
    """**Arguments:**

    - `points`: how many points, half of them in each of the two ellipses; even.
    - `seeds`: random networks per amplitude and horizon.
    - `amplitudes`: factors of the weights, which are N(0, 1).
    - `horizons`: final times T.
    - `sample`: points of the reference case (first seed, amplitude `reference_amplitude`, T =
      `reference_horizon`), whose states, inverses and gradients are compared and proven.
    - `refined`: horizons at which RK4 is also run with 32 and 64 steps.
    - `trained`: whether the trained networks are run as well.
    """

    points: Annotated[int, msgspec.Meta(ge=2, multiple_of=2)] = 500
    seeds: Positive = 20
    amplitudes: tuple[float, ...] = (0.5, 1.0, 2.0)
    horizons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    refined: tuple[float, ...] = (1.0, 4.0)
    sample: Positive = 100
    reference_amplitude: float = 1.0
    reference_horizon: float = 4.0
    trained: bool = True


def ellipses(rng: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that touch: inner radius U(0,1), outer 1 + U(0,1), uniform angle, y times 0.4.

    Returns the points, `(2, points)`, and labels, `(points,)`: 1 inside, 0 outside; the classes
    take turns, so that any first few points hold both. Source: the author's course code.
    """
    label = np.arange(points) % 2 == 0
    radius = rng.random(points) + np.where(label, 0.0, 1.0)
    # Directions from points in the disc: square roots have the same bits on every machine, sines
    # and cosines have not. 79 % of the square's points lie in the disc.
    square = rng.uniform(-1.0, 1.0, (4 * points + 64, 2))
    size = np.sqrt(square[:, 0] ** 2 + square[:, 1] ** 2)
    keep = np.flatnonzero((size < 1) & (size > 0))[:points]
    x, y = (square[keep] / size[keep, None]).T
    return np.stack([radius * x, 0.4 * (radius * y)]), label.astype(float)


def draw(options: ReversibilityOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs; the last axis of weights is the seed (or the trained network).

    - `Y0` `(2, points)`, `C` `(points,)`: ellipses and labels.
    - `K_rk4` `(4, 4, 17, seeds)`, `b_rk4` `(4, 17, seeds)`: N(0, 1) at the nodes.
    - `K_verlet` `(1, 1, 32, seeds)`, `b_verlet` `(1, 32, seeds)`: N(0, 1) for each step.
    - `W_rk4` `(1, 4)`, `W_verlet` `(1, 2)`, `mu` `()`: the classifier of the loss.
    - `dK_rk4`, `db_rk4`, `dK_verlet`, `db_verlet`: directions of the first seed's weights, for
      forward mode.
    - `K_step` `(3, 3)`, `b_step` `(3,)`, `x_step` `(6,)`: weights and point (Y, Z) of the one step
      whose Jacobian is examined, with h = 1/2.
    - `k`, `beta`, `x0` `(2,)`: the one-channel Hamiltonian system H = [logcosh(k Z + beta) +
      logcosh(k Y + beta)]/k and its start (Y, Z).
    - `z` `(12,)`: step size times eigenvalue of the linear test equation.
    - `rates` `(4,)`, `rotation` `(2, 2)` = Q: decay rates r of y' = Q diag(-r, -1) Q^T y, T = 1,
      from the sample's points.
    - with `trained`: `trained/K_rk4` `(4, 4, 17, 4)` and so on, `trained/W_rk4` `(1, 4, 4)`,
      `trained/mu_rk4` `(4,)`, and the same of `verlet`; `trained/Y0` and `trained/C`: the points
      that they were trained on.
    """
    _check(options)
    s = options.seeds
    Y0, C = ellipses(rng, options.points)
    inputs = {
        "Y0": Y0,
        "C": C,
        "K_rk4": rng.standard_normal((s, NODES, 4, 4)).transpose(2, 3, 1, 0),
        "b_rk4": rng.standard_normal((s, NODES, 4)).transpose(2, 1, 0),
        "K_verlet": rng.standard_normal((s, LAYERS, 1, 1)).transpose(2, 3, 1, 0),
        "b_verlet": rng.standard_normal((s, LAYERS, 1)).transpose(2, 1, 0),
        "W_rk4": rng.standard_normal((1, 4)),
        "W_verlet": rng.standard_normal((1, 2)),
        "mu": np.array(rng.standard_normal()),
        "dK_rk4": rng.standard_normal((4, 4, NODES)),
        "db_rk4": rng.standard_normal((4, NODES)),
        "dK_verlet": rng.standard_normal((1, 1, LAYERS)),
        "db_verlet": rng.standard_normal((1, LAYERS)),
        "K_step": rng.standard_normal((3, 3)),
        "b_step": rng.standard_normal(3),
        "x_step": rng.standard_normal(6),
        "k": np.array(1.0),
        "beta": np.array(0.25),
        "x0": np.array([1.0, 0.5]),
        "z": np.array([-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]),
        "rates": np.array([10.0, 20.0, 30.0, 50.0]),
        "rotation": np.array([[0.6, -0.8], [0.8, 0.6]]),
    }
    return inputs | (_trained() if options.trained else {})


def _trained() -> dict[str, np.ndarray]:
    """The trained weights and their points, as shipped: see the file's own heading.

    Trained once and kept, not at each drawing: an optimiser's last bits depend on the processor,
    and inputs must have the same bits everywhere.
    """
    table = resources.inputs("reversibility_trained")
    shapes = {
        "trained/K_rk4": (4, 4, NODES, TRAINED),
        "trained/b_rk4": (4, NODES, TRAINED),
        "trained/W_rk4": (1, 4, TRAINED),
        "trained/mu_rk4": (TRAINED,),
        "trained/K_verlet": (1, 1, LAYERS, TRAINED),
        "trained/b_verlet": (1, LAYERS, TRAINED),
        "trained/W_verlet": (1, 2, TRAINED),
        "trained/mu_verlet": (TRAINED,),
    }
    found, row = {}, 0
    for name, shape in shapes.items():
        rows = int(np.prod(shape[:-1]))
        found[name] = table[row : row + rows].reshape(shape)
        row += rows
    Y0, C = ellipses(np.random.default_rng(2019), 500)
    return found | {"trained/Y0": Y0, "trained/C": C}


def _check(options: ReversibilityOptions) -> None:
    rows = {"amplitudes": options.amplitudes, "horizons": options.horizons}
    for name, values in rows.items():
        if not values or min(values) <= 0 or not np.isfinite(values).all():
            raise BadInputError(
                f"{name} = {values}", "positive finite numbers", f"for example --set {name}=[1,4]"
            )
    if not options.refined or not set(options.refined) <= set(options.horizons):
        raise BadInputError(
            f"refined = {options.refined}",
            f"some of the horizons {options.horizons}",
            "refine at horizons that are run",
        )
    if not 0 < options.reference_horizon < np.inf or not 0 < options.reference_amplitude < np.inf:
        raise BadInputError(
            f"reference_amplitude = {options.reference_amplitude}, "
            f"reference_horizon = {options.reference_horizon}",
            "positive finite numbers",
            "for example --set reference_horizon=4",
        )
    if options.sample > options.points:
        raise BadInputError(
            f"sample = {options.sample} of {options.points} points",
            "at most all of them",
            "lower sample or raise points",
        )


STUDY = Study(
    name="reversibility",
    order=2,
    title="Reversibility of two networks",
    slide='Case 1, "Reversibility: Continuous vs. Discrete"',
    question="Is the input recovered by running the network backward, and to how many digits?",
    options=ReversibilityOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    sizes={
        "quick": {
            "points": 50,
            "seeds": 5,
            "amplitudes": (1.0,),
            "horizons": (1.0, 4.0),
            "refined": (1.0, 4.0),
            "sample": 8,
        },
        "full": {"points": 2000, "seeds": 50, "refined": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)},
    },
    notes=(
        "The slide's vector system is not canonically Hamiltonian: with K not symmetric and no K^T "
        "outside the activation its step preserves volume but not the symplectic form. Written "
        "K^T tanh(K Z + b) it does both. With one channel each and constant weights it is "
        "Hamiltonian, with H = [logcosh(k Z + b) + logcosh(k Y + b)]/k.\n\n"
        'The two lines called "Verlet" on the slide (and in the papers that use them) are '
        "symplectic Euler: their energy drifts with order 1, Stormer-Verlet's with order 2. Their "
        "inverse is algebraic either way.\n\n"
        "Data, horizon, weights and interpolation are not stated on the slide: here the ellipses "
        "of the author's course, T = 1 to 32, random weights of three sizes and trained ones. "
        "Without padding the network is a homeomorphism of the plane, which cannot separate the "
        "ellipses linearly; its accuracy is not the point.\n\n"
        "On the linear test equation one step of RK4 forward and one back multiply by "
        "1 + z^6/72 + z^8/576: there the round trip converges with order 5, not 4."
    ),
)
