"""What `conditioning` found: quantiles of cond(J) by width and precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._conditioning_quantities import EPS_HALF, EPS_SINGLE, PRECISIONS, QUANTILES, WIDTHS
from ._results import Cell, Found, number, table
from .contract import Arrays, ResultTable


def _name(what: str, precision: str, m: int) -> str:
    return f"{what}/m={m}" if precision == "double" else f"{what}/{precision}/m={m}"


def results(found: Found, options: Any) -> list[ResultTable]:
    def quantiles(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for precision in PRECISIONS:
            for m in WIDTHS:
                shown = values.get(_name("cond", precision, m))
                rcond = values.get(_name("rcond", precision, m))
                if shown is None and rcond is None:
                    continue
                low, high = _range(values.get(f"cond/m={m}/range"), precision, rcond)
                middle = [number(shown, k) for k in range(len(QUANTILES))]
                rows[m, precision] = [low, *middle, high, *_shares(rcond)]
        return rows

    def blocks(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for m in WIDTHS:
            arrays = [values.get(f"{what}/m={m}") for what in ("cond/blocks", "gram", "rank")]
            if any(a is not None for a in arrays):
                rows[m] = [number(a, k) for a in arrays for k in (0, 1)]
        return rows

    heads = [f"{100 * q:g} %" if q != 0.5 else "median" for q in QUANTILES]
    return [
        *table(
            f"Quantiles of cond(J) over {options.draws} draws, by width and precision",
            ["m", "precision", "least", *heads, "largest", "% > 1/eps16", "% > 1/eps32"],
            found,
            quantiles,
            "the last two: shares of draws beyond 1/eps of half and of single precision",
        ),
        *table(
            "Medians of the blocks, and what forming J^T J does",
            ["m", "cond(J_W)", "cond(J_K)", "cond(J^T J)", "cond(J)^2", "rank", "most"],
            found,
            blocks,
            "cond(J^T J) as formed and solved in working precision; rank: least and largest "
            "numerical rank over the draws",
            visible=0.5,
        ),
    ]


def _range(shown: np.ndarray | None, precision: str, rcond: np.ndarray | None) -> tuple[Cell, Cell]:
    if precision == "double" and shown is not None:
        return number(shown, 0), number(shown, 1)
    if rcond is None or not rcond.size:
        return None, None
    with np.errstate(divide="ignore"):
        return float(1 / np.float64(rcond.max())), float(1 / np.float64(rcond.min()))


def _shares(rcond: np.ndarray | None) -> list[Cell]:
    if rcond is None or not rcond.size:
        return [None, None]
    return [100 * float(np.mean(rcond < eps)) for eps in (EPS_HALF, EPS_SINGLE)]
