"""Where two histories part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare.partings import partings
from numdl_bridge.studies.contract import Quantity
from numdl_bridge.studies.observation import Observation


def parting(x, y, beyond: float = 1e-3):
    quantity = Quantity("loss", "loss", 0.0, "test", compared=False, parted=beyond)
    plain = Quantity("theta", "value", 0.0, "test")
    observations = {
        name: Observation(
            study="s", engine=name, options={}, input_hash="", values={"loss": np.array(values)}
        )
        for name, values in (("torch", x), ("julia", y))
    }
    (found,) = partings([quantity, plain], observations)
    return found


def test_histories_that_stay_together() -> None:
    found = parting([4.0, 2.0, 0.0], [4.0, 2.0 * (1 + 1e-6), 0.0])
    assert found.at is None
    assert found.iterations == 3
    assert found.before == pytest.approx(1e-6, rel=1e-3)
    assert found.difference is found.largest is None


def test_the_first_iteration_beyond_counts_and_the_largest_after_it() -> None:
    found = parting([1.0, 1.0, 1.0, 1.0], [1.0, 1.0005, 1.01, 2.0])
    assert found.at == 2
    assert found.before == pytest.approx(5e-4, rel=1e-2)
    assert found.difference == pytest.approx(0.01 / 1.01)
    assert found.largest == pytest.approx(0.5)


def test_one_that_ends_early_is_compared_as_far_as_it_goes() -> None:
    found = parting([1.0, 2.0, 3.0], [1.0, 2.0])
    assert (found.iterations, found.at) == (2, None)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_on_one_side_only_parts(odd: float) -> None:
    found = parting([1.0, 1.0, 1.0], [1.0, odd, 1.0])
    assert found.at == 1
    assert found.difference is found.largest is None
    assert parting([1.0, odd], [1.0, odd]).at is None


def test_zero_against_something_parts() -> None:
    found = parting([1.0, 0.0], [1.0, 1e-300])
    assert (found.at, found.difference) == (1, 1.0)


def test_an_engine_without_the_history_is_left_out() -> None:
    quantity = Quantity("loss", "loss", 0.0, "test", compared=False, parted=1e-3)
    alone = Observation(
        study="s", engine="torch", options={}, input_hash="", values={"loss": np.ones(2)}
    )
    empty = Observation(study="s", engine="julia", options={}, input_hash="", values={})
    assert not list(partings([quantity], {"torch": alone, "julia": empty}))


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20), st.integers(0, 19))
def test_a_seeded_parting_is_found_where_it_is(losses: list[float], k: int) -> None:
    k %= len(losses)
    other = np.array(losses)
    other[k:] *= 1.5
    found = parting(losses, other)
    assert found.at == k
    assert found.largest == pytest.approx(1 / 3)
