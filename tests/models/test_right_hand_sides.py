"""Right-hand sides as people write them for torchdiffeq, and the mistakes in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import numdl_bridge as nb
from numdl_bridge.errors import NumDLError

MODES = ["aligned", "native"]


def solved(f, u0=(1.0, 2.0), theta=(-0.5, 0.2), tspan=(0.0, 1.0), **options):
    return nb.compare_ode(f, "x", u0, tspan, theta, julia_mode="off", **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_time_is_a_tensor_without_axes_as_torchdiffeq_has_it(mode, precision) -> None:
    seen = set()

    def f(t, u, theta):
        seen.add((type(t), tuple(t.shape), t.dtype))
        return torch.stack([torch.cos(t), theta[0] * u[1]])

    u0, theta = (np.array(x, dtype=precision) for x in ([0.0, 1.0], [-0.5]))
    result = solved(f, u0, theta, mode=mode, rtol=1e-6, atol=1e-8)
    assert seen == {(torch.Tensor, (), getattr(torch, precision))}
    last = result.values["torch"]["solution"][-1]
    assert last == pytest.approx([np.sin(1.0), np.exp(-0.5)], rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("f", "named"),
    [
        (lambda t, u, theta: (theta * u).detach(), "depends on u, but autograd"),
        (lambda t, u, theta: theta.detach() * u, "depends on theta, but autograd"),
        (lambda t, u, theta: theta * u.detach(), "depends on u, but autograd"),
        (lambda u, theta, t: theta * u, "which is Julia's order"),
        (lambda t, u, theta: theta * u * float("nan"), r"returned NaN at entry \(0,\).* t = 0"),
        (lambda t, u, theta: 1 + theta * torch.sqrt(1.5 - u), "returned NaN at t = 0.[0-9]"),
        (lambda t, u, theta: u + theta * torch.rand(2), "two calls of your torch right-hand side"),
        (lambda t, u: u, "takes 2 positional arguments but 3"),
    ],
)
def test_a_faulty_right_hand_side_gets_one_message(f, named, mode) -> None:
    with pytest.raises(NumDLError, match=named) as caught:
        solved(f, u0=[1.0, 1.0], tspan=(0.0, 5.0), mode=mode)
    assert "tolerance" not in caught.value.remedy


def test_fixed_steps_into_NaN_are_refused() -> None:
    with pytest.raises(NumDLError, match=r"returned NaN at t = 0.[0-9]"):
        solved(
            lambda t, u, theta: 1 + theta * torch.sqrt(1.5 - u), [1.0, 1.0], tspan=(0.0, 5.0),
            method="rk4",
        )  # fmt: skip


def test_a_solution_that_blows_up_is_no_mistake_of_the_function() -> None:
    with pytest.raises(NumDLError, match="shorten tspan"):
        solved(lambda t, u, theta: u * u + 0 * theta, tspan=(0.0, 3.0))


FREE = {
    "a constant": lambda t, u, theta: torch.ones_like(u),
    "of time": lambda t, u, theta: torch.cos(t) * torch.ones(2, dtype=torch.float64),
    "of u": lambda t, u, theta: -u,
    "of theta": lambda t, u, theta: theta + 0.0,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FREE)
def test_a_right_hand_side_may_be_free_of_its_arguments(name, mode) -> None:
    values = solved(FREE[name], mode=mode).values["torch"]
    assert values["gradient/u0"].any()
    assert values["gradient/theta"].any() == (name == "of theta")


def test_one_sensitivity_may_be_named_without_a_list() -> None:
    result = solved(lambda t, u, theta: theta * u, sensitivities="interpolation")
    assert "gradient/theta/interpolation" in result.values["torch"]


def test_tensors_of_times_are_taken() -> None:
    clock = torch.linspace(0, 1, 5, dtype=torch.float64)
    result = solved(lambda t, u, theta: theta * u, tspan=clock[[0, -1]], times=clock)
    assert result.values["torch"]["solution"].shape == (5, 2)


def test_the_round_trip_says_how_far_off_it_is() -> None:
    values = solved(lambda t, u, theta: theta * u, mode="native").values["torch"]
    gap = np.linalg.norm(values["round trip"] - [1.0, 2.0])
    assert 0 < values["round trip/off by"] == pytest.approx(gap)
