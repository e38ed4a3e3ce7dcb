"""An ODE question: what torch computes of it, what is sent to Julia, what is compared."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..studies.contract import Quantity
from . import sensitivities
from .ode_problem import Problem
from .question import Question, julia_source
from .solvers import METHODS, aligned_grid, follow, native, predicted_steps

_WORK = ("solution", "evaluations", "seconds")

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
    """

    values: Mapping[str, np.ndarray]
    unavailable: Mapping[str, str]
    grid: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]


def torch_answer(problem: Problem) -> TorchAnswer:
    """Everything that torch has to say about the problem."""
    u0 = torch.tensor(problem.u0, requires_grad=True)
    theta = torch.tensor(problem.theta, requires_grad=True)
    aligned = problem.mode == "aligned"
    states, solving, counts, grid = (_aligned if aligned else _native)(problem, u0, theta)
    start = time.perf_counter()
    value = problem.value(states)
    by_theta, by_u0 = torch.autograd.grad(value, (theta, u0), allow_unused=True)
    pulling = time.perf_counter() - start
    values = {
        "solution": states,
        "loss": value,
        "gradient/theta": torch.zeros_like(theta) if by_theta is None else by_theta,
        "gradient/u0": torch.zeros_like(u0) if by_u0 is None else by_u0,
        "round trip": _back(problem, states[-1].detach(), theta.detach(), grid),
    }
    further, reasons, seconds = sensitivities.adjoint_gradients(problem)
    seconds |= {"solve": solving, "gradient": solving + pulling}
    plain = {k: v.detach().numpy().copy() for k, v in values.items()}
    return TorchAnswer(plain | counts | further, reasons, grid, seconds)


def _aligned(problem: Problem, u0: Tensor, theta: Tensor) -> Any:
    """States at the observation times, seconds of the solve, counts, and the grid followed."""
    p = problem
    grid, marks = aligned_grid(
        p.f, u0.detach(), theta.detach(), p.times, p.method, p.substeps, p.rtol, p.atol
    )
    scheme = METHODS[p.method]
    start = time.perf_counter()
    states = follow(p.f, scheme, u0, theta, grid)
    observed = torch.stack([states[m] for m in marks])
    seconds = time.perf_counter() - start
    sent = {"grid": grid, "marks": marks, "A": scheme.A, "b": scheme.b, "c": scheme.c}
    return observed, seconds, {}, sent


def _native(problem: Problem, u0: Tensor, theta: Tensor) -> Any:
    p = problem
    start = time.perf_counter()
    states, evaluations = native(p.f, u0, theta, p.times, p.rtol, p.atol)
    seconds = time.perf_counter() - start
    steps = predicted_steps(p.f, u0.detach(), theta.detach(), p.times, p.method, p.rtol, p.atol)
    counts = {"evaluations": np.asarray(evaluations), "steps": np.asarray(steps)}
    return states, seconds, counts | _work(p, u0.detach(), theta.detach()), {}


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
    with torch.no_grad():
        for rtol in p.tolerances:
            begun = time.perf_counter()
            states, evaluations = native(p.f, u0, theta, ends, rtol, rtol * p.atol / p.rtol)
            seconds = time.perf_counter() - begun
            error = relative_error(states[-1].numpy(), exact(p))
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
    julia: str,
    problem: Problem,
    ours: TorchAnswer,
    rtol: float,
    why: str,
) -> Question:
    """What is sent to Julia, and what is compared."""
    text, function, _ = julia_source(julia)
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
        for k, tolerance in enumerate(p.tolerances):
            mine = {part: got.pop(f"work/{k}/{part}") for part in _WORK}
            got[f"work/{tolerance:g}/error"] = np.asarray(
                relative_error(mine["solution"], exact(p))
            )
            got[f"work/{tolerance:g}/evaluations"] = mine["evaluations"]
            got[f"work/{tolerance:g}/seconds"] = mine["seconds"]
        names = [q.name for q in quantities]
        found = {k: v for k, v in got.items() if k in names}
        found["solution"] = np.moveaxis(found["solution"], -1, 0)
        return found, {f"gradient/theta/{k}": v for k, v in reply.data["failures"].items()}

    return Question(name, "own_ode", arguments, inputs, quantities, translate)
