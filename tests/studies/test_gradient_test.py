"""The gradient test reproduces the published figures, and its inputs are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge import resources
from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch.iterates import accepted_grid, training_path
from numdl_bridge.errors import BadInputError
from numdl_bridge.studies import get_study
from numdl_bridge.studies._gradient_test_claims import published_remainders, slope
from numdl_bridge.studies.gradient_test import true_solution

STUDY = get_study("gradient_test")


@pytest.fixture(scope="module")
def quick():
    options = STUDY.configure("quick")
    return options, TorchEngine().observe(STUDY, options, STUDY.inputs(options))


def test_all_claims_hold_and_nothing_disagrees(quick):
    options, observation = quick
    found = compare_study(STUDY, options, {"torch": observation})
    assert [c for c in found.claims if not c.holds] == []
    assert len(found.claims) >= 11
    assert found.disagreements == ()
    assert observation.unavailable == {}


def test_single_numbers_of_the_prototypes(quick):
    _, observation = quick
    values = observation.values
    expected = {
        "loss/rk4/0": 1733.789186,
        "loss/1e-7/0": 1823.639688,
        "loss/1e-2/0": 1823.808540,
        "directional/rk4/0": 9461.948524,
        "directional/backsolve/1e-7/0": 9675.757516,
        "directional/backsolve/1e-2/0": 9685.864080,
    }
    for name, figure in expected.items():
        assert float(values[name]) == pytest.approx(figure, rel=1e-9), name
    assert float(values["loss/rk4_aligned/0"]) == pytest.approx(1823.628, abs=6e-4)
    norms = {"rk4": 6258.2972, "backsolve/1e-7": 6462.8895, "backsolve/1e-2": 6468.7634}
    for way, norm in norms.items():
        assert np.linalg.norm(values[f"gradient/{way}/0"]) == pytest.approx(norm, rel=1e-8)
    truth = float(values["gradient/reference/0"] @ resources.published("neural_ode_direction"))
    assert truth == pytest.approx(9675.757420, abs=1e-5)


def test_every_printed_remainder(quick):
    """All 60 of them: to 1e-8 for h >= 2^-14, to 2e-5 down to 2^-20, where rounding shows."""
    _, observation = quick
    for variant, name in (
        ("rk4", "E1/rk4/0"),
        ("1e-7", "E1/backsolve/1e-7/0"),
        ("1e-2", "E1/backsolve/1e-2/0"),
    ):
        printed = published_remainders(variant)
        assert printed.shape == (20,)
        off = np.abs(observation.values[name] - printed) / printed
        assert off[:14].max() < 2e-8, variant
        assert off.max() < 2e-5, variant


def test_valid_published_e0_and_the_two_columns_that_are_not(quick):
    _, observation = quick
    table = resources.published("gradient_test")
    by = {v: table[table["variant"] == v]["E0"] for v in np.unique(table["variant"])}
    ours = observation.values["E0/1e-7/0"]
    assert ours == pytest.approx(by["neural_ode_tol_1e-7"], rel=1e-8)
    assert np.array_equal(by["disc_diff_rk4_30"], by["neural_ode_tol_1e-2"])
    for name in ("E0/rk4/0", "E0/1e-2/0"):
        assert np.abs(observation.values[name] / by["disc_diff_rk4_30"] - 1).max() > 1e-3


def test_the_kept_iterates_are_those_of_the_published_path():
    path = training_path(3)
    kept = resources.inputs("training_iterates")
    # The backsolve amplifies rounding; ADAM divides it by the size of the gradient.
    for k, column in zip((1, 3), kept.T, strict=True):
        assert path[k].numpy() == pytest.approx(column, abs=1e-4)
    assert np.abs(kept[:, 0] - resources.published("neural_ode_theta0")).max() == pytest.approx(
        0.1, rel=1e-6
    )


def test_the_kept_grid_is_that_of_the_solver():
    kept = resources.inputs("tsit5_grid")
    assert np.array(accepted_grid()) == pytest.approx(kept, rel=1e-6, abs=1e-12)
    assert kept[0] == 0.0
    assert kept[-1] == 1.5


def test_published_data_carry_their_own_solver_error():
    table = resources.published("neural_ode_data")
    error = np.abs(true_solution(table[:, 0]) - table[:, 1:].T)
    assert 1e-2 < error.max() < 1.75e-2


def test_other_numbers_of_steps_and_precisions():
    options = STUDY.configure("quick", n_steps=7, levels=4)
    inputs = STUDY.inputs(options)
    assert inputs["data"].shape == (2, 7)
    observation = TorchEngine().observe(STUDY, options, inputs)
    found = compare_study(STUDY, options, {"torch": observation})
    assert all(c.holds for c in found.claims)
    single = STUDY.configure("quick", dtype="float32", levels=4)
    values = TorchEngine().observe(STUDY, single, STUDY.inputs(single)).values
    assert values["gradient/rk4/0"].dtype == np.float32
    assert not any("1e-7" in name for name in values)


def test_iterates_that_are_not_kept_are_refused():
    for wrong in ((0, 2), ()):
        with pytest.raises(BadInputError, match="iterates"):
            STUDY.configure("quick", iterates=wrong)
    assert STUDY.configure(iterates=3).iterates == (3,)


def test_slope_of_a_power():
    h = 0.5 ** np.arange(1, 21)
    assert slope(3 * h**2, 9, 16) == pytest.approx(2, abs=1e-12)


@pytest.mark.slow
def test_default_size_repeats_the_test_along_the_path():
    options = STUDY.configure()
    observation = TorchEngine().observe(STUDY, options, STUDY.inputs(options))
    found = compare_study(STUDY, options, {"torch": observation})
    assert [c for c in found.claims if not c.holds] == []
    assert found.disagreements == ()
    assert sum(v.nbytes for v in observation.values.values()) < 300_000
