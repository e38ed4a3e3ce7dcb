"""A study's result as tables of short texts: what terminal, page and HTML have in common.

One row a quantity, one column a pair of engines, so that what differs is seen at a glance. A cell
is the relative difference, the distance in ulps and the verdict's mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..compare import SEVERITY, Difference, formatting, gravest
from ..compare.timings import TimingSummary, timing_rows
from ..runs.results import StudyResult

MARKS = {
    "agree": "✓",
    "agree within budget": "≈",
    "explained": "∗",
    "disagree": "✗",
    "unavailable": "–",
}
KINDS = {
    "Gradients": ("gradient", "jacobian"),
    "Inverses": ("inverse",),
    "Quantities": ("value", "solution", "loss", "spectrum", "figure", "count"),
}
_ENGINES = ("torch", "julia", "referee")
_MANY_ULPS = 10**4


@dataclass
class Table:
    """**Arguments:**

    - `title`, `columns`: the heading and those of the columns.
    - `rows`: cells as text, as many as columns.
    - `verdicts`: for each row the gravest verdict in it, or `""`; for colours.
    - `notes`: lines below the table.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str, verdict: str = "") -> None:
        self.rows.append(list(cells))
        self.verdicts.append(verdict)


def all_tables(result: StudyResult) -> list[Table]:
    """Every table that has rows: differences, timings, claims, published figures."""
    more = [timing_table(result), claim_table(result), published_table(result)]
    return [*difference_tables(result), *(t for t in more if t.rows or t.notes)]


def difference_tables(result: StudyResult) -> list[Table]:
    """The tables of gradients, inverses and the study's own quantities; empty ones left out."""
    tables = [_pairs_table(result, title, kinds) for title, kinds in KINDS.items()]
    return [t for t in [*tables, opinions_table(result)] if t.rows]


def _pairs_table(result: StudyResult, title: str, kinds: tuple[str, ...]) -> Table:
    found = [
        d
        for d in result.comparison.differences
        if d.kind in kinds and d.against in ("", d.quantity)
    ]
    pairs = list(dict.fromkeys(d.pair for d in _shown(found)))
    pairs.sort(key=lambda p: [_ENGINES.index(e) if e in _ENGINES else 9 for e in p.split("–")])
    values = _value_column(result)
    table = Table(title, [title.lower(), values, *pairs])
    grouped: dict[str, dict[str, Difference]] = {}
    for quantity in result.study.quantities(result.options):
        if quantity.kind in kinds:
            grouped[quantity.name] = {}
    for d in found:
        grouped.setdefault(d.quantity, {})[d.pair] = d
    for name, row in grouped.items():
        value = _value(result, name)
        cells = [cell(row[p]) if p in row else "" for p in pairs]
        if value or any(cells):
            verdict = gravest(d.verdict for d in _shown(row.values())) if row else ""
            table.add(name, value, *cells, verdict=verdict)
    return table


def opinions_table(result: StudyResult) -> Table:
    """Quantities that are a further opinion of another one, each beside that one."""
    table = Table("Further opinions", ["further opinions", "beside", "difference"])
    grouped: dict[tuple[str, str], list[Difference]] = {}
    for d in _shown(result.comparison.differences):
        if d.against not in ("", d.quantity):
            grouped.setdefault((d.quantity, d.against), []).append(d)
    for (name, against), found in grouped.items():
        cells = "; ".join(f"{d.pair} {cell(d)}" for d in found)
        table.add(name, against, cells, verdict=gravest(d.verdict for d in found))
    return table


def cell(d: Difference) -> str:
    """`2.3e-16  3 ulps ✓`; for what is equal to the last bit `= ✓`.

    The ulps are the largest; where one tiny entry makes that meaningless, the median.
    """
    mark = MARKS[d.verdict]
    if d.verdict == "unavailable":
        return mark
    if d.relative is None:
        return f"not comparable {mark}" if d.reason != "equal to the last bit" else f"= {mark}"
    if d.relative == 0:
        return f"= {mark}"
    size = formatting.size(d.relative)
    if d.ulps is not None and d.ulps < _MANY_ULPS:
        return f"{size}  {formatting.ulps(d.ulps)} ulp{'' if d.ulps == 1 else 's'} {mark}"
    if d.ulps_median is not None and d.ulps_median < _MANY_ULPS:
        return f"{size}  median {d.ulps_median:g} ulps {mark}"
    return f"{size} {mark}"


