"""Verdicts: monotone in all that is allowed, and exact at the edge."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare.budget import Tolerance, tolerance_of
from numdl_bridge.compare.verdicts import SEVERITY, VERDICTS, budget, gravest, weigh
from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.contract import Quantity, Term

amounts = st.floats(0, 1e3)
positive = st.floats(1e-300, 1e300)


def terms(*sizes):
    return tuple(Term(f"term {i}", size, "a test") for i, size in enumerate(sizes))


@given(
    relative=st.floats(0, 2),
    size=positive,
    small=st.tuples(*[amounts] * 4),
    more=st.tuples(*[amounts] * 4),
)
def test_a_larger_allowance_is_never_graver(relative, size, small, more):
    """What only a wide proof would cover is `unavailable`: better than `disagree`, no excuse."""

    def severity(rtol, atol, term, radius):
        found = weigh(relative, size, Tolerance(rtol, atol, ""), terms(term), radius)
        return 3.5 if found == "unavailable" else SEVERITY[found]

    large = tuple(a + b for a, b in zip(small, more))
    for i in range(3):  # one at a time
        widened = tuple(large[j] if j == i else small[j] for j in range(4))
        assert severity(*widened) <= severity(*small)
    assert severity(*large[:3], small[3]) <= severity(*small)
    if severity(*small) < 4:  # a wider proof never makes it a disagreement
        assert severity(*small[:3], large[3]) < 4


@given(gap=st.floats(0, 2), wider=st.floats(0, 2), size=positive, rtol=amounts, term=amounts)
def test_a_larger_difference_is_never_milder(gap, wider, size, rtol, term):
    tolerance, parts = Tolerance(rtol, 0, ""), terms(term)
    near, far = sorted((gap, wider))
    assert (
        SEVERITY[weigh(near, size, tolerance, parts)]
        <= SEVERITY[weigh(far, size, tolerance, parts)]
    )


@given(relative=st.floats(0, 2), size=positive, rtol=st.floats(0, 2), extra=amounts)
def test_a_budget_never_turns_agree_into_anything_else(relative, size, rtol, extra):
    if weigh(relative, size, Tolerance(rtol, 0, "")) == "agree":
        assert weigh(relative, size, Tolerance(rtol, 0, ""), terms(extra), extra) == "agree"


@pytest.mark.parametrize(
    ("relative", "size", "tolerance", "parts", "radius", "verdict"),
    [
        (1e-12, 1, (1e-12, 0), (), None, "agree"),
        (1.1e-12, 1, (1e-12, 0), (), None, "disagree"),
        (1.1e-12, 1, (1e-12, 0), (1e-12, 1e-13), None, "agree within budget"),
        (1.2e-12, 1, (1e-12, 0), (1e-12, 1e-13), None, "disagree"),
        (1.0, 1e-5, (0, 1e-5), (), None, "agree"),
        (1.0, 1e-5, (0, 0.9e-5), (), None, "disagree"),
        (1.0, 1e-5, (1e-4, 0), (1e-3,), None, "disagree"),
        (0.0, 0.0, (0, 0), (), None, "agree"),
        (1e-16, 1, (0, 0), (), 1e-16, "agree"),
        (1e-16, 1, (0, 0), (), 0.9e-16, "disagree"),
        (2e-12, 100, (1e-12, 0), (), 1.01e-10, "agree"),
        (1.0, 1, (1e-12, 0), (), 1e9, "unavailable"),
        (1e-12, 1, (1e-12, 0), (), 1e9, "agree"),
        (2e-12, 1, (1e-12, 0), (2e-12,), 1e9, "agree within budget"),
        (2.0, 1, (1e-12, 0), (), 1.5, "disagree"),
        (math.inf, 1, (1, 1), (1e9,), 1e9, "disagree"),
        (math.inf, 5e-324, (0, 1), (), None, "disagree"),
        (math.nan, 1, (1, 1), (1e9,), 1e9, "disagree"),
        (2.0, math.inf, (0, 1e300), (), None, "disagree"),
    ],
)
def test_by_heart(relative, size, tolerance, parts, radius, verdict):
    assert weigh(relative, size, Tolerance(*tolerance, ""), terms(*parts), radius) == verdict


def test_a_budget_is_the_sum_of_its_terms():
    assert budget(terms(*[0.1] * 10)) == 1.0
    assert budget(()) == 0


def test_gravest():
    assert sorted(SEVERITY, key=SEVERITY.get)[-1] == gravest(VERDICTS) == "disagree"
    assert gravest(["unavailable", "agree"]) == "agree"
    assert gravest([]) == "unavailable"


QUANTITY = Quantity("gradient/rk4", "gradient", 1e-12, "4 u", atol=1e-14)


@given(scale=st.floats(1e-3, 1e3))
def test_scale_multiplies_both_tolerances(scale):
    found = tolerance_of("stub", QUANTITY, scale)
    assert (found.rtol, found.atol) == (1e-12 * scale, 1e-14 * scale)


@pytest.mark.parametrize(
    ("overrides", "rtol"),
    [
        ({}, 1e-12),
        ({"gradient/*": 1e-3}, 1e-3),
        ({"stub/*": 1e-4}, 1e-4),
        ({"other/*": 1e-4}, 1e-12),
        ({"*": 1e-3, "gradient/rk4": 1e-5}, 1e-5),
    ],
)
def test_overrides_by_pattern_the_last_one_counts(overrides, rtol):
    found = tolerance_of("stub", QUANTITY, overrides=overrides)
    assert found.rtol == rtol
    assert ("by the caller" in found.source) == (rtol != 1e-12)


def test_what_is_compared_to_the_last_bit_stays_so_when_scaled():
    assert tolerance_of("stub", Quantity("n", "count", 0, "integer"), 1e6).exact


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf, "two"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(BadInputError, match="scale"):
        tolerance_of("stub", QUANTITY, scale)


@pytest.mark.parametrize("rtol", [-1e-3, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(rtol):
    with pytest.raises(BadInputError, match="rtol"):
        tolerance_of("stub", QUANTITY, overrides={"*": rtol})
