"""The number types that the referee computes in: doubles, or balls with a proven radius.

The referee's sources are written once, in NumPy. `np.tanh`, `+`, `*` and `@` act on object arrays
of python-flint's `arb` elementwise, so that the same lines return either a double or an enclosure
[midpoint ± radius] that contains the exact result of every operation so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import flint
import numpy as np


class Field(Protocol):
    """A number type: how to enter it, and its constants."""

    bits: int

    def array(self, value: Any) -> np.ndarray: ...
    def number(self, value: float | int | str) -> Any: ...
    def working(self) -> Any: ...


class Double:
    """float64, for speed and for debugging."""

    bits = 53

    def array(self, value: Any) -> np.ndarray:
        return np.asarray(value, dtype=np.float64)

    def number(self, value: float | int | str) -> float:
        return float(value)

    @contextmanager
    def working(self) -> Iterator[None]:
        yield


class Ball:
    """Ball arithmetic with `bits` of precision. Doubles enter exactly, with radius zero."""

    def __init__(self, bits: int = 256) -> None:
        self.bits = bits

    def array(self, value: Any) -> np.ndarray:
        source = np.asarray(value)
        out = np.empty(source.shape, dtype=object)
        flat = [flint.arb(v) if isinstance(v, int) else flint.arb(float(v)) for v in source.ravel()]
        out[...] = np.array(flat, dtype=object).reshape(source.shape) if flat else out
        return out

    def number(self, value: float | int | str) -> flint.arb:
        """An int or a double exactly; text such as `"0.1"` as the enclosure of that decimal."""
        return flint.arb(value)

    @contextmanager
    def working(self) -> Iterator[None]:
        """flint's precision is global to the process: set it here and nowhere else."""
        before = flint.ctx.prec
        flint.ctx.prec = self.bits
        try:
            yield
        finally:
            flint.ctx.prec = before


def midpoint(value: Any) -> np.ndarray:
    """The doubles nearest to the centres of the balls (doubles pass unchanged)."""
    array = np.asarray(value)
    if array.dtype != object:
        return array
    return _each(array, lambda b: float(b.mid()))


def radius(value: Any) -> np.ndarray:
    """Proven bounds on |midpoint(value) - exact|, the rounding of the centre to double included."""
    array = np.asarray(value)
    if array.dtype != object:
        return np.full(array.shape, np.inf)
    return _each(array, _distance_bound)


def _distance_bound(ball: flint.arb) -> float:
    centre = float(ball.mid())
    if not np.isfinite(centre):
        return float("inf")
    bound = float(abs(ball - flint.arb(centre)).upper())
    return float(np.nextafter(bound, np.inf))


def _each(array: np.ndarray, function: Any) -> np.ndarray:
    return np.array([function(b) for b in array.ravel()], dtype=np.float64).reshape(array.shape)
