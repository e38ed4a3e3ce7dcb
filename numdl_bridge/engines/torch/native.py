"""Traced tensor functions as C: for steps so small that calling a kernel costs more than it does.

A Runge-Kutta step of a small network is some hundred operations on some hundred numbers. PyTorch
spends a microsecond or more on dispatching each, TorchInductor half a minute on compiling them.
Here the traced graph (`torch.fx`, ATen operations) becomes one C function of plain loops, compiled
by the system's C compiler in about a second and called through ctypes in a few microseconds.

Only what the graph needs, in float64, float32, int64 and bool, with static shapes; whatever is
not in the tables below raises `UnsupportedError` with its name, and the caller falls back.
Operations are carried out one by one in the precision of the graph, without contraction or
reassociation, so that results equal PyTorch's up to the order of sums and the last bit of
elementary functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from .native_arrays import arrange, combine
from .native_code import Generator, UnsupportedError, Value, ctype_of

_FUNCTIONS = {
    name: f"{name}({{0}})"
    for name in (
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan"),
        *("asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        *("erf", "erfc", "floor", "ceil", "trunc"),
    )
}
_EXPRESSIONS = {
    **_FUNCTIONS,
    "abs": "fabs({0})",
    "neg": "(-{0})",
    "reciprocal": "(1/{0})",
    "rsqrt": "(1/sqrt({0}))",
    "square": "({0}*{0})",
    "sigmoid": "(1/(1+exp(-{0})))",
    "relu": "({0}<0?0:{0})",
    "sign": "(({0}>0)-({0}<0))",
    "sgn": "(({0}>0)-({0}<0))",
    "add": "({0}+{1})",
    "sub": "({0}-{1})",
    "rsub": "({1}-{0})",
    "mul": "({0}*{1})",
    "div": "({0}/{1})",
    "atan2": "atan2({0},{1})",
    "maximum": "(({0}!={0}||{0}>{1})?{0}:{1})",
    "minimum": "(({0}!={0}||{0}<{1})?{0}:{1})",
    "clamp_min": "({0}<{1}?{1}:{0})",
    "clamp_max": "({0}>{1}?{1}:{0})",
    "tanh_backward": "({0}*(1-{1}*{1}))",
    "sigmoid_backward": "({0}*(1-{1})*{1})",
    "threshold_backward": "({1}<={2}?0:{0})",
    "where": "({0}?{1}:{2})",
    "gt": "({0}>{1})",
    "lt": "({0}<{1})",
    "ge": "({0}>={1})",
    "le": "({0}<={1})",
    "eq": "({0}=={1})",
    "ne": "({0}!={1})",
    "logical_and": "({0}&&{1})",
    "logical_or": "({0}||{1})",
    "logical_not": "(!{0})",
    "bitwise_and": "({0}&{1})",
    "bitwise_or": "({0}|{1})",
    "bitwise_not": "(!{0})",
    "_to_copy": "({0})",
    "pow": "",
    "clamp": "",
}
_COMPARISONS = {"gt", "lt", "ge", "le", "eq", "ne"}
_CONSTANTS = {"zeros_like": 0.0, "ones_like": 1.0, "zeros": 0.0, "ones": 1.0, "new_zeros": 0.0}
_CONSTANTS |= {"new_ones": 1.0, "empty": 0.0, "empty_like": 0.0, "new_empty": 0.0}
_CONSTANTS |= {"empty_permuted": 0.0, "empty_strided": 0.0}
_SAME = {"alias", "detach", "lift_fresh_copy", "lift_fresh", "clone", "contiguous"}
KEPT = ("mv", "mm", "dot", "addmm", "addmv", "bmm", "tanh_backward", "sigmoid_backward")
"""Operations that have a decomposition but are translated as they are."""


def _literal(number: Any) -> str:
    if isinstance(number, bool):
        return str(int(number))
    if isinstance(number, int):
        return f"{number}LL"
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    return number.hex() if number >= 0 else f"({number.hex()})"


def _broadcast(operand: Any, rank: int, ctype: str) -> Callable[[Sequence[str]], str]:
    if not isinstance(operand, Value):
        return lambda index: f"(({ctype}){_literal(operand)})"

    def at(index: Sequence[str]) -> str:
        own = index[rank - len(operand.shape) :]
        element = operand.at(["0" if n == 1 else i for i, n in zip(own, operand.shape)])
        return element if operand.ctype == ctype else f"(({ctype}){element})"

    return at


def _pointwise(name: str, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Value:
    out = node.meta["val"]
    ctype, shape = ctype_of(out.dtype), tuple(out.shape)
    work = ctype
    if name in _COMPARISONS:
        tensors = [a for a in args if isinstance(a, Value)]
        kinds = [t.ctype for t in tensors if t.shape] or [t.ctype for t in tensors]
        work = max(kinds, key=["unsigned char", "long long", "float", "double"].index)
        if work in ("unsigned char", "long long") and any(isinstance(a, float) for a in args):
            work = "double"
    if kwargs.get("rounding_mode"):
        raise UnsupportedError("division with rounding")
    if name in ("add", "sub") and kwargs.get("alpha", 1) != 1:
        raise UnsupportedError("add with alpha")
    if name == "pow":
        template, args = _power(args)
    elif name == "clamp":
        low, high = (*args[1:], *[None] * 3)[:2]
        low, high = kwargs.get("min", low), kwargs.get("max", high)
        template, args = "{0}", [args[0]]
        for bound, sign in ((low, "<"), (high, ">")):
            if bound is not None:
                template = f"({template}{sign}{{{len(args)}}}?{{{len(args)}}}:{template})"
                args = [*args, bound]
    else:
        template = _EXPRESSIONS[name]
        args = args[
            : template.count("{") and 1 + max(i for i in range(3) if f"{{{i}}}" in template)
        ]
    types = ["unsigned char" if name == "where" and i == 0 else work for i in range(len(args))]
    operands = [_broadcast(a, len(shape), t) for a, t in zip(args, types)]
    if template.count("{0}") > 1 or template.count("{1}") > 1:
        # An operand that is written twice is computed once.
        return _computed_once(template, operands, types, ctype, shape)
    return Value(ctype, shape, lambda i: f"(({ctype}){template.format(*(o(i) for o in operands))})")


def _computed_once(
    template: str, operands: list[Any], types: list[str], ctype: str, shape: tuple[int, ...]
) -> Value:
    def at(index: Sequence[str]) -> str:
        lets = "".join(f"{t} v{i}={o(index)};" for i, (o, t) in enumerate(zip(operands, types)))
        body = template.format(*(f"v{i}" for i in range(len(operands))))
        return f"({{{lets}({ctype}){body};}})"

    return Value(ctype, shape, at)


def _power(args: list[Any]) -> tuple[str, list[Any]]:
    """The exponents that PyTorch treats by multiplication are treated so here."""
    base, exponent = args[:2]
    special = {
        1: "({0})", 2: "({0}*{0})", 3: "({0}*{0}*{0})", 0.5: "sqrt({0})", -0.5: "(1/sqrt({0}))",
        -1: "(1/{0})", -2: "(1/({0}*{0}))",
    }  # fmt: skip
    if not isinstance(exponent, Value) and exponent in special:
        return special[exponent], [base]
    return "pow({0},{1})", [base, exponent]


POINTWISE = set(_EXPRESSIONS)


def is_pointwise(node: fx.Node) -> bool:
    return node.op == "call_function" and _name(node) in POINTWISE


def _name(node: fx.Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return packet.__name__ if packet is not None else getattr(node.target, "__name__", "")


def element_of(node: fx.Node, args: list[Any], kwargs: dict[str, Any], g: Generator) -> Any:
    """The value (or tuple of values) of one call, writing code for it where needed."""
    name = _name(node)
    if name in POINTWISE:
        return _pointwise(name, node, args, kwargs)
    if name in _SAME:
        return args[0]
    if name in _CONSTANTS or name in ("full", "full_like", "new_full", "fill", "scalar_tensor"):
        out = node.meta["val"]
        constant = _CONSTANTS.get(name, args[0 if name == "scalar_tensor" else -1])
        if isinstance(constant, Value):
            raise UnsupportedError(f"{name} with a tensor")
        ctype = ctype_of(out.dtype)
        return Value(ctype, tuple(out.shape), lambda i: f"(({ctype}){_literal(constant)})")
    if name == "arange":
        out = node.meta["val"]
        start, step = (args[0] if len(args) > 1 else 0), (args[2] if len(args) > 2 else 1)
        ctype = ctype_of(out.dtype)
        return Value(ctype, tuple(out.shape), lambda i: f"(({ctype})({start}+({i[0]})*{step}))")
    if name == "copy":
        out = node.meta["val"]
        copied = _broadcast(args[1], out.dim(), ctype_of(out.dtype))
        return Value(ctype_of(out.dtype), tuple(out.shape), copied)
    if name == "getitem":
        return args[0][args[1]]
    arranged = arrange(name, node, args, kwargs, g)
    return arranged if arranged is not None else combine(name, node, args, kwargs, g)
