"""Which `torch.nn` class is mirrored by which rule: the one table of layers."""

from __future__ import annotations

from typing import Any

from .activations import activation, prelu
from .attention import multihead_attention
from .convolution import adaptive_pooling, convolution, pooling
from .dense import bilinear, dropout, embedding, flatten, identity, linear
from .errors import CannotMirrorError
from .layer import FluxLayer, Rule
from .normalisation import batch_or_instance, group, layer_norm
from .recurrent import recurrent

ACTIVATIONS = (
    *("ReLU", "ReLU6", "Tanh", "Sigmoid", "SiLU", "Mish", "Softsign", "LogSigmoid", "Tanhshrink"),
    *("Hardswish", "Hardsigmoid", "SELU", "GELU", "LeakyReLU", "ELU", "CELU", "Hardtanh"),
    *("Softplus", "Softmax", "LogSoftmax"),
)

RULES: dict[str, Rule] = {
    "Linear": linear,
    "Bilinear": bilinear,
    "Embedding": embedding,
    **{f"Dropout{d}": dropout for d in ("", "1d", "2d", "3d")},
    "Identity": identity,
    "Flatten": flatten,
    **{f"Conv{d}d": convolution for d in (1, 2, 3)},
    **{f"ConvTranspose{d}d": convolution for d in (1, 2, 3)},
    **{f"{kind}Pool{d}d": pooling for kind in ("Max", "Avg") for d in (1, 2, 3)},
    **{f"Adaptive{kind}Pool{d}d": adaptive_pooling for kind in ("Max", "Avg") for d in (1, 2, 3)},
    **{f"{kind}Norm{d}d": batch_or_instance for kind in ("Batch", "Instance") for d in (1, 2, 3)},
    "GroupNorm": group,
    "LayerNorm": layer_norm,
    "RNN": recurrent,
    "GRU": recurrent,
    "LSTM": recurrent,
    "MultiheadAttention": multihead_attention,
    "PReLU": prelu,
    **dict.fromkeys(ACTIVATIONS, activation),
}


def is_layer(module: Any) -> bool:
    """Whether a module is one of the layers in `RULES`, and not a user's class of that name."""
    return type(module).__name__ in RULES and type(module).__module__.startswith("torch.nn")


def mirror_layer(name: str, layer: Any) -> FluxLayer:
    """The Flux twin of one layer; `name` is where it stands in the module, for the message."""
    kind = type(layer).__name__
    if not is_layer(layer):
        raise CannotMirrorError(f"layer {name!r} of type {kind}")
    try:
        return RULES[kind](layer)
    except CannotMirrorError as error:
        raise CannotMirrorError(
            f"layer {name!r}, {error.got.removesuffix(' cannot be mirrored in Flux')}", error.remedy
        ) from None
