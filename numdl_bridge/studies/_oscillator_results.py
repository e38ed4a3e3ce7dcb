"""What `oscillator` found: errors of energy and position by cost and method."""

from __future__ import annotations

from typing import Any

from ._results import Cell, Found, number, table
from .contract import Arrays, ResultTable

CAP = 10.0
"""Errors are reported up to this; see `oscillator.CAP`."""

NAMES = {
    "rk4": "RK4",
    "rk2": "RK2",
    "forward_euler": "forward Euler",
    "symplectic_euler": "symplectic Euler",
    "verlet": "Verlet",
}


def results(found: Found, options: Any) -> list[ResultTable]:
    def errors(kind: str) -> list[ResultTable]:
        def build(values: Arrays) -> dict[Any, list[Cell]]:
            if not any(f"{kind}/error/{m}" in values for m in NAMES):
                return {}
            return {
                budget: [_capped(number(values.get(f"{kind}/error/{m}"), k)) for m in NAMES]
                for k, budget in enumerate(options.budgets)
            }

        what = {
            "energy": "Largest relative error of the energy",
            "position": "Error of (q, p) at the end",
        }[kind]
        return table(
            f"{what}, {options.periods} periods, by evaluations a period",
            ["evaluations", *NAMES.values()],
            found,
            build,
            engines=("torch", "julia", "referee"),
        )

    return [*errors("energy"), *errors("position")]


def _capped(error: float | None) -> Cell:
    return "> 10" if error is not None and error >= CAP else error
