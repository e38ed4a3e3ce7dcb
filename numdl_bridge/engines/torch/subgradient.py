"""What PyTorch answers at kinks, by each of the names that it has for a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jvp

from ...studies._subgradient_cases import CASES, Case
from ...studies.subgradient import TORCH_SYNONYMS

Function = Callable[..., Tensor]


def functions(slope: float) -> dict[str, Function]:
    """Every case by name. Functions of a vector act on `(length, ...)` along the first axis."""
    return {
        "abs": torch.abs,
        "relu": torch.relu,
        "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, slope),
        "clamp": lambda x: torch.clamp(x, -1.0, 1.0),
        "sign": torch.sign,
        "sqrt": torch.sqrt,
        "sqrt_square": lambda x: torch.sqrt(x * x),
        "where_sqrt": lambda x: torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)),
        "max": torch.maximum,
        "min": torch.minimum,
        "hypot": torch.hypot,
        "norm1": lambda x: torch.linalg.vector_norm(x, 1, dim=0),
        "norm2": lambda x: torch.linalg.vector_norm(x, 2, dim=0),
        "norminf": lambda x: torch.linalg.vector_norm(x, float("inf"), dim=0),
        "maximum": lambda x: torch.amax(x, dim=0),
    }


SYNONYMS: dict[str, dict[str, Function]] = {
    "relu": {"clamp_min": lambda x: torch.clamp(x, min=0.0)},
    "clamp": {"hardtanh": torch.nn.functional.hardtanh},
    "max": {"fmax": torch.fmax, "fmax/forward": torch.fmax},
    "norm2": {"by_hand": lambda x: (x * x).sum(0).sqrt()},
    "maximum": {"max_dim": lambda x: torch.max(x, dim=0).values},
}


def talk(x: float = 0.0) -> Tensor:
    """The talk's four lines, in PyTorch."""
    tracked = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    f = torch.abs(tracked)
    f.backward()
    assert tracked.grad is not None
    return tracked.grad


def reverse(f: Function, arguments: tuple[Tensor, ...]) -> Tensor:
    """Gradients of sum(f(arguments)), stacked over the arguments where there are two."""
    wanted = tuple(range(len(arguments)))
    found = grad(lambda *a: f(*a).sum(), argnums=wanted)(*arguments)
    return torch.stack(found) if len(found) > 1 else found[0]


def forward(f: Function, arguments: tuple[Tensor, ...]) -> Tensor:
    """The same by forward mode: one direction for each argument."""
    columns = []
    for i in range(len(arguments)):
        direction = tuple(
            torch.ones_like(a) if j == i else torch.zeros_like(a) for j, a in enumerate(arguments)
        )
        columns.append(jvp(f, arguments, direction)[1])
    return torch.stack(columns) if len(columns) > 1 else columns[0]


def forward_vector(f: Function, x: Tensor) -> Tensor:
    """Forward mode for functions of a vector, one direction for each entry: `(length, points)`."""
    rows = []
    for i in range(len(x)):
        direction = torch.zeros_like(x)
        direction[i] = 1
        rows.append(jvp(f, (x,), (direction,))[1])
    return torch.stack(rows)


def ask(case: Case, f: Function, x: Tensor, mode: str) -> Tensor:
    """The derivative at every point, in the shape of `studies.subgradient.shape`."""
    differentiate = {"reverse": reverse, "forward": forward}[mode]
    if case.form == "vector":
        return reverse(f, (x,)) if mode == "reverse" else forward_vector(f, x)
    arguments = tuple(x) if case.form == "binary" else (x,)
    # By itself: tensors without axes, one call for each point, as a user would with numbers.
    alone = [differentiate(f, tuple(a[i] for a in arguments)) for i in range(x.shape[-1])]
    return torch.stack([torch.stack(alone, dim=-1), differentiate(f, arguments)])


def answer(inputs: dict[str, Tensor], options: Any) -> dict[str, Tensor]:
    out = {"talk": talk()}
    for name, f in functions(float(inputs["slope"])).items():
        case, x = CASES[name], inputs[f"x/{name}"]
        out[f"subgradient/{name}"] = ask(case, f, x, "reverse")
        out[f"subgradient/{name}/forward"] = ask(case, f, x, "forward")
        for synonym in TORCH_SYNONYMS.get(name, {}):
            mode = "forward" if synonym.endswith("/forward") else "reverse"
            out[f"subgradient/{name}/{synonym}"] = ask(case, SYNONYMS[name][synonym], x, mode)
    return out
