"""An ODE question: what torch computes of it, what is sent to Julia, what is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..studies.contract import Quantity
from . import sensitivities
from .checks import own_error
from .ode_problem import Problem
from .question import Question
from .solvers import METHODS, aligned_grid, follow, native, predicted_steps, stopped

__tracebackhide__ = own_error

_WORK = ("solution", "evaluations", "seconds")

OFF_BY = "round trip/off by"

STEPS_RTOL = 0.1
"""A controller ten times looser takes about 10^(1/5) = 1.6 times fewer steps of an order-5 pair."""

REFERENCE = 1e-12
"""Tolerance of the solution that work-precision errors are measured against."""


@dataclass(frozen=True)
class TorchAnswer:
    """**Arguments:**

    - `values`: by quantity name; `unavailable`: why one is missing.
    - `grid`: the steps that Julia is to follow, and the scheme; empty in native mode.
    - `seconds`: by task.
    - `evaluations`: of the right-hand side in one solve.
    - `again`: solves and differentiates once more; seconds by task.
    """

    values: Mapping[str, np.ndarray]
    unavailable: Mapping[str, str]
    grid: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]
    evaluations: int
    again: Callable[[], Mapping[str, float]]


def torch_answer(problem: Problem) -> TorchAnswer:
    """Everything that torch has to say about the problem."""
    p = problem
    u0, theta = (torch.tensor(x, requires_grad=True) for x in (p.u0, p.theta))
    start = (u0.detach(), theta.detach())
    solve, grid = _aligned(p) if p.mode == "aligned" else _native(p)

    def solved() -> tuple[Tensor, int, float]:
        begun = time.perf_counter()
        states, evaluations = solve(u0, theta)
        return states, evaluations, time.perf_counter() - begun

    def differentiated(states: Tensor) -> tuple[Tensor, Any, float]:
        begun = time.perf_counter()
        value = p.value(states)
        gradients = torch.autograd.grad(value, (theta, u0), allow_unused=True)
        return value, gradients, time.perf_counter() - begun

    def again() -> dict[str, float]:
        states, _, solving = solved()
        return {"solve": solving, "gradient": solving + differentiated(states)[2]}

    states, evaluations, solving = solved()
    if not bool(torch.isfinite(states).all()):
        raise stopped(p.f, *start, p.times, "the solution in torch grows beyond all numbers")
    value, (by_theta, by_u0), pulling = differentiated(states)
    counts = {} if grid else _counts(p, evaluations)
    values = {
        "solution": states,
        "loss": value,
        "gradient/theta": torch.zeros_like(theta) if by_theta is None else by_theta,
        "gradient/u0": torch.zeros_like(u0) if by_u0 is None else by_u0,
        "round trip": _back(p, states[-1].detach(), theta.detach(), grid),
    }
    further, reasons, seconds = sensitivities.adjoint_gradients(p)
    seconds |= {"solve": solving, "gradient": solving + pulling}
    plain = {k: v.detach().numpy().copy() for k, v in values.items()}
    plain[OFF_BY] = off_by(p, plain["round trip"])
    return TorchAnswer(plain | counts | further, reasons, grid, seconds, evaluations, again)


def off_by(p: Problem, back: np.ndarray) -> np.ndarray:
    """How far from u0 the round trip ends: the norm of the difference."""
    return np.asarray(np.linalg.norm(np.asarray(back, dtype=np.float64) - p.u0))


Solve = Callable[[Tensor, Tensor], tuple[Tensor, int]]
"""From u0 and theta to the states at the observation times and the number of evaluations."""


def _aligned(p: Problem) -> tuple[Solve, dict[str, np.ndarray]]:
    """The solve along the grid that torch chooses now, and that grid."""
    u0, theta = torch.tensor(p.u0), torch.tensor(p.theta)
    grid, marks = aligned_grid(p.f, u0, theta, p.times, p.method, p.substeps, p.rtol, p.atol)
    scheme = METHODS[p.method]

    def solve(u0: Tensor, theta: Tensor) -> tuple[Tensor, int]:
        states = follow(p.f, scheme, u0, theta, grid)
        return torch.stack([states[m] for m in marks]), len(scheme.b) * (len(grid) - 1)

    return solve, {"grid": grid, "marks": marks, "A": scheme.A, "b": scheme.b, "c": scheme.c}


def _native(p: Problem) -> tuple[Solve, dict[str, np.ndarray]]:
    return lambda u0, theta: native(p.f, u0, theta, p.times, p.rtol, p.atol), {}


def _counts(p: Problem, evaluations: int) -> dict[str, np.ndarray]:
    u0, theta = torch.tensor(p.u0), torch.tensor(p.theta)
    steps = predicted_steps(p.f, u0, theta, p.times, p.method, p.rtol, p.atol)
    counts = {"evaluations": np.asarray(evaluations), "steps": np.asarray(steps)}
    return counts | _work(p, u0, theta)


def _back(p: Problem, last: Tensor, theta: Tensor, grid: Mapping[str, np.ndarray]) -> Tensor:
    """The initial state, integrated back from the last one: along the same grid, or natively."""
    with torch.no_grad():
        if grid:
            return follow(p.f, METHODS[p.method], last, theta, grid["grid"][::-1])[-1]
        ends = np.array([p.times[-1], p.times[0]])
        return native(p.f, last, theta, ends, p.rtol, p.atol)[0][-1]


def _work(p: Problem, u0: Tensor, theta: Tensor) -> dict[str, np.ndarray]:
    """Error at the last time, evaluations and seconds at each tolerance asked for."""
    out: dict[str, np.ndarray] = {}
    ends = np.array([p.times[0], p.times[-1]])
    truth = exact(p) if p.tolerances else np.empty(0)
    with torch.no_grad():
        for rtol in p.tolerances:
            begun = time.perf_counter()
            states, evaluations = native(p.f, u0, theta, ends, rtol, rtol * p.atol / p.rtol)
            seconds = time.perf_counter() - begun
            error = relative_error(states[-1].numpy(), truth)
            for key, value in (
                ("error", error),
                ("evaluations", evaluations),
                ("seconds", seconds),
            ):
                out[f"work/{rtol:g}/{key}"] = np.asarray(value)
    return out


def exact(p: Problem) -> np.ndarray:
    """The last state at the reference tolerance."""
    ends = np.array([p.times[0], p.times[-1]])
    with torch.no_grad():
        u0, theta = torch.tensor(p.u0), torch.tensor(p.theta)
        return native(p.f, u0, theta, ends, REFERENCE, REFERENCE)[0][-1].numpy()


def relative_error(x: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))


def question(
    name: str,
    julia: tuple[str, str | None],
    problem: Problem,
    ours: TorchAnswer,
    rtol: float,
    why: str,
    shown: Mapping[str, Any],
    notes: Sequence[str],
) -> Question:
    """What is sent to Julia, and what is compared; `julia` is its text and a name in it."""
    text, function = julia
    p, values, grid = problem, ours.values, ours.grid
    inputs = {"u0": p.u0, "theta": p.theta, "times": p.times.astype(p.u0.dtype)}
    inputs |= {k: v.astype(p.u0.dtype) for k, v in grid.items()}
    if p.loss is None:
        inputs["cotangent"] = np.moveaxis(p.cotangent, 0, -1)
    if p.tolerances:
        inputs["tolerances"] = np.asarray(p.tolerances)
    arguments = {
        "source": text,
        "name": function,
        "loss": None if p.loss is None else p.loss[1],
        "mode": p.mode,
        "method": p.method,
        "rtol": p.rtol,
        "atol": p.atol,
        "sensitivities": list(p.sensitivities),
        # Forward mode through the library's solver, unless that would take too many solves.
        "gradient": "forward" if p.size <= sensitivities.FORWARD_LIMIT else "interpolation",
    }
    both, mode = ("torch", "julia"), p.mode
    kinds = {"solution": "solution", "loss": "loss", "round trip": "inverse"}
    # Where a component has decayed, its relative error is that of the largest one.
    size = float(np.max(np.linalg.norm(values["solution"].reshape(len(p.times), -1), axis=1)))
    quantities = [
        Quantity(
            key,
            kinds.get(key, "gradient"),  # type: ignore[arg-type]
            rtol,
            why,
            atol=rtol * size if key in ("solution", "round trip") else 0.0,
            mode=mode,  # type: ignore[arg-type]
            engines=both,
        )
        for key in ("solution", "loss", "gradient/theta", "gradient/u0", "round trip")
    ]
    quantities.append(
        Quantity(
            OFF_BY,
            "inverse",
            0.0,
            "reported",
            mode=mode,  # type: ignore[arg-type]
            engines=both,
            compared=False,
            about="norm of the round trip's end minus u0",
        )
    )
    quantities += sensitivities.quantities(p, rtol, why)
    if mode == "native":
        quantities.append(
            Quantity(
                "steps",
                "figure",
                STEPS_RTOL,
                "our solver under DifferentialEquations.jl's conventions predicts its steps",
                mode="native",
                engines=both,
                about="accepted by DifferentialEquations.jl; torch: as predicted",
            )
        )
        reported = ["evaluations", *(k for k in values if k.startswith("work/"))]
        quantities += [
            Quantity(k, "figure", 0.0, "reported", engines=both, compared=False) for k in reported
        ]

    def translate(reply: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        got = dict(reply.arrays)
        truth = exact(p) if p.tolerances else np.empty(0)
        for k, tolerance in enumerate(p.tolerances):
            mine = {part: got.pop(f"work/{k}/{part}") for part in _WORK}
            got[f"work/{tolerance:g}/error"] = np.asarray(relative_error(mine["solution"], truth))
            got[f"work/{tolerance:g}/evaluations"] = mine["evaluations"]
            got[f"work/{tolerance:g}/seconds"] = mine["seconds"]
        names = [q.name for q in quantities if q.name != OFF_BY]
        found = {k: v for k, v in got.items() if k in names}
        found["solution"] = np.moveaxis(found["solution"], -1, 0)
        failures = dict(reply.data["failures"])
        # The adjoint itself broke down: then there is no gradient at all.
        broken = failures.pop("gradient", None)
        reasons = {f"gradient/{x}": broken for x in ("theta", "u0")} if broken else {}
        return found, reasons | {f"gradient/theta/{k}": v for k, v in failures.items()}

    return Question(name, "own_ode", arguments, inputs, quantities, translate, shown, notes)
