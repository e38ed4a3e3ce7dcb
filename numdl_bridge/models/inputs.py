"""The arrays that a user hands over: named, finite, of one precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadInputError
from .checks import own_error

__tracebackhide__ = own_error

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
        array = _array(f"{role} {name!r}", value)
        check_finite(f"{role} {name!r}", array)
        out[name] = array
    return out


def _array(what: str, value: Any) -> np.ndarray:
    detach = getattr(value, "detach", None)
    try:
        array = np.array(detach().cpu().numpy() if detach else value)
    except (TypeError, ValueError) as error:
        got = f"of dtype {value.dtype}" if detach else f"no array ({error})"
        raise BadInputError(
            f"{what} is {got}", f"an array of {' or '.join(PRECISIONS)}", "convert it first"
        ) from None
    if array.dtype == bool:
        raise BadInputError(
            f"{what} is of dtype bool",
            "numbers, which both languages read alike",
            "cast a mask: mask.astype(float), or mask.double(); Julia gets 0.0 and 1.0",
        )
    if array.dtype.kind not in "iuf":
        raise BadInputError(f"{what} is of dtype {array.dtype}", "numbers", "convert it first")
    return array


def check_finite(what: str, array: np.ndarray) -> None:
    """Raise `BadInputError` where an array holds NaN or Inf."""
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BadInputError(
            f"{what} holds NaN or Inf{f' at index {where}' if where else ''}",
            "finite numbers",
            "check where it comes from",
        )


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
