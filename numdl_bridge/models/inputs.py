"""The arrays that a user hands over: named, finite, of one precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadInputError

PRECISIONS = ("float64", "float32")


def named_arrays(role: str, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """NumPy copies of arrays, tensors or numbers.

    Raises `BadInputError` for names that are no identifiers, and for what is no array of numbers or
    holds NaN or Inf.
    """
    out = {}
    for name, value in arrays.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise BadInputError(
                f"{role} has the name {name!r}", "names that both languages accept", "rename it"
            )
        detach = getattr(value, "detach", None)
        array = np.array(detach().cpu().numpy() if detach else value)
        if array.dtype == object or not np.issubdtype(array.dtype, np.number):
            raise BadInputError(
                f"{role} {name!r} is of dtype {array.dtype}", "numbers", "convert it first"
            )
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise BadInputError(
                f"{role} {name!r} holds NaN or Inf", "finite numbers", "check where it comes from"
            )
        out[name] = array
    return out


def common_precision(arrays: Mapping[str, np.ndarray]) -> str:
    """The one floating precision of all arrays; raises `BadInputError` where there are two."""
    found: dict[str, str] = {}
    for name, value in arrays.items():
        if np.issubdtype(value.dtype, np.floating):
            found.setdefault(value.dtype.name, name)
    if len(found) > 1:
        listed = ", ".join(f"{name!r} is {dtype}" for dtype, name in found.items())
        raise BadInputError(
            f"arrays of different precision: {listed}",
            "one precision, so that neither language promotes silently",
            "convert them to one dtype",
        )
    (precision,) = found or ("float64",)
    if precision not in PRECISIONS:
        raise BadInputError(
            f"arrays of {precision}", f"one of {', '.join(PRECISIONS)}", "convert them"
        )
    return precision


def directions(arrays: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """A random direction of norm 1 for each floating array, in its precision."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, value in arrays.items():
        drawn = rng.standard_normal(value.shape)
        norm = np.linalg.norm(drawn)
        out[name] = np.asarray(drawn / (norm or 1.0), dtype=value.dtype)
    return out
