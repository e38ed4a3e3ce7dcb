"""Multi-head attention. Both languages split the features into consecutive heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import CannotMirrorError
from .layer import Arrays, FluxLayer, array

_PROJECTIONS = ("q", "k", "v")


def multihead_attention(layer: Any) -> FluxLayer:
    """`nn.MultiheadAttention`: one packed (3E, E) projection in torch, three Dense in Flux.

    Attention weights are not compared: torch averages them over the heads, Flux keeps them apart.
    """
    for option in ("bias_k", "bias_v"):
        if getattr(layer, option) is not None:
            raise CannotMirrorError("MultiheadAttention(add_bias_kv=True)")
    if layer.add_zero_attn or (layer.dropout and layer.training):
        raise CannotMirrorError("MultiheadAttention with add_zero_attn, or dropout in train mode")
    if not layer._qkv_same_embed_dim:
        raise CannotMirrorError("MultiheadAttention with kdim or vdim", "use one embed_dim")
    weights = {f"{p}_weight": w for p, w in zip(_PROJECTIONS, _thirds(layer.in_proj_weight))}
    paths = {f"{p}_weight": f"{p}_proj.weight" for p in _PROJECTIONS}
    bias = layer.in_proj_bias is not None
    if bias:
        weights |= {f"{p}_bias": b for p, b in zip(_PROJECTIONS, _thirds(layer.in_proj_bias))}
        paths |= {f"{p}_bias": f"{p}_proj.bias" for p in _PROJECTIONS}
    weights["out_weight"], paths["out_weight"] = array(layer.out_proj.weight), "out_proj.weight"
    if layer.out_proj.bias is not None:
        weights["out_bias"], paths["out_bias"] = array(layer.out_proj.bias), "out_proj.bias"
    dense = [_dense(p, bias) for p in _PROJECTIONS]
    construct = (
        f"MultiHeadAttention({layer.num_heads}, {', '.join(dense)}, Dropout(0.0), "
        f"{_dense('out', layer.out_proj.bias is not None)})"
    )
    call = "{layer}({x})"
    if not layer.batch_first:
        # (length, batch, features) reversed is (features, batch, length): Flux wants the other.
        call = "swap_last(first({layer}(swap_last.(({x},))...)))"
        return FluxLayer(construct, weights, paths, _gradients, f"({call},)", ("swap_last",))
    return FluxLayer(construct, weights, paths, _gradients, call)


def _thirds(packed: Any) -> list[np.ndarray]:
    return np.split(array(packed), 3, axis=0)


def _dense(name: str, bias: bool) -> str:
    return f"Dense({{{name}_weight}}, {f'{{{name}_bias}}' if bias else 'false'})"


def _gradients(g: Arrays) -> dict[str, np.ndarray]:
    out = {"in_proj_weight": np.concatenate([g[f"{p}_weight"] for p in _PROJECTIONS])}
    if "q_bias" in g:
        out["in_proj_bias"] = np.concatenate([g[f"{p}_bias"] for p in _PROJECTIONS])
    out["out_proj.weight"] = g["out_weight"]
    if "out_bias" in g:
        out["out_proj.bias"] = g["out_bias"]
    return out
