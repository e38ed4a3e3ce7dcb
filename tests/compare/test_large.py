"""Large arrays: a few passes must tell what the careful metrics tell."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.compare import metrics

N = metrics.LARGE + 1


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal(N)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_as_the_careful_metrics(x, size, dtype) -> None:
    y = (x + size * np.random.default_rng(1).standard_normal(N)).astype(dtype)
    x = x.astype(dtype)
    y[7] += dtype(10 * size + 1e-3)
    found = metrics.large(x, y)
    assert found.absolute == pytest.approx(metrics.absolute(x, y), rel=1e-10)
    assert found.relative == pytest.approx(metrics.relative(x, y), rel=1e-10)
    assert found.size == pytest.approx(metrics.larger_norm(x, y), rel=1e-10)
    assert found.worst == np.argmax(np.abs(x.astype(float) - y))
    gap, careful = 1 - found.cosine, 1 - metrics.cosine(x, y)
    assert gap == pytest.approx(careful, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_nothing_that_needs_care_is_waved_through(x, value) -> None:
    y = x.copy()
    y[3] = value
    assert metrics.large(x, y) is None
    assert metrics.large(y, y) is None


def test_equal_small_and_other_arrays_are_left_to_the_careful_metrics(x) -> None:
    assert metrics.large(x, x.copy()) is None
    assert metrics.large(x[:5], x[:5] + 1) is None
    assert metrics.large(x, x.astype(np.float32)) is None
    assert metrics.large(x, x[:-1]) is None
    assert metrics.large(x * 1e-200, x * 2e-200) is None
    assert metrics.large(np.arange(N), np.arange(N) + 1) is None


def test_a_single_wrong_entry_of_a_million_is_found() -> None:
    x = np.zeros(N)
    x[0] = 1.0
    y = x.copy()
    y[N - 1] = 1e-6
    found = metrics.large(x, y)
    assert found.worst == N - 1
    assert found.relative == pytest.approx(1e-6)
