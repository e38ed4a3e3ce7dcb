"""Torch and the referee answer `propagation` alike; each against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch import propagation as answers
from numdl_bridge.studies.propagation import ARCHITECTURES, HW_GRID, STUDY, levels


@pytest.fixture(scope="module")
def asked():
    options = STUDY.configure("quick", n_max=32, n_reference=16, n_energy_steps=8, n_taylor=6)
    return options, STUDY.inputs(options)


@pytest.fixture(scope="module")
def observed(asked):
    return {e.name: e.observe(STUDY, *asked) for e in (TorchEngine(), RefereeEngine())}


def test_every_quantity_agrees_within_its_tolerance(asked, observed):
    torch_values, proven = observed["torch"].values, observed["referee"]
    for q in STUDY.quantities(asked[0]):
        x, y = torch_values[q.name], proven.values[q.name]
        assert x.shape == y.shape, q.name
        off = np.linalg.norm(x - y)
        assert off <= q.atol + q.rtol * np.linalg.norm(y), q.name
        assert proven.radii[q.name].max() <= 1e-15 * max(1.0, np.linalg.norm(y)), q.name


def test_gradients_of_torch_are_right_to_a_few_units_in_the_last_place(observed):
    for net, names in ARCHITECTURES.items():
        for name in names:
            key = f"gradient/{net}/{name}"
            exact = observed["referee"].values[key]
            off = np.linalg.norm(observed["torch"].values[key] - exact) / np.linalg.norm(exact)
            assert off < 2e-14, key


@pytest.mark.parametrize("engine", ["torch", "referee"])
def test_claims_hold(asked, observed, engine):
    for claim in STUDY.claims(asked[0]):
        decision = claim.check(observed[engine].values, asked[0])
        assert decision.holds, f"{claim.name}: {decision.figure}"


@pytest.mark.slow
def test_claims_hold_at_default_size_in_both_precisions():
    for dtype in ("float64", "float32"):
        options = STUDY.configure(dtype=dtype)
        values = TorchEngine().observe(STUDY, options, STUDY.inputs(options)).values
        for claim in STUDY.claims(options):
            decision = claim.check(values, options)
            assert decision.holds, f"{dtype}, {claim.name}: {decision.figure}"


def test_growth_of_an_antisymmetric_matrix_has_its_closed_form(observed):
    """|R(i h w)| of both schemes: sqrt(1 + w^2) and sqrt(1 - w^6/72 + w^8/576)."""
    w = np.array(HW_GRID)
    for engine in observed.values():
        euler, rk4 = (engine.values[f"growth/{s}"][1] for s in ("forward_euler", "rk4"))
        np.testing.assert_allclose(euler, np.sqrt(1 + w**2), rtol=1e-13)
        # The smallest |w| of a 4 x 4 matrix may grow most below the stability limit.
        largest = np.sqrt(1 - w**6 / 72 + w**8 / 576)
        assert (rk4 >= largest - 1e-13).all()
        beyond = w > np.sqrt(8)
        np.testing.assert_allclose(rk4[beyond], largest[beyond], rtol=1e-12)


def test_a_residual_block_is_one_step_of_euler():
    """With weights constant in depth `residual` and the flow's Euler steps are the same map."""
    options = STUDY.configure("quick")
    inputs = {k: torch.tensor(v) for k, v in STUDY.inputs(options).items()}
    n = options.n_layers
    for name, theta in (("K1", "Theta_K1"), ("b1", "Theta_b"), ("K2", "Theta_K2")):
        inputs[name] = inputs[theta][0].expand(n, *inputs[theta].shape[1:])
        inputs[theta] = torch.cat([inputs[theta][:1], torch.zeros_like(inputs[theta][1:])])
    by_layers = answers.network("residual", inputs)
    by_steps = answers.flow(answers.forward_euler, inputs, n)
    torch.testing.assert_close(by_layers, by_steps, rtol=1e-14, atol=1e-15)


def test_every_task_runs(asked):
    options, inputs = asked
    tensors = {k: torch.tensor(v) for k, v in inputs.items()}
    for name, call in answers.tasks(tensors, options).items():
        assert call() is not None, name


def test_levels_double():
    assert levels(STUDY.configure(n_min=8, n_max=70)) == [8, 16, 32, 64]
