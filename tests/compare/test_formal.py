"""Shape, kind, NaN, Inf and the sign of zero: no pair of spoilt values comes out as the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare.formal import (
    differing_zero_signs,
    formal_mismatch,
    formal_notes,
    identical,
    number_kind,
)

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]
FLOATS = [np.float16, np.float32, np.float64]


def category(value):
    """What may never be confused with something else, apart from size."""
    return "nan" if np.isnan(value) else str(value) if np.isinf(value) else "finite"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("x", SPECIAL)
@pytest.mark.parametrize("y", SPECIAL)
def test_every_pair_of_special_values(x, y, dtype):
    a, b = np.array([2, x], dtype), np.array([2, y], dtype)
    assert (formal_mismatch(a, b) is None) == (category(x) == category(y))
    bits_differ = x == y == 0 and np.signbit(x) != np.signbit(y)
    assert (formal_mismatch(a, b, exact=True) is None) == (
        category(x) == category(y) and not bits_differ
    )
    assert identical(a, b) == (repr(x) == repr(y))


@given(
    values=st.lists(st.sampled_from(SPECIAL), min_size=1, max_size=6),
    where=st.integers(0, 5),
    other=st.sampled_from(SPECIAL),
)
def test_identical_sees_any_one_changed_entry(values, where, other):
    where %= len(values)
    x, y = np.array(values), np.array(values)
    y[where] = other
    assert identical(x, x.copy())
    assert identical(x, y) == (repr(values[where]) == repr(other))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros(3), np.zeros(4), "shape (3,) against (4,)"),
        (np.float64(1), np.ones(1), "shape () against (1,)"),
        (1, 1.0, "integer numbers (int64) against real numbers"),
        (1.0, 1 + 0j, "complex"),
        (1.0, "1.0", "text"),
        (np.nan, 1.0, "NaN on one side only in the one entry"),
        ([np.inf, 0], [-np.inf, 0], "Inf on one side only in 1 of 2 entries"),
        ([0, np.nan, np.nan], [0, 1, np.nan], "NaN on one side only in 1 of 3 entries"),
        (1 + 1j * np.nan, 1 + 1j, "NaN on one side only"),
    ],
)
def test_mismatches_say_what_they_are(x, y, said):
    assert said in formal_mismatch(x, y)
    assert formal_mismatch(y, x) is not None
    assert not identical(x, y)


@pytest.mark.parametrize(
    ("x", "kind"),
    [(True, "integer"), (1, "integer"), (np.uint8(1), "integer"), (1.0, "real"),
     (np.float16(1), "real"), (1j, "complex"), ("a", "text"), (np.array(["a"]), "text")],
)  # fmt: skip
def test_kinds(x, kind):
    assert number_kind(x) == kind


def test_truth_values_and_integers_are_one_kind():
    assert formal_mismatch(np.array([True]), np.array([1])) is None
    assert identical(np.array([True]), np.array([1]))


def test_what_both_sides_share_is_noted():
    x = np.array([np.nan, np.inf, 0.0, 1.0])
    y = np.array([np.nan, np.inf, -0.0, 1.0], np.float32)
    notes = " / ".join(formal_notes(x, y))
    assert "NaN on both sides in 1 of 4" in notes
    assert "same Inf on both sides in 1 of 4" in notes
    assert "sign of zero differs in 1 of 4" in notes
    assert "float64 against float32, ulps are of float32" in notes
    assert formal_notes(x, x) == formal_notes(x, x.copy()) != ()
    assert formal_notes([1.0], [1.0]) == formal_notes(1, 2) == formal_notes("a", "b") == ()


def test_signs_of_complex_zeros_count_by_part():
    x, y = np.array([complex(0.0, 0.0)]), np.array([complex(-0.0, -0.0)])
    assert differing_zero_signs(x, y) == 2
    assert formal_mismatch(x, y) is None
    assert formal_mismatch(x, y, exact=True) is not None


def test_one_nan_is_as_good_as_another():
    payload = np.array([0x7FF8000000000001], np.uint64).view(np.float64)
    assert identical(payload, np.array([np.nan]))
    assert identical(np.array([-np.nan]), np.array([np.nan]))


@pytest.mark.parametrize(("x", "y", "same"), [("dopri5", "dopri5", True), ("a", "b", False)])
def test_text(x, y, same):
    assert formal_mismatch(x, y) is None
    assert identical(x, y) == same
