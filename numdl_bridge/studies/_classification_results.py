"""What `classification` found: errors of each model, and losses by outer iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._results import Cell, Found, number, table
from .contract import Arrays, ResultTable

MODELS = {
    "peaks: linear": ("linear/error", "linear/loss"),
    "peaks: random features, sin": ("elm/sin/error", "elm/sin/loss"),
    "peaks: random features, tanh": ("elm/tanh/error", "elm/tanh/loss"),
    "peaks: random features, relu": ("elm/relu/error", "elm/relu/loss"),
    "peaks: ResNet, Newton-CG": ("newton/error", "newton/history"),
    "peaks: ResNet, VarPro": ("varpro/error", "varpro/history"),
    "ellipses: linear": ("ellipses/linear/error", "ellipses/linear/loss"),
    "ellipses: linear and a square": ("ellipses/square/error", "ellipses/square/loss"),
}
"""Row: (shares of wrong points, loss or its history)."""

OPTIMISERS = {"Newton-CG, coupled": "newton/history", "VarPro": "varpro/history"}
_ROWS = (0, 1, 2, 3, 5, 10, 15, 20, 30, 50, 100)


def results(found: Found, options: Any) -> list[ResultTable]:
    def models(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for model, (error, loss) in MODELS.items():
            wrong, value = values.get(error), values.get(loss)
            if wrong is None and value is None:
                continue
            shares: list[Cell] = [] if wrong is None else [100 * float(x) for x in wrong.ravel()]
            last = None if value is None else number(np.ravel(value), -1)
            rows[model] = [*[*shares, None, None][:2], last]
        return rows

    def histories(values: Arrays) -> dict[Any, list[Cell]]:
        arrays = [values.get(name) for name in OPTIMISERS.values()]
        longest = max((a.size for a in arrays if a is not None), default=0)
        kept = [k for k in _ROWS if k < longest]
        kept += [longest - 1] if longest and longest - 1 not in kept else []
        return {k: [number(a, k) for a in arrays] for k in kept}

    return [
        *table(
            "Share of points put into a wrong class, and the loss",
            ["model", "training %", "validation %", "loss"],
            found,
            models,
            "loss with its regularisers, which differ between models",
        ),
        *table(
            "Loss after outer iterations",
            ["iteration", *OPTIMISERS],
            found,
            histories,
        ),
    ]
