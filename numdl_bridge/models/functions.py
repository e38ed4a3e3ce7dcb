"""`compare_gradients`: a function of named arrays in both languages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.referee.number import Ball, midpoint, radius
from ..errors import BadInputError, EngineError
from . import diagnosis, torch_side
from .checks import check_common, check_function, check_named, julia_source, own_error, several
from .differences import Derivative, directional_derivative
from .function_question import ABOUT_JV, ABOUT_PAIRING, question
from .inputs import common_precision, directions, named_arrays
from .jets import jet_array, parts
from .julia_side import ask_julia
from .result import ModelResult, conclude
from .timing import REVERSE_COST, again, allowance

__tracebackhide__ = own_error

PACKAGES = ("zygote", "forwarddiff", "reversediff", "tracker")


def compare_gradients(
    torch: Callable[..., Any],
    julia: str,
    at: Mapping[str, Any],
    constants: Mapping[str, Any] | None = None,
    *,
    packages: str | Sequence[str] = ("zygote",),
    referee: Callable[..., Any] | None = None,
    name: str = "own function",
    rtol: float | None = None,
    seed: int = 1,
    julia_mode: str = "auto",
    recordings: str | Path | None = None,
    keep: bool = False,
) -> ModelResult:
    """Compare the derivatives of one function written in torch and in Julia.

    **Arguments:**

    - `torch`: called with keywords, one tensor for each name in `at` and `constants`. It returns a
      scalar tensor (its gradient is compared) or one of any shape (J^T w and J v are).
    - `julia`: the same function: source text such as `"(; theta, A) -> sum(abs2, A * theta)"`, or
      `"file.jl::name"`. It is called with keywords and returns a number or an array with the same
      shape as torch's result.
    - `at`: arrays by name, float64 or float32, to differentiate by; `constants`: further ones.
    - `packages`: Julia's AD packages to ask, of `zygote`, `forwarddiff`, `reversediff`, `tracker`;
      the first is the one that stands beside torch, the others are further opinions of it.
    - `referee`: the same function in NumPy, generic in the number type: evaluated in ball
      arithmetic it gives a derivative with a proven radius. Without it the referee is the torch
      function itself, differenced (an estimate, not a proof).
    - `name`: for tables and recordings. `rtol`: tolerance; 1e-10 in float64, 1e-4 in float32.
    - `seed`: of the cotangent w and the tangent v.
    - `julia_mode`, `recordings`, `keep`: as for `ask_julia`.

    Raises `NumDLError` with one message for whatever is wrong with the arguments or with either
    function: one that throws, returns nothing or NaN, mutates its input, draws random numbers or
    does not parse.
    """
    begun = time.perf_counter()
    check_common(name, rtol, seed)
    check_function(torch, "a function of tensors by keyword, which returns a tensor")
    if referee is not None:
        check_function(referee, "a function in NumPy, as `referee`")
    text, function, _ = julia_source(julia)
    asked = several(packages, "packages", PACKAGES)
    if not asked:
        raise BadInputError("no packages", f"some of {', '.join(PACKAGES)}")
    points, fixed = _arrays(at, {} if constants is None else constants)
    precision = common_precision({**points, **fixed})
    tangent = directions(points, seed)
    drawn: dict[str, np.ndarray] = {}

    def cotangent(shape: tuple[int, ...]) -> np.ndarray:
        w = np.random.default_rng(seed + 1).standard_normal(shape) if shape else np.ones(())
        drawn["cotangent"] = np.asarray(w, dtype=precision)
        return drawn["cotangent"]

    def reverse() -> tuple[tuple[np.ndarray, dict[str, np.ndarray]], float]:
        start = time.perf_counter()
        found = torch_side.reverse_mode(torch, points, fixed, cotangent)
        return found, time.perf_counter() - start

    start = time.perf_counter()
    (value, gradients), first = reverse()
    jvp = torch_side.forward_mode(torch, points, fixed, tangent)
    spent = {"torch": time.perf_counter() - start}
    warm = torch_side.check_repeats(torch, points, fixed, value)
    w = drawn["cotangent"]
    put = question(
        name, (text, function), asked, points, fixed, tangent, w, precision, rtol,
        {"dtype": precision, "packages": ", ".join(asked), "seed": seed}, _notes(w),
    )  # fmt: skip

    def with_identity(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pairs = [np.vdot(values[f"gradient/{n}"], tangent[n]) for n in points]
        return values | {"⟨Jᵀw, v⟩": np.sum(pairs), "⟨w, Jv⟩": np.vdot(w, values["Jv"])}

    answers = {"value": value, **{f"gradient/{n}": g for n, g in gradients.items()}, "Jv": jvp}
    # Julia answers in a process of its own; the referee works while this one waits for it.
    with ThreadPoolExecutor(1) as aside:
        judging = aside.submit(_referee, torch, referee, points, fixed, tangent)
        start = time.perf_counter()
        answer, reason = ask_julia(put, julia_mode, recordings, keep)
        spent["julia"] = time.perf_counter() - start
        judged, error, spent["referee"] = judging.result()
    start = time.perf_counter()
    allowed = allowance(spent, answer is not None and answer.recorded is None)
    timings = again(
        {"gradient": first}, lambda: {"gradient": reverse()[1]}, REVERSE_COST * warm, allowed
    )
    spent["timing"] = warm + time.perf_counter() - start
    observations = {
        "torch": put.observation("torch", with_identity(answers), timings=timings),
        "referee": put.observation(
            "referee",
            {"Jv": judged.value},
            radii={"Jv": error},
            provenance={"method": judged.method},
        ),
    }
    if answer is not None:
        if not any(k.startswith("gradient/") for k in answer.unavailable) and "Jv" in answer.values:
            answer.values.update(with_identity(answer.values))
        observations["julia"] = answer
    absent = {} if answer else {"julia": reason}
    result = conclude(put, observations, absent, spent, begun)
    result.notes = (_about_referee(judged.method, referee), *result.notes)
    result.diagnosis = diagnosis.of_first(result)
    return result


def _arrays(
    at: Mapping[str, Any], constants: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays to differentiate by, and the others; raises for what cannot be either."""
    check_named("at", at)
    check_named("constants", constants)
    torch_side.check_shape(at)
    points, fixed = named_arrays("at", at), named_arrays("constants", constants)
    if both := sorted(set(points) & set(fixed)):
        raise BadInputError(f"{', '.join(both)} in `at` and in `constants`", "one place each")
    for array_name, value in points.items():
        if not np.issubdtype(value.dtype, np.floating):
            raise BadInputError(
                f"at {array_name!r} is of dtype {value.dtype}",
                "floating-point numbers",
                "move it to `constants`, or convert it",
            )
    return points, fixed


