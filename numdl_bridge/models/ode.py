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
from ..studies.observation import Timing
from . import diagnosis
from .checks import (
    AN_ODE,
    check_common,
    check_function,
    check_loss,
    check_right_hand_side,
    is_number,
    julia_source,
    own_error,
)
from .inputs import PRECISIONS, common_precision, named_arrays
from .julia_side import ask_julia
from .ode_problem import Loss, Problem
from .ode_question import OFF_BY, TorchAnswer, off_by, question, torch_answer
from .question import tolerance
from .result import ModelResult, conclude
from .sensitivities import chosen, solver_tolerance
from .solvers import METHODS, PAIRS, checked, predicted_steps, with_tensor_time
from .timing import SOLVE_COST, again, allowance

__tracebackhide__ = own_error

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
    sensitivities: str | Sequence[str] | None = None,
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

    - `torch`: right-hand side `f(t, u, theta) -> du`, in torchdiffeq's order of arguments; t comes
      as a tensor without axes.
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
    check_common(name, agree_to, seed)
    check_function(torch, "a right-hand side f(t, u, theta) -> du")
    check_right_hand_side(torch)
    check_loss(loss, "the states")
    text, function, _ = julia_source(julia, AN_ODE)
    arrays = named_arrays("argument", {"u0": u0, "theta": theta})
    precision = common_precision(arrays)
    _check(mode, method, substeps, rtol, atol, arrays, work_precision)
    clock = _times(tspan, times).astype(np.float64)
    drawn = np.random.default_rng(seed).standard_normal((len(clock), *arrays["u0"].shape))
    problem = Problem(
        with_tensor_time(torch), arrays["u0"], arrays["theta"], clock, method, mode, substeps,
        rtol, atol, loss, drawn.astype(precision), tuple(work_precision), (),
    )  # fmt: skip
    problem = replace(
        problem, sensitivities=chosen(sensitivities, method, mode, precision, problem.size)
    )
    u, p = _torch.tensor(problem.u0), _torch.tensor(problem.theta)
    warm = checked(problem.f, u, p, float(clock[0]))
    start = time.perf_counter()
    ours = torch_answer(problem)
    spent = {"torch": time.perf_counter() - start}
    if mode == "native" and agree_to is None:
        allowed, why = solver_tolerance(problem)
    else:
        allowed, why = tolerance(precision, agree_to)
    shown = {"dtype": precision, "mode": mode, "method": method, "rtol": rtol, "atol": atol}
    shown = {k: v for k, v in shown.items() if method in PAIRS or k not in ("rtol", "atol")}
    asked = question(
        name, (text, function), problem, ours, allowed, why, {**shown, "seed": seed}, _notes(loss)
    )
    start = time.perf_counter()
    answer, reason = ask_julia(asked, julia_mode, recordings, keep)
    spent["julia"] = time.perf_counter() - start
    start = time.perf_counter()
    timings = _timings(ours, warm, allowance(spent, answer is not None and not answer.recorded))
    spent["timing"] = time.perf_counter() - start
    observations = {
        "torch": asked.observation("torch", ours.values, ours.unavailable, timings=timings)
    }
    if answer is not None:
        if "round trip" in answer.values:
            answer.values[OFF_BY] = off_by(problem, answer.values["round trip"])
        observations["julia"] = answer
    result = conclude(asked, observations, {} if answer else {"julia": reason}, spent, begun)
    result.diagnosis = _diagnosis(problem, result)
    return result


def _timings(ours: TorchAnswer, warm: float, allowed: float) -> list[Timing]:
    """The solve and its gradient again where that is cheap; `warm` seconds an evaluation."""
    first = {k: s for k, s in ours.seconds.items() if k in ("solve", "gradient")}
    further = {k: s for k, s in ours.seconds.items() if k not in first}
    expected = SOLVE_COST * ours.evaluations * warm
    adjoints = [Timing(task, "first call", (s,)) for task, s in further.items()]
    return again(first, ours.again, expected, allowed) + adjoints


def _notes(loss: Loss | None) -> list[str]:
    notes = [
        "no referee: nobody judges torch's and Julia's answers but each other",
        "round trip is u0 again, integrated back from the last state; off by is its distance",
    ]
    if loss is None:
        notes.append(
            "loss is the inner product of the solution with a random cotangent w, as no loss was "
            "given"
        )
    return notes


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
    listed = _is_list(work_precision)
    tolerances: list[Any] = [rtol, atol, *(work_precision if listed else [None])]
    if not all(is_number(r) and r > 0 for r in tolerances):
        raise BadInputError(
            f"rtol {rtol!r}, atol {atol!r}, work_precision {work_precision!r}",
            "positive numbers, work_precision a list of them",
        )
    if work_precision and mode != "native":
        raise BadInputError("work_precision in aligned mode", 'mode="native"')
    for name, value in arrays.items():
        if value.dtype.name not in PRECISIONS:
            raise BadInputError(f"{name} is of dtype {value.dtype}", " or ".join(PRECISIONS))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _times(tspan: Any, times: Any) -> np.ndarray:
    expected = "at least two increasing times, the first and last of them those of tspan"
    # Arrays and tensors as lists of their numbers.
    tspan, times = (getattr(x, "tolist", lambda x=x: x)() for x in (tspan, times))
    ends = tspan if _is_list(tspan) else ()
    if len(ends) != 2 or not all(is_number(t) for t in ends):
        raise BadInputError(f"tspan {tspan!r}", "(first time, last time)", "such as (0.0, 1.5)")
    first, last = map(float, ends)
    if isinstance(times, int) and not isinstance(times, bool):
        clock = np.linspace(first, last, max(times, 0))
    elif _is_list(times) and all(is_number(t) for t in times):
        clock = np.asarray(times, dtype=float)
    else:
        raise BadInputError(f"times {times!r}", "how many, or a list of times")
    good = clock.ndim == 1 and len(clock) >= 2 and np.isfinite(clock).all()
    if not (good and (np.diff(clock) > 0).all() and clock[0] == first and clock[-1] == last):
        raise BadInputError(f"tspan {tspan} with times {times}", expected)
    return clock


__all__ = ["Loss", "compare_ode"]
