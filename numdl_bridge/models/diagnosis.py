"""From a difference to its likely cause: the usual mistakes of a port, tried one by one.

A mistake is *named* only where carrying it out in torch reproduces what Julia returned, so that a
diagnosis is a check and not a guess.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from .mirror.trace import record_steps, steps_of

if TYPE_CHECKING:
    from .result import ModelResult

Alteration = Callable[[torch.Tensor], torch.Tensor]

KERNEL = "its kernel is flipped: torch cross-correlates, Flux convolves"
TRANSPOSED = "its weight is transposed"
SIGN = "its sign is wrong"
BIAS = "its bias is missing"
SINGLE = "its weights were rounded to float32 on the way"


def of_layer(
    module: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    step: str,
    julia: np.ndarray,
    rtol: float,
) -> str | None:
    """Which mistake in the layer or operation `step` explains Julia's output of it, if one does.

    **Arguments:**

    - `step`: the first step whose output differs, by its traced name.
    - `julia`: what Julia returned for it, in torch's layout.
    """
    for mistake, altered in _mistakes(module, inputs, step):
        if _same(altered, julia, rtol):
            return mistake
    return None


def _mistakes(
    module: torch.nn.Module, inputs: Sequence[torch.Tensor], step: str
) -> Iterator[tuple[str, np.ndarray]]:
    target, arguments = steps_of(module)[step]
    _, outputs = record_steps(module, inputs)
    if target is None:
        operands = [outputs[a] for a in arguments if a in outputs]
        operands += [x for a, x in zip(_inputs_of(module), inputs) if a in arguments]
        if len(operands) == 2 and operands[0].shape == operands[1].shape:
            a, b = operands
            yield SIGN, _array(a - b)
            yield SIGN, _array(b - a)
        yield SIGN, -_array(outputs[step])
        return
    for mistake, parameter, change in _changes(module.get_submodule(target)):
        altered = copy.deepcopy(module)
        place = altered.get_submodule(target)
        with torch.no_grad():
            getattr(place, parameter).copy_(change(getattr(place, parameter)))
        yield mistake, _array(record_steps(altered, inputs)[1][step])


def _changes(layer: torch.nn.Module) -> Iterator[tuple[str, str, Alteration]]:
    """The mistakes that a layer's parameters allow, most frequent first."""
    for name, parameter in layer.named_parameters(recurse=False):
        if name.startswith("bias"):
            yield BIAS, name, torch.zeros_like
        elif parameter.ndim > 2:
            yield KERNEL, name, lambda w: w.flip(tuple(range(2, w.ndim)))
        elif parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]:
            yield TRANSPOSED, name, lambda w: w.T.clone()
        yield SIGN, name, torch.neg
        yield SINGLE, name, lambda w: w.float().to(w.dtype)


def _inputs_of(module: torch.nn.Module) -> list[str]:
    return [name for name, (target, _) in steps_of(module).items() if target == ""]


def of_first(result: ModelResult) -> str | None:
    """What relates torch's and Julia's values at the first disagreement, in the order computed."""
    first = result.first_disagreement
    if first is None or {first.left, first.right} != {"torch", "julia"}:
        return None
    ours, theirs = (result.values[engine][first.quantity] for engine in ("torch", "julia"))
    relation = of_arrays(ours, theirs, first.rtol)
    return relation and f"{first.quantity}: {relation}"


def of_arrays(torch_value: np.ndarray, julia: np.ndarray, rtol: float) -> str | None:
    """Which simple relation holds between two values that differ, if one does."""
    if torch_value.shape != julia.shape:
        return None
    if _same(-torch_value, julia, rtol):
        return "the sign is wrong"
    square = torch_value.ndim == 2 and torch_value.shape[0] == torch_value.shape[1]
    if square and _same(torch_value.T, julia, rtol):
        return "one is the other transposed"
    flipped = np.flip(torch_value)
    if torch_value.ndim and torch_value.size > 1 and _same(flipped, julia, rtol):
        return "one is the other in reverse order"
    norm = float(np.linalg.norm(torch_value))
    if norm == 0:
        return None
    gap, single = float(np.linalg.norm(torch_value - julia)) / norm, float(np.finfo(np.float32).eps)
    if torch_value.dtype == np.float64 and single / 64 < gap < 64 * single:
        return "the difference has the size of float32 rounding: look for single precision"
    factor = float(np.vdot(torch_value, julia)) / norm**2
    if factor and _same(factor * torch_value, julia, rtol):
        return f"Julia's is {factor:.6g} times torch's: look for a mean, a sum or a 1/2"
    return None


def of_steps(taken: int, predicted: Callable[[float], int], rtol: float) -> str | None:
    """Which tolerance the number of steps that Julia took belongs to, if not the one asked for."""
    for factor in (10.0, 0.1, 100.0, 0.01):
        if predicted(factor * rtol) == taken != predicted(rtol):
            return f"Julia took {taken} steps, as many as a tolerance of {factor * rtol:g} needs"
    return None


def _same(x: np.ndarray, y: np.ndarray, rtol: float) -> bool:
    if x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return False
    size = max(float(np.linalg.norm(x)), float(np.linalg.norm(y)))
    return float(np.linalg.norm(x - y)) <= rtol * size


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().numpy()
