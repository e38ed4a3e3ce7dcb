"""What a run returns: tables, arrays, verdicts and claims, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import rendering
from ..compare import Comparison
from ..compare import tables as _tables
from ..errors import NumDLError, UnknownNameError
from ..studies.contract import Options, Study
from ..studies.observation import Observation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class StudyResult:
    """All that was observed and concluded of one study.

    **Arguments:**

    - `study`, `options`: what was asked.
    - `observations`: by engine name.
    - `comparison`: differences, claims and published figures, see `numdl_bridge.compare`.
    - `crashed`: reason by name, of the engines that were there and failed.
    - `folder`: of the run.

    Prints as tables in a terminal and shows as HTML in a notebook.
    """

    study: Study
    options: Options
    observations: dict[str, Observation]
    comparison: Comparison
    crashed: dict[str, str]
    folder: Path

    @property
    def name(self) -> str:
        return self.study.name

    @property
    def values(self) -> dict[str, dict[str, np.ndarray]]:
        """Arrays by engine and quantity: `result.values["torch"]["gradient/rk4"]`."""
        return {name: o.values for name, o in self.observations.items()}

    @property
    def verdicts(self) -> dict[str, int]:
        """How many differences have each verdict."""
        return {str(k): n for k, n in self.comparison.counts().items()}

    @property
    def ok(self) -> bool:
        """No disagreement, no failed claim, no crashed engine."""
        return self.comparison.ok and not self.crashed

    @property
    def gradients(self) -> pd.DataFrame:
        """One row for each pair of values of a gradient or Jacobian."""
        return _tables.gradients(self.comparison)

    @property
    def inverses(self) -> pd.DataFrame:
        """One row for each pair of values of an inverse or a round trip."""
        return _tables.inverses(self.comparison)

    @property
    def quantities(self) -> pd.DataFrame:
        """One row for each pair of values of the study's other quantities."""
        return _tables.quantities(self.comparison)

    @property
    def timings(self) -> pd.DataFrame:
        """One row for each task, phase and engine: minimum, median, IQR, in seconds a call."""
        return _tables.timings(self.comparison, self.observations)

    @property
    def ratios(self) -> pd.DataFrame:
        """Torch's median seconds over Julia's with an interval, or why none may be quoted."""
        return _tables.ratios(self.comparison, self.observations)

    @property
    def claims(self) -> pd.DataFrame:
        """One row for each claim and engine, with the figure that decided it."""
        return _tables.claims(self.comparison)

    @property
    def published(self) -> pd.DataFrame:
        """Figures that others printed beside ours."""
        return _tables.published(self.comparison)

    @property
    def partings(self) -> pd.DataFrame:
        """Where histories (losses by iteration) of two engines part, and by how much."""
        return _tables.partings(self.comparison)

    @property
    def summary(self) -> str:
        """One line: verdicts and claims, counted."""
        counts = [f"{n} {verdict}" for verdict, n in self.verdicts.items() if n]
        decided = {c.claim: True for c in self.comparison.claims if c.holds is not None or c.raised}
        for c in self.comparison.failed_claims:
            decided[c.claim] = False
        claims = [f"{sum(decided.values())}/{len(decided)} claims hold"] if decided else []
        crashes = [f"{name} failed" for name in self.crashed]
        return " · ".join([*counts, *claims, *crashes]) or "nothing was compared"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.summary}>"

    def __str__(self) -> str:
        return rendering.text(self)

    def _repr_html_(self) -> str:
        return rendering.html(self)


@dataclass(repr=False)
class RunResult(Mapping[str, StudyResult]):
    """The results of a run by study name.

    **Arguments:**

    - `studies`: see `StudyResult`.
    - `folder`: where the run is kept.
    - `manifest`: what was asked, versions, machine, status; plain data.
    - `errors`: what did not end the run and must be known (a recording that was changed).
    """

    studies: dict[str, StudyResult]
    folder: Path
    manifest: dict[str, Any]
    errors: Sequence[NumDLError] = field(default_factory=tuple)

    def __getitem__(self, name: str) -> StudyResult:
        if name not in self.studies:
            raise KeyError(f"no study {name!r} in this run, only {', '.join(self.studies)}")
        return self.studies[name]

    def only(self, *names: str) -> RunResult:
        """The same run with some of its studies; all of them when none is named."""
        unknown = [n for n in names if n not in self.studies]
        if unknown:
            raise UnknownNameError(
                f"no study {', '.join(unknown)} in run {self.folder}",
                f"some of {', '.join(self.studies)}",
            )
        chosen = {n: r for n, r in self.studies.items() if n in names or not names}
        return RunResult(chosen, self.folder, self.manifest, self.errors)

    def __iter__(self) -> Iterator[str]:
        return iter(self.studies)

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def ok(self) -> bool:
        """Whether every study is ok and nothing was found tampered with."""
        return all(result.ok for result in self.studies.values()) and not self.errors

    def __repr__(self) -> str:
        return f"<RunResult {self.folder}: {', '.join(self.studies)}>"

    def __str__(self) -> str:
        return rendering.text(*self.studies.values())

    def _repr_html_(self) -> str:
        return rendering.html(*self.studies.values())
