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
from ..studies.contract import Quantity
from . import diagnosis, torch_side
from .differences import Derivative, directional_derivative
from .inputs import common_precision, directions, named_arrays
from .jets import jet_array, parts
from .julia_side import ask_julia
from .question import Question, julia_source, kernel_times, tolerance
from .result import ModelResult, conclude

PACKAGES = ("zygote", "forwarddiff", "reversediff", "tracker")


def compare_gradients(
    torch: Callable[..., Any],
    julia: str,
    at: Mapping[str, Any],
    constants: Mapping[str, Any] | None = None,
    *,
    packages: Sequence[str] = ("zygote",),
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
    function: one that throws, returns nothing, mutates its input or does not parse.
    """
    begun = time.perf_counter()
    torch_side.check_shape(at)
    points, fixed = named_arrays("at", at), named_arrays("constants", constants or {})
    if both := sorted(set(points) & set(fixed)):
        raise BadInputError(f"{', '.join(both)} in `at` and in `constants`", "one place each")
    for array_name, value in points.items():
        if not np.issubdtype(value.dtype, np.floating):
            raise BadInputError(
                f"at {array_name!r} is of dtype {value.dtype}",
                "floating-point numbers",
                "move it to `constants`, or convert it",
            )
    if unknown := sorted(set(packages) - set(PACKAGES)) or not packages:
        raise BadInputError(f"packages {unknown or '()'}", f"some of {', '.join(PACKAGES)}")
    precision = common_precision({**points, **fixed})
    tangent = directions(points, seed)
    drawn: dict[str, np.ndarray] = {}

    def cotangent(shape: tuple[int, ...]) -> np.ndarray:
        w = np.random.default_rng(seed + 1).standard_normal(shape) if shape else np.ones(())
        drawn["cotangent"] = np.asarray(w, dtype=precision)
        return drawn["cotangent"]

    start = time.perf_counter()
    value, gradients = torch_side.reverse_mode(torch, points, fixed, cotangent)
    reverse = {"gradient": time.perf_counter() - start}
    jvp = torch_side.forward_mode(torch, points, fixed, tangent)
    spent = {"torch": time.perf_counter() - start}
    w = drawn["cotangent"]
    question = _question(name, julia, packages, points, fixed, tangent, w, precision, rtol)

    def with_identity(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pairs = [np.vdot(values[f"gradient/{n}"], tangent[n]) for n in points]
        return values | {"⟨Jᵀw, v⟩": np.sum(pairs), "⟨w, Jv⟩": np.vdot(w, values["Jv"])}

    answers = {"value": value, **{f"gradient/{n}": g for n, g in gradients.items()}, "Jv": jvp}
    observations = {
        "torch": question.observation(
            "torch", with_identity(answers), timings=kernel_times(reverse)
        )
    }
    # Julia answers in a process of its own; the referee works while this one waits for it.
    with ThreadPoolExecutor(1) as aside:
        judging = aside.submit(_referee, torch, referee, points, fixed, tangent)
        start = time.perf_counter()
        answer, reason = ask_julia(question, julia_mode, recordings, keep)
        spent["julia"] = time.perf_counter() - start
        judged, error, spent["referee"] = judging.result()
    observations["referee"] = question.observation(
        "referee", {"Jv": judged.value}, radii={"Jv": error}, provenance={"method": judged.method}
    )
    if answer is not None:
        if not any(k.startswith("gradient/") for k in answer.unavailable) and "Jv" in answer.values:
            answer.values.update(with_identity(answer.values))
        observations["julia"] = answer
    absent = {} if answer else {"julia": reason}
    result = conclude(question, observations, absent, spent, begun)
    result.diagnosis = diagnosis.of_first(result)
    return result


def _question(
    name: str,
    source: str,
    packages: Sequence[str],
    points: Mapping[str, np.ndarray],
    fixed: Mapping[str, np.ndarray],
    tangent: Mapping[str, np.ndarray],
    w: np.ndarray,
    precision: str,
    rtol: float | None,
) -> Question:
    text, function, _ = julia_source(source)
    inputs = {f"at/{n}": v for n, v in points.items()}
    inputs |= {f"constants/{n}": v for n, v in fixed.items()}
    inputs |= {f"tangent/{n}": v for n, v in tangent.items()}
    inputs["cotangent"] = w
    allowed, why = tolerance(precision, rtol)
    both = ("torch", "julia")
    quantities = [Quantity("value", "value", allowed, why, engines=both)]
    for n in points:
        quantities.append(Quantity(f"gradient/{n}", "gradient", allowed, why, engines=both))
        quantities += [
            Quantity(
                f"gradient/{n}/{package}",
                "gradient",
                allowed,
                why,
                engines=("julia",),
                compare_with=f"gradient/{n}",
            )
            for package in packages[1:]
        ]
    # The two sides of ⟨w, Jv⟩ = ⟨Jᵀw, v⟩ cancel: what they may differ by is relative to the terms.
    size = float(np.linalg.norm(w)) or 1.0
    quantities += [
        Quantity("Jv", "jacobian", allowed, why, about="J v by forward mode"),
        Quantity("⟨w, Jv⟩", "jacobian", allowed, why, atol=allowed * size, engines=both),
        Quantity(
            "⟨Jᵀw, v⟩",
            "jacobian",
            allowed,
            why,
            atol=allowed * size,
            engines=both,
            compare_with="⟨w, Jv⟩",
        ),
    ]
    arguments = {
        "source": text,
        "name": function,
        "at": list(points),
        "constants": list(fixed),
        "packages": list(packages),
    }

    def translate(reply: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        failures, arrays = reply.data["failures"], reply.arrays
        if packages[0] in failures:
            raise EngineError(
                f"{packages[0]} cannot differentiate your Julia function: {failures[packages[0]]}",
                "a function that this package can differentiate",
                "rewrite that line, or put another package first in `packages`",
            )
        values, reasons = {"value": arrays["value"]}, {}
        for n in points:
            for package in packages:
                key = f"gradient/{n}" + ("" if package == packages[0] else f"/{package}")
                if package in failures:
                    reasons[key] = f"{package}: {failures[package]}"
                else:
                    values[key] = arrays[f"gradient/{package}/{n}"]
        if "jvp" in arrays:
            values["Jv"] = arrays["jvp"]
        else:
            why_not = f"ForwardDiff: {failures['jvp']}"
            reasons |= dict.fromkeys(("Jv", "⟨w, Jv⟩", "⟨Jᵀw, v⟩"), why_not)
        return values, reasons

    return Question(name, "own_gradient", arguments, inputs, quantities, translate)


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
        found = directional_derivative(torch_side.along(function, points, fixed, tangent))
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
