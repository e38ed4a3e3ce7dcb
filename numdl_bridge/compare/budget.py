"""What two values of a quantity may differ by, and why: the tolerance, and the terms beyond it.

A budget is computed, not guessed: the quantity's own terms, each with its source, and for each of
the two engines that rounds the referee's bound on what rounding may do. The radius of the referee's
proof is kept apart: it widens the plain tolerance too, because nothing inside it is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..errors import BadInputError, UnknownNameError
from ..studies.contract import Options, Quantity, Study, Term
from ..studies.observation import Observation
from .metrics import norm

REFEREE = "referee"

USEFUL = {8: 1e-6, 4: 1e-2, 2: 1e-1}
"""By bytes of a number: a bound on rounding above this would excuse a mistake, and is not used.

Balls in working precision widen where an interval's dependence is lost; a bound of the size of the
value itself says nothing about a float evaluation."""


@dataclass(frozen=True)
class Tolerance:
    """||x - y||_2 <= atol + rtol * max(||x||_2, ||y||_2), and where the two numbers come from."""

    rtol: float
    atol: float
    source: str

    @property
    def exact(self) -> bool:
        """Whether the comparison is to the last bit, the sign of zero included."""
        return self.rtol == 0 and self.atol == 0

    def allowed(self, size: float) -> float:
        """As a relative difference, for values of norm `size`."""
        return self.rtol + (self.atol / size if size else 0.0)


@dataclass(frozen=True)
class Side:
    """One of the two: the engine's name, the name of its quantity, and what it observed."""

    engine: str
    quantity: str
    observation: Observation

    @property
    def value(self) -> np.ndarray:
        return np.asarray(self.observation.values[self.quantity])


def tolerance_of(
    study: str,
    quantity: Quantity,
    scale: float = 1.0,
    overrides: Mapping[str, float] | None = None,
    beside: bool = False,
) -> Tolerance:
    """The tolerance of a quantity, re-scored.

    **Arguments:**

    - `beside`: that for its comparison with the quantity which it is a further opinion of.
    - `scale`: multiplies `rtol` and `atol` (a quantity compared to the last bit stays so).
    - `overrides`: `rtol` by pattern of the quantity's name, or of `study/quantity`; the last that
      matches counts, and `scale` does not act on it.

    Raises `BadInputError` where a number is negative or not finite.
    """
    scale = positive("scale", scale)
    rtol, source = quantity.rtol, quantity.source
    if beside and quantity.beside is not None:
        rtol, source = quantity.beside.size, quantity.beside.source
    found = Tolerance(
        _size(f"rtol of {study}/{quantity.name}", rtol) * scale,
        _size(f"atol of {study}/{quantity.name}", quantity.atol) * scale,
        f"{source}, times {scale:g}" if scale != 1 else source,
    )
    for pattern, rtol in (overrides or {}).items():
        if _names(pattern, study, quantity.name):
            source = f"set for {pattern!r} by the caller"
            found = replace(found, rtol=_size(f"rtol for {pattern!r}", rtol), source=source)
    return found


def check_overrides(
    studies: Iterable[tuple[Study, Options]], overrides: Mapping[str, float]
) -> None:
    """Raise `UnknownNameError` for a pattern that names no quantity of any of the studies."""
    if not overrides:
        return
    names = [(s.name, q.name) for s, options in studies for q in s.quantities(options)]
    for pattern in overrides:
        if not any(_names(pattern, study, quantity) for study, quantity in names):
            known = ", ".join(f"{study}/{quantity}" for study, quantity in names[:12])
            more = ", ..." if len(names) > 12 else ""
            raise UnknownNameError(
                f"no quantity matches the pattern {pattern!r}", f"a pattern over {known}{more}"
            )


def budget_terms(
    quantity: Quantity,
    left: Side,
    right: Side,
    referee: Observation | None,
    tolerance: Tolerance,
    scale: float = 1.0,
) -> tuple[Term, ...]:
    """The named terms of a pair's budget, relative, in the norm; multiplied by `scale`.

    Rounding counts once for each engine that rounds (the referee's own is in its radius), and not
    at all for what is compared to the last bit, or where its bound is not `USEFUL`.
    """
    scale = positive("scale", scale)
    terms = [
        replace(t, size=_size(f"term {t.name!r} of {quantity.name}", t.size) * scale)
        for t in quantity.terms
    ]
    if referee is None or tolerance.exact:
        return tuple(terms)
    for side in (left, right):
        bound = referee.rounding.get(side.quantity, referee.rounding.get(quantity.name))
        useful = USEFUL.get(side.value.dtype.itemsize, 0.0)
        if side.engine != REFEREE and bound is not None and bound <= useful:
            source = "the referee's bound, from the operations of this evaluation in balls"
            terms.append(Term(f"rounding in {side.engine}", bound * scale, source))
    return tuple(terms)


def proven_radius(left: Side, right: Side) -> float | None:
    """Norm of the proven radii of the pair's referee values; None where there is no proof.

    Entries that are NaN or Inf by right have no radius and count for nothing.
    """
    found = None
    for side in (left, right):
        radii = side.observation.radii.get(side.quantity)
        if side.engine != REFEREE or radii is None or side.value.dtype.kind not in "fiuc":
            continue
        known = np.asarray(radii)[np.isfinite(side.value)]
        if not np.isfinite(known).all():
            return None
        found = (found or 0.0) + norm(known)
    return found


def positive(name: str, value: float) -> float:
    """`value` as a float. Raises `BadInputError` unless it is positive and finite."""
    number = _size(name, value)
    if number == 0:
        raise BadInputError(f"{name} = {value!r}", "a positive finite number")
    return number


def _size(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise BadInputError(f"{name} = {value!r}", "a finite number, zero or more")
    return number


def _names(pattern: str, study: str, quantity: str) -> bool:
    return fnmatchcase(quantity, pattern) or fnmatchcase(f"{study}/{quantity}", pattern)
