"""All that is concluded from the observations of one study, in a fixed order, as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ..errors import BadInputError
from ..studies.contract import Options, Quantity, Study, plain_options
from ..studies.observation import Observation
from .budget import REFEREE, Side, budget_terms, proven_radius, tolerance_of
from .claims import ClaimResult, PublishedResult, check_claims, compare_published
from .difference import Difference, differ, unavailable
from .partings import Parting, partings
from .register import Register, default_register
from .verdicts import SEVERITY, VERDICTS, Verdict

ENGINES = ("torch", "julia", REFEREE)
"""The order of rows, and of the two in a pair: torch–referee, julia–referee, torch–julia."""


@dataclass(frozen=True)
class Comparison:
    """What one study's observations say about each other.

    **Arguments:**

    - `study`, `options`: what was asked, options as plain data.
    - `differences`: every pair of every compared quantity, `unavailable` ones included.
    - `claims`, `published`: for every engine.
    - `partings`: where histories part, for every pair of engines.
    - `recorded`: by engine that was observed, None if live, else the date of its recording.
    - `input_hashes`: what each engine received.
    - `absent`: by engine that was not observed, the reason.
    - `scale`, `overrides`: how the tolerances were re-scored.
    """

    study: str
    options: dict[str, Any]
    differences: tuple[Difference, ...] = ()
    claims: tuple[ClaimResult, ...] = ()
    published: tuple[PublishedResult, ...] = ()
    partings: tuple[Parting, ...] = ()
    recorded: dict[str, str | None] = field(default_factory=dict)
    input_hashes: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    scale: float = 1.0
    overrides: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """No `disagree`, and no claim that failed or whose check did."""
        return not self.disagreements and not self.failed_claims

    @property
    def disagreements(self) -> tuple[Difference, ...]:
        return self.by_verdict("disagree")

    @property
    def failed_claims(self) -> tuple[ClaimResult, ...]:
        return tuple(c for c in self.claims if not c.ok)

    def by_verdict(self, verdict: Verdict) -> tuple[Difference, ...]:
        return tuple(d for d in self.differences if d.verdict == verdict)

    def counts(self) -> dict[Verdict, int]:
        """How many differences have each verdict."""
        return {verdict: len(self.by_verdict(verdict)) for verdict in VERDICTS}

    def worst(self) -> Difference | None:
        """The gravest difference, and of those the one furthest beyond its tolerance."""
        compared = [d for d in self.differences if d.verdict != "unavailable"]
        return max(compared, key=_gravity, default=None)

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready data; `from_plain` is its inverse."""
        return msgspec.to_builtins(self)

    @staticmethod
    def from_plain(data: Any) -> Comparison:
        """Raises `BadInputError` where the data are not a comparison."""
        try:
            return msgspec.convert(data, Comparison)
        except msgspec.ValidationError as error:
            raise BadInputError(
                f"a stored comparison does not read: {error}",
                "what `Comparison.to_plain` wrote",
                "score the run's observations again",
            ) from None


