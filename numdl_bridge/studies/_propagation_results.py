"""What `propagation` found: errors by number of layers, and when the steps are stable."""

from __future__ import annotations

from typing import Any

from ._propagation_claims import HW_GRID
from ._results import Cell, Found, number, order, table
from .contract import Arrays, ResultTable

_ERRORS = ("output", "gradient", "adjoint", "negative_step")
_KINDS = ("symmetric", "antisym.", "shifted")
_SCHEMES = {"forward_euler": "Euler", "rk4": "RK4"}

_COLUMNS = ["layers", "output", "order", "gradient", "order"]
_COLUMNS += ["adjoint ODE", "order", "run backward", "order"]


def results(found: Found, options: Any) -> list[ResultTable]:
    def errors(values: Arrays) -> dict[Any, list[Cell]]:
        arrays = [values.get(f"error/{name}") for name in _ERRORS]
        most = max((a.size for a in arrays if a is not None), default=0)
        return {
            options.n_min * 2**k: [x for a in arrays for x in (number(a, k), order(a, k))]
            for k in range(most)
        }

    def growth(values: Arrays) -> dict[Any, list[Cell]]:
        arrays = [values.get(f"growth/{scheme}") for scheme in _SCHEMES]
        if all(a is None for a in arrays):
            return {}
        return {
            f"{h:g}": [_excess(number(a, kind, k)) for kind in range(len(_KINDS)) for a in arrays]
            for k, h in enumerate(HW_GRID)
        }

    everyone = ("torch", "julia", "referee")
    return [
        *table(
            "Relative errors against the ODE's flow, by number of layers",
            _COLUMNS,
            found,
            errors,
            "gradient: discretise, then optimise; adjoint ODE: optimise, then discretise; "
            "run backward: the input recovered by Euler with step -h",
            engines=everyone,
        ),
        *table(
            "Spectral radius of one step minus 1, by step size times frequency",
            ["h w"] + [f"{kind} {name}" for kind in _KINDS for name in _SCHEMES.values()],
            found,
            growth,
            "above 0 states grow: for antisymmetric K by forward Euler at every step size",
            engines=everyone,
        ),
    ]


def _excess(radius: float | None) -> float | None:
    """To nine places: what is left of a radius of 1 by rounding is no growth."""
    return None if radius is None else round(radius - 1, 9) + 0.0
