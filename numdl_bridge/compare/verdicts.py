"""The five verdicts, and the one place where a difference gets its own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, get_args

from ..studies.contract import Term
from .budget import Tolerance

Verdict = Literal["agree", "agree within budget", "explained", "disagree", "unavailable"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SEVERITY: dict[Verdict, int] = {
    "unavailable": 0,
    "agree": 1,
    "agree within budget": 2,
    "explained": 3,
    "disagree": 4,
}


WIDEST = 1e-6
"""A proven radius above this, relative in the norm, is no knowledge to judge others by."""


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that a group of differences deserves; `unavailable` when there is none."""
    return max(verdicts, key=SEVERITY.__getitem__, default="unavailable")


def weigh(
    relative: float,
    size: float,
    tolerance: Tolerance,
    terms: Iterable[Term] = (),
    radius: float | None = None,
) -> Verdict:
    """The verdict on values that are formally comparable, before a cause is looked for.

    **Arguments:**

    - `relative`: ||x - y||_2 / max(||x||_2, ||y||_2); NaN and Inf disagree.
    - `size`: max(||x||_2, ||y||_2).
    - `tolerance`, `terms`: what is allowed, and what more is.
    - `radius`: norm of the proven radii; nothing inside it is known, so it widens either bound.
      Where it is wider than `WIDEST` it excuses nothing: what only it would cover is `unavailable`.

    Monotone: a larger tolerance, budget or radius never makes a `disagree` of a milder verdict.
    """
    if not math.isfinite(relative):
        return "disagree"
    if relative == 0:
        return "agree"
    unknown = (radius or 0.0) / size if size else 0.0
    widened = unknown if unknown <= WIDEST else 0.0
    allowed, more = tolerance.allowed(size), budget(terms)
    if relative <= allowed + widened:
        return "agree"
    if relative <= more + widened:
        return "agree within budget"
    return "unavailable" if relative <= max(allowed, more) + unknown else "disagree"


def budget(terms: Iterable[Term]) -> float:
    """The sum of the terms: rounding errors may conspire, and a bound has to allow for it."""
    return math.fsum(term.size for term in terms)
