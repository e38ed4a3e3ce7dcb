"""Linear, Bilinear, Embedding, Dropout, Identity, Flatten: layers without convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import CannotMirrorError
from .layer import Arrays, FluxLayer, array, reverse_axes


def linear(layer: Any) -> FluxLayer:
    """`y = x A^T + b` with x (batch, in) is `W x .+ b` with x (in, batch): W is A as it stands."""
    if layer.bias is None:
        return FluxLayer(
            "Dense({weight}, false)", {"weight": array(layer.weight)}, {"weight": "weight"}
        )
    weights = {"weight": array(layer.weight), "bias": array(layer.bias)}
    return FluxLayer("Dense({weight}, {bias})", weights, {"weight": "weight", "bias": "bias"})


def bilinear(layer: Any) -> FluxLayer:
    """`y_k = x1^T A_k x2 + b_k`: Flux.Bilinear holds the same (out, in1, in2) array."""
    weights = {"weight": array(layer.weight)}
    paths = {"weight": "weight"}
    if layer.bias is None:
        return FluxLayer("Flux.Bilinear({weight}, false)", weights, paths)
    weights["bias"] = array(layer.bias)
    return FluxLayer("Flux.Bilinear({weight}, {bias})", weights, {**paths, "bias": "bias"})


def embedding(layer: Any) -> FluxLayer:
    """Rows of (number, dim) become columns of (dim, number); indices start at 1 in Julia."""
    for option in ("max_norm", "padding_idx"):
        if getattr(layer, option) is not None:
            raise CannotMirrorError(f"Embedding({option}={getattr(layer, option)})")

    def gradients(g: Arrays) -> dict[str, np.ndarray]:
        return {"weight": reverse_axes(g["weight"])}

    return FluxLayer(
        "Flux.Embedding({weight})",
        {"weight": reverse_axes(array(layer.weight))},
        {"weight": "weight"},
        gradients,
        call="{layer}(Int.({x}) .+ 1)",
    )


def dropout(layer: Any) -> FluxLayer:
    """The identity in eval mode. In train mode two languages cannot draw the same mask."""
    if layer.training and layer.p > 0:
        raise CannotMirrorError(
            f"Dropout(p={layer.p}) in train mode", "call module.eval() first, or set p = 0"
        )
    return FluxLayer("identity")


def identity(layer: Any) -> FluxLayer:
    return FluxLayer("identity")


def flatten(layer: Any) -> FluxLayer:
    """Row-major (C, H, W) and column-major (W, H, C) flatten to the same order."""
    if layer.start_dim != 1 or layer.end_dim not in (-1,):
        raise CannotMirrorError(
            f"Flatten({layer.start_dim}, {layer.end_dim})", "flatten from axis 1 to the last"
        )
    return FluxLayer("Flux.flatten")
