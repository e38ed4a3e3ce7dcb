"""Comparisons as pandas tables: gradients, inverses, timings, the study's own quantities, claims.

Every function returns a frame of plain numbers and texts, one row a difference, claim or timing.
`printable` turns numbers into texts as they are shown everywhere, `markdown` that into a table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..studies.contract import Options, Study
from ..studies.observation import Observation
from . import formatting as form
from .comparison import Comparison
from .difference import Difference
from .partings import Parting
from .timings import ratios as _ratios
from .timings import timing_rows

if TYPE_CHECKING:
    import pandas as pd

GRADIENTS = ("gradient", "jacobian")
INVERSES = ("inverse",)

_FORMATS: dict[str, Callable[[Any], str]] = {
    "absolute": form.size,
    "relative": form.size,
    "elementwise": form.size,
    "tolerance": form.size,
    "budget": form.size,
    "radius": form.size,
    "ulps": form.ulps,
    "median ulps": form.ulps,
    "digits": form.digits,
    "cosine": form.cosine,
    "minimum": form.seconds,
    "median": form.seconds,
    "iqr": form.seconds,
    "ratio": form.ratio,
    "low": form.ratio,
    "high": form.ratio,
    "peak memory": form.memory,
    "ours": lambda v: form.number(v, 10),
    "published": lambda v: form.number(v, 10),
}


def gradients(comparison: Comparison, *, compared_only: bool = False) -> pd.DataFrame:
    """Differences of gradients and Jacobians; `compared_only` leaves `unavailable` rows out."""
    return _differences(comparison, lambda d: d.kind in GRADIENTS, compared_only)


def inverses(comparison: Comparison, *, compared_only: bool = False) -> pd.DataFrame:
    """Differences of round trips and other inverses."""
    return _differences(comparison, lambda d: d.kind in INVERSES, compared_only, drop=("cosine",))


def quantities(comparison: Comparison, *, compared_only: bool = False) -> pd.DataFrame:
    """Differences of everything else that the study compares."""
    others = (*GRADIENTS, *INVERSES)
    return _differences(comparison, lambda d: d.kind not in others, compared_only, drop=("cosine",))


def differences(comparison: Comparison) -> pd.DataFrame:
    """All differences with all their fields, for analysis."""
    import pandas as pd

    rows = [
        {
            **asdict(d),
            "pair": d.pair,
            "budget": d.budget,
            "terms": form.terms(d.terms),
            "notes": "; ".join(d.notes),
        }
        for d in comparison.differences
    ]
    return pd.DataFrame(rows, columns=[*_field_names(), "pair", "budget"])


def values(study: Study, options: Options, observations: Mapping[str, Observation]) -> pd.DataFrame:
    """What each engine returned, as text: the number, or the norm and shape of an array.

    The referee's column is followed by `proven`: the norm of its radii.
    """
    import pandas as pd

    from .budget import REFEREE, Side, proven_radius

    rows = []
    for quantity in study.quantities(options):
        row = {
            "quantity": quantity.name,
            "kind": quantity.kind,
            "mode": quantity.mode,
            "unit": quantity.unit,
            "about": quantity.about,
        }
        for engine, observation in observations.items():
            value = observation.values.get(quantity.name)
            row[engine] = form.NOTHING if value is None else form.value(value)
            if engine == REFEREE:
                side = Side(engine, quantity.name, observation)
                radius = None if value is None else proven_radius(side, side)
                row["proven"] = form.size(None if radius is None else radius / 2)
        rows.append(row)
    return pd.DataFrame(rows)


def timings(comparison: Comparison, observations: Mapping[str, Observation]) -> pd.DataFrame:
    """Seconds by task, phase and engine; a recording's are marked with its date.

    The ratio of medians, torch over Julia, stands in torch's rows, with its interval or the reason
    why there is none.
    """
    import pandas as pd

    columns = "task phase engine minimum median iqr samples recorded ratio low high reason"
    rows = []
    for row in timing_rows(comparison, observations):
        for engine, summary in row.engines.items():
            quoted = row.ratio if row.ratio is not None and row.ratio.left == engine else None
            rows.append(
                {
                    **asdict(summary),
                    "recorded": summary.recorded or "",
                    "ratio": quoted and quoted.ratio,
                    "low": quoted and quoted.low,
                    "high": quoted and quoted.high,
                    "reason": quoted.reason if quoted else "",
                }
            )
    frame = pd.DataFrame(rows, columns=columns.split())
    return frame.astype(dict.fromkeys(("ratio", "low", "high"), float))


def ratios(
    comparison: Comparison,
    observations: Mapping[str, Observation],
    left: str = "torch",
    right: str = "julia",
) -> pd.DataFrame:
    """Median seconds of `left` over those of `right` with an interval, or why there is none."""
    import pandas as pd

    rows = [asdict(r) for r in _ratios(comparison, observations, left, right)]
    columns = ["task", "left", "right", "ratio", "low", "high", "reason"]
    return pd.DataFrame(rows, columns=columns)


def memory(observations: Mapping[str, Observation]) -> pd.DataFrame:
    """Peak memory of each engine's process, in bytes."""
    import pandas as pd

    rows = [(name, o.peak_memory, o.recorded or "") for name, o in observations.items()]
    return pd.DataFrame(rows, columns=["engine", "peak memory", "recorded"])


