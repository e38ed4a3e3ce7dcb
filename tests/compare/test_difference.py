"""A difference of two values: what is measured, what is judged, and what never slips through."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare.budget import Side, Tolerance, budget_terms, proven_radius
from numdl_bridge.compare.difference import Difference, differ
from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.contract import Quantity, Term
from numdl_bridge.studies.observation import Observation

GRADIENT = Quantity("g", "gradient", 1e-12, "a test")
EXACT = Quantity("g", "gradient", 0.0, "a test")
LOOSE = Tolerance(1e3, 1e3, "whatever")


def side(engine, value, quantity="g", **extra):
    observation = Observation("stub", engine, {}, "", {quantity: np.asarray(value)}, **extra)
    return Side(engine, quantity, observation)


def compared(x, y, tolerance=LOOSE, left="torch", right="julia", **extra) -> Difference:
    return differ("stub", GRADIENT, side(left, x), side(right, y), tolerance, **extra)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.nan, 1.0),
        (np.inf, 1.0),
        (np.inf, -np.inf),
        (np.inf, np.nan),
        ([1.0, np.nan], [np.nan, 1.0]),
        ([1.0], [1.0, 1.0]),
        (1.0, [1.0]),
        (1, 1.0),
        (1.0, 1 + 0j),
        ("rk4", "dopri5"),
        ("1.0", 1.0),
    ],
)
def test_no_tolerance_waves_these_through(x, y):
    for tolerance in (LOOSE, Tolerance(0, 0, "")):
        for a, b in ((x, y), (y, x)):
            found = compared(a, b, tolerance, terms=(Term("all", 1e9, ""),), radius=1e300)
            assert found.verdict == "disagree", (a, b)
            assert found.reason


def test_what_the_field_s_comparators_let_pass():
    """NaN against 1, Inf against 1, 1e-5 against 0: no mismatch in gradbench's formula."""
    tolerance = Tolerance(1e-4, 0, "gradbench's global tolerance, as a relative one")
    for x, y in ((np.nan, 1.0), (np.inf, 1.0), (1e-5, 0.0)):
        assert compared(x, y, tolerance).verdict == "disagree"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
def test_equal_values_agree_whatever_they_are(values):
    found = compared(values, list(values), Tolerance(0, 0, ""))
    assert found.verdict == "agree"
    assert found.relative == 0
    assert found.worst_index is None
    has_nan = bool(np.isnan(values).any())
    assert any("NaN on both sides" in note for note in found.notes) == has_nan


@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5),
    where=st.integers(0, 4),
    up=st.booleans(),
)
def test_to_the_last_bit_means_the_last_bit(values, where, up):
    where %= len(values)
    other = np.array(values)
    other[where] = np.nextafter(other[where], np.inf if up else -np.inf)
    found = compared(values, other, Tolerance(0, 0, ""))
    assert found.verdict == "disagree"
    assert found.ulps == 1
    assert found.worst_index == (where,)


def test_the_sign_of_zero_decides_only_where_all_bits_do():
    x, y = [0.0, 1.0], [-0.0, 1.0]
    exact = compared(x, y, Tolerance(0, 0, ""))
    assert (exact.verdict, exact.worst_index) == ("disagree", (0,))
    assert (exact.worst_left, exact.worst_right) == ("0.0", "-0.0")
    tolerant = compared(x, y, Tolerance(1e-15, 0, ""))
    assert tolerant.verdict == "agree"
    assert tolerant.notes == ("the sign of zero differs in 1 of 2 entries",)


def test_the_worst_entry_is_the_one_furthest_apart():
    x = np.arange(6.0).reshape(2, 3)
    y = x.copy()
    y[0, 1] += 1e-3
    y[1, 2] -= 1e-2
    found = compared(x, y)
    assert (found.worst_index, found.worst_left, found.worst_right) == ((1, 2), "5.0", "4.99")
    y[1, 0] = np.nan
    assert compared(x, y).worst_index == (1, 0)
    assert compared(["a", "b"], ["a", "c"]).worst_index == (1,)
    assert compared([2**62, 5], [2**62, 6]).worst_index == (1,)
    assert compared([1 + 1j, 2 + 2j], [1 + 1j, 2 + 3j]).worst_index == (1,)


def test_single_against_double_is_seen_between_engines_and_not_against_the_referee():
    x = np.float32([0.1, 0.2])
    y = np.float64([0.1, 0.2])
    exact = Tolerance(0, 0, "")
    assert compared(x, y, exact).verdict == compared(y, x, exact).verdict == "disagree"
    assert compared(x, y, exact, right="referee").verdict == "agree"
    assert compared(y, x, exact, left="referee", right="torch").verdict == "agree"
    assert compared(np.nextafter(x, 1), y, exact, right="referee").verdict == "disagree"
    assert "float32 against float64" in compared(x, y).notes[0]


