"""Networks of the studies with derivatives worked out by hand, in any number type.

A right-hand side offers `value(t, y)`, `linearise(t, y)` and `jvp(t, y, dy, dtheta)`;
`integrators.py` asks for nothing else. `linearise` returns the value and its pullback, a function
of v that reuses what the value needed (tanh of a ball costs as much as twenty products). Weights
come as a vector `theta` so that gradients are vectors too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .linalg import concatenate, dot

Pullback = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""v -> (v^T df/dy of y's shape, v^T df/dtheta as a vector)."""


class NeuralODE:
    """F(u) = W2 tanh(W1 u^3 + b1) + b2, the power elementwise (the talk, Case 3).

    **Arguments:**

    - `theta`: vec(W1), b1, vec(W2), b2, both matrices column by column; 5 m + 2 entries for m
      hidden units and u in R^2 (252 for m = 50), of either number type.

    The derivatives, with x = u^3, s = tanh(W1 x + b1) and D = diag(1 - s^2):

    - dF = W2 D (dW1 x + db1 + W1 diag(3 u^2) du) + dW2 s + db2
    - v^T dF: with q = D W2^T v, the gradients are q x^T (W1), q (b1), v s^T (W2), v (b2) and
      diag(3 u^2) W1^T q (u).
    """

    def __init__(self, theta: np.ndarray) -> None:
        self.hidden = m = (len(theta) - 2) // 5
        self.W1, self.b1, self.W2, self.b2 = self._unpack(theta, m)

    @staticmethod
    def _unpack(theta: np.ndarray, m: int) -> tuple[np.ndarray, ...]:
        W1 = theta[: 2 * m].reshape(2, m).T
        W2 = theta[3 * m : 5 * m].reshape(m, 2).T
        return W1, theta[2 * m : 3 * m], W2, theta[5 * m :]

    def _hidden(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = u * u * u
        return x, np.tanh(self.W1 @ x + self.b1)

    def value(self, t: Any, u: np.ndarray) -> np.ndarray:
        """F(u), shape (2,). The time is ignored: the system is autonomous."""
        _, s = self._hidden(u)
        return self.W2 @ s + self.b2

    def linearise(self, t: Any, u: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """F(u) and v -> (v^T dF/du, v^T dF/dtheta), shapes (2,) and that of theta."""
        x, s = self._hidden(u)
        slope, inner = 1 - s * s, 3 * u * u

        def pullback(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            q = (v @ self.W2) * slope
            dW1, dW2 = q[None, :] * x[:, None], s[:, None] * v[None, :]
            return inner * (q @ self.W1), concatenate(dW1, q, dW2, v)

        return self.W2 @ s + self.b2, pullback

    def jvp(self, t: Any, u: np.ndarray, du: np.ndarray, dtheta: np.ndarray) -> np.ndarray:
        """dF in the directions du and dtheta, shape (2,)."""
        x, s = self._hidden(u)
        dW1, db1, dW2, db2 = self._unpack(dtheta, self.hidden)
        dz = dW1 @ x + db1 + self.W1 @ (3 * u * u * du)
        return self.W2 @ ((1 - s * s) * dz) + dW2 @ s + db2


class ResidualField:
    """f(t, Y) = K2(t) tanh(K1(t) Y + b(t)), theta(t) = sum_m Theta_m t^m, Y features x samples.

    **Arguments:**

    - `K1`, `b`, `K2`: coefficients, shapes (p, m, d), (p, m), (p, d, m).

    With s = tanh(K1 Y + b) and Q = (K2^T V) * (1 - s^2) the pullback of V is K1^T Q for Y, Q Y^T
    for K1, the row sums of Q for b, V s^T for K2; each coefficient gets t^m times that.
    """

    def __init__(self, K1: np.ndarray, b: np.ndarray, K2: np.ndarray) -> None:
        self.K1, self.b, self.K2 = K1, b, K2

    @staticmethod
    def _at(t: Any, coefficients: np.ndarray) -> np.ndarray:
        value = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            value = value * t + coefficient
        return value

    def _weights(self, t: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._at(t, self.K1), self._at(t, self.b), self._at(t, self.K2)

    def value(self, t: Any, Y: np.ndarray) -> np.ndarray:
        """f(t, Y), of Y's shape (d, n)."""
        K1, b, K2 = self._weights(t)
        return dot(K2, np.tanh(dot(K1, Y) + b[:, None]))

    def linearise(self, t: Any, Y: np.ndarray) -> tuple[np.ndarray, Pullback]:
        """f(t, Y) and V -> (pullback to Y of its shape, pullback to K1, b, K2 as one vector)."""
        K1, b, K2 = self._weights(t)
        s = np.tanh(dot(K1, Y) + b[:, None])

        def pullback(V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            Q = dot(K2.T, V) * (1 - s * s)
            dK1, db, dK2 = dot(Q, Y.T), Q.sum(axis=1), dot(V, s.T)
            powers = [t**m for m in range(len(self.K1))]
            blocks = [np.stack([part * p for p in powers]) for part in (dK1, db, dK2)]
            return dot(K1.T, Q), concatenate(*blocks)

        return dot(K2, s), pullback

    def jvp(self, t: Any, Y: np.ndarray, dY: np.ndarray, dtheta: np.ndarray) -> np.ndarray:
        """df in the directions dY and dtheta (K1, b, K2 coefficients as one vector)."""
        cuts = np.cumsum([self.K1.size, self.b.size])
        parts = np.split(dtheta, cuts)
        moved = [p.reshape(w.shape) for p, w in zip(parts, (self.K1, self.b, self.K2))]
        dK1, db, dK2 = (self._at(t, p) for p in moved)
        K1, b, K2 = self._weights(t)
        s = np.tanh(dot(K1, Y) + b[:, None])
        dz = dot(dK1, Y) + dot(K1, dY) + db[:, None]
        return dot(K2, (1 - s * s) * dz) + dot(dK2, s)


class LinearOrTanhField:
    """f(t, Y) = K Y, or tanh(K Y): the stability experiments. Only values are needed."""

    def __init__(self, K: np.ndarray, nonlinear: bool) -> None:
        self.K, self.nonlinear = K, nonlinear

    def value(self, t: Any, Y: np.ndarray) -> np.ndarray:
        """f(t, Y), of Y's shape."""
        Z = dot(self.K, Y)
        return np.tanh(Z) if self.nonlinear else Z
