"""Timings: what is summarised, and when a ratio may be quoted."""

import numpy as np
import pytest
import stubs
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare import compare_study
from numdl_bridge.compare.timings import median_ratio_interval, ratios, summaries, timing_rows
from numdl_bridge.studies.observation import Timing, Unavailable

FAST = tuple(1e-3 * (1 + 0.01 * i) for i in range(9))
SLOW = tuple(3 * s for s in FAST)


def quoted(**changes):
    engines = {
        "torch": {"timings": [stubs.kernel(*SLOW)]},
        "julia": {"timings": [stubs.kernel(*FAST)]},
        "referee": {},
    }
    for name, extra in changes.items():
        engines[name] = {**engines[name], **extra}
    study, options, observations = stubs.observations(**engines)
    comparison = compare_study(study, options, observations)
    (found,) = ratios(comparison, observations)
    return found


def test_the_ratio_of_medians_with_its_interval():
    found = quoted()
    assert found.ratio == pytest.approx(3)
    assert found.low < 3 < found.high
    assert found.high - found.low < 0.3
    assert found.reason == ""
    assert quoted() == found  # the bootstrap is seeded


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"torch": {"spoil": {"gradient": lambda v: v * 1.1}}}, "disagree on 'gradient'"),
        ({"julia": {"spoil": {"gradient/other": lambda v: -v}}}, "disagree on 'gradient/other'"),
        ({"julia": {"recorded": "2026-11-01"}}, "julia was recorded elsewhere (2026-11-01)"),
        ({"torch": {"recorded": "2026-11-01"}}, "torch was recorded"),
        (
            {"torch": {"provenance": {"threads": 1}}, "julia": {"provenance": {"threads": 4}}},
            "torch ran on 1 threads, julia on 4",
        ),
        (
            {"torch": {"spoil": {"gradient": Unavailable("none")}}},
            "no gradients of theirs were compared",
        ),
        ({"torch": {"timings": [stubs.kernel(0.0, *SLOW)]}}, "zero seconds"),
    ],
)
def test_no_ratio_is_quoted(changes, said):
    found = quoted(**changes)
    assert found.ratio is None
    assert said in found.reason


def test_what_agrees_within_its_budget_or_is_otherwise_wrong_may_be_divided():
    assert quoted(torch={"spoil": {"gradient": lambda v: v * (1 + 1e-10)}}).ratio is None
    within = {"spoil": {"gradient": lambda v: v * (1 + 1e-13)}}
    assert quoted(torch=within).ratio == pytest.approx(3)


def test_few_samples_have_no_ratio():
    found = quoted(torch={"timings": [stubs.kernel(0.3, 0.3, 0.3, 0.3)]})
    assert (found.ratio, found.low, found.high) == (None, None, None)
    assert found.reason == "fewer than 5 samples of one of the two"


def test_a_pair_that_is_not_there_has_no_ratio():
    study, options, observations = stubs.observations(torch={"timings": [stubs.kernel(*SLOW)]})
    assert not list(ratios(compare_study(study, options, observations), observations))


def test_summaries():
    timings = [
        stubs.kernel(5.0, 1.0, 2.0, 4.0, 3.0),
        Timing("engine", "package load", (7.0,)),
        stubs.kernel(6.0),
        stubs.kernel(),
        stubs.kernel(task="nothing"),
    ]
    *_, observations = stubs.observations(julia={"timings": timings, "recorded": "2026-11-01"})
    kernel, load = summaries(observations)
    assert (kernel.task, kernel.phase, kernel.engine) == ("gradient", "kernel", "julia")
    assert (kernel.minimum, kernel.median, kernel.iqr, kernel.samples) == (1.0, 3.5, 2.5, 6)
    assert (load.phase, load.median, load.iqr) == ("package load", 7.0, 0.0)
    assert kernel.recorded == load.recorded == "2026-11-01"


def test_rows_have_the_ratio_at_the_kernel_only():
    load = Timing("gradient", "first call", (1.0,))
    study, options, observations = stubs.observations(
        torch={"timings": [load, stubs.kernel(*SLOW)]},
        julia={"timings": [load, stubs.kernel(*FAST)]},
    )
    first, kernel = timing_rows(compare_study(study, options, observations), observations)
    assert (first.phase, first.ratio) == ("first call", None)
    assert list(kernel.engines) == ["torch", "julia"]
    assert kernel.ratio.ratio == pytest.approx(3)


@given(factor=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_the_interval_holds_the_estimate_and_scales(factor, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.lognormal(size=20), rng.lognormal(size=20)
    low, high = median_ratio_interval(a, b, resamples=300)
    assert low <= np.median(a) / np.median(b) <= high
    scaled = median_ratio_interval(factor * a, b, resamples=300)
    assert scaled == pytest.approx((factor * low, factor * high))


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says():
    """95 % nominal; the percentile method on medians of 25 is known to be a little off."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        a, b = 2 * rng.lognormal(sigma=0.3, size=25), rng.lognormal(sigma=0.3, size=25)
        low, high = median_ratio_interval(a, b, resamples=300)
        hits += low <= 2 <= high
    assert 0.9 <= hits / 200 <= 0.99
