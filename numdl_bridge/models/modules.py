"""`compare_module`: a `torch.nn` module against its mirror in Flux, layer by layer."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import BadInputError, EngineError
from ..studies.contract import Quantity
from . import diagnosis
from .inputs import common_precision
from .julia_side import ask_julia
from .mirror import Mirror, mirror
from .mirror.layer import reverse_axes
from .mirror.trace import record_steps, wrapped
from .question import Question, kernel_times, tolerance
from .result import ModelResult, conclude

Loss = tuple[Callable[[torch.Tensor], torch.Tensor], str]
"""A loss in both languages: of the output, and Julia source of a function of the output, whose axes
are in reverse order there."""


def compare_module(
    module: torch.nn.Module,
    *inputs: torch.Tensor,
    loss: Loss | None = None,
    twin: Mirror | None = None,
    name: str | None = None,
    rtol: float | None = None,
    seed: int = 1,
    julia_mode: str = "auto",
    recordings: str | Path | None = None,
    keep: bool = False,
) -> ModelResult:
    """Compare a module with its twin in Flux: every step's output, every parameter's gradient.

    **Arguments:**

    - `module`: in the mode (train or eval) and precision (float64 or float32) to be compared; it is
      left as it is, running statistics included.
    - `inputs`: torch tensors, as the module takes them.
    - `loss`: (torch function of the output, Julia source of the same); by default the inner product
      of the output with a random cotangent, whose gradient is the full J^T w.
    - `twin`: another mirror than `mirror(module, *inputs)`, for a port that is to be checked.
    - `rtol`, `name`, `seed`, `julia_mode`, `recordings`, `keep`: see `compare_gradients`.

    The result's `first_disagreement` is the first layer whose output differs.

    Raises `CannotMirrorError` naming what Flux has no twin for.
    """
    begun = time.perf_counter()
    title, module = name or type(module).__name__, wrapped(module)
    parameters = {k: p.detach().numpy() for k, p in module.named_parameters()}
    arrays = {f"input {k}": x.detach().numpy() for k, x in enumerate(inputs)}
    if not inputs:
        raise BadInputError("no inputs", "the tensors that the module takes", "pass an example")
    precision = common_precision({**parameters, **arrays})
    twin = mirror(module, *inputs) if twin is None else twin
    values, cotangent, seconds = _torch_values(module, inputs, loss, seed)
    question = _question(title, twin, arrays, values, cotangent, loss, tolerance(precision, rtol))
    spent = {"torch": seconds}
    start = time.perf_counter()
    answer, reason = ask_julia(question, julia_mode, recordings, keep)
    spent["julia"] = time.perf_counter() - start
    observations = {
        "torch": question.observation("torch", values, timings=kernel_times({"gradient": seconds}))
    }
    if answer is not None:
        observations["julia"] = answer
    result = conclude(question, observations, {} if answer else {"julia": reason}, spent, begun)
    result.diagnosis = _diagnosis(module, inputs, result)
    return result


def _diagnosis(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], result: ModelResult
) -> str | None:
    first = result.first_disagreement
    if first is None:
        return None
    if first.quantity.startswith("step/"):
        step, julia = first.quantity.removeprefix("step/"), result.values["julia"][first.quantity]
        mistake = diagnosis.of_layer(copy.deepcopy(module), inputs, step, julia, first.rtol)
        if mistake:
            return f"{step}: {mistake}"
    return diagnosis.of_first(result)


def _torch_values(
    module: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    loss: Loss | None,
    seed: int,
) -> tuple[dict[str, np.ndarray], np.ndarray | None, float]:
    """Torch's quantities by name, the cotangent in Julia's layout, and seconds."""
    start = time.perf_counter()
    # A copy: a forward pass in train mode moves running statistics.
    model = copy.deepcopy(module)
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    output, steps = record_steps(model, leaves)
    cotangent = None
    if loss is None:
        w = np.random.default_rng(seed).standard_normal(tuple(output.shape))
        weight = torch.tensor(w, dtype=output.dtype)
        cotangent = reverse_axes(weight.numpy())
        value = (weight * output).sum()
    else:
        value = loss[0](output)
        if value.ndim or not value.requires_grad:
            raise EngineError(
                f"your torch loss returned a tensor of shape {tuple(value.shape)}"
                + ("" if value.requires_grad else " that is cut off from the output"),
                "a scalar that autograd can follow back",
                "reduce it with .sum() or .mean(), and remove .detach() or .item()",
            )
    wanted = {k: p for k, p in model.named_parameters() if p.requires_grad}
    floating = {k: x for k, x in enumerate(leaves) if x.requires_grad}
    found = torch.autograd.grad(value, [*wanted.values(), *floating.values()], allow_unused=True)
    seconds = time.perf_counter() - start
    names = [f"gradient/{k}" for k in wanted] + [f"gradient of input/{k}" for k in floating]
    gradients = {
        n: np.zeros(tuple(v.shape), v.detach().numpy().dtype) if g is None else g.numpy()
        for n, v, g in zip(names, [*wanted.values(), *floating.values()], found)
    }
    values = {f"step/{k}": v.detach().numpy() for k, v in steps.items()}
    values |= {"output": output.detach().numpy(), "loss": value.detach().numpy(), **gradients}
    return values, cotangent, seconds


def _question(
    name: str,
    twin: Mirror,
    arrays: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    cotangent: np.ndarray | None,
    loss: Loss | None,
    allowed: tuple[float, str],
) -> Question:
    inputs = {f"weight/{k}": v for k, v in twin.weights.items()}
    inputs |= {f"input/{k}": reverse_axes(v) for k, v in enumerate(arrays.values())}
    if cotangent is not None:
        inputs["cotangent"] = cotangent
    arguments = {
        "source": twin.source,
        "paths": {k: list(p) for k, p in twin.paths.items()},
        "loss": None if loss is None else loss[1],
    }

    def translate(reply: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        got = reply.arrays
        own = {k: got[f"gradient/{k}"] for k in twin.paths}
        out = {f"gradient/{k}": v for k, v in twin.torch_gradients(own).items()}
        for key, value in got.items():
            if not key.startswith("gradient/"):
                out[key] = reverse_axes(value)
        missing = {k: "the mirror has no such step" for k in values if k not in out}
        return {k: v for k, v in out.items() if k in values}, missing

    (rtol, why), largest = allowed, _gradient_size(values)
    quantities = [
        Quantity(
            key,
            _kind(key),
            rtol,
            why,
            atol=rtol * largest if key.startswith("gradient") else 0.0,
            engines=("torch", "julia"),
        )
        for key in values
    ]
    return Question(name, "mirrored", arguments, inputs, quantities, translate)


def _kind(key: str) -> Any:
    if key.startswith("gradient"):
        return "gradient"
    return "loss" if key == "loss" else "value"


def _gradient_size(values: Mapping[str, np.ndarray]) -> float:
    """Norm of the largest gradient. One may vanish (that of a bias before a normalisation): then
    what counts is its size beside the others, not beside its own rounding errors."""
    return max(float(np.linalg.norm(v)) for k, v in values.items() if k.startswith("gradient"))
