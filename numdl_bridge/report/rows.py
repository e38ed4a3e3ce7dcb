"""A study's result as tables of short texts: what terminal, page and HTML have in common.

One row a quantity, one column a pair of engines, so that what differs is seen at a glance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..compare import SEVERITY, Difference, formatting, gravest
from ..compare.budget import REFEREE
from ..compare.partings import Parting
from ..runs.results import StudyResult
from ..studies.contract import Quantity
from ..studies.observation import Observation
from .cells import cell, largest, value
from .result_rows import result_tables
from .table import MARKS, Table, answering
from .timing_rows import timing_table

KINDS = {
    "Gradients": ("gradient", "jacobian"),
    "Inverses": ("inverse",),
    "Quantities": ("value", "solution", "loss", "spectrum", "figure", "count"),
}
_ENGINES = ("torch", "julia", "referee")


def all_tables(result: StudyResult) -> list[Table]:
    """Every table that has rows, what the study found first."""
    more = [
        parting_table(result),
        timing_table(result),
        claim_table(result),
        published_table(result),
    ]
    told = [t for t in more if t.rows or t.notes]
    return [*result_tables(result), *difference_tables(result), *told]


def difference_tables(result: StudyResult) -> list[Table]:
    """The tables of gradients, inverses and the study's own quantities; empty ones left out."""
    tables = [_pairs_table(result, title, kinds) for title, kinds in KINDS.items()]
    tables = [t for t in [*tables, opinions_table(result)] if t.rows]
    asked = {q.name: q for q in result.study.quantities(result.options)}
    for table in tables:
        table.more_columns = ["tolerance", "what"]
        for row in table.rows:
            quantity = asked.get(row[0])
            table.more.append([_tolerance(quantity), quantity.about] if quantity else ["", ""])
            table.hints.append(quantity.source if quantity and quantity.compared else "")
    return tables


def _tolerance(quantity: Quantity) -> str:
    """What the study allows two values to differ by: relative, absolute, or nothing."""
    if not quantity.compared:
        return "reported only"
    if quantity.rtol == quantity.atol == 0:
        return "exact"
    rtol = [formatting.size(quantity.rtol)] if quantity.rtol else []
    return " + ".join([*rtol, *([f"abs {formatting.size(quantity.atol)}"] * bool(quantity.atol))])


def _pairs_table(result: StudyResult, title: str, kinds: tuple[str, ...]) -> Table:
    found = [
        d
        for d in result.comparison.differences
        if d.kind in kinds and d.against in ("", d.quantity)
    ]
    pairs = list(dict.fromkeys(d.pair for d in _shown(found)))
    values = _value_column(result)
    table = Table(title, [title.lower(), values])
    grouped: dict[str, dict[str, Difference]] = {}
    for quantity in result.study.quantities(result.options):
        if quantity.kind in kinds:
            grouped[quantity.name] = {}
    for d in found:
        grouped.setdefault(d.quantity, {})[d.pair] = d
    reported = [name for name, row in grouped.items() if not row]
    for other in answering(result):
        if other != values and any(value(result, name, other) for name in reported):
            pairs.append(f"{values}–{other}")
    pairs = sorted(dict.fromkeys(pairs), key=_places)
    table.columns += pairs
    for name, row in grouped.items():
        own = value(result, name, values)
        cells = [cell(row[p]) if p in row else _beside(result, name, p) for p in pairs]
        if own or any(cells):
            verdict = gravest(d.verdict for d in _shown(row.values())) if row else ""
            table.add(name, own, *cells, verdict=verdict)
    return table


def opinions_table(result: StudyResult) -> Table:
    """Quantities that are a further opinion of another one, each beside that one."""
    table = Table(
        "Further opinions", ["further opinions", "largest difference", "between", "pairs"]
    )
    grouped: dict[tuple[str, str], list[Difference]] = {}
    for d in _shown(result.comparison.differences):
        if d.against not in ("", d.quantity):
            grouped.setdefault((d.quantity, d.against), []).append(d)
    # An opinion is named after what it is an opinion of, as a rule; the others are told of what.
    beside = {key: "" if key[0].startswith(f"{key[1]}/") else key[1] for key in grouped}
    if any(beside.values()):
        table.columns.append("of")
    for key, found in grouped.items():
        of = [beside[key]] if any(beside.values()) else []
        verdict = gravest(d.verdict for d in found)
        table.add(key[0], *largest(found), *of, verdict=verdict)
    return table


def parting_table(result: StudyResult) -> Table:
    """Where two engines' histories part: the iteration, the difference there and the largest."""
    pairs = list(dict.fromkeys(p.pair for p in result.comparison.partings))
    table = Table("Where histories part", ["where histories part", *pairs])
    grouped: dict[str, dict[str, str]] = {}
    for p in result.comparison.partings:
        grouped.setdefault(p.quantity, {})[p.pair] = _parting(p)
    for name, cells in grouped.items():
        table.add(name, *(cells.get(pair, "") for pair in pairs))
    beyond = sorted({p.beyond for p in result.comparison.partings})
    if beyond:
        limit = " or ".join(formatting.size(b) for b in beyond)
        table.notes.append(f"the first iteration with a relative difference above {limit}")
    return table


def _parting(p: Parting) -> str:
    if p.at is None:
        return f"together for {p.iterations} iterations ({formatting.size(p.before)})"
    largest = "not finite" if p.largest is None else f"up to {formatting.size(p.largest)}"
    return f"at {p.at} (before {formatting.size(p.before)}, then {largest})"


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
    engines = answering(result)
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
    if result.comparison.scale != 1:
        lines.append(("", f"· judged with every tolerance times {result.comparison.scale:g}"))
    for pattern, rtol in result.comparison.overrides.items():
        lines.append(("", f"· judged with a relative tolerance of {rtol:g} for {pattern}"))
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


def page_remarks(result: StudyResult) -> list[tuple[str, str]]:
    """Those, and which of the referee's numbers are computed but not proven."""
    lines = remarks(result)
    unproven = [
        f"{name}, computed at {observation.provenance.get('bits', 'many')} bits without a proven "
        f"radius: {_names(names, len(names))}"
        for name, observation in result.observations.items()
        if name == REFEREE and (names := _without_radius(observation))
    ]
    return [*lines, *(("", f"· {line}") for line in unproven)]


def _without_radius(observation: Observation) -> list[str]:
    """Names of floating-point values without a finite radius for each of their entries."""
    found = []
    for name, array in observation.values.items():
        if np.asarray(array).dtype.kind == "f":
            radius = observation.radii.get(name)
            if radius is None or not np.isfinite(radius).all():
                found.append(name)
    return found


def _names(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _shown(differences: Iterable[Difference]) -> list[Difference]:
    return [d for d in differences if d.verdict != "unavailable"]


def _value_column(result: StudyResult) -> str:
    return next((e for e in _ENGINES if e in result.observations), "value")


def _beside(result: StudyResult, name: str, pair: str) -> str:
    """Of what is reported and not compared, the other engine's value in the column of its pair."""
    first, _, other = pair.partition("–")
    if first != _value_column(result):
        return ""
    reported = value(result, name, other)
    return f"{other}: {reported}" if reported else ""


def _places(pair: str) -> list[int]:
    return [_ENGINES.index(e) if e in _ENGINES else 9 for e in pair.split("–")]
