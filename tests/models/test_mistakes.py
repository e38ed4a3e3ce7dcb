"""What a user gets wrong ends in one message, on either side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import numdl_bridge as nb
from numdl_bridge.errors import NumDLError

AT = {"theta": np.array([0.5, -1.0, 2.0])}
SQUARES = "(; theta) -> sum(abs2, theta)"


def squares(theta):
    return theta.square().sum()


def raises(theta):
    raise ValueError("no such weather")


def wrong_shape(t, u, theta):
    return torch.cat([u, u])


def in_place(theta):
    with torch.no_grad():
        theta.mul_(2)
    return theta.sum()


TORCH_FAULTS = {
    "detached": (lambda theta: theta.detach().square().sum(), "cut off"),
    "a number": (lambda theta: 3.0, "returned a float"),
    "nothing": (lambda theta: None, "NoneType"),
    "raises": (raises, "no such weather"),
    "changes its argument": (in_place, "in place"),
    "another precision": (lambda theta: theta.float().sum(), "float32"),
}


@pytest.mark.parametrize("fault", TORCH_FAULTS)
def test_a_faulty_torch_function_gets_one_message(fault) -> None:
    function, named = TORCH_FAULTS[fault]
    with pytest.raises(NumDLError, match=named) as caught:
        nb.compare_gradients(function, SQUARES, AT, julia_mode="off")
    assert caught.value.remedy or caught.value.expected


def test_a_right_hand_side_of_another_shape_gets_one_message() -> None:
    with pytest.raises(NumDLError, match=r"shape \(4,\)"):
        nb.compare_ode(wrong_shape, "x", [1.0, 2.0], (0.0, 1.0), [1.0], julia_mode="off")


BAD_ARGUMENTS = {
    "NaN": ({"at": {"theta": [np.nan]}}, "NaN"),
    "text": ({"at": {"theta": ["a"]}}, "dtype"),
    "integers": ({"at": {"theta": [1, 2]}}, "floating-point"),
    "nothing to differentiate": ({"at": {}}, "empty"),
    "no identifier": ({"at": {"a b": [1.0]}}, "'a b'"),
    "two precisions": (
        {"at": AT, "constants": {"c": np.ones(2, np.float32)}},
        "different precision",
    ),
    "half precision": ({"at": {"theta": np.ones(2, np.float16)}}, "float16"),
    "twice": ({"at": AT, "constants": AT}, "in `constants`"),
    "unknown package": ({"at": AT, "packages": ["enzyme"]}, "enzyme"),
    "unknown mode": ({"at": AT, "julia_mode": "maybe"}, "maybe"),
    "missing file": ({"at": AT, "julia": "nowhere.jl::f"}, "nowhere.jl"),
    "file without a name": ({"at": AT, "julia": "nowhere.jl"}, "names no function"),
}


@pytest.mark.parametrize("fault", BAD_ARGUMENTS)
def test_a_bad_argument_gets_one_message(fault) -> None:
    arguments, named = BAD_ARGUMENTS[fault]
    with pytest.raises(NumDLError, match=named):
        nb.compare_gradients(squares, **{"julia": SQUARES, "julia_mode": "off", **arguments})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"method": "euler"}, "euler"),
        ({"mode": "other"}, "other"),
        ({"substeps": -1}, "substeps"),
        ({"rtol": 0.0}, "rtol"),
        ({"times": [0.0, 0.5]}, "tspan"),
        ({"tspan": (1.0, 0.0)}, "tspan"),
        ({"work_precision": [1e-3]}, "work_precision"),
        ({"sensitivities": ["adjoint"]}, "some of forward, backsolve"),
        ({"sensitivities": ["backsolve"], "method": "rk4"}, "fixed steps of 'rk4'"),
    ],
)
def test_a_bad_option_of_an_ode_gets_one_message(options, named) -> None:
    arguments = {
        "torch": lambda t, u, theta: theta * u,
        "julia": "x",
        "u0": [1.0],
        "tspan": (0.0, 1.0),
        "theta": [1.0],
    }
    with pytest.raises(NumDLError, match=named):
        nb.compare_ode(**{**arguments, **options}, julia_mode="off")


JULIA_FAULTS = {
    "throws": ('(; theta) -> error("no such weather")', "no such weather"),
    "returns nothing": ("(; theta) -> nothing", "Nothing"),
    "mutates its input": ("(; theta) -> (theta .*= 2; sum(theta))", "changes its arguments"),
    "does not parse": ("(; theta) -> sum(theta", "your Julia source|ParseError|incomplete"),
    "is no function": ("3.0", "Float64"),
    "another shape": ("(; theta) -> theta", r"shape \(\), Julia one of size \(3,\)"),
    "unknown keyword": ("(; weights) -> sum(weights)", "keyword|MethodError|theta"),
    "a name not defined": ("(; theta) -> sun(theta)", "sun"),
}


@pytest.mark.julia
@pytest.mark.parametrize("fault", JULIA_FAULTS)
def test_a_faulty_julia_function_gets_one_message(fault) -> None:
    source, named = JULIA_FAULTS[fault]
    with pytest.raises(NumDLError, match=named) as caught:
        nb.compare_gradients(squares, source, AT, julia_mode="live")
    assert len(str(caught.value)) < 2000


@pytest.mark.julia
def test_a_package_that_fails_is_named_and_the_others_go_on() -> None:
    result = nb.compare_gradients(
        squares,
        # Mutation is what Zygote cannot follow and dual numbers can.
        "(; theta) -> (y = similar(theta); y .= theta .^ 2; sum(y))",
        AT,
        packages=["forwarddiff", "zygote"],
        julia_mode="live",
    )
    assert "Mutating" in result.observations["julia"].unavailable["gradient/theta/zygote"]
    result.assert_agree(digits=12)


def test_without_julia_an_assertion_is_no_green_light() -> None:
    result = nb.compare_gradients(squares, SQUARES, AT, julia_mode="off")
    with pytest.raises(AssertionError, match="nothing was compared with Julia"):
        result.assert_agree()
