"""Batch, layer, group and instance normalisation, in train and eval mode.

torch adds eps to the variance. So do Flux's BatchNorm, GroupNorm and InstanceNorm; its LayerNorm
added eps^2 before Flux 0.16.11 (FluxML/Flux.jl#2701), hence the helper `layernorm_eps`. Flux's
default eps is the Float32 number 1f-5, which is not 1e-5: it is always passed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import CannotMirrorError
from .layer import Arrays, FluxLayer, array, julia_tuple, reverse_axes


def batch_or_instance(layer: Any) -> FluxLayer:
    """BatchNorm1d/2d/3d and InstanceNorm1d/2d/3d: the channel is Flux's last axis but one."""
    flux = "BatchNorm" if type(layer).__name__.startswith("Batch") else "InstanceNorm"
    if layer.track_running_stats and layer.momentum is None:
        raise CannotMirrorError(f"{type(layer).__name__}(momentum=None)", "give a momentum")
    weights: dict[str, np.ndarray] = {}
    paths: dict[str, str] = {}
    if layer.affine:
        weights |= {"beta": array(layer.bias), "gamma": array(layer.weight)}
        paths = {"beta": "β", "gamma": "γ"}
    if layer.track_running_stats:
        weights |= {"mean": array(layer.running_mean), "variance": array(layer.running_var)}
    # Without running statistics torch normalises by the batch's own in eval mode as well.
    active = layer.training or not layer.track_running_stats
    fields = ", ".join(f"{{{n}}}" if n in weights else "nothing" for n in _FIELDS)
    construct = (
        f"{flux}(identity, {fields}, {layer.eps}, {layer.momentum or 0.1}, "
        f"{_bool(layer.affine)}, {_bool(layer.track_running_stats)}, {_bool(active)}, "
        f"{layer.num_features})"
    )
    return FluxLayer(construct, weights, paths, _from_greek)


def group(layer: Any) -> FluxLayer:
    """GroupNorm: both languages take consecutive channels as a group."""
    weights, paths = {}, {}
    if layer.affine:
        weights = {"beta": array(layer.bias), "gamma": array(layer.weight)}
        paths = {"beta": "β", "gamma": "γ"}
    fields = "{beta}, {gamma}" if layer.affine else "nothing, nothing"
    construct = (
        f"GroupNorm({layer.num_groups}, identity, {fields}, nothing, nothing, {layer.eps}, 0.1, "
        f"{_bool(layer.affine)}, false, true, {layer.num_channels})"
    )
    return FluxLayer(construct, weights, paths, _from_greek)


def layer_norm(layer: Any) -> FluxLayer:
    """LayerNorm over torch's last axes, which are Flux's first."""
    size = julia_tuple(tuple(reversed(layer.normalized_shape)))
    eps = f"layernorm_eps({layer.eps})"
    if not layer.elementwise_affine:
        return FluxLayer(
            f"Flux.LayerNorm(identity, identity, {eps}, {size}, false)", helpers=("layernorm_eps",)
        )
    weights = {"scale": reverse_axes(array(layer.weight))}
    paths = {"scale": "diag.scale"}
    scale = "Flux.Scale({scale}, false)"
    if layer.bias is not None:
        weights["shift"] = reverse_axes(array(layer.bias))
        paths["shift"] = "diag.bias"
        scale = "Flux.Scale({scale}, {shift})"

    def gradients(g: Arrays) -> dict[str, np.ndarray]:
        names = {"scale": "weight", "shift": "bias"}
        return {names[k]: reverse_axes(v) for k, v in g.items()}

    construct = f"Flux.LayerNorm(identity, {scale}, {eps}, {size}, true)"
    return FluxLayer(construct, weights, paths, gradients, helpers=("layernorm_eps",))


_FIELDS = ("beta", "gamma", "mean", "variance")


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _from_greek(g: Arrays) -> dict[str, np.ndarray]:
    names = {"gamma": "weight", "beta": "bias"}
    return {names[k]: v for k, v in g.items()}
