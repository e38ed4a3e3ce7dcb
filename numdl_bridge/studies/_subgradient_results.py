"""What `subgradient` found: every library's answer at every kink, as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._results import Found
from ._subgradient_cases import CASES, Case
from .contract import ResultTable

WAYS = {
    "torch": ("torch", ""),
    "forward": ("torch", "/forward"),
    "Zygote": ("julia", ""),
    "Tracker": ("julia", "/tracker"),
    "Forward Diff": ("julia", "/forwarddiff"),
    "Reverse Diff": ("julia", "/reversediff"),
    "least norm": ("referee", ""),
}
"""Column: (engine, what follows the case's name)."""

SYNONYMS = {
    "relu": {"": "relu(x)", "/clamp_min": "clamp(x, min=0)"},
    "clamp": {"": "clamp(x, -1, 1)", "/hardtanh": "hardtanh(x)"},
    "max": {
        "": "maximum(a, b)",
        "/fmax": "fmax(a, b)",
        "/fmax/forward": "fmax(a, b), forward mode",
    },
    "norm2": {"": "vector_norm(x)", "/by_hand": "(x * x).sum().sqrt()"},
    "maximum": {"": "amax(x)", "/max_dim": "max(x, dim=0).values"},
}

_SHORT = {
    "leaky_relu": "leaky_relu(x)",
    "sqrt_square": "sqrt(x^2)",
    "where_sqrt": "masked sqrt(x)",
    "max": "max(a, b)",
    "min": "min(a, b)",
    "hypot": "hypot(a, b)",
    "norm1": "norm 1",
    "norm2": "norm 2",
    "norminf": "max |x_i|",
    "maximum": "largest x_i",
}

_NUMBER, _BROADCAST = 0, 1
_NOTE = (
    "-0 is a zero's sign; masked: x > 0 ? sqrt(x) : 0; forward: torch's forward mode; least norm: "
    "the referee's rule; Clarke: least and largest entries of the subdifferential"
)


def results(found: Found, options: Any) -> list[ResultTable]:
    heads = [head for head, (engine, _) in WAYS.items() if engine in found]
    if not heads:
        return []
    columns = [*heads, *(["Clarke"] if "referee" in found else [])]
    numbers: list[list[str | None]] = _talk(found, columns)
    arrays: list[list[str | None]] = []
    several: list[list[str | None]] = []
    for case in CASES.values():
        if case.form == "elementwise":
            plain = _rows(found, case, columns, _NUMBER)
            numbers += _named(case, plain)
            broadcast = _rows(found, case, columns, _BROADCAST)
            arrays += _named(case, {k: v for k, v in broadcast.items() if v != plain[k]})
        else:
            several += _named(case, _rows(found, case, columns, _NUMBER))
    return [
        *_table("Derivatives at kinks, functions of a number", columns, numbers, _NOTE),
        *_table("The same broadcast over an array, where the answer is another", columns, arrays),
        *_table("Ties and norms: a derivative for each argument", columns, several, drop="Clarke"),
        *_synonyms(found),
    ]


def _table(
    title: str,
    columns: Sequence[str],
    rows: list[list[str | None]],
    note: str = "",
    drop: str = "",
) -> list[ResultTable]:
    """A column nobody has an answer in, and a table without rows, are left out."""
    filled = [r for r in rows if any(r[1:])]
    kept = [k for k, c in enumerate(columns, 1) if c != drop and any(r[k] for r in filled)]
    if not filled:
        return []
    heads = ["function", *(columns[k - 1] for k in kept)]
    return [ResultTable(title, heads, [[r[0], *(r[k] for k in kept)] for r in filled], note)]


def _talk(found: Found, columns: Sequence[str]) -> list[list[str | None]]:
    """The talk's four lines, in each language's main package."""
    asked = {"torch": ("torch", "talk"), "Tracker": ("julia", "talk/tracker")}
    asked["least norm"] = ("referee", "talk")
    cells = []
    for head in columns:
        engine, name = asked.get(head, ("", ""))
        value = found.get(engine, {}).get(name)
        cells.append(None if value is None else answer(np.atleast_1d(value)))
    return [["the talk's abs(x)", *cells]]


def _rows(
    found: Found, case: Case, columns: Sequence[str], row: int
) -> dict[str, tuple[str | None, ...]]:
    """The answers at each of a case's points, asked for on a number or broadcast."""
    points = case.columns()
    return {
        answer(point): tuple(_answer(found, case, head, row, k) for head in columns)
        for k, point in enumerate(points)
    }


def _answer(found: Found, case: Case, head: str, row: int, point: int) -> str | None:
    if head == "Clarke":
        hull = found.get("referee", {}).get(f"clarke/{case.name}")
        return None if hull is None else _hull(np.asarray(hull)[..., point])
    engine, suffix = WAYS[head]
    value = found.get(engine, {}).get(f"subgradient/{case.name}{suffix}")
    return None if value is None else _at(case, value, row, point)


def _at(case: Case, value: np.ndarray, row: int, point: int) -> str:
    """The answer at one point; functions of a vector have no rows."""
    return answer(np.atleast_1d((value if case.form == "vector" else value[row])[..., point]))


def _named(case: Case, rows: dict[str, tuple[str | None, ...]]) -> list[list[str | None]]:
    """Rows with the function and its point; points with the same answers share one."""
    points: dict[tuple[str | None, ...], list[str]] = {}
    for point, cells in rows.items():
        points.setdefault(cells, []).append(point)
    short = _SHORT.get(case.name, case.formula)
    named: list[list[str | None]] = []
    for cells, where in points.items():
        if case.form != "elementwise":
            where = [f"({', '.join(w.split())})" for w in where]
        at = "all ties" if len(where) > 2 else " and ".join(where).replace("0 and -0", "±0")
        named.append([f"{short} at {at}", *cells])
    return named


def answer(entries: np.ndarray) -> str:
    """`-0`, `0.5 0.5`, `nan inf`: the entries as they are, the sign of zero included."""
    return " ".join(f"{float(x):.3g}" for x in np.ravel(entries))


def _hull(hull: np.ndarray) -> str:
    """Least and largest entries: one interval where all arguments have the same."""
    low, high = (np.atleast_1d(h) for h in hull)
    spans = [f"[{a:g}, {b:g}]" if a < b else f"{a:g}" for a, b in zip(low, high, strict=True)]
    return spans[0] if len(set(spans)) == 1 else " ".join(spans)


def _synonyms(found: Found) -> list[ResultTable]:
    """One function by several names in PyTorch."""
    values = found.get("torch", {})
    rows: list[list[str | None]] = []
    for name, calls in SYNONYMS.items():
        case = CASES[name]
        for suffix, call in calls.items():
            value = values.get(f"subgradient/{name}{suffix}")
            if value is not None:
                points = range(len(case.columns()))
                ways = dict.fromkeys(_at(case, value, _NUMBER, k) for k in points)
                rows.append([call, " and ".join(ways), _points(case)])
    title = "One function by several names in PyTorch"
    return _table(title, ["derivative", "at"], rows)


def _points(case: Case) -> str:
    """All points that were asked at, shortly."""
    if case.form == "binary":
        return "ties at 0, -0 and 1"
    if case.form == "elementwise":
        return " and ".join(answer(p) for p in case.columns()).replace("0 and -0", "±0")
    return " and ".join(f"({', '.join(answer(p).split())})" for p in case.columns())
