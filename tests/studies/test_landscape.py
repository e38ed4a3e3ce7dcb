"""The landscape study: its inputs, and claims that can fail."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.landscape import OPTIMISED, STABLE, STUDY, UNSTABLE

SEEDS = 12


def values(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """What an engine returns when everything is as the prototypes found it."""
    found: dict[str, np.ndarray] = {
        f"minima/N={UNSTABLE}": np.full(SEEDS, 200),
        f"minima/N={STABLE}": np.ones(SEEDS, int),
        f"difference/N={UNSTABLE}/absolute": np.linspace(19, 52, SEEDS),
        f"difference/N={STABLE}/absolute": np.geomspace(3e-5, 3e-4, SEEDS),
        f"difference/N={UNSTABLE}/relative": np.full(SEEDS, 0.1),
        f"difference/N={STABLE}/relative": np.full(SEEDS, 0.5),
    }
    for n in OPTIMISED:
        found[f"success/N={n}"] = np.array(25 if n >= 100 else 0)
    return found | changed


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        ("rough and smooth", {f"minima/N={STABLE}": np.array([1] * (SEEDS - 1) + [2])}),
        ("rough and smooth", {f"minima/N={UNSTABLE}": np.full(SEEDS, 100)}),
        ("optimisable", {"success/N=100": np.array(24)}),
        ("optimisable", {"success/N=20": np.array(1)}),
        ("generalisation as shown", {f"difference/N={STABLE}/absolute": np.full(SEEDS, 2e-3)}),
        ("generalisation is a scale effect", {f"difference/N={STABLE}/relative": np.zeros(SEEDS)}),
        ("published range", {f"difference/N={UNSTABLE}/absolute": np.full(SEEDS, 36.0)}),
    ],
)
def test_claims_hold_and_can_fail(claim: str, fault: dict[str, np.ndarray]) -> None:
    options = STUDY.configure(seeds=SEEDS)
    (check,) = (c.check for c in STUDY.claims(options) if c.name == claim)
    assert check(values(), options).holds
    assert not check(values(**fault), options).holds


def test_claims_read_only_declared_quantities() -> None:
    options = STUDY.configure()
    declared = {q.name for q in STUDY.quantities(options)}
    assert all(set(c.needs) <= declared for c in STUDY.claims(options))


def test_more_seeds_leave_the_first_ones_alone() -> None:
    few, many = (STUDY.inputs(STUDY.configure(seeds=n)) for n in (2, 5))
    assert np.array_equal(few["Y0"], many["Y0"][..., :2])
    assert np.array_equal(few["Y0_test"], many["Y0_test"][..., :2])


def test_scale_is_the_codes_not_the_slides() -> None:
    Y0 = STUDY.inputs(STUDY.configure())["Y0"]
    assert 0.09 < Y0.std() < 0.11


def test_grid_covers_the_published_square() -> None:
    axis = STUDY.inputs(STUDY.configure())["axis"]
    assert axis[[0, -1]].tolist() == [0.2, 2.0]
    assert axis.size == 101


def test_a_grid_without_inside_is_refused() -> None:
    with pytest.raises(BadInputError, match="grid"):
        STUDY.configure(grid=2)
