"""Claims checked for each engine, and published figures beside ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..studies.contract import Claim, Decision, Options, Published, Study
from ..studies.observation import Observation


@dataclass(frozen=True)
class ClaimResult:
    """What became of one claim for one engine.

    **Arguments:**

    - `holds`: None where it was not decided; `reason` says why.
    - `figure`: the figure that decided it, as printed.
    - `raised`: the check itself failed; that is a defect, and not a pass.
    """

    study: str
    claim: str
    engine: str
    statement: str
    source: str
    holds: bool | None
    figure: str = ""
    reason: str = ""
    raised: bool = False

    @property
    def ok(self) -> bool:
        return self.holds is not False and not self.raised


@dataclass(frozen=True)
class PublishedResult:
    """A printed figure beside an engine's; `ours` and `relative` are None where it has none.

    `relative` is |ours - figure| / |figure|; None for a published zero that we do not reach.
    """

    study: str
    name: str
    engine: str
    figure: float
    source: str
    ours: float | None
    relative: float | None
    reason: str = ""


def check_claims(
    study: Study, options: Options, observations: Mapping[str, Observation]
) -> tuple[ClaimResult, ...]:
    """Every claim of the study for every engine that was observed, in that order."""
    return tuple(
        _check(study, claim, options, engine, observation)
        for claim in study.claims(options)
        for engine, observation in observations.items()
    )


def _check(
    study: Study, claim: Claim, options: Options, engine: str, observation: Observation
) -> ClaimResult:
    def result(holds: bool | None, figure: str = "", reason: str = "", raised: bool = False):
        return ClaimResult(
            study.name,
            claim.name,
            engine,
            claim.statement,
            claim.source,
            holds,
            figure,
            reason,
            raised,
        )

    if claim.engines is not None and engine not in claim.engines:
        return result(None, reason=f"its value for {engine} is the formula itself")
    missing = [name for name in claim.needs if name not in observation.values]
    if missing:
        why = observation.unavailable.get(missing[0], f"{engine} does not return it")
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        return result(None, reason=f"needs {missing[0]!r} ({why}){more}")
    # A check is a study author's code: its failure is reported, and costs nobody else's results.
    try:
        decision = claim.check(observation.values, options)
        if not isinstance(decision, Decision):
            raise TypeError(f"the check returned {decision!r}, expected a Decision")
        return result(bool(decision.holds), str(decision.figure))
    except Exception as error:
        return result(None, reason=f"{type(error).__name__}: {error}", raised=True)


def compare_published(
    study: Study, options: Options, observations: Mapping[str, Observation]
) -> tuple[PublishedResult, ...]:
    """Every published figure of the study beside every engine's."""
    return tuple(
        _beside(study, published, engine, observation)
        for published in study.published(options)
        for engine, observation in observations.items()
    )


def _beside(
    study: Study, published: Published, engine: str, observation: Observation
) -> PublishedResult:
    ours, reason = None, "not among what this engine returned"
    try:
        picked = published.pick(observation.values)
        if picked is not None:
            ours, reason = float(picked), ""
    except Exception as error:  # as for claims
        reason = f"{type(error).__name__}: {error}"
    if ours is not None and not math.isfinite(ours):
        ours, reason = None, f"{engine} returned {ours}"
    return PublishedResult(
        study.name,
        published.name,
        engine,
        float(published.figure),
        published.source,
        ours,
        None if ours is None else _relative(ours, float(published.figure)),
        reason,
    )


def _relative(ours: float, figure: float) -> float | None:
    if ours == figure:
        return 0.0
    return abs(ours - figure) / abs(figure) if figure else None
