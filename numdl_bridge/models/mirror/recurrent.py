"""RNN, GRU, LSTM, stacked or not, in one direction.

Flux 0.16 takes (features, length, batch) and starts from zero, as torch does without a state. Gate
orders agree (LSTM: input, forget, cell, output; GRU: reset, update, new). torch has two biases
where Flux has one: their sum serves, and both get its gradient, except in the GRU's candidate,
where torch multiplies the recurrent bias by the reset gate, so the GRU is written out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import CannotMirrorError
from .layer import Arrays, FluxLayer, array


def recurrent(layer: Any) -> FluxLayer:
    """A torch recurrent layer as a Flux `Chain` of cells; it returns the outputs of all times."""
    kind = type(layer).__name__
    if layer.bidirectional:
        raise CannotMirrorError(f"{kind}(bidirectional=True)", "mirror the two directions apart")
    if getattr(layer, "proj_size", 0):
        raise CannotMirrorError(f"{kind}(proj_size={layer.proj_size})")
    if layer.dropout and layer.training:
        raise CannotMirrorError(f"{kind}(dropout={layer.dropout}) in train mode", "module.eval()")
    weights: dict[str, np.ndarray] = {}
    paths: dict[str, str] = {}
    cells = []
    for k in range(layer.num_layers):
        weights[f"Wi{k}"] = array(getattr(layer, f"weight_ih_l{k}"))
        weights[f"Wh{k}"] = array(getattr(layer, f"weight_hh_l{k}"))
        where = f"layers.{k}.cell"
        paths |= {f"Wi{k}": f"{where}.Wi", f"Wh{k}": f"{where}.Wh"}
        cells.append(_cell(kind, layer, k, weights, paths, where))
    construct = f"Chain({', '.join(cells)})"
    body = "{layer}({x})"
    if not layer.batch_first:
        # (length, batch, features) reversed is (features, batch, length): Flux wants the other.
        body = "permutedims({layer}(permutedims({x}, (1, 3, 2))), (1, 3, 2))"
    helpers = ("TorchGRUCell",) if kind == "GRU" else ()
    return FluxLayer(construct, weights, paths, _gradients(kind), f"({body},)", helpers)


def _cell(
    kind: str,
    layer: Any,
    k: int,
    weights: dict[str, np.ndarray],
    paths: dict[str, str],
    where: str,
) -> str:
    bias = "false"
    if layer.bias:
        input_bias = array(getattr(layer, f"bias_ih_l{k}"))
        recurrent_bias = array(getattr(layer, f"bias_hh_l{k}"))
        if kind == "GRU":
            weights |= {f"bi{k}": input_bias, f"bh{k}": recurrent_bias}
            paths |= {f"bi{k}": f"{where}.bi", f"bh{k}": f"{where}.bh"}
            return f"Flux.Recurrence(TorchGRUCell({{Wi{k}}}, {{Wh{k}}}, {{bi{k}}}, {{bh{k}}}))"
        weights[f"b{k}"], paths[f"b{k}"] = input_bias + recurrent_bias, f"{where}.bias"
        bias = f"{{b{k}}}"
    elif kind == "GRU":
        raise CannotMirrorError("GRU(bias=False)", "use zero biases")
    if kind == "RNN":
        activation = "tanh" if layer.nonlinearity == "tanh" else "relu"
        return f"Flux.RNN(Flux.RNNCell({activation}, {{Wi{k}}}, {{Wh{k}}}, {bias}))"
    return f"Flux.LSTM(Flux.LSTMCell({{Wi{k}}}, {{Wh{k}}}, {bias}))"


def _gradients(kind: str) -> Any:
    names = {"Wi": ("weight_ih",), "Wh": ("weight_hh",), "b": ("bias_ih", "bias_hh")}
    names |= {"bi": ("bias_ih",), "bh": ("bias_hh",)}

    def gradients(g: Arrays) -> dict[str, np.ndarray]:
        return {
            f"{torch_name}_l{key.lstrip('Wihb')}": value
            for key, value in g.items()
            for torch_name in names[key.rstrip("0123456789")]
        }

    return gradients