def _notes(w: np.ndarray) -> list[str]:
    cotangent = "gradients are Jᵀw for a random w of the result's shape"
    return [ABOUT_JV, ABOUT_PAIRING, *([cotangent] if w.ndim else [])]


def _about_referee(method: str, given: Callable[..., Any] | None) -> str:
    """Who judges what, one line: only J v has a judge."""
    if given is not None:
        return f"the referee is your NumPy function in {method}, proven; it judges Jv alone"
    return (
        f"the referee is your torch function itself, differenced ({method}, an estimate): it "
        "judges torch's and Julia's Jv alone, and not whether the torch function is what you meant"
    )


def _referee(
    function: Callable[..., Any],
    generic: Callable[..., Any] | None,
    points: Mapping[str, np.ndarray],
    fixed: Mapping[str, np.ndarray],
    tangent: Mapping[str, np.ndarray],
) -> tuple[Derivative, np.ndarray, float]:
    """J v as a third party finds it, the elementwise radius of what is not known, and seconds."""
    start = time.perf_counter()
    if generic is None:
        try:
            found = directional_derivative(torch_side.along(function, points, fixed, tangent))
        except Exception as error:
            raise EngineError(
                f"your torch function raised {type(error).__name__} a little way from `at`, where "
                f"the referee differences it: {error}",
                "a function that is defined around `at`",
                "move `at` inwards, or give a NumPy function as `referee`",
            ) from error
        # A norm-wise error estimate, spread evenly: the radii's norm is the estimate.
        spread = np.full(np.shape(found.value), found.error / np.sqrt(max(found.value.size, 1)))
        return found, spread, time.perf_counter() - start
    field = Ball(256)
    with field.working():
        moved = {k: jet_array(v, tangent[k], field) for k, v in points.items()}
        still = {k: jet_array(v, None, field) for k, v in fixed.items()}
        try:
            _, slope = parts(generic(**moved, **still))
        except Exception as error:
            raise EngineError(
                f"the NumPy referee raised {type(error).__name__} in ball arithmetic: {error}",
                "a function that uses NumPy's +, -, *, /, @, sum, exp, log, sqrt, sin, cos, tanh",
                "leave `referee` out to have differences judge instead",
            ) from error
        proven = Derivative(midpoint(slope), 0.0, "ball arithmetic")
        return proven, radius(slope), time.perf_counter() - start
