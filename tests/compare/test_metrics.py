"""Metrics: symmetry, scaling, known values, and what must never come out as equal."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from numdl_bridge.compare import metrics
from numdl_bridge.errors import BadInputError

FLOATS = [np.float16, np.float32, np.float64]
dtypes = st.sampled_from(FLOATS)


def pairs(dtype, elements=None):
    """Two finite arrays of one shape and dtype."""
    if elements is None:
        width = 8 * np.dtype(dtype).itemsize
        elements = st.floats(allow_nan=False, allow_infinity=False, width=width)
    shapes = hnp.array_shapes(min_dims=0, max_dims=2, max_side=4)
    return shapes.flatmap(
        lambda shape: st.tuples(*[hnp.arrays(dtype, shape, elements=elements)] * 2)
    )


any_pair = dtypes.flatmap(pairs)
moderate = pairs(np.float64, st.floats(-1e3, 1e3))
SYMMETRIC = [
    metrics.absolute,
    metrics.relative,
    metrics.worst_relative,
    metrics.ulps,
    metrics.ulps_median,
    metrics.digits,
    metrics.cosine,
]


@pytest.mark.parametrize("metric", SYMMETRIC, ids=lambda m: m.__name__)
@given(pair=any_pair)
def test_symmetric_and_never_nan(metric, pair):
    x, y = pair
    forward, backward = metric(x, y), metric(y, x)
    assert not math.isnan(forward)
    assert forward == backward


@given(pair=any_pair)
def test_zero_exactly_for_equal_numbers(pair):
    x, y = pair
    equal = bool((x == y).all())
    for metric in (metrics.absolute, metrics.relative, metrics.worst_relative, metrics.ulps):
        assert (metric(x, y) == 0) == equal
        assert metric(x, x) == 0


@given(pair=any_pair)
def test_relative_is_bounded(pair):
    assert 0 <= metrics.relative(*pair) <= 2 * (1 + 1e-15)
    assert 0 <= metrics.worst_relative(*pair) <= 2
    assert -1 <= metrics.cosine(*pair) <= 1 + 1e-15


@given(data=st.data(), shape=hnp.array_shapes(max_dims=2, max_side=4))
def test_absolute_obeys_the_triangle_inequality(data, shape):
    x, y, z = (
        data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-1e6, 1e6))) for _ in range(3)
    )
    direct = metrics.absolute(x, z)
    assert direct <= (metrics.absolute(x, y) + metrics.absolute(y, z)) * (1 + 1e-14)


@given(pair=moderate)
def test_absolute_is_numpy_s_norm_where_that_works(pair):
    x, y = pair
    assume(((np.abs(x - y) > 1e-100) | (x == y)).all())
    assert metrics.absolute(x, y) == pytest.approx(np.linalg.norm(np.ravel(x - y)), rel=1e-14)


@given(pair=moderate, exponent=st.integers(-1000, 1000))
def test_relative_and_cosine_do_not_see_a_common_power_of_two(pair, exponent):
    x, y = pair
    assume(all((np.abs(v[v != 0]) > 1e-3).all() for v in (x, y)))
    scaled = np.ldexp(x, exponent), np.ldexp(y, exponent)
    assert metrics.relative(*scaled) == metrics.relative(x, y)
    assert metrics.cosine(*scaled) == metrics.cosine(x, y)
    assert metrics.worst_relative(*scaled) == metrics.worst_relative(x, y)


@given(pair=moderate, factor=st.floats(1e-3, 1e3))
def test_cosine_does_not_see_the_length_of_either(pair, factor):
    x, y = pair
    assume(metrics.norm(x) > 1e-3 and metrics.norm(y) > 1e-3)
    assert metrics.cosine(factor * x, y) == pytest.approx(metrics.cosine(x, y), abs=1e-14)
    assert metrics.cosine(-x, y) == pytest.approx(-metrics.cosine(x, y), abs=1e-14)


@given(dtype=dtypes, data=st.data())
def test_the_next_float_is_one_ulp_away(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    x = np.asarray(data.draw(st.floats(allow_nan=False, allow_infinity=False, width=width)), dtype)
    with np.errstate(over="ignore"):
        following = np.nextafter(x, dtype(np.inf))
        preceding = np.nextafter(x, dtype(-np.inf))
    assert metrics.ulps(x, following) == metrics.ulps(preceding, x) == 1
    assert metrics.ulps(preceding, following) == 2


@given(dtype=dtypes, data=st.data())
def test_ulps_add_up_along_the_line(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=width)
    low, middle, high = sorted(dtype(data.draw(numbers)) for _ in range(3))
    assert metrics.ulps(low, high) == metrics.ulps(low, middle) + metrics.ulps(middle, high)


@pytest.mark.parametrize(
    ("x", "y", "steps"),
    [
        (0.0, -0.0, 0),
        (5e-324, -5e-324, 2),
        (1.0, 1.0 + 2**-52, 1),
        (np.finfo(np.float64).max, np.inf, 1),
        (np.inf, np.inf, 0),
        (np.nan, np.nan, 0),
        (np.nan, 1.0, 2**64 - 1),
        (np.inf, np.nan, 2**64 - 1),
        (np.float32(1), np.float64(1) + 2**-23, 1),
        (np.float16(1), np.float32(1) + 2**-10, 1),
        (1.0, 2.0, 2**52),
    ],
)
def test_ulps_by_heart(x, y, steps):
    assert metrics.ulps(x, y) == steps


def test_ulps_of_float16_against_every_float16():
    """The ordinals of all 63,490 finite or infinite halves are consecutive integers."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    line = np.unique(np.sort(every[~np.isnan(every)]))
    assert (metrics.ulp_distances(line[:-1], line[1:]) == 1).all()
    assert line.size == 2 * 31745 - 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS)
