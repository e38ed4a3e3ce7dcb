"""Case 1: torch against the proof, the hand-made adjoints against difference quotients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee import reversibility as proof
from numdl_bridge.engines.referee.number import Double
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch import _reversible_nets as nets
from numdl_bridge.engines.torch._reversibility_side import log_cosh
from numdl_bridge.engines.torch.reversibility import median, rk4_round_trip
from numdl_bridge.studies.reversibility import STUDY


def observe(**settings):
    options = STUDY.configure(**settings)
    inputs = STUDY.inputs(options)
    engines = (TorchEngine(), RefereeEngine())
    return options, inputs, {e.name: e.observe(STUDY, options, inputs) for e in engines}


@pytest.fixture(scope="module")
def quick():
    return observe(size="quick")


def test_quick_run_agrees_and_its_claims_hold(quick):
    options, _, observations = quick
    comparison = compare_study(STUDY, options, observations)
    assert not comparison.disagreements
    assert not [(c.claim, c.figure) for c in comparison.failed_claims]


def test_values_gradients_and_inverses_are_right_to_1e_13(quick):
    torch_side, referee = (quick[2][name].values for name in ("torch", "referee"))
    for name in referee:
        if name.split("/")[0] in ("solution", "loss", "gradient", "inverse", "jacobian"):
            if name == "inverse/dopri5":
                continue  # to its tolerance
            gap = np.linalg.norm(torch_side[name] - referee[name])
            assert gap < 1e-13 * np.linalg.norm(referee[name]), name


def test_what_is_proven_exactly(quick):
    _, inputs, observations = quick
    values, radii = observations["referee"].values, observations["referee"].radii
    sample = inputs["Y0"][:, :8]
    assert np.array_equal(values["inverse/verlet"], sample)
    assert np.array_equal(values["inverse/dopri5"][:2], sample)
    assert radii["inverse/verlet"].max() < 1e-300
    # RK4's defect is no rounding: its proven radius is far below it.
    defect = np.abs(values["inverse/rk4"][:2] - sample).max()
    assert defect > 1e-4
    assert radii["inverse/rk4"].max() < 1e-15


def test_hand_made_adjoints_against_central_differences():
    options = STUDY.configure("quick", sample=3)
    inputs = STUDY.inputs(options)
    field = Double()
    exact = proof.reference(inputs, options, field)
    step = 1e-6
    for net in ("rk4", "verlet"):
        losses = []
        for sign in (1, -1):
            moved = dict(inputs)
            for w in ("K", "b"):
                moved[f"{w}_{net}"] = inputs[f"{w}_{net}"].copy()
                moved[f"{w}_{net}"][..., 0] += sign * step * inputs[f"d{w}_{net}"]
            losses.append(proof.reference(moved, options, field)[f"loss/{net}"])
        quotient = (losses[0] - losses[1]) / (2 * step)
        assert exact[f"gradient/{net}/directional"] == pytest.approx(quotient, rel=1e-7)


def test_one_step_by_difference_quotients():
    inputs = STUDY.inputs(STUDY.configure("quick"))
    found = proof.structure(inputs, Double())
    K, b, x = inputs["K_step"], inputs["b_step"], inputs["x_step"]

    def slide(x):
        Y = x[:3] + 0.5 * np.tanh(K @ x[3:] + b)
        return np.concatenate([Y, x[3:] - 0.5 * np.tanh(K.T @ Y + b)])

    columns = [(slide(x + 1e-6 * e) - slide(x - 1e-6 * e)) / 2e-6 for e in np.eye(6)]
    np.testing.assert_allclose(found["jacobian/step/slide"], np.stack(columns, 1), atol=1e-9)
    assert np.linalg.det(found["jacobian/step/slide"]) == pytest.approx(1.0, abs=1e-13)
    J = found["jacobian/step/canonical"]
    Omega = np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])
    np.testing.assert_allclose(J.T @ Omega @ J, Omega, atol=1e-14)


def test_a_layer_is_the_slides_two_lines():
    """With three channels, where K and its transpose are not the same."""
    inputs = STUDY.inputs(STUDY.configure("quick"))
    K, b, x = inputs["K_step"], inputs["b_step"], inputs["x_step"]
    Y = x[:3] + 0.5 * np.tanh(K @ x[3:] + b)
    Z = x[3:] - 0.5 * np.tanh(K.T @ Y + b)
    tensors = (torch.tensor(K), torch.tensor(b), 0.5, torch.tensor(x[:3, None]))
    found = nets.verlet_layer(*tensors, torch.tensor(x[3:, None]))
    np.testing.assert_allclose(torch.cat(found)[:, 0], np.concatenate([Y, Z]), rtol=1e-15)
    by_hand = proof.verlet(K[None], b[None], 0.5, x[:3, None], x[3:, None])
    np.testing.assert_allclose(np.concatenate(by_hand[:2])[:, 0], np.concatenate([Y, Z]))


def test_adjoint_of_three_channels():
    """The hand-made adjoint of the two lines where K is not symmetric, against autograd."""
    rng = np.random.default_rng(5)
    K, b = rng.standard_normal((4, 3, 3)), rng.standard_normal((4, 3))
    Y, Z, seed_Y, seed_Z = rng.standard_normal((4, 3, 6))
    tape = proof.verlet(K, b, 0.3, Y, Z)[2]
    by_K, by_b = proof.verlet_gradient(K, b, 0.3, tape, (seed_Y, seed_Z), Double())
    leaves = [torch.tensor(w, requires_grad=True) for w in (K, b)]
    there = nets.verlet_forward(*leaves, 0.3, torch.tensor(Y), torch.tensor(Z))
    total = (there[0] * torch.tensor(seed_Y)).sum() + (there[1] * torch.tensor(seed_Z)).sum()
    exact = torch.autograd.grad(total, leaves)
    np.testing.assert_allclose(by_K, exact[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(by_b, exact[1], rtol=1e-12, atol=1e-13)
    state = tuple(part.detach() for part in there)
    found = nets.recomputed_verlet(
        leaves[0].detach(),
        leaves[1].detach(),
        0.3,
        state,
        (torch.tensor(seed_Y), torch.tensor(seed_Z)),
    )
    np.testing.assert_allclose(found[0], exact[0], rtol=1e-12, atol=1e-13)


def test_recovered_states_are_the_networks_own():
    """Verlet's recomputed gradient needs exact inverses: undoing a wrong layer must show."""
    rng = np.random.default_rng(3)
    K, b = torch.tensor(rng.standard_normal((5, 2, 2))), torch.tensor(rng.standard_normal((5, 2)))
    Y, Z = torch.tensor(rng.standard_normal((2, 2, 7)))
    there = nets.verlet_forward(K, b, 0.3, Y, Z)
    back = nets.verlet_backward(K, b, 0.3, *there)
    torch.testing.assert_close(torch.stack(back), torch.stack([Y, Z]), rtol=0, atol=1e-14)
    wrong = nets.verlet_backward(K.flip(0), b, 0.3, *there)
    assert (wrong[0] - Y).abs().max() > 1e-3


