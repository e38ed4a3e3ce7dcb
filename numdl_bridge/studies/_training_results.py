"""What `training` found: who trains, how far, and with which gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._results import Cell, Found, number, table
from ._training_claims import PUBLISHED, published_losses
from ._training_quantities import ITERATES, UNRESET, WAYS
from .contract import Arrays, ResultTable

_NOT_VARIANTS = ("agreed", "proven")
_START = (2.0, 0.0)


def variants(values: Arrays) -> list[str]:
    """Every variant that has losses, whatever study or language brought it in."""
    names = [n.removeprefix("loss/") for n in values if n.startswith("loss/")]
    return [n for n in names if n.rpartition("/")[2] not in _NOT_VARIANTS]


def losses(values: Arrays, variant: str) -> np.ndarray:
    """The losses that were really reached: none after the last completed update."""
    found = np.ravel(np.asarray(values[f"loss/{variant}"], dtype=float))
    completed = number(values.get(f"completed/{variant}"))
    return found if completed is None else found[: int(completed) + 1]


def results(found: Found, options: Any) -> list[ResultTable]:
    return [*_runs(found, options), *_gradients(found, options)]


def _runs(found: Found, options: Any) -> list[ResultTable]:
    names = list(dict.fromkeys(v for values in found.values() for v in variants(values)))
    # The talk's own three first, each beside what was published.
    names.sort(key=lambda v: PUBLISHED.index(v) if v in PUBLISHED else len(PUBLISHED))
    engines = [e for e in ("torch", "julia") if e in found and variants(found[e])]
    printed = any(v in PUBLISHED for v in names)
    rows: list[list[Cell]] = []
    for name in names:
        cells: list[Cell] = [name]
        if printed:
            shown = published_losses(name) if name in PUBLISHED else np.array([])
            best, _, final, _ = _run(shown[: options.iterations + 1])
            cells += [best, final]
        for engine in engines:
            has = f"loss/{name}" in found[engine]
            cells += _run(losses(found[engine], name)) if has else [None] * 4
        rows.append(cells)
    if not rows or not engines:
        return []
    columns = ["variant", *(["published best", "final"] if printed else [])]
    for engine in engines:
        columns += [f"{engine} best", "at", "final", "done"]
    note = (
        f"best loss, its iteration, the last loss, and updates completed of {options.iterations}: "
        "fewer where the solve broke down"
        + (f" ({UNRESET} asked of sciml/backsolve)" if options.iterations > UNRESET else "")
    )
    if options.iterations > 147:
        note += "; after about 147 iterations of rk4 rounding decides which of many ends it takes"
    if "loss/rk4" in found.get("referee", {}):
        best, at, final, _ = _run(losses(found["referee"], "rk4"))
        note += f"; the referee's rk4: best {best:.3g} at {at}, final {final:.3g}"
    return [ResultTable("Losses: the best, and where training ended", columns, rows, note)]


def _run(run: np.ndarray) -> list[Cell]:
    """Best finite loss, its iteration, the last loss, and how many updates were completed."""
    if not run.size:
        return [None] * 4
    finite = np.isfinite(run)
    at = int(np.where(finite, run, np.inf).argmin()) if finite.any() else None
    best = None if at is None else float(run[at])
    return [best, at, float(run[-1]), run.size - 1]


def _gradients(found: Found, options: Any) -> list[ResultTable]:
    def build(values: Arrays) -> dict[Any, list[Cell]]:
        if not any(f"error/{way}" in values for way in WAYS):
            return {}
        state = values.get("inverse/backsolve/1e-7")
        rows: dict[Any, list[Cell]] = {}
        for k, iterate in enumerate(ITERATES):
            cells: list[Cell] = []
            for way in WAYS:
                figures = [number(values.get(f"{what}/{way}"), k) for what in ("error", "cosine")]
                cells += figures
                if way == "backsolve/1e-7":
                    reached = state is not None and iterate < len(state)
                    u0 = np.asarray(state)[iterate] if reached else None
                    cells.append(None if u0 is None else float(np.linalg.norm(u0 - _START)))
            rows[iterate] = cells
        return rows

    heads = []
    for way in WAYS:
        heads += [way.removesuffix("/1e-7"), "cosine"]
        heads += ["u(0) off"] if way == "backsolve/1e-7" else []
    return table(
        "Relative error and cosine of each way's gradient along the published path",
        ["iterate", *heads],
        found,
        build,
        "against RK4 with 40 steps per data interval; adjoints at 1e-7/1e-9; u(0) off: distance of "
        "the recovered initial state from (2, 0)",
        visible=0.1,
    )
