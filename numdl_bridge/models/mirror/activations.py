"""Activations: torch module or function name to a Julia expression in `x`.

torch's defaults are used; an option that a module sets differently fills the braces.
"""

from __future__ import annotations

from typing import Any

from .errors import CannotMirrorError
from .layer import FluxLayer

ELEMENTWISE: dict[str, str] = {
    "relu": "relu.(x)",
    "relu6": "relu6.(x)",
    "tanh": "tanh.(x)",
    "sigmoid": "sigmoid.(x)",
    "silu": "swish.(x)",
    "mish": "mish.(x)",
    "softsign": "softsign.(x)",
    "logsigmoid": "logσ.(x)",
    "tanhshrink": "x .- tanh.(x)",
    "hardswish": "hardswish.(x)",
    "hardsigmoid": "hardσ.(x)",
    "selu": "selu.(x)",
    "exp": "exp.(x)",
    "log": "log.(x)",
    "sqrt": "sqrt.(x)",
    "abs": "abs.(x)",
    "sin": "sin.(x)",
    "cos": "cos.(x)",
    "square": "abs2.(x)",
    "neg": ".-x",
    "reciprocal": "inv.(x)",
}
"""Elementwise, without options."""


def elementwise(expression: str) -> FluxLayer:
    return FluxLayer(f"x -> {expression}")


def activation(layer: Any) -> FluxLayer:
    """The Flux twin of a `torch.nn` activation, its options included."""
    name = type(layer).__name__
    if name.lower() in ELEMENTWISE:
        return elementwise(ELEMENTWISE[name.lower()])
    if name == "GELU":
        # NNlib's plain `gelu` is the tanh approximation; torch's default is exact.
        return elementwise(gelu(layer.approximate))
    if name == "LeakyReLU":
        return elementwise(f"leakyrelu.(x, oftype.(x, {layer.negative_slope}))")
    if name == "ELU":
        return elementwise(f"elu.(x, oftype.(x, {layer.alpha}))")
    if name == "CELU":
        return elementwise(f"celu.(x, oftype.(x, {layer.alpha}))")
    if name == "Hardtanh":
        return elementwise(f"clamp.(x, oftype.(x, {layer.min_val}), oftype.(x, {layer.max_val}))")
    if name == "Softplus":
        if layer.beta != 1:
            return elementwise(f"softplus.({layer.beta} .* x) ./ {layer.beta}")
        return elementwise("softplus.(x)")
    if name in ("Softmax", "LogSoftmax"):
        if layer.dim is None:
            raise CannotMirrorError(f"{name}(dim=None)", "give the axis")
        return FluxLayer(softmax(name.lower(), layer.dim))
    raise CannotMirrorError(f"activation {name}")


def gelu(approximate: str) -> str:
    return "NNlib.gelu_tanh.(x)" if approximate == "tanh" else "NNlib.gelu_erf.(x)"


def softmax(name: str, axis: int) -> str:
    """Along torch's last axis, which is Julia's first; other axes count from the other end."""
    dims = f"{-axis}" if axis < 0 else f"ndims(x) - {axis}"
    return f"x -> {name}(x; dims={dims})"


def prelu(layer: Any) -> FluxLayer:
    """PReLU with one slope for all channels."""
    from .layer import array

    if layer.num_parameters != 1:
        raise CannotMirrorError("PReLU with a slope per channel", "use num_parameters=1")
    return FluxLayer(
        "PReLU({slope})",
        {"slope": array(layer.weight)},
        {"slope": "slope"},
        lambda g: {"weight": g["slope"]},
        helpers=("PReLU",),
    )