def test_batched_round_trips_are_the_single_ones():
    options = STUDY.configure("quick", seeds=3, points=6, sample=6, trained=False)
    inputs = {k: torch.tensor(v) for k, v in STUDY.inputs(options).items()}
    errors, padding = rk4_round_trip(inputs, (0.5, 2.0), (1.0, 4.0), 16, torch.float64)
    assert errors.shape == padding.shape == (2, 2, 3)
    K, b = nets.nodes_first(2.0 * inputs["K_rk4"][..., 1], 2.0 * inputs["b_rk4"][..., 1])
    X = torch.cat([inputs["Y0"], torch.zeros(2, 6, dtype=torch.float64)])
    Y = nets.rk4_backward(K, b, nets.rk4_forward(K, b, X, 4 / 16, 16), 4 / 16, 16)
    assert errors[1, 1, 1].item() == pytest.approx((torch.linalg.norm(Y - X) / X.norm()).item())
    assert padding[1, 1, 1].item() == pytest.approx((Y[2:].norm() / X.norm()).item())


def test_median_is_numpys():
    for n in (4, 5):
        errors = torch.tensor(np.random.default_rng(n).random((2, 3, n)))
        np.testing.assert_array_equal(median(errors), np.median(errors.numpy(), axis=-1))


def test_interpolation_meets_nodes_and_midpoints():
    W = torch.tensor([0.0, 1.0, 5.0])
    assert [nets.at_node(W, s).item() for s in (0.0, 0.5, 1.0, 1.75, 2.0)] == [0, 0.5, 1, 4, 5]


def test_logistic_loss_has_no_threshold():
    s = torch.tensor([[[-30.0, 0.0, 30.0]]], dtype=torch.float64)
    C = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    exact = (np.log1p(np.exp(-30.0)) + np.log(2) + 30 + np.log1p(np.exp(-30.0))) / 3
    assert nets.logistic_loss(one, zero, s[0], C).item() == pytest.approx(exact, rel=1e-15)


def test_log_cosh_far_out_and_near_zero():
    x = torch.tensor([0.0, 1e-3, -2.0, 800.0], dtype=torch.float64)
    exact = [0.0, np.log(np.cosh(1e-3)), np.log(np.cosh(2.0)), 800 - np.log(2)]
    np.testing.assert_allclose(log_cosh(x), exact, rtol=1e-9, atol=1e-15)


def test_single_precision_agrees():
    options, _, observations = observe(size="quick", dtype="float32", trained=False)
    comparison = compare_study(STUDY, options, observations)
    assert not comparison.disagreements
    assert not [(c.claim, c.figure) for c in comparison.failed_claims]


def test_tasks_run_and_are_named_alike():
    options = STUDY.configure("quick")
    watch = TorchEngine().stopwatch(STUDY, options, STUDY.inputs(options))
    assert set(watch.tasks) == {
        *(f"{what}/{net}" for what in ("forward", "inverse", "gradient") for net in NETS),
        "gradient/verlet/recomputed",
    }
    assert all(watch.sample(task, 1) > 0 for task in watch.tasks)
    watch.close()


NETS = ("rk4", "verlet")


@pytest.mark.slow
def test_default_size():
    options, _, observations = observe()
    comparison = compare_study(STUDY, options, observations)
    assert not comparison.disagreements
    assert not [(c.claim, c.figure) for c in comparison.failed_claims]
    values = observations["torch"].values
    # Orders of magnitude of three independent prototypes (20 other networks): T = 4, amplitude 1.
    assert values["roundtrip/rk4/16/float64"][1, 2] == pytest.approx(1.4e-2, rel=0.3)
    assert values["roundtrip/rk4/64/float64"][1, 1] == pytest.approx(5.4e-5, rel=0.7)
    assert values["roundtrip/verlet/float64"][1, 2] == pytest.approx(2.8e-16, rel=0.3)
