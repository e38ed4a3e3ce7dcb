"""Landscapes in torch, against the referee, the plain loop, and closed forms."""

from __future__ import annotations

import flint
import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee import landscape as referee
from numdl_bridge.engines.referee.number import Ball
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch.landscape import (
    count_minima,
    grid,
    layer_matrix,
    loss,
    surfaces,
    target,
)
from numdl_bridge.engines.torch.lockstep import minimize_all
from numdl_bridge.engines.torch.threads import intraop_threads
from numdl_bridge.studies.landscape import SAMPLED, STUDY

SMALL = STUDY.configure(seeds=2, samples=4, grid=15, starts=3, points=3)


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return STUDY.inputs(SMALL)


@pytest.fixture(scope="module")
def observed(inputs: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    torch_, proof = TorchEngine(), RefereeEngine()
    return {e.name: e.observe(STUDY, SMALL, inputs).values for e in (torch_, proof)}


@pytest.mark.parametrize("n", SAMPLED)
def test_values_and_gradients_lie_within_1e_12_of_the_referee(observed, n: int) -> None:
    for name in (f"loss/N={n}", f"gradient/N={n}"):
        ours, proven = observed["torch"][name], observed["referee"][name]
        assert np.linalg.norm(ours - proven) <= 1e-12 * np.linalg.norm(proven)
    forward, reverse = observed["torch"][f"gradient/N={n}/forward"], ours
    assert np.linalg.norm(forward - reverse) <= 1e-12 * np.linalg.norm(reverse)


def test_hessian_at_the_truth_is_the_referees(observed) -> None:
    ours, proven = observed["torch"]["hessian"], observed["referee"]["hessian"]
    assert np.linalg.norm(ours - proven) <= 1e-12 * np.linalg.norm(proven)
    assert np.linalg.eigvalsh(proven).min() > 0


def test_hand_derived_gradient_is_that_of_its_own_loss() -> None:
    """Central differences at 256 bits: no rounding to hide behind."""
    rng = np.random.default_rng(0)
    with Ball(256).working():
        field = Ball(256)
        Y0, C = (field.array(rng.standard_normal((3, 2, 1))) for _ in range(2))
        theta = field.array(np.array([0.7, 1.3]))
        h, step = field.number(2), flint.arb(2) ** -60

        def Phi(t):
            return referee.loss_and_gradient(t[:, None, None, None], Y0, C, 5, h)

        gradient = Phi(theta)[1][:, 0]
        for i in range(2):
            e = np.array([step if j == i else flint.arb(0) for j in range(2)], dtype=object)
            slope = (Phi(theta + e)[0] - Phi(theta - e)[0])[0] / (2 * step)
            assert abs(float((slope - gradient[i]) / gradient[i])) < 1e-30


def test_eigenvalues_of_the_layer_matrix() -> None:
    t1, t2 = 0.4, 1.7
    found = torch.linalg.eigvals(layer_matrix(torch.tensor([t1, t2], dtype=torch.float64)))
    imaginary = 3**0.5 / 2 * (t1 - t2)
    expected = [0, complex(-1.5 * (t1 + t2), imaginary), complex(-1.5 * (t1 + t2), -imaginary)]
    for value in expected:
        assert (found - value).abs().min() < 1e-14


@pytest.mark.parametrize("threads", [1, 2])
def test_the_batched_surface_is_the_loops(inputs, threads: int) -> None:
    Y0 = torch.from_numpy(inputs["Y0"])
    C, theta = target(Y0), grid(torch.from_numpy(inputs["axis"]))
    with intraop_threads(threads):
        for n in (5, 100):
            Phi = surfaces(theta, Y0, C, n)
            assert torch.get_num_threads() == threads
            for k in range(Y0.shape[-1]):
                point_by_point = torch.stack([loss(t, Y0[..., k], C[..., k], n) for t in theta.T])
                difference = (Phi[:, k] - point_by_point).norm()
                assert difference <= 1e-12 * point_by_point.norm()


def test_minima_are_strict_and_look_at_eight_neighbours() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    bowl = x[:, None] ** 2 + x**2
    assert count_minima(bowl) == 1
    assert count_minima(torch.zeros(9, 9)) == 0
    assert count_minima(-bowl) == 4  # the corners
    valley = (x[:, None] - x) ** 2 + 1e-3 * (x[:, None] + x)
    assert count_minima(valley) == 1  # four neighbours would call every diagonal point a minimum
    assert count_minima(torch.stack([bowl, -bowl], -1)).tolist() == [1, 4]


def test_lockstep_does_what_scipy_does_alone() -> None:
    starts = np.random.default_rng(1).uniform(-2, 2, (2, 6))
    calls = []

    def batch(x: np.ndarray, who: np.ndarray):
        calls.append(who.size)
        return np.array([rosen(c) for c in x.T]), np.stack([rosen_der(c) for c in x.T], -1)

    found = minimize_all(batch, starts, method="L-BFGS-B")
    for i, result in enumerate(found):
        alone = minimize(rosen, starts[:, i], jac=rosen_der, method="L-BFGS-B")
        assert np.array_equal(result.x, alone.x)
        assert result.nfev == alone.nfev
    assert calls[0] == 6
    assert len(calls) == max(r.nfev for r in found)


def test_lockstep_hands_on_what_the_batch_raises() -> None:
    def broken(x: np.ndarray, who: np.ndarray):
        raise FloatingPointError("overflow in the batch")

    with pytest.raises(FloatingPointError, match="overflow"):
        minimize_all(broken, np.zeros((2, 3)), method="L-BFGS-B")


def test_wide_networks_are_optimised_and_short_ones_are_not(observed) -> None:
    assert observed["torch"]["success/N=200"] == SMALL.starts
    assert observed["torch"]["success/N=5"] == 0


def test_single_precision_runs() -> None:
    options = STUDY.configure(seeds=1, samples=3, grid=5, starts=1, points=2, dtype="float32")
    values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
    assert values["surface/N=5"].dtype == np.float32


@pytest.mark.slow
def test_claims_hold_on_the_published_grid() -> None:
    options = STUDY.configure("quick")
    inputs = STUDY.inputs(options)
    engines = (TorchEngine(), RefereeEngine())
    found = {e.name: e.observe(STUDY, options, inputs) for e in engines}
    comparison = compare_study(STUDY, options, found)
    assert not comparison.disagreements
    assert not comparison.failed_claims
    assert sum(c.holds is True for c in comparison.claims) == 4


def test_a_surface_is_the_same_on_any_number_of_threads() -> None:
    options = STUDY.configure("quick", grid=41)
    inputs = {k: torch.from_numpy(np.asarray(v)) for k, v in STUDY.inputs(options).items()}
    C = target(inputs["Y0"])
    points = grid(inputs["axis"])
    one, two, three = (surfaces(points, inputs["Y0"], C, 10, threads) for threads in (1, 2, 3))
    assert torch.equal(one, two)
    assert torch.equal(one, three)
