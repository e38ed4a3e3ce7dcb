"""What a mirrored layer is: a Flux constructor, its weights in Flux's layout, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FluxLayer:
    """One `torch.nn` layer, in Flux.

    Everywhere, an activation of torch shape (d0, ..., dn) is a Julia array of shape (dn, ..., d0):
    the same memory, read in the other order, with the batch at the end as Flux has it.

    **Arguments:**

    - `construct`: the Julia expression that builds it; `{name}` stands for the weight of that name.
    - `weights`: arrays by name, in Julia's logical shape.
    - `paths`: where each *trainable* weight sits in the built layer (`"diag.scale"`).
    - `gradients`: from gradients of the trainable weights to gradients of the torch parameters, by
      the torch layer's own parameter names. It is the transpose of the map that made `weights`.
    - `call`: the Julia expression that applies it; `{layer}` and `{x}` (all arguments) are filled.
    - `helpers`: names of Julia helper functions (see `helpers.py`) that the expressions need.
    """

    construct: str
    weights: Arrays = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    gradients: Callable[[Arrays], dict[str, np.ndarray]] = dict
    call: str = "{layer}({x})"
    helpers: tuple[str, ...] = ()


Rule = Callable[[Any], FluxLayer]
"""From a `torch.nn` layer to its Flux twin; raises `CannotMirrorError` for options Flux lacks."""


def array(tensor: Any) -> np.ndarray:
    """A parameter or buffer as a NumPy array of its own precision."""
    return tensor.detach().cpu().numpy()


def reverse_axes(value: np.ndarray) -> np.ndarray:
    """The one conversion of layouts: (d0, ..., dn) to (dn, ..., d0), and back."""
    return value.transpose()


def pair(value: Any, dims: int) -> tuple[int, ...]:
    """A torch size option (number or tuple in d, h, w order) in Julia's order (w, h, d)."""
    return (value,) * dims if isinstance(value, int) else tuple(reversed(tuple(value)))


def julia_tuple(values: tuple[int, ...]) -> str:
    """`(3, 3)`; a tuple of one keeps its comma, as in both languages."""
    return f"({values[0]},)" if len(values) == 1 else f"({', '.join(map(str, values))})"