def compare_study(
    study: Study,
    options: Options,
    observations: Mapping[str, Observation],
    scale: float = 1.0,
    overrides: Mapping[str, float] | None = None,
    *,
    register: Register | None = None,
    absent: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare what the engines returned: every pair, claim and published figure.

    **Arguments:**

    - `observations`: by engine name.
    - `scale`, `overrides`: re-scoring, see `tolerance_of`; `scale` also multiplies the budgets.
    - `register`: of known differences; by default the one in the package.
    - `absent`: why an engine has no observation (`Engine.missing()`), for the tables.

    Raises `BadInputError` for a scale or tolerance that is none, and for observations of another
    study. Observations of other inputs or options raise nothing: their differences `disagree`,
    saying so, and nothing that was computed is lost.
    """
    for name, observation in observations.items():
        if observation.study != study.name or observation.engine != name:
            raise BadInputError(
                f"an observation of {observation.study!r} by {observation.engine!r} "
                f"given as one of {study.name!r} by {name!r}",
                "one observation of this study for each engine, by its name",
            )
    names = sorted(observations, key=_place)
    observed = {name: observations[name] for name in names}
    scoring = _Scoring(
        study,
        options,
        observed,
        scale,
        dict(overrides or {}),
        default_register() if register is None else register,
        dict(absent or {}),
    )
    return Comparison(
        study=study.name,
        options=plain_options(options),
        differences=tuple(scoring.differences()),
        claims=check_claims(study, options, observed),
        published=compare_published(study, options, observed),
        partings=tuple(partings(study.quantities(options), observed)),
        recorded={name: o.recorded for name, o in observed.items()},
        input_hashes={name: o.input_hash for name, o in observed.items()},
        absent={k: v for k, v in scoring.absent.items() if k not in observed},
        scale=float(scale),
        overrides=dict(overrides or {}),
    )


@dataclass
class _Scoring:
    """The arguments of `compare_study` while it works."""

    study: Study
    options: Options
    observed: dict[str, Observation]
    scale: float
    overrides: dict[str, float]
    register: Register
    absent: dict[str, str]

    def differences(self) -> Iterator[Difference]:
        quantities = {q.name: q for q in self.study.quantities(self.options)}
        for quantity in quantities.values():
            if not quantity.compared:
                continue
            for left, right in _pairs(quantity.engines):
                yield self._difference(quantity, left, right, quantity.name)
            target = quantities.get(quantity.compare_with or quantity.name)
            if target is None:
                raise BadInputError(
                    f"quantity {quantity.name!r} of study {self.study.name!r} is to be compared "
                    f"with {quantity.compare_with!r}, which is not there",
                    f"one of {', '.join(quantities)}",
                )
            if target is not quantity:
                for left in sorted(quantity.engines, key=_place):
                    for right in sorted(target.engines, key=_place):
                        yield self._difference(quantity, left, right, target.name)

    def _difference(self, quantity: Quantity, left: str, right: str, against: str) -> Difference:
        reason = self._lacks(left, quantity.name) or self._lacks(right, against)
        if reason:
            return unavailable(self.study.name, quantity, left, right, against, reason)
        one = Side(left, quantity.name, self.observed[left])
        other = Side(right, against, self.observed[right])
        tolerance = tolerance_of(
            self.study.name, quantity, self.scale, self.overrides, beside=against != quantity.name
        )
        terms = budget_terms(
            quantity, one, other, self.observed.get(REFEREE), tolerance, self.scale
        )
        radius = proven_radius(one, other)
        found = differ(self.study.name, quantity, one, other, tolerance, terms, radius)
        if foreign := self._foreign(left, right):
            return replace(found, verdict="disagree", reason=foreign)
        return self._explained(found, one, other) if found.verdict == "disagree" else found

    def _explained(self, found: Difference, left: Side, right: Side) -> Difference:
        entry, objections = self.register.explain(found, left, right)
        if entry is None:
            return replace(found, reason="; ".join((found.reason, *objections)))
        return replace(found, verdict="explained", cause=entry.id, reason=entry.cause)

    def _lacks(self, engine: str, quantity: str) -> str | None:
        """Why an engine has no value of a quantity; None where it has one."""
        if engine not in self.observed:
            return f"{engine}: {self.absent.get(engine, 'not part of this run')}"
        observation = self.observed[engine]
        if quantity in observation.values:
            return None
        return f"{engine}: {observation.unavailable.get(quantity, f'returned no {quantity!r}')}"

    def _foreign(self, left: str, right: str) -> str | None:
        """Why two observations do not answer the same question; None where they do."""
        one, other = self.observed[left], self.observed[right]
        if one.input_hash != other.input_hash:
            return (
                f"computed from different inputs: {left} received {one.input_hash[:12]}, "
                f"{right} received {other.input_hash[:12]}"
            )
        for observation in (one, other):
            if plain_options(observation.options) != plain_options(self.options):
                return f"{observation.engine} answered for other options: {observation.options}"
        return None


def _pairs(engines: tuple[str, ...]) -> list[tuple[str, str]]:
    """All pairs of engines: first each against the referee, then the others among themselves."""
    others = sorted((e for e in engines if e != REFEREE), key=_place)
    with_referee = [(e, REFEREE) for e in others] if REFEREE in engines else []
    among = [(a, b) for i, a in enumerate(others) for b in others[i + 1 :]]
    return with_referee + among


def _place(engine: str) -> tuple[int, str]:
    return (ENGINES.index(engine) if engine in ENGINES else len(ENGINES), engine)


def _gravity(difference: Difference) -> tuple[int, float]:
    """Severity, then how far beyond what was allowed (Inf where no number says it)."""
    severity, allowed = SEVERITY[difference.verdict], max(difference.rtol, difference.budget)
    if difference.relative is None:
        return severity, math.inf
    if difference.relative == 0:
        return severity, 0.0
    return severity, difference.relative / allowed if allowed else math.inf
