"""Further ways to the gradient of an ODE's solution, beside reverse mode through the steps.

The continuous adjoints are those of the case studies (`engines/torch/adjoint.py`,
`julia/src/adjoints.jl`): our adaptive solver in torch, DifferentialEquations.jl and Zygote in
Julia.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch

from ..engines.torch.adjoint import Fit, Method, continuous_gradient
from ..engines.torch.controllers import ORDINARYDIFFEQ, with_dp5_exponents
from ..engines.torch.solution import SUCCESS
from ..errors import BadInputError
from ..studies.contract import Quantity
from .checks import own_error, several
from .ode_problem import Problem
from .solvers import PAIRS

__tracebackhide__ = own_error

Sensitivity = Literal[
    "forward",
    "backsolve",
    "reset",
    "interpolation",
    "checkpoints",
    "sciml/backsolve",
    "sciml/checkpoints",
    "sciml/interpolating",
    "sciml/gauss",
    "sciml/quadrature",
]
CONTINUOUS = get_args(Method)

NATIVE_SAFETY = 1000.0
"""How far beyond its local tolerance a solver's global error may lie."""

FORWARD_LIMIT = 500
"""Numbers in theta and u0 up to which forward sensitivities, one solve for each dozen of them, are
asked for without being named."""


def chosen(
    asked: str | Sequence[str] | None, method: str, mode: str, precision: str, size: int
) -> tuple[str, ...]:
    """The sensitivities to compute: those `asked` for, checked, or the default.

    By default the two that answer the mode's question: in aligned mode forward sensitivities, equal
    to reverse mode up to rounding, where `size` numbers are few; in native mode the interpolating
    adjoint, equal to it up to the solvers' tolerance, in double precision.
    """
    if asked is None:
        if mode == "aligned":
            return ("forward",) if size <= FORWARD_LIMIT else ()
        return ("interpolation",) if precision == "float64" else ()
    names = several(asked, "sensitivities", get_args(Sensitivity))
    adjoints = sorted(set(names) - {"forward"})
    if method not in PAIRS and adjoints:
        raise BadInputError(
            f"sensitivities {adjoints} with the fixed steps of {method!r}",
            f"an adaptive method: {', '.join(PAIRS)}",
            "a continuous adjoint is solved to a tolerance, which fixed steps do not have",
        )
    return tuple(names)


def adjoint_gradients(
    problem: Problem,
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, float]]:
    """Torch's continuous adjoints by quantity name, why one broke down, and seconds of each."""
    p = problem
    values: dict[str, np.ndarray] = {}
    reasons: dict[str, str] = {}
    seconds: dict[str, float] = {}
    # One comparison does not repay compiling the right-hand side.
    fit = Fit(p.f, torch.tensor(p.u0), [float(t) for t in p.times], p.value, backend="eager")
    rules = with_dp5_exponents(ORDINARYDIFFEQ) if p.method == "dp5" else ORDINARYDIFFEQ
    for name in CONTINUOUS:
        if name not in p.sensitivities:
            continue
        start = time.perf_counter()
        found = continuous_gradient(
            fit, torch.tensor(p.theta), name, p.rtol, p.atol, PAIRS[p.method], rules
        )
        seconds[f"gradient/{name}"] = time.perf_counter() - start
        if found.outcome == SUCCESS:
            values[f"gradient/theta/{name}"] = found.theta.detach().numpy().copy()
        else:
            reasons[f"gradient/theta/{name}"] = found.outcome
    return values, reasons, seconds


def quantities(problem: Problem, rtol: float, why: str) -> list[Quantity]:
    """What is compared of them: with each other, and with the gradients through the steps."""
    asked = []
    for name in problem.sensitivities:
        allowed, reason = (rtol, why) if name == "forward" else solver_tolerance(problem)
        asked.append(
            Quantity(
                f"gradient/theta/{name}",
                "gradient",
                max(rtol, allowed),
                reason,
                mode=problem.mode if name == "forward" else "native",  # type: ignore[arg-type]
                engines=("torch", "julia") if name in CONTINUOUS else ("julia",),
                compare_with="gradient/theta",
                about=_about(name),
            )
        )
    return asked


def solver_tolerance(problem: Problem) -> tuple[float, str]:
    """What two solves to the problem's tolerance may differ by, and why."""
    return (
        NATIVE_SAFETY * max(problem.rtol, problem.atol),
        f"{NATIVE_SAFETY:g} times the solvers' tolerance",
    )


def _about(name: str) -> str:
    if name == "forward":
        return "forward sensitivities of the same steps"
    if name.startswith("sciml/"):
        return f"SciMLSensitivity's {name.removeprefix('sciml/')} adjoint"
    return f"continuous adjoint, {name}"
