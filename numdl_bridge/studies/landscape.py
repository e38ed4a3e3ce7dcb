"""Network architecture and optimisation: how the number of layers shapes the loss surface.

A residual network of width 3 with shared weights, Y_{j+1} = Y_j + h tanh(K(theta) Y_j), h = T/N,
is asked to reproduce its own answer with 200 layers at theta = (1, 1):

    Phi_N(theta) = 1/2 ||Y_N(theta) - C||_F^2,   C = Y_200(1, 1),   K = [-t1-t2  t1      t2   ]
                                                                        [ t2    -t1-t2   t1   ]
                                                                        [ t1     t2     -t1-t2]

K is circulant with zero row sums, so that its eigenvalues are 0 and
-1.5 (t1 + t2) +- i sqrt(3)/2 (t1 - t2): forward Euler is stable at theta = (1, 1) only for h < 2/3
(N >= 16), at the far corner (2, 2) for h < 1/3 (N >= 31).

Source: the talk, "Impact of Network Architecture on Optimization 1, 2"; the figures come from
EResNet_Stability.m of the author's course code.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from ._landscape_claims import claims, published
from ._landscape_quantities import (
    BASIN,
    OPTIMISED,
    SAMPLED,
    STABLE,
    TRUE_LAYERS,
    TRUE_THETA,
    UNSTABLE,
    T,
    quantities,
)
from ._landscape_results import results
from .contract import Options, Study

Positive = Annotated[int, msgspec.Meta(ge=1)]


class LandscapeOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `landscape`.

    **Arguments:**

    - `seeds`: independent draws of training and test data.
    - `samples`: columns of Y0, in each of the two sets.
    - `grid`: points per axis of the grid on [0.2, 2]^2.
    - `scale`: of the normal distribution that Y0 is drawn from; 0.1 is what the published figures
      were made with, 1.0 is what the slide says.
    - `starts`: random starts of the optimiser.
    - `points`: sample points theta at which values and gradients are compared.
    """

    seeds: Positive = 30
    samples: Positive = 20
    grid: Annotated[int, msgspec.Meta(ge=3)] = 101
    scale: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    starts: Positive = 25
    points: Positive = 8


def draw(options: LandscapeOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw all data.

    **Returns:**

    - `Y0`, `Y0_test` `(3, samples, seeds)`: training and test inputs, scale * N(0, 1); the first
      seed is the one whose surface is kept.
    - `axis` `(grid,)`: the grid of both weights.
    - `theta` `(2, points)`: where values and gradients are compared, uniform on [0.2, 2]^2.
    - `starts` `(2, starts)`: of the optimiser, uniform on [0.2, 2]^2.
    """
    o = options
    # Seed by seed, so that asking for more seeds leaves the first ones as they are.
    data = [o.scale * rng.standard_normal((2, 3, o.samples)) for _ in range(o.seeds)]
    Y = np.stack(data, axis=-1)
    return {
        "Y0": Y[0],
        "Y0_test": Y[1],
        "axis": np.linspace(0.2, 2.0, o.grid),
        "theta": rng.uniform(0.2, 2.0, (2, o.points)),
        "starts": rng.uniform(0.2, 2.0, (2, o.starts)),
    }


STUDY = Study(
    name="landscape",
    order=7,
    title="Network architecture and optimisation",
    slide="Impact of Network Architecture on Optimization 1, 2",
    question="How does the number of layers change the loss surface of the same network?",
    options=LandscapeOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    published=published,
    results=results,
    sizes={"quick": {"seeds": 2}, "full": {"seeds": 100}},
    notes="""\
- The slide says Y0 ~ N(0, 1). The code that made its figures draws 0.1 * randn(3, 20), and only
  that gives the published colour-bar values; with scale 1 the largest difference for N = 100 is
  about a thousand times the published one (`--set scale=1`).
- "Architecture" here means the number of layers, that is the step size: the weights are shared.
- The picture that N = 100 generalises and N = 5 does not is a matter of scale. The *relative*
  difference between training and test surface is larger for N = 100.
- The minimum for N = 100 is at (0.938, 0.938) on the grid, not at (1, 1), because the data were
  made with 200 layers; using the same number of layers for both would be an inverse crime.
- For N = 10 to 20 the optimiser reduces the loss, at wrong weights.
- Minima are counted against all eight neighbours: the valley for N = 100 runs along the diagonal,
  and with four neighbours its grid points would count as minima.
- The published contour plots put theta_1 on the vertical axis; the difference images transpose.""",
)

__all__ = [
    "BASIN",
    "OPTIMISED",
    "SAMPLED",
    "STABLE",
    "STUDY",
    "TRUE_LAYERS",
    "TRUE_THETA",
    "UNSTABLE",
    "LandscapeOptions",
    "T",
]