def timing_table(result: StudyResult) -> Table:
    """Each task's time a call by engine, kernel and first call apart, and torch over Julia.

    Where the two disagree there are no times to compare, and none are shown.
    """
    found = timing_rows(result.comparison, result.observations)
    kernels = {row.task: row for row in found if row.phase == "kernel"}
    firsts = {row.task: row for row in found if row.phase == "first call"}
    engines = [e for e in _engines(result) if any(e in r.engines for r in kernels.values())]
    table = Table("Timings", ["timings"])
    for engine in engines:
        when = result.observations[engine].recorded
        table.columns += [f"{engine} (recorded {when})" if when else engine, "first call"]
    quoted = [row.ratio for row in kernels.values() if row.ratio is not None]
    refused = sorted({r.reason for r in quoted if r.ratio is None and r.reason})
    if any(reason.startswith("they disagree") for reason in refused):
        table.notes.append(f"no timings of torch and julia: {refused[0]}")
        return table
    with_ratio = any(r.ratio is not None for r in quoted)
    table.columns += ["torch / julia"] if with_ratio else []
    for task, row in kernels.items():
        cells = []
        for engine in engines:
            first = firsts[task].engines.get(engine) if task in firsts else None
            cells.append(_kernel(row.engines.get(engine)))
            cells.append(formatting.seconds(first.median if first else None))
        if with_ratio:
            r = row.ratio
            cells.append(formatting.ratio(r.ratio, r.low, r.high) if r else "")
        table.add(task, *cells)
    if table.rows:
        table.notes.append("one call: median ± interquartile range (least)")
    table.notes += [f"no ratio: {reason}" for reason in refused]
    table.notes += _phase_notes(result, set(kernels))
    return table


def _kernel(s: TimingSummary | None) -> str:
    if s is None:
        return formatting.NOTHING
    show = formatting.seconds
    if s.samples == 1:
        return show(s.median)
    return f"{show(s.median)} ± {show(s.iqr)} ({show(s.minimum)})"


def _phase_notes(result: StudyResult, tasks: set[str]) -> list[str]:
    """One line an engine on what is no task: its start, compilation, what the bridge took."""
    lines = []
    for name, observation in result.observations.items():
        total: dict[str, float] = {}
        for t in observation.timings:
            if t.task not in tasks and t.seconds:
                total[t.phase] = total.get(t.phase, 0.0) + float(np.median(t.seconds))
        parts = [f"{phase} {formatting.seconds(s)}" for phase, s in total.items()]
        if observation.peak_memory:
            parts.append(f"peak memory {formatting.memory(observation.peak_memory)}")
        if parts:
            lines.append(f"{name}: {', '.join(parts)}")
    return lines


def claim_table(result: StudyResult) -> Table:
    """Each claim with the figures that decided it, and for whom."""
    table = Table("Claims", ["", "claims", "decided by"])
    statements = {c.claim: c.statement for c in result.comparison.claims}
    shared = {s for s, n in Counter(statements.values()).items() if n > 1}
    for name in dict.fromkeys(c.claim for c in result.comparison.claims):
        rows = [c for c in result.comparison.claims if c.claim == name]
        figures: dict[str, list[str]] = {}
        for c in rows:
            if c.holds is not None or c.raised:
                mark = "" if c.ok else "✗ "
                figures.setdefault(f"{mark}{c.figure or c.reason}", []).append(c.engine)
        failed = any(not c.ok for c in rows)
        mark = "✗" if failed else "✓" if figures else "–"
        decided = "\n".join(f"{f} ({', '.join(e)})" for f, e in figures.items())
        verdict = "disagree" if failed else "agree" if figures else "unavailable"
        # A statement made of several variants needs the claim's name to say of which.
        statement = rows[0].statement
        named = f"{name}: {statement}" if statement in shared else statement
        table.add(mark, named, decided or rows[0].reason, verdict=verdict)
    return table


