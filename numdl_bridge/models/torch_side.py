"""A user's torch function: its value, J^T w and J v, with the mistakes that people make named."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import BadInputError, EngineError
from .checks import own_error

__tracebackhide__ = own_error

Function = Callable[..., torch.Tensor]

REPEATED = 1e-6
"""Relative difference of two calls with the same arguments beyond which a function is random."""


def evaluate(function: Function, arguments: Mapping[str, Any]) -> torch.Tensor:
    """Call the user's function by keyword; one message for whatever goes wrong in it."""
    try:
        result = function(**arguments)
    except Exception as error:
        raise EngineError(
            f"your torch function raised {type(error).__name__}: {str(error) or '(no message)'}",
            f"a function of the keywords {listed(arguments)}",
            _remedy(error),
        ) from error
    if not isinstance(result, torch.Tensor):
        raise EngineError(
            f"your torch function returned a {type(result).__name__}",
            "a tensor, of no axis for a gradient or of any shape for J^T w and J v",
            "return the tensor itself, without .item(), .tolist() or .numpy()",
        )
    return result


def listed(arrays: Mapping[str, Any]) -> str:
    """`theta (4,), A (4, 3)`."""
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in arrays.items())


def _remedy(error: Exception) -> str:
    by_hand = "call it by hand with these arguments to see the traceback"
    words = str(error)
    if isinstance(error, TypeError) and "missing" in words and "argument" in words:
        return "pass what is missing in `constants`, or in `at` to differentiate by it"
    if isinstance(error, TypeError) and "unexpected keyword" in words:
        return "name its arguments as in `at` and `constants`; they are passed by keyword"
    return by_hand


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
    check_finite(result.detach(), "your torch function", f" for {listed(at)}")
    if not result.requires_grad:
        raise EngineError(
            "your torch function's result is cut off from its arguments (requires_grad is False)",
            f"a result that depends on {' or '.join(at)}, and that autograd can follow back there",
            "remove .detach(), .item(), .data, torch.tensor(...) or torch.no_grad() on the way; a "
            f"function that uses {' and '.join(at)} nowhere has no gradient to compare",
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
    for name, gradient in zip(at, found):
        if gradient is None and changes(
            lambda moved, name=name: function(**{**leaves, **fixed, name: moved}),
            leaves[name],
            result,
        ):
            raise EngineError(
                f"your torch function depends on {name!r}, but autograd finds no way back to it",
                f"a result that autograd can follow back to {name}",
                "remove .detach(), .item(), .data, torch.tensor(...) or torch.no_grad() on the "
                "way, or move it to `constants`",
            )
    # None is torch's word for a gradient that is zero throughout.
    gradients = {
        name: np.zeros(value.shape, value.dtype) if g is None else g.detach().numpy().copy()
        for (name, value), g in zip(at.items(), found)
    }
    return result.detach().numpy().copy(), gradients


def changes(function: Callable[[torch.Tensor], Any], at: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether a function, whose value `at` this is, has another value a little way off."""
    start = at.detach()
    signs = torch.tensor([1.0, -0.6, 0.8], dtype=start.dtype).repeat(start.numel() // 3 + 1)
    step = 1e-3 * (1 + start.abs()) * signs[: start.numel()].reshape(start.shape)
    try:
        with torch.no_grad():
            moved = function(start + step)
    except Exception:  # nothing is said of functions that are not defined there
        return False
    return bool(torch.isfinite(moved).all() and not torch.equal(moved, value.detach()))


def check_finite(value: torch.Tensor, what: str, where: str = "") -> None:
    """Raise `EngineError` where `what` (the user's function) returned NaN or Inf."""
    finite = torch.isfinite(value)
    if bool(finite.all()):
        return
    entry = tuple(int(i) for i in (~finite).nonzero()[0])
    kind = "NaN" if bool(value[entry].isnan()) else "Inf"
    at = f" at entry {entry} of its result" if entry else ""
    raise EngineError(
        f"{what} returned {kind}{at}{where}",
        "finite numbers",
        "look for log or sqrt of a negative number, 0 / 0, or an overflow, and where it starts",
    )


def check_repeats(
    function: Function,
    at: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    value: np.ndarray,
) -> float:
    """Call the function once more: seconds of it; raises where the result is another one."""
    arguments = {k: torch.tensor(v) for k, v in {**at, **constants}.items()}
    start = time.perf_counter()
    with torch.no_grad():
        second = evaluate(function, arguments)
    seconds = time.perf_counter() - start
    check_same(second, torch.tensor(value), "your torch function")
    return seconds


def check_same(second: torch.Tensor, first: torch.Tensor, what: str) -> None:
    """Raise `EngineError` where two calls of `what` with the same arguments differ."""
    if second.shape == first.shape:
        gap = float(torch.linalg.vector_norm((second - first).to(torch.float64)))
        size = float(torch.linalg.vector_norm(first.to(torch.float64)))
        if gap <= REPEATED * size:
            return
        apart = f"results that differ by {gap / size:.1e}" if size else "different results"
    else:
        apart = f"shapes {tuple(first.shape)} and {tuple(second.shape)}"
    raise EngineError(
        f"two calls of {what} with the same arguments gave {apart}",
        "the same result every time: two languages cannot draw the same random numbers",
        "draw what is random once and pass it in, and use eval() for dropout; keep nothing between "
        "calls",
    )


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

    _load_forward_rules()
    product = torch.func.jvp(
        positional,
        tuple(torch.tensor(at[n]) for n in names),
        tuple(torch.tensor(tangent[n]) for n in names),
    )[1]
    return product.detach().numpy().copy()


def _load_forward_rules() -> None:
    """Torch's forward-mode rules, which warn of torch's own use of `torch.jit.script`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        import torch._decomp.decompositions_for_jvp  # noqa: F401


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
