"""A difference: two observations of one quantity side by side, and the verdict on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..studies.contract import Kind, Mode, Quantity, Term
from . import metrics
from .budget import REFEREE, Side, Tolerance
from .formal import contract_mismatch, formal_mismatch, formal_notes, identical, number_kind
from .formatting import size as show
from .formatting import terms as shown_terms
from .verdicts import Verdict, budget, weigh

_ANGLES = ("gradient", "jacobian")


@dataclass(frozen=True)
class Difference:
    """Two observations of one quantity side by side. Plain data: it survives JSON.

    **Arguments:**

    - `study`, `quantity`, `kind`, `mode`, `unit`: what is compared.
    - `left`, `right`: engines; `against` is the quantity on the right, another one than `quantity`
      where that is a further opinion (`Quantity.compare_with`).
    - `absolute`, `relative`: ||x - y||_2, and that over max(||x||_2, ||y||_2).
    - `elementwise`: the largest |x_i - y_i| / max(|x_i|, |y_i|).
    - `ulps`, `ulps_median`: floating-point numbers in between, in the coarser dtype of the two.
    - `digits`: decimal digits agreed, in the norm.
    - `cosine`: of gradients and Jacobians.
    - `worst_index`, `worst_left`, `worst_right`: where |x_i - y_i| is largest, and both numbers
      there to the last digit; None and empty where nothing differs.
    - `rtol`, `atol`, `tolerance`: what was allowed, and why.
    - `radius`: norm of the proven radii, where the referee is one of the two.
    - `terms`: what more was allowed; `budget` is their sum.
    - `verdict`, `reason`: see `verdicts.py`; the reason in one sentence.
    - `cause`: id of the entry in the register of known differences, where that decided.
    - `notes`: NaN or Inf on both sides, a differing sign of zero, differing dtypes.

    A metric is None where it has no meaning (text, another shape, NaN on one side), where it is too
    large for a double, and for arrays of more than `metrics.LARGE` entries where it would cost more
    than computing them did (`elementwise`, `ulps`).
    """

    study: str
    quantity: str
    kind: Kind
    mode: Mode
    left: str
    right: str
    verdict: Verdict
    reason: str
    unit: str = "1"
    against: str = ""
    absolute: float | None = None
    relative: float | None = None
    elementwise: float | None = None
    ulps: int | None = None
    ulps_median: float | None = None
    digits: float | None = None
    cosine: float | None = None
    worst_index: tuple[int, ...] | None = None
    worst_left: str = ""
    worst_right: str = ""
    rtol: float = 0.0
    atol: float = 0.0
    tolerance: str = ""
    radius: float | None = None
    terms: tuple[Term, ...] = ()
    cause: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def budget(self) -> float:
        """The sum of the terms, a relative difference."""
        return budget(self.terms)

    @property
    def pair(self) -> str:
        """`torch–julia`, for tables."""
        return f"{self.left}–{self.right}"

    @property
    def name(self) -> str:
        """`study/quantity`, and the other quantity where there is one."""
        other = f" against {self.against}" if self.against not in ("", self.quantity) else ""
        return f"{self.study}/{self.quantity}{other}"


def unavailable(
    study: str, quantity: Quantity, left: str, right: str, against: str, reason: str
) -> Difference:
    """The row for a pair of which one has no value."""
    return Difference(
        study=study,
        quantity=quantity.name,
        kind=quantity.kind,
        mode=quantity.mode,
        unit=quantity.unit,
        left=left,
        right=right,
        against=against,
        verdict="unavailable",
        reason=reason,
    )


def differ(
    study: str,
    quantity: Quantity,
    left: Side,
    right: Side,
    tolerance: Tolerance,
    terms: Sequence[Term] = (),
    radius: float | None = None,
) -> Difference:
    """Measure two values and judge them, before the register of known differences is asked."""
    x, y = _alike(left, right, tolerance)
    known = None if tolerance.exact else metrics.large(x, y)
    verdict, reason = _judge(x, y, tolerance, terms, radius, known)
    base = unavailable(study, quantity, left.engine, right.engine, right.quantity, reason)
    return replace(
        base,
        verdict=verdict,
        rtol=tolerance.rtol,
        atol=tolerance.atol,
        tolerance=tolerance.source,
        radius=radius,
        terms=tuple(terms),
        **(_measure(x, y, quantity.kind) if known is None else _measured(x, y, known)),
    )


def _alike(left: Side, right: Side, tolerance: Tolerance) -> tuple[np.ndarray, np.ndarray]:
    """Both values; for a comparison to the last bit, the referee's rounded to the other's dtype.

    The referee returns doubles whatever the working precision is. Two engines that return different
    dtypes are left as they are: that one of them promoted is something to see.
    """
    x, y = left.value, right.value
    if tolerance.exact and x.dtype.kind == y.dtype.kind == "f":
        if left.engine == REFEREE and x.dtype.itemsize > y.dtype.itemsize:
            x = x.astype(y.dtype)
        elif right.engine == REFEREE and y.dtype.itemsize > x.dtype.itemsize:
            y = y.astype(x.dtype)
    return x, y


def _judge(
    x: np.ndarray,
    y: np.ndarray,
    tolerance: Tolerance,
    terms: Sequence[Term],
    radius: float | None,
    known: metrics.Large | None = None,
) -> tuple[Verdict, str]:
    if known is None:
        formal = formal_mismatch(x, y, exact=tolerance.exact)
        if formal is not None:
            return "disagree", formal
        if identical(x, y):
            return "agree", "equal to the last bit"
        if number_kind(x) == "text":
            return "disagree", "the texts differ"
        relative, size = metrics.relative(x, y), metrics.larger_norm(x, y)
    else:
        relative, size = known.relative, known.size
    verdict = weigh(relative, size, tolerance, terms, radius)
    gap, allowed, more = show(relative), tolerance.allowed(size), show(budget(terms))
    counts = radius is not None and radius > max(1e-3 * allowed, 1e-17) * size
    proof = f" and the proven radius {show(radius)}" if counts else ""
    if verdict == "agree":
        return verdict, f"relative difference {gap} within the tolerance {show(allowed)}{proof}"
    if verdict == "agree within budget":
        return verdict, (
            f"relative difference {gap} beyond the tolerance {show(allowed)}, "
            f"within the budget {more} = {shown_terms(terms)}"
        )
    if verdict == "unavailable":
        wide = show((radius or 0.0) / size)
        return verdict, f"not proven: the radius of the proof, {wide}, is wider than all allowed"
    bound = f"the tolerance {show(allowed)}{proof}"
    if tolerance.exact:
        bound = f"equality to the last bit{proof}"
    return verdict, f"relative difference {gap} beyond {bound}" + (
        f" and beyond the budget {more}" if terms else ""
    )


def _measure(x: np.ndarray, y: np.ndarray, kind: Kind) -> dict[str, Any]:
    """The metrics that have a meaning for these two values."""
    if contract_mismatch(x, y) is not None:
        return {"worst_left": _shown(x), "worst_right": _shown(y)}
    found: dict[str, Any] = {}
    if not identical(x, y):
        index = _worst(x, y)
        found = {"worst_index": index, "worst_left": str(x[index]), "worst_right": str(y[index])}
    if number_kind(x) == "text":
        return found
    found["notes"] = formal_notes(x, y) if formal_mismatch(x, y) is None else ()
    relative = metrics.relative(x, y)
    found |= {
        "absolute": _plain(metrics.absolute(x, y)),
        "relative": _plain(relative),
        "elementwise": _plain(metrics.worst_relative(x, y)),
    }
    if number_kind(x) != "integer" and _plain(relative) is not None:
        found |= {
            "ulps": metrics.ulps(x, y),
            "ulps_median": metrics.ulps_median(x, y),
            "digits": metrics.digits_of(relative, x, y),
        }
    if kind in _ANGLES and x.size > 1:
        found["cosine"] = _plain(metrics.cosine(x, y))
    return found


def _measured(x: np.ndarray, y: np.ndarray, known: metrics.Large) -> dict[str, Any]:
    """The norm-wise metrics of large arrays, whose entries are not gone through one by one."""
    index = tuple(int(i) for i in np.unravel_index(known.worst, x.shape))
    return {
        "worst_index": index,
        "worst_left": str(x[index]),
        "worst_right": str(y[index]),
        "absolute": known.absolute,
        "relative": known.relative,
        "digits": metrics.digits_of(known.relative, x, y),
        "cosine": known.cosine,
    }


def _worst(x: np.ndarray, y: np.ndarray) -> tuple[int, ...]:
    """Index of the entry that is furthest apart; only asked where some entry is."""
    if number_kind(x) == "text":
        score = (x != y).astype(float)
    elif number_kind(x) == "integer":
        score = np.abs(x.astype(object) - y.astype(object)).astype(float)
    else:
        score = _gap(np.real(x), np.real(y))
        if np.iscomplexobj(x):
            score = np.maximum(score, _gap(x.imag, y.imag))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(score)), x.shape))


def _gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b|; Inf where a non-finite entry differs, above zero where the sign of zero does."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.abs(a - b)
    same = (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))
    return np.where(same, 0.0, np.where(np.isnan(gap), np.inf, np.maximum(gap, math.ulp(0.0))))


def _plain(value: float) -> float | None:
    """JSON has neither NaN nor Inf."""
    return value if math.isfinite(value) else None


def _shown(value: np.ndarray) -> str:
    return f"{value.dtype}{list(value.shape)}"