def claims(comparison: Comparison) -> pd.DataFrame:
    """One row a claim and engine: whether it holds, and the figure that decided it."""
    import pandas as pd

    def outcome(holds: bool | None, raised: bool) -> str:
        if raised:
            return "check failed"
        return {True: "holds", False: "does not hold", None: "not checked"}[holds]

    columns = ["claim", "statement", "engine", "outcome", "figure", "reason", "source"]
    rows = [
        (c.claim, c.statement, c.engine, outcome(c.holds, c.raised), c.figure, c.reason, c.source)
        for c in comparison.claims
    ]
    return pd.DataFrame(rows, columns=columns)


def published(comparison: Comparison) -> pd.DataFrame:
    """Published figures beside each engine's."""
    import pandas as pd

    columns = ["figure", "engine", "published", "ours", "relative", "reason", "source"]
    rows = [
        (p.name, p.engine, p.figure, p.ours, p.relative, p.reason, p.source)
        for p in comparison.published
    ]
    return pd.DataFrame(rows, columns=columns)


def partings(comparison: Comparison) -> pd.DataFrame:
    """Where the histories of two engines part."""
    import pandas as pd

    names = [f.name for f in fields(Parting)]
    rows = [[getattr(p, name) for name in names] for p in comparison.partings]
    return pd.DataFrame(rows, columns=names)


def printable(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy in which every cell is text, formatted by its column's name."""
    out = frame.astype(object).copy()
    for column in out.columns:
        show = _FORMATS.get(str(column), _text)
        out[column] = [show(_present(v)) for v in frame[column]]
    return out


def markdown(frame: pd.DataFrame) -> str:
    """A pipe table of `printable(frame)`; empty text for a frame without rows."""
    if frame.empty:
        return ""
    shown = printable(frame)
    lines = [list(map(str, shown.columns)), ["---"] * len(shown.columns)]
    lines += [list(row) for row in shown.itertuples(index=False, name=None)]
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def _differences(
    comparison: Comparison,
    wanted: Callable[[Difference], bool],
    compared_only: bool,
    drop: Collection[str] = (),
) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "quantity": d.quantity,
            "against": "" if d.against in ("", d.quantity) else d.against,
            "mode": d.mode,
            "pair": d.pair,
            "relative": d.relative,
            "ulps": None if d.ulps is None else float(d.ulps),
            "median ulps": d.ulps_median,
            "digits": d.digits,
            "cosine": d.cosine,
            "tolerance": None if d.verdict == "unavailable" else d.rtol,
            "budget": d.budget if d.terms else None,
            "verdict": d.verdict,
            "cause": d.cause or "",
            "reason": d.reason,
        }
        for d in comparison.differences
        if wanted(d) and not (compared_only and d.verdict == "unavailable")
    ]
    before, after = "quantity against mode pair relative ulps", "digits cosine tolerance budget"
    names = [*before.split(), "median ulps", *after.split(), "verdict", "cause", "reason"]
    columns = [name for name in names if name not in drop]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = [c for c in columns if c in _FORMATS]
    return frame.astype(dict.fromkeys(numbers, float))


def _field_names() -> list[str]:
    from dataclasses import fields

    return [f.name for f in fields(Difference)]


def _present(value: Any) -> Any:
    """None for what pandas made a NaN of."""
    return None if isinstance(value, float | np.floating) and np.isnan(value) else value


def _text(value: Any) -> str:
    return form.NOTHING if value is None else str(value)
