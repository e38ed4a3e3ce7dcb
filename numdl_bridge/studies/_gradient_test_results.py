"""What `gradient_test` found: how wrong each gradient is, and how its Taylor remainder falls."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._gradient_test_quantities import METHODS, SCIML, TOLERANCES
from ._results import Cell, Found, cosine, number, order, relative, table
from .contract import Arrays, ResultTable

_START = (2.0, 0.0)
_MOST_ROWS = 12


def results(found: Found, options: Any) -> list[ResultTable]:
    return [*_errors(found, options), *_starts(found, options), *_remainders(found, options)]


def _ways() -> dict[str, str]:
    """Row: gradient, without the iterate."""
    ways = {"RK4 as published": "rk4", "RK4 on the data's grid": "rk4_aligned"}
    ways |= {f"{method} {t}": f"{method}/{t}" for t in TOLERANCES for method in METHODS}
    ways |= {"backsolve, today's Tsit5": "tsit5", "as users get it": "native"}
    return ways | {f"SciML {name}": f"sciml/{name}" for name in SCIML}


_STATES = {"backsolve 1e-7": "1e-7", "backsolve 1e-2": "1e-2", "today's Tsit5": "tsit5"}


def _errors(found: Found, options: Any) -> list[ResultTable]:
    others = list(found.values())

    def build(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for way, name in _ways().items():
            cells: list[Cell] = []
            for k in options.iterates:
                of = f"gradient/reference/{k}"
                reference = next((v[of] for v in [values, *others] if of in v), None)
                gradient = values.get(f"gradient/{name}/{k}")
                if gradient is None or reference is None:
                    cells += [None, None]
                else:
                    cells += [relative(gradient, reference), cosine(gradient, reference)]
            if any(c is not None for c in cells):
                rows[way] = cells
        return rows

    heads = [h for k in options.iterates for h in (f"error at {k}", "cosine")]
    return table(
        "Gradients against the reference, by iterate of the published run",
        ["gradient", *heads],
        found,
        build,
        "error: relative, in the norm, against RK4 with 40 steps per data interval",
        visible=0.1,
    )


def _starts(found: Found, options: Any) -> list[ResultTable]:
    def build(values: Arrays) -> dict[Any, list[Cell]]:
        rows: dict[Any, list[Cell]] = {}
        for way, name in _STATES.items():
            states = [values.get(f"inverse/{name}/{k}") for k in options.iterates]
            if any(s is not None for s in states):
                rows[way] = [None if s is None else _distance(s) for s in states]
        return rows

    return table(
        "Distance of the recovered u(0) from (2, 0), by iterate",
        ["backsolve", *(f"at {k}" for k in options.iterates)],
        found,
        build,
        visible=0.1,
    )


def _distance(state: np.ndarray) -> float:
    return float(np.linalg.norm(state - np.array(_START)))


def _remainders(found: Found, options: Any) -> list[ResultTable]:
    out = []
    for k in options.iterates:
        shown = {"RK4": "rk4", "backsolve 1e-7": "backsolve/1e-7"}
        if k == 0:
            shown["backsolve 1e-2"] = "backsolve/1e-2"
        else:
            shown["interpolation 1e-7"] = "interpolation/1e-7"
        names = [f"E1/{name}/{k}" for name in shown.values()]

        def build(values: Arrays, names: list[str] = names) -> dict[Any, list[Cell]]:
            arrays = [values.get(name) for name in names]
            levels = max((a.size for a in arrays if a is not None), default=0)
            step = max(1, -(-levels // _MOST_ROWS))
            # From the last level back, so that the smallest step sizes are there.
            kept = sorted(range(levels - 1, -1, -step))
            return {
                f"2^-{j + 1}": [x for a in arrays for x in (number(a, j), order(a, j))]
                for j in kept
            }

        heads = [h for way in shown for h in (f"E1 {way}", "order")]
        out += table(
            f"Taylor remainder E1(h) = |J(θ + h d) - J(θ) - h g·d| at iterate {k}",
            ["h", *heads],
            found,
            build,
            "order: from the step twice as large; 2 where g is the gradient of J, 1 where not",
            visible=0.1,
        )
    return out
