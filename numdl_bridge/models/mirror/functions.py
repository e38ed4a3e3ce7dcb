"""Operations between layers: what `torch.fx` traces as a function or method call, in Julia.

Each rule gets the node's arguments as Julia expressions together with their torch shapes, and
returns a Julia expression. Axis k of n in torch is dimension n - k in Julia.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activations import ELEMENTWISE, gelu
from .errors import CannotMirrorError


class Value:
    """An argument: its Julia text and, for tensors, its torch shape."""

    def __init__(self, text: str, shape: tuple[int, ...] | None = None) -> None:
        self.text, self.shape = text, shape

    def __str__(self) -> str:
        return self.text

    @property
    def ndim(self) -> int:
        if self.shape is None:
            raise CannotMirrorError(
                f"an operation on {self.text}, whose shape is unknown",
                "pass an example input: mirror(module, x)",
            )
        return len(self.shape)


def dimension(axis: int, ndim: int) -> int:
    """torch's axis (from 0, or negative from the end) as Julia's dimension (from 1)."""
    return ndim - (axis % ndim)


def _binary(operator: str) -> Callable[..., str]:
    def rule(node: Any, a: Any, b: Any, **options: Any) -> str:
        if options:
            raise CannotMirrorError(f"{operator} with {options}")
        return f"{_number(a, b)} {operator} {_number(b, a)}"

    return rule


def _number(value: Any, other: Any) -> str:
    """A float literal takes the other side's precision: Float32 .* 0.5 would be Float64."""
    return f"eltype({other})({value})" if isinstance(value, float) else str(value)


def _matmul(node: Any, a: Value, b: Value) -> str:
    if a.ndim == 2 and b.ndim == 2:
        return f"{b} * {a}"
    if a.ndim == b.ndim and a.ndim >= 3:
        return f"NNlib.batched_mul({b}, {a})"
    raise CannotMirrorError(f"matmul of shapes {a.shape} and {b.shape}", "use equal batch axes")


def _linear(node: Any, x: Value, weight: Value, bias: Value | None = None) -> str:
    # weight (out, in) arrives with its axes reversed, like every tensor in the graph.
    product = f"NNlib.batched_mul(permutedims({weight}), {x})" if x.ndim > 2 else f"{weight}' * {x}"
    return product if bias is None else f"{product} .+ {bias}"


def _concatenate(node: Any, tensors: list[Value], dim: Any = 0) -> str:
    axis = dim
    inner = ", ".join(map(str, tensors))
    return f"cat({inner}; dims={dimension(axis, tensors[0].ndim)})"


def _reshape(node: Any, x: Value, *sizes: Any) -> str:
    """By the shape that the traced example had, with the batch left free."""
    shape = node.shape
    if shape is None:
        raise CannotMirrorError("a reshape", "pass an example input: mirror(module, x)")
    text = [str(s) for s in reversed(shape)]
    if x.shape is not None and shape[0] == x.shape[0]:
        text[-1] = f"size({x}, ndims({x}))"
    return f"reshape({x}, {', '.join(text)})"


def _transpose(node: Any, x: Value, first: Any, second: Any) -> str:
    axes = list(range(x.ndim))
    i, j = first % x.ndim, second % x.ndim
    axes[i], axes[j] = axes[j], axes[i]
    return _permute(node, x, *axes)


def _permute(node: Any, x: Value, *axes: Any) -> str:
    flat = axes[0] if len(axes) == 1 and isinstance(axes[0], list | tuple) else axes
    order = [a % x.ndim for a in flat]
    dims = [dimension(a, x.ndim) for a in reversed(order)]
    return f"permutedims({x}, ({', '.join(map(str, dims))}))"


def _reduction(function: str) -> Callable[..., str]:
    def rule(node: Any, x: Value, dim: Any = None, keepdim: Any = False) -> str:
        if dim is None:
            return f"{function}({x})"
        axes = dim if isinstance(dim, list | tuple) else [dim]
        dims = sorted(dimension(a, x.ndim) for a in axes)
        text = f"({', '.join(map(str, dims))},)"
        reduced = f"{function}({x}; dims={text})"
        return reduced if keepdim else f"dropdims({reduced}; dims={text})"

    return rule


def _softmax(function: str) -> Callable[..., str]:
    def rule(node: Any, x: Value, dim: Any = None, *rest: Any, **unused: Any) -> str:
        if dim is None:
            raise CannotMirrorError(f"{function} without an axis", "give dim")
        return f"{function}({x}; dims={dimension(dim, x.ndim)})"

    return rule


def _getitem(node: Any, x: Value, index: Any) -> str:
    if x.shape is None:  # the outputs of a layer that returns several
        return f"{x}[{index + 1}]"
    items = list(index) if isinstance(index, tuple | list) else [index]
    while len(items) < x.ndim:
        items.append(slice(None))
    return f"{x}[{', '.join(_index(i, n) for i, n in zip(reversed(items), reversed(x.shape)))}]"


def _index(item: Any, size: int) -> str:
    if isinstance(item, slice):
        if item == slice(None):
            return ":"
        start, stop, step = item.indices(size)
        return f"{start + 1}:{stop}" if step == 1 else f"{start + 1}:{step}:{stop}"
    number = int(item)
    return str(number + 1 if number >= 0 else size + number + 1)


def _elementwise(expression: str) -> Callable[..., str]:
    def rule(node: Any, x: Value, *rest: Any, **options: Any) -> str:
        if rest:
            raise CannotMirrorError(f"{expression} with further arguments {list(map(str, rest))}")
        return expression.replace("(x)", f"({x})") if "(x)" in expression else f".-({x})"

    return rule


def _gelu(node: Any, x: Value, approximate: Any = "none") -> str:
    return gelu(approximate).replace("(x)", f"({x})")


def _leaky_relu(node: Any, x: Value, negative_slope: Any = 0.01, inplace: Any = False) -> str:
    return f"leakyrelu.({x}, oftype.({x}, {negative_slope}))"


def _keep(node: Any, x: Value, *rest: Any, **options: Any) -> str:
    return str(x)


FUNCTIONS: dict[str, Callable[..., str]] = {
    **{name: _elementwise(text) for name, text in ELEMENTWISE.items() if not text.startswith("x ")},
    "add": _binary(".+"),
    "iadd": _binary(".+"),
    "sub": _binary(".-"),
    "mul": _binary(".*"),
    "imul": _binary(".*"),
    "truediv": _binary("./"),
    "div": _binary("./"),
    "pow": _binary(".^"),
    "matmul": _matmul,
    "bmm": _matmul,
    "linear": _linear,
    "cat": _concatenate,
    "flatten": _reshape,
    "view": _reshape,
    "reshape": _reshape,
    "unsqueeze": _reshape,
    "squeeze": _reshape,
    "transpose": _transpose,
    "permute": _permute,
    "t": lambda node, x: f"permutedims({x})",
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("logsoftmax"),
    "getitem": _getitem,
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "contiguous": _keep,
    "clone": _keep,
    "float": _keep,
}
"""By the name of the torch function or tensor method."""
