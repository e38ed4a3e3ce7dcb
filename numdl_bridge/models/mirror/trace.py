"""From a `torch.nn.Module` to a list of steps, through `torch.fx`."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.shape_prop import ShapeProp

from ...errors import BadInputError, EngineError
from ..checks import first_line, own_error
from .activations import ELEMENTWISE
from .errors import CannotMirrorError
from .functions import FUNCTIONS
from .table import is_layer

__tracebackhide__ = own_error


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
    `EngineError` where the module fails on the example.
    """
    check_module(module)
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CannotMirrorError(
            f"{type(module).__name__}, which torch.fx cannot trace ({words.split('. ')[0]}),",
            _remedy(module),
        ) from error
    if example is not None:
        _propagate(module, graph, example)
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


def check_module(module: Any) -> None:
    """Raise `BadInputError` for what is no module, `CannotMirrorError` for what hides one."""
    if isinstance(module, type) and issubclass(module, torch.nn.Module):
        raise BadInputError(
            f"the class {module.__name__}", "a module, an instance of it", f"{module.__name__}(...)"
        )
    if not isinstance(module, torch.nn.Module):
        raise BadInputError(
            f"a {type(module).__name__}",
            "a torch.nn.Module",
            "compare_gradients takes functions; wrap one in a module's forward to mirror it",
        )
    kind = next((c for c in type(module).__mro__ if c.__name__ in _WRAPPERS), None)
    if kind is not None and kind.__module__.startswith("torch."):
        what, remedy = _WRAPPERS[kind.__name__]
        raise CannotMirrorError(f"{what} ({type(module).__name__})", remedy)


_WRAPPERS = {
    "ScriptModule": ("a scripted or traced module", "pass the module that was scripted"),
    "OptimizedModule": ("a compiled module", "pass the module itself: compiled._orig_mod"),
    "DataParallel": ("a module spread over devices", "pass the module itself: parallel.module"),
    "DistributedDataParallel": (
        "a module spread over processes",
        "pass the module itself: parallel.module",
    ),
}


def _remedy(module: torch.nn.Module) -> str:
    """What to do about a module that cannot be traced."""
    kinds = [type(m).__name__ for m in module.modules() if type(m).__module__ in _TRANSFORMERS]
    if kinds:
        return (
            f"write out {kinds[0]} with MultiheadAttention, LayerNorm and Linear, which are "
            "mirrored: its own forward chooses among several paths as it runs"
        )
    return (
        "take out of forward what depends on the values of its input: if, loops over tensors, "
        "range(x.shape[0]), *args"
    )


_TRANSFORMERS = ("torch.nn.modules.transformer",)


def _propagate(
    module: torch.nn.Module, graph: fx.GraphModule, example: Sequence[torch.Tensor]
) -> None:
    """Find every step's shape; one message where the module does not take the example."""
    if wrong := [type(x).__name__ for x in example if not isinstance(x, torch.Tensor)]:
        raise BadInputError(
            f"an example of type {wrong[0]}", "torch tensors", "convert it: torch.as_tensor(x)"
        )
    try:
        with torch.no_grad(), _statistics_kept(module), _quiet():
            # Only shapes are wanted: fake tensors have those and cost nothing.
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            ShapeProp(graph, fake_mode=fake).propagate(*(fake.from_tensor(x) for x in example))
    except Exception as error:
        cause = error.__cause__ or error
        words = first_line(cause)
        raise EngineError(
            f"{type(module).__name__} does not take this example: {type(cause).__name__}: {words}",
            f"a module that takes {types_of(example)}",
            "call it by hand with the example to see the traceback",
        ) from error


def types_of(example: Sequence[torch.Tensor]) -> str:
    """`torch.float64 (5, 1, 8, 8), torch.int64 (5,)`."""
    return ", ".join(f"{x.dtype} {tuple(x.shape)}" for x in example)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks that torch.fx prints and logs: the error itself says it all."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        log.disabled = before


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
