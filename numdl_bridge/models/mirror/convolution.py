"""Convolutions and pooling, in 1, 2 and 3 dimensions.

torch cross-correlates, Flux convolves: every kernel is flipped in all its spatial axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import CannotMirrorError
from .layer import Arrays, FluxLayer, array, julia_tuple, pair, reverse_axes


def flip(kernel: np.ndarray, dims: int) -> np.ndarray:
    """A torch kernel (out, in, [d, h,] w) in Flux's layout (w, [h, d,] in, out), flipped."""
    return np.ascontiguousarray(np.flip(reverse_axes(kernel), axis=tuple(range(dims))))


def unflip(kernel: np.ndarray, dims: int) -> np.ndarray:
    """The inverse of `flip`, and its transpose: it only permutes entries."""
    return reverse_axes(np.flip(kernel, axis=tuple(range(dims))))


def convolution(layer: Any) -> FluxLayer:
    """Conv1d, Conv2d, Conv3d and their transposed forms, with stride, padding, dilation, groups."""
    dims = len(layer.kernel_size)
    if layer.padding_mode != "zeros":
        raise CannotMirrorError(
            f"{type(layer).__name__}(padding_mode={layer.padding_mode!r})",
            "pad with torch.nn.functional.pad before a convolution without padding",
        )
    options = {
        "stride": (pair(layer.stride, dims), 1),
        "pad": (_padding(layer, dims), 0),
        "dilation": (pair(layer.dilation, dims), 1),
    }
    if layer.transposed:
        options["outpad"] = (pair(layer.output_padding, dims), 0)
    keywords = [f"{k}={julia_tuple(v)}" for k, (v, usual) in options.items() if set(v) != {usual}]
    keywords += [f"groups={layer.groups}"] if layer.groups != 1 else []
    flux = "ConvTranspose" if layer.transposed else "Conv"
    weights, paths = {"weight": flip(array(layer.weight), dims)}, {"weight": "weight"}
    if layer.bias is not None:
        weights["bias"], paths["bias"] = array(layer.bias), "bias"
    bias = "{bias}" if layer.bias is not None else "false"

    def gradients(g: Arrays) -> dict[str, np.ndarray]:
        return {k: unflip(v, dims) if k == "weight" else v for k, v in g.items()}

    settings = f"; {', '.join(keywords)}" if keywords else ""
    construct = f"{flux}({{weight}}, {bias}{settings})"
    return FluxLayer(construct, weights, paths, gradients)


def _padding(layer: Any, dims: int) -> tuple[int, ...]:
    if layer.padding == "valid":
        return (0,) * dims
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size)]
        if any(t % 2 for t in total):
            raise CannotMirrorError(
                f"{type(layer).__name__}(padding='same') with an even kernel",
                "use an odd kernel: torch pads the far side by one more",
            )
        return tuple(t // 2 for t in reversed(total))
    return pair(layer.padding, dims)


def pooling(layer: Any) -> FluxLayer:
    """Max and average pooling. Average pooling counts the padding, as NNlib does."""
    name = type(layer).__name__
    dims = int(name[-2])
    if layer.ceil_mode:
        raise CannotMirrorError(f"{name}(ceil_mode=True)", "use ceil_mode=False")
    if name.startswith("Max"):
        if layer.dilation not in (1, (1,) * dims) or layer.return_indices:
            raise CannotMirrorError(f"{name} with dilation or return_indices")
        flux = "MaxPool"
    else:
        if layer.padding not in (0, (0,) * dims) and not layer.count_include_pad:
            raise CannotMirrorError(f"{name}(count_include_pad=False) with padding")
        if getattr(layer, "divisor_override", None):
            raise CannotMirrorError(f"{name}(divisor_override)")
        flux = "MeanPool"
    window, stride = pair(layer.kernel_size, dims), pair(layer.stride, dims)
    pad = pair(layer.padding, dims)
    return FluxLayer(
        f"{flux}({julia_tuple(window)}; stride={julia_tuple(stride)}, pad={julia_tuple(pad)})"
    )


def adaptive_pooling(layer: Any) -> FluxLayer:
    """Adaptive pooling where Flux has it: an output size that divides the input's."""
    name = type(layer).__name__
    dims, size = int(name[-2]), layer.output_size
    if size is None or (not isinstance(size, int) and None in size):
        raise CannotMirrorError(f"{name}({size})", "give every output size as a number")
    flux = "AdaptiveMaxPool" if "Max" in name else "AdaptiveMeanPool"
    return FluxLayer(f"{flux}({julia_tuple(pair(size, dims))})")
