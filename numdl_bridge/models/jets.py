"""Ball arithmetic with derivatives, for a user's function that is written in NumPy.

A jet is value + derivative * t, both balls: `np.tanh`, `+`, `*`, `@` and friends act on object
arrays of jets, and the derivative comes out with a proven radius.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines.referee.number import Ball


class Jet:
    """value + derivative * t, t an infinitesimal. NumPy calls the methods by their names."""

    __slots__ = ("derivative", "value")

    def __init__(self, value: Any, derivative: Any = 0) -> None:
        self.value, self.derivative = value, derivative

    def __add__(self, other: Any) -> Jet:
        a, b = self, _jet(other)
        return Jet(a.value + b.value, a.derivative + b.derivative)

    def __sub__(self, other: Any) -> Jet:
        return self + (-_jet(other))

    def __rsub__(self, other: Any) -> Jet:
        return _jet(other) - self

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.derivative)

    def __mul__(self, other: Any) -> Jet:
        b = _jet(other)
        return Jet(self.value * b.value, self.value * b.derivative + self.derivative * b.value)

    def __truediv__(self, other: Any) -> Jet:
        b = _jet(other)
        quotient = self.value / b.value
        return Jet(quotient, (self.derivative - quotient * b.derivative) / b.value)

    def __rtruediv__(self, other: Any) -> Jet:
        return _jet(other) / self

    def __pow__(self, power: Any) -> Jet:
        if isinstance(power, int):
            slope = power * self.value ** (power - 1) if power else 0 * self.value
            return Jet(self.value**power, slope * self.derivative)
        return (self.log() * power).exp()

    __radd__, __rmul__ = __add__, __mul__

    def _apply(self, value: Any, slope: Any) -> Jet:
        return Jet(value, slope * self.derivative)

    def exp(self) -> Jet:
        e = self.value.exp()
        return self._apply(e, e)

    def log(self) -> Jet:
        return self._apply(self.value.log(), 1 / self.value)

    def sqrt(self) -> Jet:
        root = self.value.sqrt()
        return self._apply(root, 1 / (2 * root))

    def sin(self) -> Jet:
        return self._apply(self.value.sin(), self.value.cos())

    def cos(self) -> Jet:
        return self._apply(self.value.cos(), -self.value.sin())

    def tanh(self) -> Jet:
        y = self.value.tanh()
        return self._apply(y, 1 - y * y)

    def square(self) -> Jet:
        return self * self

    def conjugate(self) -> Jet:
        return self


def _jet(value: Any) -> Jet:
    if isinstance(value, Jet):
        return value
    if isinstance(value, float | np.floating):
        value = Ball(53).number(float(value))
    return Jet(value)


def jet_array(value: np.ndarray, tangent: np.ndarray | None, field: Ball) -> np.ndarray:
    """An object array of jets; a constant where there is no tangent."""
    values = field.array(value)
    slopes = field.array(np.zeros(value.shape) if tangent is None else tangent)
    pairs = [Jet(v, s) for v, s in zip(values.ravel(), slopes.ravel())]
    out = np.empty(len(pairs), dtype=object)
    out[:] = pairs
    return out.reshape(value.shape)


def parts(result: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives of a result, as object arrays of balls."""
    array = np.asarray(result, dtype=object)
    flat = [_jet(j) for j in array.ravel()]
    values, slopes = np.empty(len(flat), dtype=object), np.empty(len(flat), dtype=object)
    values[:], slopes[:] = [j.value for j in flat], [j.derivative for j in flat]
    return values.reshape(array.shape), slopes.reshape(array.shape)