def published_table(result: StudyResult) -> Table:
    """Figures that others printed beside ours."""
    engines = _engines(result)
    table = Table("Published figures", ["published figures", "published", *engines])
    sources = {p.source for p in result.comparison.published}
    for name in dict.fromkeys(p.name for p in result.comparison.published):
        rows = {p.engine: p for p in result.comparison.published if p.name == name}
        cells = []
        for engine in engines:
            p = rows.get(engine)
            if p is None or p.ours is None:
                cells.append("–")
            else:
                gap = formatting.size(p.relative)
                cells.append(f"{formatting.number(p.ours, 8)} ({gap})")
        first = next(iter(rows.values()))
        where = f" [{first.source}]" if len(sources) > 1 else ""
        table.add(f"{name}{where}", formatting.number(first.figure, 8), *cells)
    if table.rows:
        where = f"from {sources.pop()}; " if len(sources) == 1 else ""
        table.notes.append(f"{where}in brackets: the relative difference to the published figure")
    return table


def remarks(result: StudyResult) -> list[tuple[str, str]]:
    """`(verdict, line)` for all that needs a word: disagreements, causes, absent engines."""
    lines: list[tuple[str, str]] = []
    seen: dict[str, list[str]] = {}
    for d in sorted(result.comparison.differences, key=lambda d: -SEVERITY[d.verdict]):
        if d.verdict in ("disagree", "explained", "agree within budget"):
            lead = f"{d.verdict}: " if d.verdict != "explained" else f"explained by {d.cause}: "
            key = lead + d.reason
            seen.setdefault(key, []).append(f"{d.quantity} {d.pair}")
            if len(seen[key]) == 1:
                lines.append((d.verdict, key))
    lines = [(v, f"{MARKS[v]} {_names(seen[key])}: {key}") for v, key in lines]
    for claim in result.comparison.failed_claims:
        why = claim.reason if claim.raised else claim.figure
        lines.append(("disagree", f"✗ claim {claim.claim} fails for {claim.engine}: {why}"))
    for name, reason in {**result.comparison.absent, **result.crashed}.items():
        lines.append(("unavailable", f"– {name} is unavailable: {reason}"))
    for name, observation in result.observations.items():
        grouped: dict[str, list[str]] = {}
        for quantity, reason in observation.unavailable.items():
            grouped.setdefault(reason, []).append(quantity)
        for reason, quantities in grouped.items():
            lines.append(("unavailable", f"– {name} has no {_names(quantities)}: {reason}"))
        if observation.recorded:
            lines.append(("", f"· {name} is replayed from a recording of {observation.recorded}"))
    return lines


def _names(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _shown(differences: Iterable[Difference]) -> list[Difference]:
    return [d for d in differences if d.verdict != "unavailable"]


def _engines(result: StudyResult) -> list[str]:
    return [e for e in result.observations if any(c for c in result.observations[e].values)]


def _value_column(result: StudyResult) -> str:
    return next((e for e in _ENGINES if e in result.observations), "value")


def _value(result: StudyResult, name: str) -> str:
    """A quantity in one short cell: a number, or the norm and number of entries of an array."""
    for engine in _ENGINES:
        observation = result.observations.get(engine)
        if observation is None or name not in observation.values:
            continue
        array = np.asarray(observation.values[name])
        if array.ndim == 0 or array.dtype.kind not in "fiu":
            return formatting.value(array)
        if array.ndim == 1 and array.size <= 4:
            return f"[{', '.join(formatting.number(v, 4) for v in array)}]"
        if array.dtype.kind in "iu" and array.size:
            return f"{array.min()} … {array.max()}"
        finite = array[np.isfinite(array)]
        odd = f", {array.size - finite.size} NaN/Inf" if finite.size < array.size else ""
        return f"‖{formatting.number(float(np.linalg.norm(finite)), 6)}‖{odd}"
    return ""
