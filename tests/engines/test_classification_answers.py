"""The classification study in torch and in the referee."""

from __future__ import annotations

import flint
import numpy as np
import pytest
import torch

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee import classification as referee
from numdl_bridge.engines.referee.number import Ball, Double
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch.classification import Reduced
from numdl_bridge.engines.torch.newton import (
    conjugate_gradients,
    newton_cg,
    softmax_loss,
    softmax_regression,
    with_ones,
)
from numdl_bridge.engines.torch.resnet_classifier import (
    THETA,
    linearise,
    loss,
    scores,
    smooth_relu,
    tangent_maps,
)
from numdl_bridge.studies.classification import LAMBDA_W, STUDY

GRADIENTS = ("gradient", "gradient/forward", "gauss-newton", "tangent", "cotangent")


@pytest.fixture(scope="module")
def quick():
    options = STUDY.configure("quick")
    inputs = STUDY.inputs(options)
    engines = (TorchEngine(), RefereeEngine())
    return options, {e.name: e.observe(STUDY, options, inputs) for e in engines}


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    inputs = STUDY.inputs(STUDY.configure("quick", points=50))
    return {k: torch.from_numpy(v) for k, v in inputs.items()}


def test_torch_agrees_with_the_referee_and_claims_hold(quick) -> None:
    comparison = compare_study(STUDY, *quick)
    assert not comparison.disagreements
    assert not comparison.failed_claims
    assert sum(c.holds is True for c in comparison.claims) >= 5


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_right_to_1e_12(quick, name: str) -> None:
    ours = quick[1]["torch"].values[name]
    proven = quick[1]["referee"].values[name.removesuffix("/forward")]
    assert np.linalg.norm(ours - proven) <= 1e-12 * np.linalg.norm(proven)


def test_linear_optimum_is_enclosed(quick) -> None:
    radii = quick[1]["referee"].radii["linear/weights"]
    assert (radii < 1e-14).all()


def test_linear_optimum_minimises(tensors) -> None:
    Y, C = tensors["Y"], tensors["C"]
    W = softmax_regression(Y, C, 1e-3).requires_grad_()
    value = softmax_loss(W @ with_ones(Y), C) + 1e-3 / 2 * W.square().sum()
    (gradient,) = torch.autograd.grad(value, W)
    assert gradient.norm() < 1e-12


def test_softmax_loss_is_minus_the_mean_log_probability() -> None:
    torch.manual_seed(0)
    S, labels = torch.randn(5, 9, dtype=torch.float64), torch.arange(9) % 5
    C = torch.nn.functional.one_hot(labels, 5).T.double()
    expected = torch.nn.functional.cross_entropy(S.T, labels)
    assert abs(softmax_loss(S, C) - expected) < 1e-15
    assert torch.isfinite(softmax_loss(1e4 * S, C))


def test_conjugate_gradients_end_after_as_many_steps_as_dimensions() -> None:
    torch.manual_seed(0)
    R = torch.randn(6, 6, dtype=torch.float64)
    A, b = R @ R.T + torch.eye(6), torch.randn(6, dtype=torch.float64)
    x = conjugate_gradients(lambda v: A @ v, b, iterations=6, tolerance=0)
    assert (A @ x - b).norm() < 1e-10 * b.norm()
    loose = conjugate_gradients(lambda v: A @ v, b, iterations=6, tolerance=0.5)
    assert 1e-3 * b.norm() < (A @ loose - b).norm() <= 0.5 * b.norm()


def test_newton_cg_falls_at_every_iteration(tensors) -> None:
    Y, C, x = tensors["Y"], tensors["C"], tensors["weights"][:, 0]
    found = newton_cg(lambda x: linearise(x, Y, C), lambda x: loss(x, Y, C), x, 4)
    assert len(found.history) == 5
    assert (found.history.diff() < 0).all()


def test_gauss_newton_is_the_product_of_its_factors(tensors) -> None:
    Y, C, v = tensors["Y"][:, :5], tensors["C"][:, :5], tensors["direction"]
    x = tensors["weights"][:, 1].contiguous()
    _, gradient, apply = linearise(x, Y, C)
    J = torch.func.jacrev(lambda x: scores(x, Y))(x).flatten(0, 1)
    H = torch.func.hessian(softmax_loss)(scores(x, Y), C).reshape(len(J), len(J))
    lam = torch.tensor([1e-5] * THETA + [LAMBDA_W] * 45, dtype=torch.float64)
    expected = J.T @ (H @ (J @ v)) + lam * v
    assert (apply(v) - expected).norm() < 1e-12 * expected.norm()
    autograd = torch.func.grad(loss)(x, Y, C)
    assert (gradient - autograd).norm() < 1e-12 * autograd.norm()


def test_tangent_maps_are_transposes() -> None:
    torch.manual_seed(0)
    x, v = torch.randn(2, 4, dtype=torch.float64)
    y, J, JT = tangent_maps(lambda x: torch.sin(x).outer(x), x)
    u = torch.randn_like(y)
    assert abs((u * J(v)).sum() - JT(u) @ v) < 1e-13
    assert (J(v) - (torch.cos(x) * v).outer(x) - torch.sin(x).outer(v)).abs().max() < 1e-14


def test_reduced_value_is_below_any_other_choice_of_W(tensors) -> None:
    Y, C, x = tensors["Y"], tensors["C"], tensors["weights"][:, 0]
    reduced = Reduced(Y, C)
    best = reduced.value(x[:THETA])
    near = reduced.solve(x[:THETA]) + 1e-3 * torch.cat([torch.zeros(THETA), torch.ones(45)])
    assert best < loss(near, Y, C)
    assert best < loss(x, Y, C)


def test_smooth_relu_joins_smoothly_in_all_number_types() -> None:
    y = torch.tensor([-0.1, 0.0, 0.1, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    value = smooth_relu(y)
    (slope,) = torch.autograd.grad(value.sum(), y)
    torch.testing.assert_close(value.detach(), torch.tensor([0, 0.025, 0.1, 0, 2]).double())
    torch.testing.assert_close(slope, torch.tensor([0, 0.5, 1, 0, 1]).double())
    for field in (Double(), Ball(128)):
        found, slopes = referee.smooth_relu(field.array(y.detach().numpy()))
        np.testing.assert_allclose(found.astype(float), value.detach(), atol=1e-16)
        np.testing.assert_allclose(slopes.astype(float), slope, atol=1e-15)


def test_smooth_relu_of_a_ball_across_a_kink_contains_both_sides() -> None:
    wide = np.array([flint.arb(0.1, 0.01)], dtype=object)
    value, slope = referee.smooth_relu(wide)
    assert value[0].contains(flint.arb("0.105"))
    assert value[0].contains(flint.arb("0.095") ** 2 / flint.arb("0.4") + flint.arb("0.0725"))
    assert slope[0].contains(1)
    assert slope[0].contains(flint.arb("0.98"))


def test_single_precision_runs() -> None:
    options = STUDY.configure("quick", iterations=1, outer=1, dtype="float32")
    values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
    assert values["gradient"].dtype == np.float32
    assert np.isfinite(values["linear/loss"])


@pytest.mark.slow
def test_claims_on_training_hold_at_the_default_size() -> None:
    options = STUDY.configure()
    values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
    for claim in STUDY.claims(options):
        decision = claim.check(values, options)
        assert decision.holds, f"{claim.name}: {decision.figure}"
