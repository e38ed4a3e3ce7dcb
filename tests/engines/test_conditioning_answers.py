"""Conditioning in torch and in the referee, against closed forms, each other, and known figures."""

from __future__ import annotations

import math

import flint
import numpy as np
import pytest
import torch

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee.enclosures import (
    extreme_singular_values,
    positive_definite,
    smallest_eigenvalue,
    to_matrix,
)
from numdl_bridge.engines.referee.number import Ball
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch.conditioning import (
    gauss_newton_step,
    jacobian,
    kronecker_jacobian,
    layer,
    vec,
)
from numdl_bridge.errors import EngineError
from numdl_bridge.studies.conditioning import STUDY, WIDTHS


def second_difference(n: int) -> np.ndarray:
    """tridiag(-1, 2, -1), whose eigenvalues are 2 - 2 cos(k pi / (n + 1))."""
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


@pytest.fixture(scope="module")
def quick():
    options = STUDY.configure("quick", draws=20, samples=40, checked=1)
    inputs = STUDY.inputs(options)
    engines = (TorchEngine(), RefereeEngine())
    return options, {e.name: e.observe(STUDY, options, inputs) for e in engines}


def test_torch_agrees_with_the_referee_and_claims_hold(quick) -> None:
    comparison = compare_study(STUDY, *quick)
    assert not comparison.disagreements
    assert not comparison.failed_claims
    assert {c.claim for c in comparison.claims if c.holds} >= {
        "order of vec",
        "known by proof",
        "unknown to double precision",
    }


def test_gradients_are_right_to_1e_12(quick) -> None:
    ours, proven = (quick[1][e].values for e in ("torch", "referee"))
    for m in WIDTHS:
        size = np.linalg.norm(proven[f"gradient/m={m}"])
        for way in ("", "/reverse", "/forward"):
            error = np.linalg.norm(ours[f"gradient/m={m}{way}"] - proven[f"gradient/m={m}"])
            assert error <= 1e-12 * size


def test_enclosures_are_tight(quick) -> None:
    observation = quick[1]["referee"]
    for m in WIDTHS:
        radii = observation.radii[f"checked/rcond/m={m}"]
        # Nothing but the rounding of the midpoint to double is left.
        assert (radii <= 2e-16 * observation.values[f"checked/rcond/m={m}"]).all()


@pytest.mark.parametrize("n", [2, 7, 30])
def test_smallest_eigenvalue_contains_the_closed_form(n: int) -> None:
    with Ball(256).working():
        exact = 2 - 2 * (flint.arb.pi() / (n + 1)).cos()
        matrix = to_matrix(Ball(256).array(second_difference(n)))
        found = smallest_eigenvalue(matrix)
        assert found.contains(exact.mid())
        assert float(found.rad()) < 1e-25 * float(exact)


def test_singular_values_of_a_wide_and_a_tall_matrix() -> None:
    rng = np.random.default_rng(3)
    with Ball(256).working():
        J = Ball(256).array(rng.standard_normal((6, 11)))
        wide, tall = extreme_singular_values(J), extreme_singular_values(J.T)
        doubles = np.linalg.svd(J.astype(float), compute_uv=False)
        for a, b, c in zip(wide, tall, doubles[[-1, 0]], strict=True):
            assert a.overlaps(b)
            assert math.isclose(float(a.mid()), c, rel_tol=1e-12)


def test_a_start_at_another_eigenvector_gives_no_proof() -> None:
    """The residual alone would be satisfied with any eigenvalue; the inertia is not."""
    A = second_difference(5)
    _, vectors = np.linalg.eigh(A)
    with Ball(256).working():
        matrix = to_matrix(Ball(256).array(A))
        smallest_eigenvalue(matrix, vectors[:, 0])
        with pytest.raises(EngineError, match="no proof"):
            smallest_eigenvalue(matrix, vectors[:, 2])


def test_an_indefinite_matrix_is_not_called_definite() -> None:
    with Ball(128).working():
        assert positive_definite(Ball(128).array(second_difference(4)))
        assert not positive_definite(Ball(128).array(second_difference(4) - 0.5 * np.eye(4)))
        fuzzy = Ball(128).array(np.eye(2))
        fuzzy[1, 1] = flint.arb(0, 1)
        assert not positive_definite(fuzzy)


def test_batched_jacobian_is_the_slides_kronecker_formula() -> None:
    torch.manual_seed(0)
    W, K, Y = (torch.randn(s, dtype=torch.float64) for s in ((2, 4), (4, 3), (3, 5)))
    ours = jacobian(W, K, Y)
    assert (ours - kronecker_jacobian(W, K, Y, "column")).abs().max() < 1e-15
    step = 1e-6
    for dW, dK in ((torch.randn_like(W), torch.randn_like(K)) for _ in range(3)):
        plus, minus = layer(W + step * dW, K + step * dK, Y), layer(W - step * dW, K - step * dK, Y)
        expected = vec(plus - minus) / (2 * step)
        assert (ours @ torch.cat([vec(dW), vec(dK)]) - expected).abs().max() < 1e-8


def test_gauss_newton_step_is_the_least_norm_solution() -> None:
    torch.manual_seed(1)
    for shape in ((7, 4), (4, 7)):
        J, r = torch.randn(3, *shape, dtype=torch.float64), torch.randn(3, shape[0]).double()
        expected = -(torch.linalg.pinv(J) @ r[..., None])[..., 0]
        assert (gauss_newton_step(J, r) - expected).abs().max() < 1e-12


def test_a_width_does_not_depend_on_the_others_or_on_the_number_of_draws() -> None:
    few, many = (STUDY.inputs(STUDY.configure("quick", draws=n)) for n in (3, 6))
    assert np.array_equal(few["K/m=16"], many["K/m=16"][..., :3])
    assert np.array_equal(few["Y/m=8"][..., 0].shape, (3, 100))


def test_single_precision_runs() -> None:
    options = STUDY.configure("quick", draws=4, checked=1, dtype="float32")
    values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
    assert values["rcond/m=8"].dtype == np.float32


@pytest.mark.slow
def test_quantiles_of_a_thousand_draws() -> None:
    """Against a NumPy prototype's figures for the same seed: 5, 25, 50, 75 and 95 %."""
    options = STUDY.configure(checked=1)
    values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
    known = {
        8: (1.7e3, 5.1e3, 1.15e4, 3.3e4, 2.3e5),
        16: (5.5e4, 1.5e5, 3.85e5, 1.1e6, 6.2e6),
        32: (2.2e5, 4.0e5, 6.42e5, 1.0e6, 2.3e6),
    }
    for m, quantiles in known.items():
        np.testing.assert_allclose(values[f"cond/m={m}"], quantiles, rtol=0.05)
    np.testing.assert_allclose(values["cond/m=8/range"], (5.9e2, 7.8e9), rtol=0.02)
    np.testing.assert_allclose(values["cond/blocks/m=32"], (4.7e3, 3.5e6), rtol=0.05)
    np.testing.assert_allclose(values["share/m=16"], (1.0, 0.04), atol=1e-9)
