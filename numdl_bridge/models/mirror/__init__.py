"""A `torch.nn` module rebuilt in Flux with the same weights.

twin = nb.mirror(module, x)
print(twin.source)          # Julia that a person would have written
twin.write("model.jl")      # the same, with its weights beside it; needs only Flux
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInputError
from ..checks import own_error
from .emit import Emitter
from .errors import CannotMirrorError
from .layer import FluxLayer, array, reverse_axes
from .table import mirror_layer
from .trace import Step, check_module, trace, wrapped
from .weights import loader

__tracebackhide__ = own_error


@dataclass(frozen=True, repr=False)
class Mirror:
    """A module's twin in Flux.

    **Arguments:**

    - `source`: Julia source with `build(w)`, `forward(model, x...)` and `activations(model, x...)`.
    - `weights`: what `build` takes: arrays by name, in Julia's logical shape.
    - `paths`: where each trainable weight sits in the built model.
    - `layers`: the Flux layer of each torch layer, by its name in the module.
    - `steps`: the traced graph, in order.
    """

    source: str
    weights: Mapping[str, np.ndarray]
    paths: Mapping[str, tuple[str, ...]]
    layers: Mapping[str, FluxLayer]
    steps: tuple[Step, ...]
    name: str

    def __repr__(self) -> str:
        numbers = sum(np.size(v) for v in self.weights.values())
        return (
            f"<Mirror of {self.name}: {len(self.layers)} layers, {numbers} weights; .source is its "
            'Julia, .write("model.jl") writes it>'
        )

    def torch_gradients(self, gradients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Gradients of the Flux weights, by `paths` name, as gradients of the torch parameters."""
        out: dict[str, np.ndarray] = {}
        for target, layer in self.layers.items():
            own = {n: gradients[f"{target}.{n}"] for n in layer.paths}
            for parameter, value in layer.gradients(own).items():
                out[f"{target}.{parameter}"] = value
        for step in self.steps:
            if step.kind == "parameter" and step.target in gradients:
                out[step.target] = reverse_axes(gradients[step.target])
        return out

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write `path` (Julia source) and, beside it, its weights (`.weights.bin`).

        The pair runs with Flux alone: `include("model.jl"); model = build(load_weights());
        forward(model, x)`. Returns the path of the source.
        """
        target = Path(path)
        if target.suffix != ".jl":
            raise BadInputError(f"the file name {target.name!r}", "a name that ends in .jl")
        data = target.with_suffix(".weights.bin")
        try:
            target.write_text(self.source + "\n" + loader(self.weights, data.name))
            data.write_bytes(b"".join(_column_major(v) for v in self.weights.values()))
        except OSError as error:
            raise BadInputError(
                f"{target} cannot be written: {error.strerror}",
                "a file in a folder that exists and may be written to",
                "make the folder first, or choose another",
            ) from None
        return target


def mirror(module: Any, *example: Any) -> Mirror:
    """Rebuild a `torch.nn.Module` in Flux with the same weights.

    **Arguments:**

    - `module`: in the mode (train or eval) and precision that it is to be compared in.
    - `example`: its inputs, torch tensors; needed where the graph reshapes, transposes or reduces.

    Raises `CannotMirrorError`, naming the layer or operation, where Flux has no twin.
    """
    check_module(module)
    name, module = type(module).__name__, wrapped(module)
    steps = trace(module, example or None)
    modules = dict(module.named_modules())
    used = [s.target for s in steps if s.kind == "layer"]
    layers = {target: mirror_layer(target, modules[target]) for target in used}
    emitter = Emitter(steps, layers)
    weights: dict[str, np.ndarray] = {}
    paths: dict[str, tuple[str, ...]] = {}
    for target, layer in layers.items():
        key = emitter.keys[target]
        weights |= {f"{target}.{n}": v for n, v in layer.weights.items()}
        paths |= {f"{target}.{n}": (key, *p.split(".")) for n, p in layer.paths.items()}
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for target, key in emitter.keys.items():
        if target not in layers:
            if target not in own:
                raise CannotMirrorError(
                    f"a tensor that {name} makes in forward ({target})",
                    "make it in __init__ and keep it by register_buffer; what is random in forward "
                    "has no twin",
                )
            weights[target] = reverse_axes(array(own[target]))
            if own[target].requires_grad:
                paths[target] = (key,)
    source = emitter.source(f"{name}, mirrored from torch")
    return Mirror(source, weights, paths, layers, tuple(steps), name)


def _column_major(value: np.ndarray) -> bytes:
    return value.astype(value.dtype.newbyteorder("<")).tobytes(order="F")


__all__ = ["CannotMirrorError", "FluxLayer", "Mirror", "mirror"]
