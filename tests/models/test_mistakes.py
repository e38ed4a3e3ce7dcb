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
    "uses no argument": (lambda theta: torch.ones(()), "uses theta nowhere"),
    "NaN": (lambda theta: theta.log().sum(), "your torch function returned NaN for theta"),
    "NaN in an array": (lambda theta: theta.log(), r"NaN at entry \(1,\)"),
    "random": (lambda theta: (theta * torch.rand(3)).sum(), "two calls of your torch function"),
    "a keyword too many": (lambda theta, A: theta.sum(), "pass what is missing in `constants`"),
    "a keyword too few": (lambda: torch.ones(()), "name its arguments as in `at`"),
    "another shape": (lambda theta: torch.eye(4) @ theta, r"of the keywords theta \(3,\)"),
    "defined nowhere else": (
        lambda theta: theta.sum() if abs(float(theta.detach()[0]) - 0.5) < 1e-9 else 1 / 0,
        "a little way from `at`",
    ),
}


@pytest.mark.parametrize("fault", TORCH_FAULTS)
def test_a_faulty_torch_function_gets_one_message(fault) -> None:
    function, named = TORCH_FAULTS[fault]
    with pytest.raises(NumDLError, match=named) as caught:
        nb.compare_gradients(function, SQUARES, AT, julia_mode="off")
    assert caught.value.remedy or caught.value.expected


def test_a_gradient_that_is_cut_off_in_one_argument_is_refused() -> None:
    at = {**AT, "b": np.ones(3)}
    with pytest.raises(NumDLError, match="depends on 'b', but autograd finds no way back"):
        nb.compare_gradients(lambda theta, b: (theta * b.detach()).sum(), "x", at, julia_mode="off")


def test_a_gradient_that_really_is_zero_is_none_the_worse() -> None:
    at = {**AT, "b": np.ones(3)}
    result = nb.compare_gradients(lambda theta, b: theta.sum(), "x", at, julia_mode="off")
    assert not result.values["torch"]["gradient/b"].any()


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
    "an array, not arrays": ({"at": np.ones(3)}, "`at` is of type ndarray"),
    "pairs, not arrays": ({"at": [("theta", np.ones(3))]}, "`at` is of type list"),
    "constants without names": ({"at": AT, "constants": [1.0]}, "`constants` is of type list"),
    "a Julia function that is Python's": (
        {"at": AT, "julia": squares},
        "julia is of type function",
    ),
    "no Julia source": ({"at": AT, "julia": " "}, "the Julia source is empty"),
    "no torch function": ({"at": AT, "torch": "x"}, "torch is of type str"),
    "no packages": ({"at": AT, "packages": []}, "^no packages"),
    "packages that are none": ({"at": AT, "packages": None}, "packages None"),
    "one unknown package": ({"at": AT, "packages": "enzyme"}, r"packages \['enzyme'\]"),
    "a mask": ({"at": AT, "constants": {"m": np.array([True])}}, "mask.astype"),
    "bfloat16": ({"at": {"theta": torch.ones(2, dtype=torch.bfloat16)}}, "bfloat16"),
    "rows of different length": ({"at": {"theta": [[1.0], [1.0, 2.0]]}}, "is no array"),
    "complex": ({"at": {"theta": np.ones(2) * 1j}}, "complex128"),
    "a tolerance in words": ({"at": AT, "rtol": "small"}, "relative tolerance 'small'"),
    "a negative seed": ({"at": AT, "seed": -1}, "seed -1"),
}


@pytest.mark.parametrize("fault", BAD_ARGUMENTS)
def test_a_bad_argument_gets_one_message(fault) -> None:
    arguments, named = BAD_ARGUMENTS[fault]
    with pytest.raises(NumDLError, match=named):
        nb.compare_gradients(
            **{"torch": squares, "julia": SQUARES, "julia_mode": "off", **arguments}
        )


@pytest.mark.parametrize("fault", BAD_ARGUMENTS)
def test_no_bad_argument_reaches_the_function(fault) -> None:
    """A function may take minutes: what can be seen without calling it is seen first."""
    arguments, _ = BAD_ARGUMENTS[fault]
    if fault == "unknown mode":
        pytest.skip("who answers is looked at when Julia is asked")

    def called(**_):
        raise AssertionError("called")

    with pytest.raises(NumDLError):
        nb.compare_gradients(
            **{"torch": called, "julia": SQUARES, "julia_mode": "off", **arguments}
        )


def test_one_package_may_be_named_without_a_list() -> None:
    result = nb.compare_gradients(squares, SQUARES, AT, packages="forwarddiff", julia_mode="off")
    assert result.shown["packages"] == "forwarddiff"


@pytest.mark.parametrize(
    ("text", "name", "accepted"),
    [
        ("function other(; theta)\nend\n", "squares", False),
        ("# squares! and squares_of\nsquares_of(; theta) = 1\n", "squares", False),
        ("squares(; theta) = sum(abs2, theta)\n", "squares", True),
        ('include("others.jl")\n', "squares", True),
        ("for n in (:a, :b); @eval $n() = 1; end", "squares", True),
    ],
)
def test_a_function_that_its_file_cannot_define_is_refused(tmp_path, text, name, accepted) -> None:
    file = tmp_path / "mine.jl"
    file.write_text(text)
    call = {"torch": squares, "julia": f"{file}::{name}", "at": AT, "julia_mode": "off"}
    if accepted:
        nb.compare_gradients(**call)
        return
    with pytest.raises(NumDLError, match="has no function 'squares'") as caught:
        nb.compare_gradients(**call)
    assert "other" in caught.value.remedy or "squares_of" in caught.value.remedy


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
        ({"sensitivities": "adjoint"}, r"sensitivities \['adjoint'\]"),
        ({"tspan": 1.0}, "tspan 1.0"),
        ({"tspan": (0.0, 0.5, 1.0)}, r"tspan \(0.0, 0.5, 1.0\)"),
        ({"tspan": (0.0, float("nan"))}, "two increasing times"),
        ({"times": -3}, "times -3"),
        ({"times": True}, "times True"),
        ({"times": "many"}, "times 'many'"),
        ({"rtol": "small"}, "rtol 'small'"),
        ({"work_precision": 1e-3, "mode": "native"}, "work_precision 0.001"),
        ({"loss": lambda states: states.sum()}, "a pair"),
        ({"loss": (lambda states: states.sum(), lambda states: 0)}, "a pair"),
        ({"loss": (lambda states: None, "x")}, "your torch loss returned a NoneType"),
        ({"loss": (lambda states: 1 / 0, "x")}, "your torch loss raised ZeroDivisionError"),
        ({"loss": (lambda states: states.sum().detach(), "x")}, "cut off from the states"),
        ({"julia": ""}, "the Julia source is empty"),
        ({"julia": len}, "julia is of type builtin"),
        ({"u0": [float("nan")]}, "u0"),
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
