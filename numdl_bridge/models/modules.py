"""`compare_module`: a `torch.nn` module against its mirror in Flux, layer by layer."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import BadInputError
from ..studies.contract import Quantity
from . import diagnosis
from .checks import check_common, check_loss, own_error
from .julia_side import ask_julia
from .mirror import Mirror, mirror
from .mirror.layer import reverse_axes
from .mirror.trace import wrapped
from .module_side import Loss, checked_arrays, first_output, torch_values
from .question import Question, tolerance
from .result import ModelResult, conclude
from .timing import again, allowance
from .torch_side import check_same

__tracebackhide__ = own_error


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

    Raises `CannotMirrorError` naming what Flux has no twin for, and `NumDLError` with one message
    for a module, inputs or a loss that do not fit together.
    """
    begun = time.perf_counter()
    check_common(name, rtol, seed)
    check_loss(loss, "the output")
    arrays = checked_arrays(module, inputs)
    if not isinstance(twin, Mirror | None):
        raise BadInputError(f"twin of type {type(twin).__name__}", "what nb.mirror(module, x) made")
    start = time.perf_counter()
    output = first_output(module, inputs)
    spent = {"torch": time.perf_counter() - start}
    title, module = name or type(module).__name__, wrapped(module)
    twin = mirror(module, *inputs) if twin is None else twin
    values, cotangent, seconds = torch_values(module, inputs, loss, seed)
    check_same(torch.from_numpy(values["output"]), output, "your module")
    spent["torch"] += seconds
    precision = values["output"].dtype.name
    question = _question(
        title, twin, arrays, values, cotangent, loss, tolerance(precision, rtol),
        {"dtype": precision, "seed": seed}, _notes(loss),
    )  # fmt: skip
    start = time.perf_counter()
    answer, reason = ask_julia(question, julia_mode, recordings, keep)
    spent["julia"] = time.perf_counter() - start
    start = time.perf_counter()
    timings = again(
        {"gradient": seconds},
        lambda: {"gradient": torch_values(module, inputs, loss, seed)[2]},
        seconds,
        allowance(spent, answer is not None and not answer.recorded),
    )
    spent["timing"] = time.perf_counter() - start
    observations = {"torch": question.observation("torch", values, timings=timings)}
    if answer is not None:
        observations["julia"] = answer
    result = conclude(question, observations, {} if answer else {"julia": reason}, spent, begun)
    result.diagnosis = _diagnosis(module, inputs, result)
    return result


def _notes(loss: Loss | None) -> list[str]:
    notes = ["no referee: nobody judges torch's and Julia's answers but each other"]
    if loss is None:
        notes.append(
            "loss is the inner product of the output with a random cotangent w, as no loss was "
            "given: its gradient is all of Jᵀw"
        )
    return notes


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


def _question(
    name: str,
    twin: Mirror,
    arrays: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    cotangent: np.ndarray | None,
    loss: Loss | None,
    allowed: tuple[float, str],
    shown: Mapping[str, Any],
    notes: Sequence[str],
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
    return Question(name, "mirrored", arguments, inputs, quantities, translate, shown, notes)


def _kind(key: str) -> Any:
    if key.startswith("gradient"):
        return "gradient"
    return "loss" if key == "loss" else "value"


def _gradient_size(values: Mapping[str, np.ndarray]) -> float:
    """Norm of the largest gradient. One may vanish (that of a bias before a normalisation): then
    what counts is its size beside the others, not beside its own rounding errors."""
    return max(float(np.linalg.norm(v)) for k, v in values.items() if k.startswith("gradient"))
