"""From a `torch.nn.Module` to a list of steps, through `torch.fx`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import ShapeProp

from .activations import ELEMENTWISE
from .errors import CannotMirrorError
from .functions import FUNCTIONS
from .table import is_layer


@dataclass(frozen=True)
class Step:
    """One node of the traced graph.

    **Arguments:**

    - `name`: a Julia identifier, unique.
    - `kind`: `input`, `layer`, `parameter`, `operation` or `output`.
    - `target`: the layer's or parameter's name in the module, or the operation's name.
    - `args`, `kwargs`: plain values and `Ref`s to earlier steps.
    - `shape`: torch shape of the result for the traced example; None for several results or when
      there was no example.
    """

    name: str
    kind: str
    target: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Ref:
    """The result of an earlier step."""

    name: str


_TAKEN = {
    "end",
    "function",
    "begin",
    "let",
    "in",
    "model",
    "build",
    "forward",
    "activations",
    "output",
}
_TAKEN |= {text.split(".")[0].split("(")[0] for text in ELEMENTWISE.values()} | set(FUNCTIONS)
_TAKEN |= {"logsoftmax", "leakyrelu", "dropdims", "reshape", "permutedims", "size", "ndims"}

_KINDS = {
    "placeholder": "input",
    "call_module": "layer",
    "get_attr": "parameter",
    "call_function": "operation",
    "call_method": "operation",
    "output": "output",
}


def trace(module: torch.nn.Module, example: Sequence[torch.Tensor] | None) -> list[Step]:
    """The steps of `module`, with shapes where an `example` (its inputs) is given.

    Raises `CannotMirrorError` where `torch.fx` cannot trace (data-dependent control flow), and
    where the module fails on the example.
    """
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:
        raise CannotMirrorError(
            f"{type(module).__name__}, which torch.fx cannot trace "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})",
            "take data-dependent control flow out of forward",
        ) from error
    if example is not None:
        with torch.no_grad(), _statistics_kept(module):
            # Only shapes are wanted: fake tensors have those and cost nothing.
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            ShapeProp(graph, fake_mode=fake).propagate(*(fake.from_tensor(x) for x in example))
    names = {node: _identifier(node.name) for node in graph.graph.nodes}

    def plain(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return Ref(names[value])
        if isinstance(value, list | tuple):
            return type(value)(plain(v) for v in value)
        return value

    steps = []
    for node in graph.graph.nodes:
        target = node.target if isinstance(node.target, str) else node.target.__name__
        if node.op == "call_module" and len(node.users) == 0:
            continue
        steps.append(
            Step(
                names[node],
                _KINDS[node.op],
                target,
                tuple(plain(a) for a in node.args),
                tuple((k, plain(v)) for k, v in node.kwargs.items()),
                _shape(node),
            )
        )
    return steps


def wrapped(module: torch.nn.Module) -> torch.nn.Module:
    """A single layer inside a `Sequential`: traced by itself, it would be opened up."""
    return torch.nn.Sequential(module) if is_layer(module) else module


def record_steps(
    module: torch.nn.Module, inputs: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The output of a module, and that of each step by the name that `trace` gives it."""
    kept: dict[str, torch.Tensor] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, torch.Tensor) and n.op.startswith("call"):
                kept[_identifier(n.name)] = result
            return result

    return Recorder(fx.symbolic_trace(module)).run(*inputs), kept


def steps_of(module: torch.nn.Module) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """By step: the layer's name (None for an operation, "" for an input) and the steps it reads."""
    found: dict[str, tuple[str | None, tuple[str, ...]]] = {}
    for node in fx.symbolic_trace(module).graph.nodes:
        target = {"call_module": str(node.target), "placeholder": ""}.get(node.op)
        reads = tuple(_identifier(n.name) for n in node.all_input_nodes)
        found[_identifier(node.name)] = (target, reads)
    return found


class _statistics_kept:  # noqa: N801 - reads as a context
    """Running the example must not move the module's running statistics."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.buffers = {k: v.clone() for k, v in module.named_buffers()}
        self.module = module

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        for name, buffer in self.module.named_buffers():
            buffer.copy_(self.buffers[name])


def _identifier(name: str) -> str:
    """fx names the entries of a Sequential `_0`, `_1`, and results after the functions that made
    them, which in Julia would hide those functions."""
    clean = f"layer{name}" if name.startswith("_") else name
    return f"{clean}_" if clean in _TAKEN else clean


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta")
    return tuple(meta.shape) if meta is not None and hasattr(meta, "shape") else None
