"""What `landscape` found: minima, optimisation and generalisation by number of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._landscape_quantities import BASIN, OPTIMISED, T
from ._results import Cell, Found, number, table
from .contract import Arrays, ResultTable

_SURFACES = ["layers", "minima", "most", "lowest at"]
_SURFACES += ["|train - test|", "median", "most", "relative", "median", "most"]


def results(found: Found, options: Any) -> list[ResultTable]:
    def surfaces(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for n in OPTIMISED:
            minima, argmin = values.get(f"minima/N={n}"), values.get(f"argmin/N={n}")
            absolute = values.get(f"difference/N={n}/absolute")
            relative = values.get(f"difference/N={n}/relative")
            cells = [*_range(minima, median=False), *_argmin(argmin)]
            cells += [*_range(absolute), *_range(relative)]
            if any(c is not None for c in cells):
                rows[n] = cells
        return rows

    def optimised(values: Arrays) -> dict[Any, list[Cell]]:
        return {
            n: [f"{T / n:.3g}", number(values[f"success/N={n}"]), options.starts]
            for n in OPTIMISED
            if f"success/N={n}" in values
        }

    return [
        *table(
            f"The loss surface on the grid over {options.seeds} seeds",
            _SURFACES,
            found,
            surfaces,
            "minima, differences: least, median and most over the seeds; relative: "
            "|train - test| / |train| in the norm of the whole surface",
        ),
        *table(
            f"L-BFGS from random starts: how many end within {BASIN} of (1, 1)",
            ["layers", "step size", "successes", "of"],
            found,
            optimised,
            "forward Euler is stable on the whole grid for step sizes below 1/3",
        ),
    ]


def _range(array: np.ndarray | None, median: bool = True) -> list[Cell]:
    if array is None or not array.size:
        return [None] * (3 if median else 2)
    whole = array.dtype.kind in "iu"
    low, high = (int(x) if whole else float(x) for x in (array.min(), array.max()))
    return [low, float(np.median(array)), high] if median else [low, high]


def _argmin(array: np.ndarray | None) -> list[Cell]:
    if array is None:
        return [None]
    places = {tuple(f"{x:.3g}" for x in theta) for theta in np.reshape(array, (2, -1)).T}
    return [f"({', '.join(places.pop())})" if len(places) == 1 else f"{len(places)} places"]
