"""PyTorch's oscillator against the closed forms, and the closed forms against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee.number import Ball, Double, midpoint, radius
from numdl_bridge.engines.referee.oscillator import answer as closed_form
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.studies.oscillator import STAGES, STUDY


def observe(**settings):
    options = STUDY.configure(**settings)
    inputs = STUDY.inputs(options)
    return options, {
        e.name: e.observe(STUDY, options, inputs) for e in (TorchEngine(), RefereeEngine())
    }


@pytest.fixture(scope="module")
def quick():
    return observe(size="quick")


def test_quick_run_agrees_and_its_claims_hold(quick):
    comparison = compare_study(STUDY, *quick)
    assert not comparison.disagreements
    assert not comparison.failed_claims
    held = [(c.engine, c.claim) for c in comparison.claims if c.holds]
    assert sum(engine == "torch" for engine, _ in held) == 9
    # The referee's energies and its inverse of Verlet are the formulas that are claimed.
    assert sum(engine == "referee" for engine, _ in held) == 3


def test_gradients_are_right_to_1e_12(quick):
    torch, referee = (quick[1][name].values for name in ("torch", "referee"))
    for name in referee:
        if name.startswith("gradient/"):
            gap = np.linalg.norm(torch[name] - referee[name]) / np.linalg.norm(referee[name])
            assert gap < 1e-12, name


def test_every_value_lies_in_the_rounding_bound(quick):
    torch, referee = quick[1]["torch"], quick[1]["referee"]
    for name, bound in referee.rounding.items():
        gap = np.linalg.norm(torch.values[name] - referee.values[name])
        assert gap <= bound * np.linalg.norm(referee.values[name]), name
        assert bound < 1e-10, name


def test_radii_are_below_a_unit_in_the_last_place(quick):
    referee = quick[1]["referee"]
    for name, value in referee.values.items():
        assert np.all(referee.radii[name] <= np.spacing(np.abs(value)) + 1e-60), name


def test_explicit_figures_at_one_hundred_periods():
    """The printed formulas by hand, without the package's matrices."""
    options, observations = observe(budgets=(64,), starts=1)
    values = observations["torch"].values
    h = 2 * math.pi * 4 / 64
    rk4 = 1 - (1 - h**6 / 72 + h**8 / 576) ** 1600
    assert values["energy/error/rk4"][0] == pytest.approx(rk4, rel=1e-12)
    assert values["energy/error/rk4"][0] == pytest.approx(7.7e-2, rel=0.01)
    assert values["energy/error/verlet"][0] == pytest.approx((h / 4) ** 2 / 4, rel=1e-3)
    assert values["position/error/verlet"][0] == pytest.approx(0.25, rel=0.02)
    assert values["position/error/rk4"][0] == pytest.approx(0.12, rel=0.05)
    assert not compare_study(STUDY, options, observations).disagreements


@pytest.mark.parametrize("method", STAGES)
def test_closed_form_is_the_recursion_it_stands_for(method):
    """M^n against n multiplications, and the omega derivative against a difference quotient."""
    options = STUDY.configure(budgets=(16,), record=16, periods=3, gradient_periods=3, starts=2)
    inputs = STUDY.inputs(options)
    double = closed_form(inputs, options, Double())
    step = 1e-6
    up, down = (
        closed_form({**inputs, "omega": np.array(1.0 + s)}, options, Double())
        for s in (step, -step)
    )

    def final_energy(result, omega):
        q, p = result[f"solution/{method}"]
        return (p**2 + omega**2 * q**2) / 2

    quotient = (final_energy(up, 1 + step) - final_energy(down, 1 - step)) / (2 * step)
    np.testing.assert_allclose(double[f"gradient/{method}/omega"], quotient, rtol=1e-6, atol=1e-6)
    proof = Ball(256)
    with proof.working():
        balls = closed_form(inputs, options, proof)
    for name, value in double.items():
        scale = np.abs(midpoint(balls[name])).max() + 1e-12
        np.testing.assert_allclose(value, midpoint(balls[name]), rtol=0, atol=1e-11 * scale)
        assert radius(balls[name]).max() <= 1e-15 * scale


def test_blown_up_runs_are_capped():
    """Euler at 8 evaluations: energy times 1.6 a step, beyond single precision's range."""
    _, observations = observe(budgets=(8, 64), starts=1, dtype="float32")
    assert observations["torch"].values["energy/error/forward_euler"].tolist() == [10.0, 10.0]
    assert observations["torch"].values["position/error/forward_euler"].tolist() == [10.0, 10.0]


@pytest.mark.slow
def test_default_size():
    comparison = compare_study(STUDY, *observe())
    assert not comparison.disagreements
    assert not comparison.failed_claims


@pytest.mark.slow
def test_single_precision():
    comparison = compare_study(STUDY, *observe(dtype="float32"))
    assert not comparison.disagreements
    assert not [(c.claim, c.figure) for c in comparison.failed_claims]


def test_tasks_run_and_are_named_alike():
    options = STUDY.configure("quick", periods=2)
    watch = TorchEngine().stopwatch(STUDY, options, STUDY.inputs(options))
    assert set(watch.tasks) == {
        f"{what}/{method}" for what in ("forward", "inverse", "gradient") for method in STAGES
    }
    assert all(watch.sample(task, 1) > 0 for task in ("forward/rk4", "gradient/verlet"))
    watch.close()
