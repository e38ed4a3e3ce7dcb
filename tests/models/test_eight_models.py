"""Eight models in both languages: Julia live where it is ready, else replayed from recordings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eight import FLOW_STEP, MODULES, ODES, drawn, flow_step, seeded

DTYPES = {"float64": (torch.float64, 10), "float32": (torch.float32, 4)}


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", MODULES)
def test_modules_agree_in_every_step_and_every_parameter(bridge, name, precision) -> None:
    dtype, digits = DTYPES[precision]
    build, shape = MODULES[name]
    module = seeded(build, dtype)
    result = bridge.compare_module(module, drawn(*shape, dtype=dtype))
    assert {f"gradient/{k}" for k, _ in module.named_parameters()} <= set(result.values["julia"])
    if digits == 10:
        result.assert_agree(budget=None)
        gradients = [d for d in result.rows if d.kind == "gradient"]
        largest = max(np.linalg.norm(result.values["torch"][d.quantity]) for d in gradients)
        # 1e-10 relative, or of the largest gradient where one vanishes (a bias before a norm).
        assert all(d.absolute <= 1e-10 * largest for d in gradients)
    else:
        result.assert_agree()


@pytest.mark.parametrize("module", ["residual cnn"])
def test_running_statistics_are_used_in_eval_mode(bridge, module) -> None:
    build, shape = MODULES[module]
    net = seeded(build, torch.float64)
    net(drawn(*shape) + 1)  # moves the running statistics away from 0 and 1
    bridge.compare_module(net.eval(), drawn(*shape)).assert_agree(digits=10)


@pytest.mark.parametrize("mode", ["aligned", "native"])
@pytest.mark.parametrize("name", ODES)
def test_odes_agree_in_solution_gradient_and_round_trip(bridge, name, mode) -> None:
    f, julia, u0, theta = ODES[name]
    result = bridge.compare_ode(f, julia, u0, (0.0, 1.5), theta, mode=mode)
    result.assert_agree(digits=10 if mode == "aligned" else None)
    further = "forward" if mode == "aligned" else "interpolation"
    for name in ("gradient/theta", f"gradient/theta/{further}"):
        assert result.values["julia"][name].shape == (len(theta),)


def test_every_way_to_a_gradient_agrees(bridge) -> None:
    f, julia, u0, theta = ODES["lotka-volterra"]
    adjoints = ["backsolve", "reset", "interpolation", "checkpoints"]
    library = [f"sciml/{name}" for name in ("interpolating", "gauss", "quadrature")]
    result = bridge.compare_ode(
        f, julia, u0, (0.0, 1.5), theta, sensitivities=["forward", *adjoints, *library]
    )
    result.assert_agree()
    compared = {(d.quantity, d.pair) for d in result.rows}
    for name in adjoints:
        assert (f"gradient/theta/{name}", "torch–julia") in compared
        # The same equation under the same controller: far closer than the tolerance asks.
        one, two = (result.values[e][f"gradient/theta/{name}"] for e in ("torch", "julia"))
        assert np.linalg.norm(one - two) <= 1e-7 * np.linalg.norm(one)
    assert ("gradient/theta/forward", "julia–torch") in compared


def test_fixed_steps_agree(bridge) -> None:
    f, julia, u0, theta = ODES["van der pol"]
    result = bridge.compare_ode(f, julia, u0, (0.0, 1.5), theta, method="rk4", substeps=2)
    result.assert_agree(digits=10)


def test_work_and_precision_of_both_solvers(bridge) -> None:
    f, julia, u0, theta = ODES["van der pol"]
    rtols = [1e-3, 1e-5, 1e-7]
    result = bridge.compare_ode(
        f, julia, u0, (0.0, 1.5), theta, mode="native", work_precision=rtols
    )
    result.assert_agree()
    for engine in ("torch", "julia"):
        found = result.values[engine]
        errors = np.array([found[f"work/{r:g}/error"] for r in rtols])
        work = np.array([found[f"work/{r:g}/evaluations"] for r in rtols])
        assert (errors < 100 * np.array(rtols)).all()
        assert (np.diff(errors) < 0).all()
        assert (np.diff(work) > 0).all()


def test_a_flow_step_agrees_with_its_log_determinant(bridge) -> None:
    at = {"W1": drawn(4, 2), "b1": drawn(4), "W2": drawn(2, 4)}
    result = bridge.compare_gradients(
        flow_step,
        FLOW_STEP,
        at,
        {"z": drawn(2, 7), "h": 0.1},
        packages=["zygote", "forwarddiff", "tracker"],
    )
    result.assert_agree(digits=10)
    # J^T w and J v of both languages, and a directional derivative that neither computed.
    assert {d.pair for d in result.rows if d.quantity == "Jv"} >= {"torch–julia", "torch–referee"}
