"""The result of comparing a user's own model: a study's result, with words for test suites."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ..compare import Difference, explain
from ..compare import formatting as form
from ..compare import tables as _tables
from ..compare.verdicts import SEVERITY
from ..errors import BadInputError, NumDLError
from ..runs.results import StudyResult
from ..studies.observation import Observation
from .checks import own_error
from .question import Question

if TYPE_CHECKING:
    import pandas as pd

__tracebackhide__ = own_error

WIDTH = 100
WORST = 5
"""Rows that a failed assertion shows."""


class DisagreementError(AssertionError):
    """Two languages differ by more than was asked; the message shows where and why."""


class NoAnswerError(NumDLError, KeyError):
    """Values were asked of an engine that has none; the message says why it has none."""

    __str__ = Exception.__str__


class _ByEngine(dict[str, dict[str, np.ndarray]]):
    """Values by engine; an engine that is not there says why."""

    def __init__(self, values: Mapping[str, Any], absent: Mapping[str, str]) -> None:
        super().__init__(values)
        self._absent = absent

    def __missing__(self, engine: str) -> Any:
        if engine in self._absent:
            raise NoAnswerError(f"{engine} has no values: {self._absent[engine]}")
        raise NoAnswerError(f"no values of {engine!r}", f"one of {', '.join(self)}")


@dataclass(repr=False)
class ModelResult(StudyResult):
    """What `compare_gradients`, `compare_ode` and `compare_module` return.

    Beside the tables of a study's result (`.gradients`, `.inverses`, `.timings`, `.quantities`):

    - `seconds`: of wall time by part of the comparison: `torch`, `julia` (with the bridge's call),
      `referee` (which works while Julia does), `timing` (torch's task again, warm), `comparison`
      (verdicts and tables), and `total`, all of it.
    - `absent`: why an engine has no answer.
    - `order`: quantity names in the order of the computation, so that of several differences the
      first is the one to look at.
    - `diagnosis`: the cause of the first disagreement, where a usual mistake reproduces it.
    - `shown`: what was asked for, as it is printed.
    - `notes`: what a reader of the tables needs to know (who judges what), one line each.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    diagnosis: str | None = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, dict[str, np.ndarray]]:
        """Arrays by engine and quantity; an engine without an answer says why it has none."""
        return _ByEngine(super().values, self.absent)

    @property
    def rows(self) -> list[Difference]:
        """Differences of what was compared, in the order of the computation."""
        place = {name: k for k, name in enumerate(self.order)}
        compared = [d for d in self.comparison.differences if d.verdict != "unavailable"]
        return sorted(compared, key=lambda d: place.get(d.quantity, len(place)))

    @property
    def first_disagreement(self) -> Difference | None:
        """The first step of the computation at which two engines disagree."""
        return next((d for d in self.rows if d.verdict == "disagree"), None)

    @property
    def overhead(self) -> float | None:
        """Total time over that of the two computations; None where Julia was not live."""
        julia = self.observations.get("julia")
        if julia is None or julia.recorded is not None:
            return None
        return self.seconds["total"] / (self.seconds["torch"] + self.seconds["julia"])

    def to_pandas(self) -> pd.DataFrame:
        """One row for each difference, all fields."""
        return _tables.differences(self.comparison)

    def to_markdown(self) -> str:
        """The table as Markdown, and a line where Julia has no answer."""
        table = _tables.markdown(self._short()) if self.rows else ""
        said = self._uncompared()
        return "\n\n".join(part for part in (table.rstrip("\n"), said) if part) + "\n"

    def to_latex(self) -> str:
        """The table as LaTeX (booktabs), and a line where Julia has no answer; needs the extra
        `report`."""
        table = ""
        if self.rows:
            shown = _tables.printable(self._short()).style.hide(axis="index")
            table = shown.to_latex(hrules=True)
        said = self._uncompared()
        return table + (f"\\par {_latex(said)}\n" if said else "")

    def _uncompared(self) -> str:
        """That nothing was compared with Julia, and why; or nothing where it was."""
        reason = self.absent.get("julia")
        return f"Nothing was compared with Julia: {reason}" if reason else ""

    def explain(self) -> str:
        """The differences that are not plain agreement, in words; the first one first."""
        told = [f"Likely cause: {self.diagnosis}."] if self.diagnosis else []
        told += [explain(d) for d in self.rows if SEVERITY[d.verdict] > SEVERITY["agree"]]
        told += [f"{name} has no answer: {reason}" for name, reason in self.absent.items()]
        return "\n\n".join(told) or "Everything agrees within its tolerance."

    def assert_agree(self, digits: float | None = None, budget: float | None = None) -> None:
        """Raise `DisagreementError` unless all compared values agree.

        **Arguments:**

        - `digits`: decimal digits, relative in the norm, that each must agree to.
        - `budget`: relative difference that each may have.

        With neither, every verdict must be other than `disagree`. Raises also where Julia has no
        answer: an assertion that compared nothing would be a green light by accident.
        """
        if digits is not None and budget is not None:
            raise BadInputError("both digits and budget", "one of them")
        if "julia" in self.absent:
            raise DisagreementError(
                f"{self.name}: nothing was compared with Julia: {self.absent['julia']}"
            )
        limit = 10.0**-digits if digits is not None else budget
        bad = [d for d in self.rows if _beyond(d, limit)]
        if not bad:
            return
        asked = "agree" if limit is None else f"agree to a relative difference of {limit:.1e}"
        lines = [f"{self.name}: {len(bad)} of {len(self.rows)} differences do not {asked}."]
        if self.diagnosis:
            lines.append(f"Likely cause: {self.diagnosis}.")
        lines += [explain(d) for d in bad[:WORST]]
        if len(bad) > WORST:
            lines.append(f"and {len(bad) - WORST} more; see result.to_pandas()")
        raise DisagreementError("\n\n".join(lines))

    def __str__(self) -> str:
        spent = ", ".join(f"{name} {form.seconds(s)}" for name, s in self.seconds.items())
        if self.overhead is not None:
            spent += f" = {self.overhead:.2f} x (torch + julia)"
        said = self._uncompared()
        lines = [f"{_wrapped(said)}\n"] if said else []
        lines.append(StudyResult.__str__(self._printed()))
        if self.diagnosis:
            lines.append(f"likely cause: {self.diagnosis}")
        lines += [_wrapped(f"· {note}") for note in self.notes]
        return "\n".join([*lines, f"spent: {spent}"])

    def _repr_html_(self) -> str:
        said = self._uncompared()
        head = f"<p><strong>{escape(said)}</strong></p>" if said else ""
        told = [f"likely cause: {self.diagnosis}"] if self.diagnosis else []
        lines = "".join(f"<li>{escape(line)}</li>" for line in [*told, *self.notes])
        return f"{head}{StudyResult._repr_html_(self._printed())}<ul>{lines}</ul>"

    def __repr__(self) -> str:
        return f"<ModelResult {self.name!r}: {self._uncompared() or self.summary}>"

    def _printed(self) -> ModelResult:
        """The same for the tables: what was asked in the words of the caller, not hashes, and the
        reason of a missing engine only once."""
        names = [(name, Any) for name in self.shown]
        options: Any = msgspec.defstruct("Shown", names)(**self.shown)
        told = {k: v for k, v in self.comparison.absent.items() if k not in self.absent}
        return replace(self, options=options, comparison=replace(self.comparison, absent=told))

    def _short(self) -> pd.DataFrame:
        import pandas as pd

        rows = [
            {
                "quantity": d.quantity
                + (f" against {d.against}" if d.against != d.quantity else ""),
                "pair": d.pair,
                "relative": d.relative,
                "ulps": d.ulps,
                "digits": d.digits,
                "verdict": d.verdict,
            }
            for d in self.rows
        ]
        return pd.DataFrame(rows)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: f"\\{c}" for c in "&%$#_{}"}
    return "".join(special.get(c, c) for c in text)


def _beyond(difference: Difference, limit: float | None) -> bool:
    if limit is None or difference.relative is None:
        return difference.verdict == "disagree"
    # The referee's own error is not the model's: what lies inside its radius is agreed.
    if difference.radius and difference.absolute is not None:
        return difference.relative > limit and difference.absolute > difference.radius
    return difference.relative > limit


def conclude(
    question: Question,
    observations: Mapping[str, Observation],
    absent: Mapping[str, str],
    seconds: Mapping[str, float],
    begun: float,
) -> ModelResult:
    """Compare the observations of a question that was put at `begun`, by `time.perf_counter()`."""
    start = time.perf_counter()
    comparison = question.compare(observations, absent)
    end = time.perf_counter()
    return ModelResult(
        study=question.study,
        options=question.options,
        observations=dict(observations),
        comparison=comparison,
        crashed={},
        folder=Path(),
        seconds={**seconds, "comparison": end - start, "total": end - begun},
        absent=dict(absent),
        order=tuple(q.name for q in question.quantities),
        shown=dict(question.shown),
        notes=tuple(question.notes),
    )
