"""Training in torch and in the referee: ADAM itself, the published path, exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee import training as exact
from numdl_bridge.engines.referee.number import Double, midpoint
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch import training as answers
from numdl_bridge.engines.torch.adjoint import Gradient
from numdl_bridge.studies._training_claims import published_losses
from numdl_bridge.studies.training import STUDY


@pytest.fixture(scope="module")
def inputs():
    return STUDY.inputs(STUDY.configure())


@pytest.fixture(scope="module")
def tensors(inputs):
    return {k: torch.tensor(v) for k, v in inputs.items()}


def test_adam_is_the_one_of_torch_optim():
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(40, generator=generator, dtype=torch.float64)
    ours, adam = theta.clone(), answers.Adam(theta)
    theirs = theta.clone().requires_grad_()
    optimiser = torch.optim.Adam([theirs], lr=0.1)
    for _ in range(50):
        g = torch.randn(40, generator=generator, dtype=torch.float64) * 10.0 ** -torch.arange(
            40, dtype=torch.float64
        )
        ours = adam.update(ours, g)
        theirs.grad = g
        optimiser.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-13)


def test_the_first_update_of_rk4_is_the_published_one(tensors):
    run = answers.train(answers.gradient_of("rk4", tensors), tensors["theta0"], 10)
    found = torch.stack(run.losses).numpy()
    np.testing.assert_allclose(found, published_losses("rk4")[:11], atol=6e-4)


def test_the_backsolve_follows_the_published_path_for_18_losses(tensors):
    """0 .. 17 to 1e-3, as the study claims for both languages."""
    run = answers.train(answers.gradient_of("backsolve/1e-7", tensors), tensors["theta0"], 17)
    found = torch.stack(run.losses).numpy()
    np.testing.assert_allclose(found, published_losses("backsolve/1e-7")[:18], atol=1e-3)


@pytest.mark.parametrize("variant", ["rk4_aligned", "reset/1e-7", "interpolating/1e-7"])
def test_other_variants_start_from_their_own_loss(tensors, variant):
    known = {"rk4_aligned": 1823.628, "reset/1e-7": 1823.63969, "interpolating/1e-7": 1823.63969}
    found = answers.gradient_of(variant, tensors)(tensors["theta0"])
    assert float(found.loss) == pytest.approx(known[variant], abs=6e-4)


def test_a_solve_that_overflows_ends_the_run_without_nan():
    def gradient(theta):
        loss = theta.sum() if float(theta[0]) > 0.75 else theta.new_tensor(torch.nan)
        g = torch.ones_like(theta)
        return Gradient(loss, g, g, g, back=theta)

    run = answers.train(gradient, torch.ones(2, dtype=torch.float64), 6)
    assert run.completed == 3
    losses = torch.stack(run.losses)
    # Losses that were computed, and no others.
    np.testing.assert_allclose(losses, [2, 1.8, 1.6], rtol=1e-6)
    assert len(run.back) == 3


def test_first_below_counts_and_says_never():
    losses = torch.tensor([120.0, 99.0, 60.0, 20.0])
    assert answers.first_below(losses).tolist() == [1, 3, 3, -1, -1, -1, -1]
    assert exact.first_below(losses.numpy()).tolist() == [1, 3, 3, -1, -1, -1, -1]


def test_ensemble_in_one_batch_equals_the_compiled_run(tensors):
    two = dict(tensors, perturbed=torch.stack([tensors["theta0"]] * 2))
    batched = answers.ensemble_losses(two, 3)
    single = answers.ensemble_losses(dict(tensors, perturbed=two["perturbed"][:1]), 3)
    assert batched.shape == (2, 4)
    # Rounding of small gradient entries, amplified by 1/(|g| + 1e-8): 1e-8 relative.
    torch.testing.assert_close(batched, single.expand(2, 4), rtol=1e-6, atol=1e-6)


def test_exact_and_double_arithmetic_part_at_the_eighth_digit(inputs):
    run, state, dropped = exact.pseudo_orbit(inputs, 5, 256)
    losses = midpoint(np.array(run))
    doubles = np.array(exact.enclosed_run(inputs, 5, Double())[0])
    assert dropped < exact.TRUSTED
    assert abs(losses[0] - doubles[0]) < 1e-11
    # ADAM turns rounding of tiny entries into 1e-5 in the first update.
    assert 1e-7 < abs(losses[1] - doubles[1]) < 1e-3
    np.testing.assert_allclose(losses, published_losses("rk4")[:6], atol=5.1e-4)
    assert midpoint(state.theta).shape == (252,)


def test_the_pseudo_orbit_lies_in_the_proven_balls(inputs):
    from numdl_bridge.engines.referee.number import Ball

    balls, _ = exact.enclosed_run(inputs, 2, Ball(1024))
    centres, _, _ = exact.pseudo_orbit(inputs, 2, 256)
    with Ball(1024).working():
        for ball, centre in zip(balls, centres):
            # Three updates, each off by at most 1e-40 in the weights, slopes below 1e5.
            assert abs(ball - centre) < 1e-30
            assert ball.rad() < 1e-100


def test_a_narrower_demand_gives_the_same_exact_path(inputs, monkeypatch):
    coarse, _, _ = exact.pseudo_orbit(inputs, 12, 256)
    monkeypatch.setattr(exact, "TRUSTED", 1e-80)
    fine, _, dropped = exact.pseudo_orbit(inputs, 12, 256)
    assert dropped < 1e-80
    np.testing.assert_array_equal(midpoint(np.array(coarse)), midpoint(np.array(fine)))


@pytest.mark.slow
def test_quick_run_in_both_engines_agrees_and_every_claim_holds():
    options = STUDY.configure("quick", iterations=14)
    inputs = STUDY.inputs(options)
    ours = TorchEngine().observe(STUDY, options, inputs).values
    truth = RefereeEngine().observe(STUDY, options, inputs)
    for q in STUDY.quantities(options):
        if q.compared and {"torch", "referee"} <= set(q.engines):
            off = np.linalg.norm(ours[q.name] - truth.values[q.name])
            assert off <= q.atol + q.rtol * np.linalg.norm(truth.values[q.name]), q.name
    for claim in STUDY.claims(options):
        if not {*claim.needs} <= {*ours}:
            continue  # a claim of Julia's own variants
        decision = claim.check(ours, options)
        assert decision.holds, f"{claim.name}: {decision.figure}"
    assert truth.radii["loss/rk4/proven"].max() < 1e-12
    assert all(np.isfinite(value).all() for value in ours.values())


def test_every_task_runs(tensors):
    for name, call in answers.tasks(tensors, STUDY.configure()).items():
        assert torch.isfinite(call()).all(), name
