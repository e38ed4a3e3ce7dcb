"""One cell of a table: a difference, several of them, or a value, in a few characters each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..compare import SEVERITY, Difference, formatting
from ..compare.verdicts import Verdict
from ..runs.results import StudyResult
from .table import MARKS

MANY_ULPS = 10**4


def cell(d: Difference) -> str:
    """`2.3e-16 (3) ✓`; for what is equal to the last bit `= ✓`.

    The relative difference in the norm, or the absolute one where only that meets the tolerance
    (values that ought to be zero), and in brackets the largest distance in ulps; where one tiny
    entry makes that senseless, `~` and the median. What `table.CELLS` says to the reader.
    """
    mark = MARKS[d.verdict]
    if d.verdict == "unavailable":
        return mark
    if d.relative is None:
        return f"not comparable {mark}" if _incomparable(d) else f"= {mark}"
    if d.relative == 0:
        # Of two values that differ in nothing else, `worst_index` names a zero of the other sign.
        return f"= {mark}" if d.worst_index is None else f"±0 {mark}"
    if d.verdict == "agree" and d.relative > d.rtol and d.absolute is not None:
        return f"abs {formatting.size(d.absolute)} {mark}"
    size = formatting.size(d.relative)
    if d.ulps is not None and d.ulps < MANY_ULPS:
        return f"{size} ({formatting.ulps(d.ulps)}) {mark}"
    if d.ulps_median is not None and d.ulps_median < MANY_ULPS:
        return f"{size} (~{formatting.ulps(np.ceil(d.ulps_median))}) {mark}"
    return f"{size} {mark}"


def largest(differences: Sequence[Difference]) -> tuple[str, str, str]:
    """Of several differences the gravest, between whom it is, and how many have which verdict."""
    worst = max(differences, key=lambda d: (SEVERITY[d.verdict], _relative(d)))
    counts = Counter(d.verdict for d in differences)
    tally = "  ".join(f"{n} {MARKS[v]}" for v, n in sorted(counts.items(), key=_gravest_first))
    shown = cell(worst).rsplit(" ", 1)[0]
    return shown, "" if shown == "=" else worst.pair, tally


def value(result: StudyResult, name: str, engine: str) -> str:
    """An engine's value: a number, or the norm of an array; empty where there is none."""
    observation = result.observations.get(engine)
    if observation is None or name not in observation.values:
        return ""
    array = np.asarray(observation.values[name])
    if array.ndim == 0 or array.dtype.kind not in "fiu":
        return formatting.value(array)
    if array.ndim == 1 and array.size <= 2:
        return f"[{', '.join(formatting.number(v, 4) for v in array)}]"
    if array.dtype.kind in "iu" and array.size:
        return f"{array.min()} … {array.max()}"
    finite = array[np.isfinite(array)]
    odd = f", {array.size - finite.size} NaN/Inf" if finite.size < array.size else ""
    return f"‖{formatting.number(float(np.linalg.norm(finite)), 6)}‖{odd}"


def _incomparable(d: Difference) -> bool:
    """Whether no number says how far the two are apart (another shape, NaN on one side)."""
    return d.relative is None and d.reason != "equal to the last bit"


def _relative(d: Difference) -> float:
    """For the order alone: what is not comparable comes first."""
    return float("inf") if _incomparable(d) else d.relative or 0.0


def _gravest_first(count: tuple[Verdict, int]) -> int:
    return -SEVERITY[count[0]]
