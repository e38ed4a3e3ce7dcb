"""A user's torch function: its value, J^T w and J v, with the mistakes that people make named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import BadInputError, EngineError

Function = Callable[..., torch.Tensor]


def evaluate(function: Function, arguments: Mapping[str, Any]) -> torch.Tensor:
    """Call the user's function by keyword; one message for whatever goes wrong in it."""
    try:
        result = function(**arguments)
    except Exception as error:
        raise EngineError(
            f"your torch function raised {type(error).__name__}: {str(error) or '(no message)'}",
            f"a function of the keywords {', '.join(arguments)}",
            "call it by hand with these arguments to see the traceback",
        ) from error
    if not isinstance(result, torch.Tensor):
        raise EngineError(
            f"your torch function returned a {type(result).__name__}",
            "a tensor, of no axis for a gradient or of any shape for J^T w and J v",
            "return the tensor itself, without .item(), .tolist() or .numpy()",
        )
    return result


def reverse_mode(
    function: Function,
    at: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    cotangent: Callable[[tuple[int, ...]], np.ndarray],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Value, and J^T w by name. `cotangent` gives w for the result's shape.

    Raises `EngineError` where the result does not depend on the arguments by way of autograd, and
    where the function changes its arguments in place.
    """
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in at.items()}
    fixed = {k: torch.tensor(v) for k, v in constants.items()}
    result = evaluate(function, {**leaves, **fixed})
    if not result.requires_grad:
        raise EngineError(
            "your torch function's result is cut off from its arguments (requires_grad is False)",
            f"a result that autograd can follow back to {', '.join(at)}",
            "remove .detach(), .item(), .data, torch.tensor(...) or torch.no_grad() on the way",
        )
    w = torch.tensor(cotangent(tuple(result.shape)))
    if w.dtype != result.dtype:
        raise EngineError(
            f"your torch function returned {result.dtype} for arguments of {w.dtype}",
            "the precision of its arguments",
            "look for a constant or a layer of another dtype",
        )
    found = torch.autograd.grad(result, list(leaves.values()), w, allow_unused=True)
    for name, value in {**at, **constants}.items():
        now = {**leaves, **fixed}[name].detach().numpy()
        if not np.array_equal(now, value):
            raise EngineError(
                f"your torch function changes its argument {name!r} in place",
                "a function that leaves its arguments alone",
                "work on a clone",
            )
    # None is torch's word for a gradient that is zero throughout.
    gradients = {
        name: np.zeros(value.shape, value.dtype) if g is None else g.detach().numpy().copy()
        for (name, value), g in zip(at.items(), found)
    }
    return result.detach().numpy().copy(), gradients


def forward_mode(
    function: Function,
    at: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    tangent: Mapping[str, np.ndarray],
) -> np.ndarray:
    """J v by forward-mode AD, which shares nothing with the reverse mode that it checks."""
    fixed = {k: torch.tensor(v) for k, v in constants.items()}
    names = list(at)

    def positional(*values: torch.Tensor) -> torch.Tensor:
        return function(**dict(zip(names, values)), **fixed)

    product = torch.func.jvp(
        positional,
        tuple(torch.tensor(at[n]) for n in names),
        tuple(torch.tensor(tangent[n]) for n in names),
    )[1]
    return product.detach().numpy().copy()


def along(
    function: Function,
    at: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    tangent: Mapping[str, np.ndarray],
) -> Callable[[complex], np.ndarray]:
    """`t -> f(at + t tangent)` in double or complex double, for the difference referee."""

    def function_of_t(t: complex) -> np.ndarray:
        kind = np.complex128 if isinstance(t, complex) else np.float64
        fixed = {
            k: torch.tensor(v.astype(kind) if np.issubdtype(v.dtype, np.floating) else v)
            for k, v in constants.items()
        }
        moved = {
            k: torch.tensor(np.asarray(v.astype(kind) + t * tangent[k])) for k, v in at.items()
        }
        with torch.no_grad():
            return function(**moved, **fixed).numpy()

    return function_of_t


def check_shape(names: Mapping[str, np.ndarray]) -> None:
    """Raise `BadInputError` where nothing is there to be differentiated."""
    if not names:
        raise BadInputError("`at` is empty", "at least one named array to differentiate by")
