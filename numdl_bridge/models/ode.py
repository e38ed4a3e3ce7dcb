"""`compare_ode`: an initial value problem in both languages, and derivatives of its solution."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch as _torch

from ..errors import BadInputError
from . import diagnosis
from .inputs import PRECISIONS, common_precision, named_arrays
from .julia_side import ask_julia
from .ode_problem import Loss, Problem
from .ode_question import question, torch_answer
from .question import kernel_times, tolerance
from .result import ModelResult, conclude
from .sensitivities import chosen, solver_tolerance
from .solvers import METHODS, PAIRS, checked, predicted_steps

Mode = Literal["aligned", "native"]


def compare_ode(
    torch: Callable[..., Any],
    julia: str,
    u0: Any,
    tspan: tuple[float, float],
    theta: Any,
    loss: Loss | None = None,
    *,
    times: int | Sequence[float] = 30,
    method: str = "tsit5",
    rtol: float = 1e-7,
    atol: float = 1e-9,
    mode: Mode = "aligned",
    substeps: int = 1,
    sensitivities: Sequence[str] | None = None,
    work_precision: Sequence[float] = (),
    name: str = "own ODE",
    agree_to: float | None = None,
    seed: int = 1,
    julia_mode: str = "auto",
    recordings: str | Path | None = None,
    keep: bool = False,
) -> ModelResult:
    """Compare solution, gradient and round trip of u' = f in torch and in Julia.

    **Arguments:**

    - `torch`: right-hand side `f(t, u, theta) -> du`, in torchdiffeq's order of arguments.
    - `julia`: the same as `f(u, theta, t) -> du`, in SciML's order: source text, or
      `"file.jl::name"`. It returns a new array.
    - `u0`, `theta`: arrays of one precision. `tspan`: first and last time.
    - `loss`: (torch function of the states, shape `(times, ...)`; Julia source of the same, of an
      array of size `(..., times)`); by default the inner product with a random cotangent.
    - `times`: of observation: how many, equally spaced, or which.
    - `method`: `rk4` (fixed steps, `substeps` to an interval), or `tsit5`, `dp5`, `bs3` (adaptive).
    - `mode`: `aligned`: both sides take the same steps of the same scheme (those that torch chose)
      and agree to rounding. `native`: torchdiffeq's dopri5 against DifferentialEquations.jl's
      `method`, each with its own controller; they agree to the solvers' tolerance.
    - `rtol`, `atol`: of the solvers.
    - `sensitivities`: further ways to the gradient, beside reverse mode through the steps:
      `forward` sensitivities; continuous adjoints of both languages, `backsolve`, `reset`,
      `interpolation`, `checkpoints`; and of SciMLSensitivity where Julia has it, `sciml/backsolve`,
      `sciml/checkpoints`, `sciml/interpolating`, `sciml/gauss`, `sciml/quadrature`. By default
      `forward` in aligned mode where theta is small, `interpolation` in native mode.
    - `work_precision`: relative tolerances to solve at as well, in native mode: quantities
      `work/<rtol>/...` hold error, evaluations and seconds of both sides.
    - `agree_to`: relative tolerance of the comparison.
    - the others: see `compare_gradients`.

    Raises `NumDLError` with one message for whatever is wrong with the arguments or with either
    function, and where a solver stops.
    """
    begun = time.perf_counter()
    arrays = named_arrays("argument", {"u0": u0, "theta": theta})
    precision = common_precision(arrays)
    _check(mode, method, substeps, rtol, atol, arrays, work_precision)
    clock = _times(tspan, times).astype(np.float64)
    drawn = np.random.default_rng(seed).standard_normal((len(clock), *arrays["u0"].shape))
    problem = Problem(
        torch, arrays["u0"], arrays["theta"], clock, method, mode, substeps, rtol, atol, loss,
        drawn.astype(precision), tuple(work_precision), (),
    )  # fmt: skip
    problem = replace(
        problem, sensitivities=chosen(sensitivities, method, mode, precision, problem.size)
    )
    checked(torch, _torch.tensor(problem.u0), _torch.tensor(problem.theta), float(clock[0]))
    start = time.perf_counter()
    ours = torch_answer(problem)
    spent = {"torch": time.perf_counter() - start}
    if mode == "native" and agree_to is None:
        allowed, why = solver_tolerance(problem)
    else:
        allowed, why = tolerance(precision, agree_to)
    asked = question(name, julia, problem, ours, allowed, why)
    start = time.perf_counter()
    answer, reason = ask_julia(asked, julia_mode, recordings, keep)
    spent["julia"] = time.perf_counter() - start
    observations = {
        "torch": asked.observation(
            "torch", ours.values, ours.unavailable, timings=kernel_times(ours.seconds)
        )
    }
    if answer is not None:
        observations["julia"] = answer
    result = conclude(asked, observations, {} if answer else {"julia": reason}, spent, begun)
    result.diagnosis = _diagnosis(problem, result)
    return result


def _diagnosis(p: Problem, result: ModelResult) -> str | None:
    """A tolerance that was not the one asked for shows in the steps before it shows elsewhere."""
    julia = result.values.get("julia", {})
    disagreed = {d.quantity for d in result.comparison.disagreements}
    if "steps" in disagreed and "steps" in julia:

        def predicted(rtol: float) -> int:
            u0, theta = _torch.tensor(p.u0), _torch.tensor(p.theta)
            atol = rtol * p.atol / p.rtol
            return predicted_steps(p.f, u0, theta, p.times, p.method, rtol, atol)

        if found := diagnosis.of_steps(int(julia["steps"]), predicted, p.rtol):
            return f"steps: {found}"
    return diagnosis.of_first(result)


def _check(
    mode: str,
    method: str,
    substeps: int,
    rtol: float,
    atol: float,
    arrays: dict[str, np.ndarray],
    work_precision: Sequence[float],
) -> None:
    if mode not in get_args(Mode):
        raise BadInputError(f"mode {mode!r}", f"one of {', '.join(get_args(Mode))}")
    if method not in METHODS or (mode == "native" and method not in PAIRS):
        known = PAIRS if mode == "native" else METHODS
        raise BadInputError(f"method {method!r} in {mode} mode", f"one of {', '.join(known)}")
    if not (isinstance(substeps, int) and substeps > 0):
        raise BadInputError(f"substeps {substeps!r}", "a whole number of at least 1")
    if not (rtol > 0 and atol > 0 and all(r > 0 for r in work_precision)):
        raise BadInputError(
            f"rtol {rtol}, atol {atol}, work_precision {work_precision}", "positive"
        )
    if work_precision and mode != "native":
        raise BadInputError("work_precision in aligned mode", 'mode="native"')
    for name, value in arrays.items():
        if value.dtype.name not in PRECISIONS:
            raise BadInputError(f"{name} is of dtype {value.dtype}", " or ".join(PRECISIONS))


def _times(tspan: tuple[float, float], times: int | Sequence[float]) -> np.ndarray:
    first, last = map(float, tspan)
    clock = np.linspace(first, last, times) if isinstance(times, int) else np.asarray(times, float)
    good = clock.ndim == 1 and len(clock) >= 2 and np.isfinite(clock).all()
    if not (good and (np.diff(clock) > 0).all() and clock[0] == first and clock[-1] == last):
        raise BadInputError(
            f"tspan {tspan} with times {times}",
            "at least two increasing times, the first and last of them those of tspan",
        )
    return clock


__all__ = ["Loss", "compare_ode"]
