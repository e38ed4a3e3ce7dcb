"""From traced steps to Julia source that a person would have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import own_error
from .errors import CannotMirrorError
from .functions import FUNCTIONS, Value
from .helpers import HELPERS
from .layer import FluxLayer
from .trace import Ref, Step

__tracebackhide__ = own_error

_HARMLESS = {"need_weights", "average_attn_weights"}
"""Options of a layer's call that change nothing in what is compared."""


class Emitter:
    """Writes `build(w)` and `forward(model, x...)` for a list of steps.

    **Arguments:**

    - `steps`: from `trace`.
    - `layers`: the Flux twin of each layer by its name in the module.
    """

    def __init__(self, steps: Sequence[Step], layers: Mapping[str, FluxLayer]) -> None:
        self.steps, self.layers = steps, layers
        self.inputs = [s.name for s in steps if s.kind == "input"]
        # Steps that reuse a layer share its entry; the entry is named after the first of them.
        self.keys: dict[str, str] = {}
        for step in steps:
            if step.kind in ("layer", "parameter"):
                self.keys.setdefault(step.target, step.name)
        self.values = {s.name: Value(s.name, s.shape) for s in steps}

    def source(self, title: str) -> str:
        helpers = dict.fromkeys(h for layer in self.layers.values() for h in layer.helpers)
        parts = [
            f"# {title}\n# Activations have torch's axes in reverse order: the batch is last.",
            "using Flux, Statistics\nusing Flux: NNlib",
            *(HELPERS[h].rstrip() for h in helpers),
            self._build(),
            self._forward("forward", traced=False),
            self._forward("activations", traced=True),
        ]
        return "\n\n".join(parts) + "\n"

    def _build(self) -> str:
        rows = []
        for target, key in self.keys.items():
            if target in self.layers:
                layer = self.layers[target]
                weights = {n: f'w["{target}.{n}"]' for n in layer.weights}
                rows.append(f"    {key} = {layer.construct.format(**weights)},")
            else:
                rows.append(f'    {key} = w["{target}"],')
        body = "\n".join(rows)
        return f'"The layers, from a dictionary of weights."\nbuild(w) = (;\n{body}\n)'

    def _forward(self, name: str, traced: bool) -> str:
        lines, kept = [], []
        for step in self.steps:
            if step.kind in ("layer", "operation"):
                lines.append(f"    {step.name} = {self._expression(step)}")
                if step.shape is not None:
                    kept.append(step.name)
            elif step.kind == "parameter":
                lines.append(f"    {step.name} = model.{self.keys[step.target]}")
            elif step.kind == "output":
                result = self._output(step)
                if traced:
                    result = f"(; {', '.join(kept)}, output={result})"
                lines.append(f"    return {result}")
        about = (
            "The output of every step, by name, and the model's."
            if traced
            else "The model's output."
        )
        inputs = ", ".join(self.inputs)
        body = "\n".join(lines)
        return f'"{about}"\nfunction {name}(model, {inputs})\n{body}\nend'

    def _output(self, step: Step) -> str:
        if step.args[0] is None:
            raise CannotMirrorError("a module that returns nothing", "return a tensor in forward")
        if not isinstance(step.args[0], Ref):
            raise CannotMirrorError(
                "a module that returns several results", "return one tensor, for instance by cat"
            )
        return step.args[0].name

    def _expression(self, step: Step) -> str:
        if step.kind == "layer":
            layer = self.layers[step.target]
            for name, value in step.kwargs:
                if name not in _HARMLESS and value is not None:
                    raise CannotMirrorError(f"layer {step.target!r} called with {name}")
            arguments = ", ".join(str(self._value(a)) for a in step.args)
            return layer.call.format(layer=f"model.{self.keys[step.target]}", x=arguments)
        # In-place variants (`relu_`, `iadd`) compute the same value.
        rule = FUNCTIONS.get(step.target.rstrip("_")) or FUNCTIONS.get(step.target)
        if rule is None:
            raise CannotMirrorError(f"operation {step.target!r} (step {step.name!r})")
        options = {k: self._value(v) for k, v in step.kwargs if k != "inplace"}
        try:
            return rule(step, *(self._value(a) for a in step.args), **options)
        except TypeError as error:
            raise CannotMirrorError(
                f"operation {step.target!r} with the arguments of step {step.name!r} ({error})"
            ) from None

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, Ref):
            return self.values[argument.name]
        if isinstance(argument, list | tuple):
            return [self._value(a) for a in argument]
        return argument
