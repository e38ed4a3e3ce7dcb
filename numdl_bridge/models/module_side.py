"""Torch's side of `compare_module`: what the module is given, and what it computes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import BadInputError, EngineError
from .checks import first_line, own_error
from .inputs import PRECISIONS, check_finite, common_precision
from .mirror.layer import reverse_axes
from .mirror.trace import check_module, record_steps, types_of
from .ode_problem import loss_value

__tracebackhide__ = own_error

Loss = tuple[Callable[[torch.Tensor], torch.Tensor], str]
"""A loss in both languages: of the output, and Julia source of a function of the output, whose axes
are in reverse order there."""


def checked_arrays(module: Any, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
    """The inputs as arrays; raises for a module or inputs that cannot be compared."""
    check_module(module)
    if not inputs:
        raise BadInputError("no inputs", "the tensors that the module takes", "pass an example")
    for k, x in enumerate(inputs):
        if not isinstance(x, torch.Tensor):
            raise BadInputError(
                f"input {k} is of type {type(x).__name__}",
                "torch tensors, as the module takes them",
                "convert it: torch.as_tensor(x)",
            )
    given = {f"input {k}": x for k, x in enumerate(inputs)}
    arrays = {name: _array(name, x) for name, x in given.items()}
    state = [*module.named_parameters(), *module.named_buffers()]
    weights = {f"parameter {k}": _array(f"parameter {k}", p) for k, p in state}
    common_precision({**weights, **arrays})
    return arrays


def _array(name: str, value: torch.Tensor) -> np.ndarray:
    if value.device.type != "cpu":
        raise BadInputError(f"{name} is on device {value.device}", "the CPU", "call .cpu() on it")
    if value.is_floating_point() and str(value.dtype).removeprefix("torch.") not in PRECISIONS:
        raise BadInputError(
            f"{name} is of dtype {value.dtype}",
            " or ".join(PRECISIONS),
            "convert module and inputs: .double()",
        )
    array = value.detach().numpy()
    check_finite(name, array)
    return array


def first_output(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """The module's output, from a copy of it; one message for whatever goes wrong in it."""
    before = [x.detach().clone() for x in inputs]
    given = [x.clone() for x in before]
    try:
        with torch.no_grad():
            output = copy.deepcopy(module)(*given)
    except Exception as error:
        raise EngineError(
            f"your module raised {type(error).__name__}: {first_line(error)}",
            f"a module that takes these inputs: {types_of(inputs)}",
            "call it by hand with them to see the traceback",
        ) from error
    if not isinstance(output, torch.Tensor):
        parts = f" of {len(output)} parts" if isinstance(output, tuple | list | dict) else ""
        raise EngineError(
            f"your module returned a {type(output).__name__}{parts}",
            "one tensor",
            "wrap it in a module whose forward returns the tensor to compare, or several by "
            "torch.cat",
        )
    for k, (x, old) in enumerate(zip(given, before)):
        if not torch.equal(x, old):
            raise EngineError(
                f"your module changes its input {k} in place",
                "a module that leaves its inputs alone",
                "work on a clone, or use inplace=False in its first layer",
            )
    check_finite("the output of your module", output.numpy())
    return output


def torch_values(
    module: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    loss: Loss | None,
    seed: int,
) -> tuple[dict[str, np.ndarray], np.ndarray | None, float]:
    """Torch's quantities by name, the cotangent in Julia's layout, and seconds."""
    start = time.perf_counter()
    # A copy: a forward pass in train mode moves running statistics.
    model = copy.deepcopy(module)
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    output, steps = record_steps(model, leaves)
    wanted = {k: p for k, p in model.named_parameters() if p.requires_grad}
    floating = {k: x for k, x in enumerate(leaves) if x.requires_grad}
    if not output.requires_grad:
        raise EngineError(
            "your module's output is cut off from its parameters and inputs",
            "an output that autograd can follow back to a parameter or a floating-point input",
            "remove .detach(), .data or torch.no_grad() in forward, or unfreeze a parameter",
        )
    cotangent = None
    if loss is None:
        w = np.random.default_rng(seed).standard_normal(tuple(output.shape))
        weight = torch.tensor(w, dtype=output.dtype)
        cotangent = reverse_axes(weight.numpy())
        value = (weight * output).sum()
    else:
        value = loss_value(loss[0], output, "the output")
    found = torch.autograd.grad(value, [*wanted.values(), *floating.values()], allow_unused=True)
    seconds = time.perf_counter() - start
    names = [f"gradient/{k}" for k in wanted] + [f"gradient of input/{k}" for k in floating]
    gradients = _named(names, [*wanted.values(), *floating.values()], found)
    values = {f"step/{k}": v.detach().numpy() for k, v in steps.items()}
    values |= {"output": output.detach().numpy(), "loss": value.detach().numpy(), **gradients}
    return values, cotangent, seconds


def _named(
    names: Sequence[str], leaves: Sequence[torch.Tensor], found: Sequence[torch.Tensor | None]
) -> Mapping[str, np.ndarray]:
    return {
        n: np.zeros(tuple(v.shape), v.detach().numpy().dtype) if g is None else g.numpy()
        for n, v, g in zip(names, leaves, found)
    }