def test_cosine_is_for_gradients_with_a_direction():
    assert compared([1.0, 0.0], [1.0, 0.0]).cosine == 1
    assert compared(1.0, 1.0).cosine is None
    loss = Quantity("g", "loss", 1.0, "a test")
    assert differ("stub", loss, side("a", [1.0, 2.0]), side("b", [1.0, 2.0]), LOOSE).cosine is None


@pytest.mark.parametrize(
    ("x", "y"),
    [(np.nan, 1.0), (1e308, -1e308), ([1.0], [2.0, 3.0]), ("a", "b"), ([np.inf], [np.inf]),
     ([], []), (1, 2), (2**63 - 1, -(2**63)), (np.float16(1), np.float16(2)), (1j, 2j)],
)  # fmt: skip
def test_survives_json(x, y):
    found = compared(x, y, terms=(Term("solver", 1e-9, "a test"),))
    text = msgspec.json.encode(found)
    assert b"null" in text or found.cosine is not None
    assert msgspec.json.decode(text, type=Difference) == found


def test_the_names_of_the_terms_are_in_the_reason():
    parts = (Term("solver", 1e-9, "a test"), Term("interpolation", 1e-10, "a test"))
    found = compared(1.0, 1.0 + 1e-9, Tolerance(1e-12, 0, ""), terms=parts)
    assert found.verdict == "agree within budget"
    assert "1.1e-9 = solver 1.0e-9 + interpolation 1.0e-10" in found.reason
    assert found.terms == parts
    assert found.budget == pytest.approx(1.1e-9)


ROUNDING = {"rounding": {"g": 1e-14}}


@pytest.mark.parametrize(
    ("left", "right", "names"),
    [
        ("torch", "referee", ["rounding in torch"]),
        ("torch", "julia", ["rounding in torch", "rounding in julia"]),
        ("referee", "julia", ["rounding in julia"]),
    ],
)
def test_rounding_counts_once_for_each_engine_that_rounds(left, right, names):
    referee = side("referee", 1.0, **ROUNDING).observation
    tolerance = Tolerance(1e-15, 0, "")
    found = budget_terms(GRADIENT, side(left, 1.0), side(right, 1.0), referee, tolerance, 2.0)
    assert [t.name for t in found] == names
    assert all(t.size == 2e-14 for t in found)


def test_rounding_excuses_nothing_that_is_compared_to_the_last_bit():
    referee = side("referee", 1.0, **ROUNDING).observation
    sides = side("torch", 1.0), side("referee", 1.0)
    assert budget_terms(EXACT, *sides, referee, Tolerance(0, 0, "")) == ()
    assert budget_terms(GRADIENT, *sides, None, Tolerance(1, 0, "")) == ()


@pytest.mark.parametrize("size", [math.nan, math.inf, -1.0])
def test_a_term_without_a_size_is_refused(size):
    quantity = Quantity("g", "gradient", 1e-12, "a test", terms=(Term("bad", size, ""),))
    with pytest.raises(BadInputError, match="term 'bad'"):
        budget_terms(quantity, side("a", 1.0), side("b", 1.0), None, LOOSE)


@pytest.mark.parametrize(
    ("value", "radii", "expected"),
    [
        ([3.0, 4.0], [3e-30, 4e-30], 5e-30),
        ([3.0, np.nan], [3e-30, np.inf], 3e-30),
        ([3.0, 4.0], [3e-30, np.inf], None),
        ([3.0, 4.0], None, None),
    ],
)
def test_the_radius_of_a_proof(value, radii, expected):
    proof = {} if radii is None else {"radii": {"g": np.array(radii)}}
    referee = side("referee", value, **proof)
    found = proven_radius(side("torch", value), referee)
    assert found == (expected if expected is None else pytest.approx(expected))
    assert proven_radius(side("torch", value), side("julia", value)) is None


def test_a_radius_widens_the_tolerance():
    apart = 1.0, 1.0 + 1e-10
    tolerance = Tolerance(1e-12, 0, "")
    assert compared(*apart, tolerance, radius=1e-9).verdict == "agree"
    assert "proven radius" in compared(*apart, tolerance, radius=1e-9).reason
    assert compared(*apart, tolerance, radius=1e-11).verdict == "disagree"
