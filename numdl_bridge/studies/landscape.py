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

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
import numpy as np

from .contract import Arrays, Claim, Decision, Options, Published, Quantity, Study, Term

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


def quantities(options: LandscapeOptions) -> list[Quantity]:
    """See the module; batch (samples, grid points, seeds, starts) is the last axis throughout."""
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
                "L-BFGS stops at a relative gradient of 1e-8; condition of the Hessian ~ 10",
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


def _range(x: np.ndarray) -> str:
    return f"{x.min():.3g} to {x.max():.3g} (median {np.median(x):.3g}) over {x.size} seeds"


def _minima(values: Arrays, _: LandscapeOptions) -> Decision:
    rough, smooth = values[f"minima/N={UNSTABLE}"], values[f"minima/N={STABLE}"]
    return Decision(
        bool((rough > 100).all() and (smooth == 1).all()),
        f"N = {UNSTABLE}: {rough.min()} to {rough.max()}, "
        f"N = {STABLE}: {smooth.min()} to {smooth.max()}",
    )


def _success(values: Arrays, options: LandscapeOptions) -> Decision:
    counts = {n: int(values[f"success/N={n}"]) for n in OPTIMISED}
    holds = all(c == (options.starts if T / n < 1 / 3 else 0) for n, c in counts.items())
    return Decision(holds, ", ".join(f"N = {n}: {c}/{options.starts}" for n, c in counts.items()))


def _absolute(values: Arrays, _: LandscapeOptions) -> Decision:
    rough, smooth = (values[f"difference/N={n}/absolute"] for n in (UNSTABLE, STABLE))
    return Decision(
        bool(rough.min() > 10 and smooth.max() < 1e-3),
        f"N = {UNSTABLE}: {_range(rough)}; N = {STABLE}: {_range(smooth)}",
    )


def _relative(values: Arrays, _: LandscapeOptions) -> Decision:
    rough, smooth = (values[f"difference/N={n}/relative"] for n in (UNSTABLE, STABLE))
    return Decision(
        bool(np.median(smooth) > np.median(rough)),
        f"N = {UNSTABLE}: {_range(rough)}; N = {STABLE}: {_range(smooth)}",
    )


_PUBLISHED = {UNSTABLE: 36.685, STABLE: 5.5432e-5}


def _inside(values: Arrays, _: LandscapeOptions) -> Decision:
    ranges = {n: values[f"difference/N={n}/absolute"] for n in _PUBLISHED}
    return Decision(
        all(x.min() <= _PUBLISHED[n] <= x.max() for n, x in ranges.items()),
        "; ".join(f"N = {n}: {_PUBLISHED[n]:g} in {_range(x)}" for n, x in ranges.items()),
    )


def claims(options: LandscapeOptions) -> Sequence[Claim]:
    """The claims, stated for double precision and the published scale of the data.

    In single precision Phi_100 drowns in rounding near its minimum, and counting minima of noise
    says nothing about the network; the range over the seeds needs enough of them.
    """
    if options.dtype != "float64" or options.scale != 0.1 or options.grid < 101:
        return ()
    slide = "Impact of Network Architecture on Optimization 1, 2"
    pair = (UNSTABLE, STABLE)
    absolute = tuple(f"difference/N={n}/absolute" for n in pair)
    found = [
        Claim(
            "rough and smooth",
            "For every seed the surface has exactly one strict local minimum on the grid for "
            "N = 100 and more than 100 for N = 5.",
            slide,
            tuple(f"minima/N={n}" for n in pair),
            _minima,
        ),
        Claim(
            "optimisable",
            "L-BFGS finds (1, 1) to within 0.15 from every start for N = 100 and 200, "
            "and from none for N = 5, 10, 15 and 20.",
            slide,
            tuple(f"success/N={n}" for n in OPTIMISED),
            _success,
        ),
        Claim(
            "generalisation as shown",
            "The largest difference between training and test surface is above 10 for N = 5 and "
            "below 1e-3 for N = 100, for every seed.",
            slide,
            absolute,
            _absolute,
        ),
        Claim(
            "generalisation is a scale effect",
            "Relative to the surface itself the median difference is larger for N = 100 than for "
            "N = 5: for N = 100 the outputs have collapsed to their mean and the loss is tiny.",
            slide,
            tuple(f"difference/N={n}/relative" for n in pair),
            _relative,
        ),
    ]
    if options.seeds >= 10:
        found.append(
            Claim(
                "published range",
                "The published maxima of the difference, 36.685 (N = 5) and 5.5432e-5 (N = 100), "
                "lie inside the range over the seeds.",
                slide,
                absolute,
                _inside,
            )
        )
    return found


def _median(values: Arrays, name: str) -> float | None:
    return float(np.median(values[name])) if name in values else None


def published(options: LandscapeOptions) -> list[Published]:
    """The maxima of the two published colour bars, beside the median over our seeds."""
    return [
        Published(
            f"max |Phi_train - Phi_test|, N = {n} (one unknown seed; ours: median)",
            figure,
            "course notes, Stability of ResNets: colour bar of the difference image",
            partial(_median, name=f"difference/N={n}/absolute"),
        )
        for n, figure in _PUBLISHED.items()
    ]


STUDY = Study(
    name="landscape",
    order=6,
    title="Network architecture and optimisation",
    slide="Impact of Network Architecture on Optimization 1, 2",
    question="How does the number of layers change the loss surface of the same network?",
    options=LandscapeOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    published=published,
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