@given(good=st.floats(-1e4, 1e4))
def test_what_is_not_finite_on_one_side_is_infinitely_far(bad, dtype, good):
    x, y = np.array([1, bad], dtype), np.array([1, good], dtype)
    assert metrics.absolute(x, y) == metrics.relative(x, y) == math.inf
    assert metrics.worst_relative(x, y) == math.inf
    assert metrics.digits(x, y) == 0
    assert math.isnan(metrics.cosine(x, y))


def test_infinities_of_opposite_sign_are_infinitely_far():
    assert metrics.relative([np.inf], [-np.inf]) == math.inf


@given(pair=moderate)
def test_the_same_non_finite_entries_change_nothing(pair):
    x, y = (np.append(v, [np.nan, np.inf, -np.inf]) for v in pair)
    assert metrics.absolute(x, y) == metrics.absolute(*pair)
    assert metrics.relative(x, y) == metrics.relative(*pair)
    assert metrics.cosine(x, y) == metrics.cosine(*pair)


@pytest.mark.parametrize(
    ("x", "y", "absolute", "relative"),
    [
        ([3e200, 4e200], [0, 0], 5e200, 1),
        ([3e-200, 4e-200], [0, 0], 5e-200, 1),
        ([1e308], [-1e308], math.inf, 2),
        ([1e300, 1e-30], [1e300, 0], 1e-30, math.ulp(0)),
        ([5e-324], [0], 5e-324, 1),
        ([1e-5], [0], 1e-5, 1),
        ([], [], 0, 0),
        ([0, 0], [-0.0, 0], 0, 0),
    ],
)
def test_norms_neither_overflow_nor_vanish(x, y, absolute, relative):
    x, y = np.array(x, float), np.array(y, float)
    assert metrics.absolute(x, y) == pytest.approx(absolute, rel=1e-15)
    assert metrics.relative(x, y) == pytest.approx(relative, rel=1e-15)


def test_a_norm_hides_what_the_largest_elementwise_difference_shows():
    x, y = np.array([1.0, 1e-12]), np.array([1.0, -1e-12])
    assert metrics.relative(x, y) < 3e-12
    assert metrics.worst_relative(x, y) == 2


@pytest.mark.parametrize("angle", [2.0, 1.0, 1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("turned", [0.0, 1.0, math.pi / 2, 3.0])
def test_cosine_is_that_of_the_angle_to_an_ulp_of_one(angle, turned):
    x = 7e200 * np.array([math.cos(turned), math.sin(turned)])
    y = 3e-200 * np.array([math.cos(turned + angle), math.sin(turned + angle)])
    # 1e-15 of an angle in the arguments moves its cosine by sin(angle) times as much.
    assert metrics.cosine(x, y) == pytest.approx(math.cos(angle), rel=0, abs=1e-15 * angle + 3e-16)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [([1, 0], [0, 1], 0), ([1, 1], [-2, -2], -1), ([0, 0], [0, 0], 1), ([0, 0], [1, 0], 0),
     ([1e-300, 0], [1e300, 1e300], math.sqrt(0.5))],
)  # fmt: skip
def test_cosine_by_heart(x, y, expected):
    assert metrics.cosine(np.array(x, float), np.array(y, float)) == pytest.approx(expected)


@pytest.mark.parametrize(("dtype", "most"), list(zip(FLOATS, [3.311, 7.225, 15.955])))
def test_digits_go_from_none_to_what_the_dtype_holds(dtype, most):
    one = np.ones(3, dtype)
    assert metrics.digits(one, one) == pytest.approx(most, abs=1e-3)
    assert metrics.digits(one, one * dtype(1.01)) == pytest.approx(2, abs=0.05)
    assert metrics.digits(one, -one) == 0


def test_complex_numbers_count_as_pairs_of_reals():
    x, y = np.array([3 + 0j, 1 + 1j]), np.array([3 + 4j, 1 + 1j])
    assert metrics.absolute(x, y) == 4
    assert metrics.elementwise(x, y).tolist() == [1, 0]
    assert metrics.ulps(x, x + 1j * np.array([0, 2**-52])) == 1
    assert metrics.cosine(x, 1j * x) == pytest.approx(0)


def test_integers_are_subtracted_exactly():
    x, y = np.array([2**63 - 1]), np.array([2**63 - 2])
    assert metrics.absolute(x, y) == 1
    assert metrics.absolute(np.array([1], np.uint64), np.array([2], np.uint64)) == 1
    assert metrics.relative(np.array([-(2**63)]), np.array([2**63 - 1])) == pytest.approx(2)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1.0], [1.0, 2.0], r"shape \(1,\)"),
        ([1.0], [1j], "complex"),
        (["a"], ["a"], "dtype"),
        (np.array([None]), np.array([None]), "dtype object"),
    ],
)
def test_what_has_no_distance_is_refused(x, y, said):
    with pytest.raises(BadInputError, match=said):
        metrics.relative(x, y)


def test_integers_have_no_ulps():
    with pytest.raises(BadInputError, match="floating-point"):
        metrics.ulps(1, 2)
