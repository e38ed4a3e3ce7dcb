"""What `reversibility` found: round trip errors by amplitude and final time."""

from __future__ import annotations

from typing import Any

from ._results import Cell, Found, number, table
from .contract import Arrays, ResultTable

_REFINED = {"RK4 32": "roundtrip/rk4/32/float64", "RK4 64": "roundtrip/rk4/64/float64"}
_ALL = {
    "RK4 16": "roundtrip/rk4/16/float64",
    **_REFINED,
    "RK4 16 f32": "roundtrip/rk4/16/float32",
    "Verlet 32": "roundtrip/verlet/float64",
    "Verlet f32": "roundtrip/verlet/float32",
    "f16": "roundtrip/verlet/float16",
    "bf16": "roundtrip/verlet/bfloat16",
}

_TRAINED = {
    "RK4 16": "roundtrip/rk4/float64",
    "RK4 16 f32": "roundtrip/rk4/float32",
    "correct": "accuracy/rk4",
    "Verlet 32": "roundtrip/verlet/float64",
    "Verlet f32": "roundtrip/verlet/float32",
    "Verlet correct": "accuracy/verlet",
}


def results(found: Found, options: Any) -> list[ResultTable]:
    amplitudes, horizons = options.amplitudes, options.horizons
    refined = list(options.refined)
    # The amplitude of the reference case first: a terminal may cut the rest.
    places = sorted(range(len(amplitudes)), key=lambda a: amplitudes[a] != 1.0)

    def errors(values: Arrays) -> dict[Any, list[Cell]]:
        if not any(name in values for name in _ALL.values()):
            return {}
        rows: dict[Any, list[Cell]] = {}
        for a in places:
            for t, horizon in enumerate(horizons):
                cells: list[Cell] = []
                for head, name in _ALL.items():
                    at: int | None = t
                    if head in _REFINED:
                        at = refined.index(horizon) if horizon in refined else None
                    cells.append(None if at is None else number(values.get(name), a, at))
                rows[f"{amplitudes[a]:g}", f"{horizon:g}"] = cells
        return rows

    def trained(values: Arrays) -> dict[Any, list[Cell]]:
        arrays = [values.get(f"trained/{name}") for name in _TRAINED.values()]
        count = max((a.size for a in arrays if a is not None), default=0)
        return {str(k + 1): [number(a, k) for a in arrays] for k in range(count)}

    return [
        *table(
            f"Relative error of the recovered input, median of {options.seeds} random networks",
            ["amplitude", "T", *_ALL],
            found,
            errors,
            "RK4 with 16, 32 or 64 steps and zero padding, Verlet with 32 steps, float64 unless "
            "said; where rounding is all of it engines share a row within a factor of two",
            visible=0.6,
        ),
        *table(
            "Trained networks: relative error of the recovered input, share classified correctly",
            ["network", *_TRAINED],
            found,
            trained,
            visible=0.6,
        ),
    ]
