"""What the landscape study claims, and what was published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ._landscape_quantities import OPTIMISED, STABLE, UNSTABLE, T
from .contract import Arrays, Claim, Decision, Published


def _range(x: np.ndarray) -> str:
    return f"{x.min():.3g} to {x.max():.3g} (median {np.median(x):.3g}) over {x.size} seeds"


def _minima(values: Arrays, _: Any) -> Decision:
    rough, smooth = values[f"minima/N={UNSTABLE}"], values[f"minima/N={STABLE}"]
    return Decision(
        bool((rough > 100).all() and (smooth == 1).all()),
        f"N = {UNSTABLE}: {rough.min()} to {rough.max()}, "
        f"N = {STABLE}: {smooth.min()} to {smooth.max()}",
    )


def _success(values: Arrays, options: Any) -> Decision:
    counts = {n: int(values[f"success/N={n}"]) for n in OPTIMISED}
    holds = all(c == (options.starts if T / n < 1 / 3 else 0) for n, c in counts.items())
    return Decision(holds, ", ".join(f"N = {n}: {c}/{options.starts}" for n, c in counts.items()))


def _absolute(values: Arrays, _: Any) -> Decision:
    rough, smooth = (values[f"difference/N={n}/absolute"] for n in (UNSTABLE, STABLE))
    return Decision(
        bool(rough.min() > 10 and smooth.max() < 1e-3),
        f"N = {UNSTABLE}: {_range(rough)}; N = {STABLE}: {_range(smooth)}",
    )


def _relative(values: Arrays, _: Any) -> Decision:
    rough, smooth = (values[f"difference/N={n}/relative"] for n in (UNSTABLE, STABLE))
    return Decision(
        bool(np.median(smooth) > np.median(rough)),
        f"N = {UNSTABLE}: {_range(rough)}; N = {STABLE}: {_range(smooth)}",
    )


_PUBLISHED = {UNSTABLE: 36.685, STABLE: 5.5432e-5}


def _inside(values: Arrays, _: Any) -> Decision:
    ranges = {n: values[f"difference/N={n}/absolute"] for n in _PUBLISHED}
    return Decision(
        all(x.min() <= _PUBLISHED[n] <= x.max() for n, x in ranges.items()),
        "; ".join(f"N = {n}: {_PUBLISHED[n]:g} in {_range(x)}" for n, x in ranges.items()),
    )


def claims(options: Any) -> Sequence[Claim]:
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


def published(options: Any) -> list[Published]:
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
