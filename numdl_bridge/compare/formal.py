"""What no tolerance waves through: shape, kind of number, NaN, Inf, text, and the sign of zero.

The rule, in one place:

- Another shape or another kind of number (integer, real, complex, text) is always a disagreement.
- NaN agrees with NaN in the same place and with nothing else; Inf agrees with the Inf of the same
  sign. Where both sides agree on such entries the comparison goes on without them, and says so.
- The sign of zero: a quantity of `rtol == 0` and `atol == 0` is compared to the last bit, so that
  -0.0 and 0.0 disagree (only a NaN's payload is ignored). For every other quantity a differing
  sign of zero is noted and is no disagreement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .metrics import coarser, reals

_KINDS = {"b": "integer", "i": "integer", "u": "integer", "f": "real", "c": "complex"}


def number_kind(x: Any) -> str:
    """`integer` (truth values too), `real`, `complex` or `text`."""
    return _KINDS.get(np.asarray(x).dtype.kind, "text")


def contract_mismatch(x: Any, y: Any) -> str | None:
    """In words, the differing shape or kind of number; None where both are the same."""
    first, second = np.asarray(x), np.asarray(y)
    if first.shape != second.shape:
        return f"shape {first.shape} against {second.shape}"
    if number_kind(first) != number_kind(second):
        return (
            f"{number_kind(first)} numbers ({first.dtype}) against "
            f"{number_kind(second)} numbers ({second.dtype})"
        )
    return None


def formal_mismatch(x: Any, y: Any, *, exact: bool = False) -> str | None:
    """In words, what differs and is not a matter of size; None where nothing does.

    With `exact`, a differing sign of zero counts too.
    """
    contract = contract_mismatch(x, y)
    if contract is not None:
        return contract
    if number_kind(x) in ("text", "integer"):
        return None
    a, b = reals(x), reals(y)
    for name, test in _PATTERNS.items():
        where = np.flatnonzero(test(a) != test(b))
        if where.size:
            i = int(where[0])
            return (
                f"{name} on one side only in {_entries(where.size, a.size)}: {a[i]} against {b[i]}"
            )
    if exact:
        zeros = differing_zero_signs(x, y)
        if zeros:
            return f"the sign of zero differs in {_entries(zeros, a.size)}"
    return None


def formal_notes(x: Any, y: Any) -> tuple[str, ...]:
    """What both sides share, or differ in without disagreeing, that a reader should know of.

    To be asked only where `formal_mismatch` is None.
    """
    first, second = np.asarray(x), np.asarray(y)
    if number_kind(first) in ("text", "integer"):
        return ()
    a, b = reals(first), reals(second)
    notes = []
    if np.isnan(a).any():
        notes.append(f"NaN on both sides in {_entries(int(np.isnan(a).sum()), a.size)}")
    if np.isinf(a).any():
        notes.append(f"the same Inf on both sides in {_entries(int(np.isinf(a).sum()), a.size)}")
    if zeros := differing_zero_signs(first, second):
        notes.append(f"the sign of zero differs in {_entries(zeros, a.size)}")
    if first.dtype != second.dtype:
        notes.append(
            f"{first.dtype} against {second.dtype}, ulps are of {coarser(a.dtype, b.dtype)}"
        )
    return tuple(notes)


def differing_zero_signs(x: Any, y: Any) -> int:
    """In how many entries (real parts, imaginary parts) one side is 0.0 and the other -0.0."""
    a, b = reals(x), reals(y)
    return int(((a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))).sum())


def identical(x: Any, y: Any) -> bool:
    """Equal to the last bit, the sign of zero included; one NaN is as good as another."""
    if formal_mismatch(x, y, exact=True) is not None:
        return False
    if number_kind(x) == "text":
        return bool(np.array_equal(np.asarray(x), np.asarray(y)))
    a, b = reals(x), reals(y)
    if number_kind(x) == "integer":
        return bool(np.array_equal(a, b))
    return bool(np.array_equal(a, b, equal_nan=True))


_PATTERNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "NaN": np.isnan,
    "Inf": np.isposinf,
    "-Inf": np.isneginf,
}


def _entries(some: int, all_: int) -> str:
    return f"{some} of {all_} entries" if all_ > 1 else "the one entry"
