"""What the studies' `results` share: whose figures a row shows, and rows that two engines share."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

import numpy as np

from .contract import Arrays, ResultTable

Cell = str | float | None
Found = Mapping[str, Arrays]
Rows = Mapping[Hashable, Sequence[Cell]]
"""Rows by their leading cell, or by a tuple of several."""

ENGINES = ("torch", "julia")


def table(
    title: str,
    columns: Sequence[str],
    found: Found,
    build: Callable[[Arrays], Rows],
    note: str = "",
    visible: float = 0.02,
    engines: Sequence[str] = ENGINES,
) -> list[ResultTable]:
    """One table of what `build` makes of each engine's values; none where nobody has any.

    Engines whose figures differ by no more than `visible` (relatively; one that an engine lacks is
    no difference) share a row. Only where some do not is there a column that says whose a row is.
    """
    built = {e: build(found[e]) for e in engines if e in found}
    built = {e: rows for e, rows in built.items() if rows}
    if not built:
        return []
    rows: list[tuple[tuple[Cell, ...], list[str], list[Cell]]] = []
    for key in dict.fromkeys(k for found_rows in built.values() for k in found_rows):
        kinds: list[tuple[list[str], list[Cell]]] = []
        for engine, its in built.items():
            if key not in its:
                continue
            cells = list(its[key])
            same = next((kind for kind in kinds if alike(kind[1], cells, visible)), None)
            if same is None:
                kinds.append(([engine], cells))
            else:
                same[0].append(engine)
                same[1][:] = [b if a is None else a for a, b in zip(same[1], cells)]
        lead = key if isinstance(key, tuple) else (key,)
        rows += [(lead, who, cells) for who, cells in kinds]
    # A column in which nobody has a figure says nothing.
    lead_length = len(rows[0][0])
    kept = [k for k in range(len(rows[0][2])) if any(cells[k] is not None for _, _, cells in rows)]
    apart = len(built) > 1 and any(len(who) < len(built) for _, who, _ in rows)
    heads = [*columns[:lead_length], *(["by"] if apart else [])]
    heads += [columns[lead_length + k] for k in kept]
    body = [
        [*lead, *([_who(who, built)] if apart else []), *(cells[k] for k in kept)]
        for lead, who, cells in rows
    ]
    if not apart:
        *others, last = built
        by = f"by {', '.join(others)} and {last}" if others else f"by {last}"
        note = f"{note}; {by}" if note else by
    return [ResultTable(title, heads, body, note)]


def _who(who: Sequence[str], everybody: Collection[str]) -> str:
    return "both" if len(who) == len(everybody) == 2 else ", ".join(who)


def alike(left: Sequence[Cell], right: Sequence[Cell], visible: float) -> bool:
    """Whether two rows say the same but for invisible differences; None is no difference."""
    return all(_alike(a, b, visible) for a, b in zip(left, right, strict=True))


def _alike(a: Cell, b: Cell, visible: float) -> bool:
    if a is None or b is None:
        return True
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    if not math.isfinite(a) or not math.isfinite(b):
        return str(a) == str(b)
    return abs(a - b) <= visible * max(abs(a), abs(b))


def number(array: np.ndarray | None, *index: int) -> float | None:
    """One entry as a number, or None where there is none (a history may be shorter than asked)."""
    if array is None:
        return None
    try:
        item = np.asarray(array)[index]
    except IndexError:
        return None
    if np.ndim(item):
        return None
    return int(item) if np.asarray(array).dtype.kind in "iub" else float(item)


def order(errors: np.ndarray | None, k: int) -> float | None:
    """Observed order from entry k - 1 to entry k, between which the step was halved."""
    before, after = number(errors, k - 1) if k > 0 else None, number(errors, k)
    if not before or not after or not math.isfinite(before) or not math.isfinite(after):
        return None
    return math.log2(before / after) if before / after > 0 else None


def relative(found: np.ndarray, reference: np.ndarray) -> float:
    """|found - reference| / |reference|."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


def cosine(found: np.ndarray, reference: np.ndarray) -> float:
    """Of the angle between two gradients."""
    x, y = found.ravel(), reference.ravel()
    with np.errstate(all="ignore"):
        return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
