"""Taylor coefficients of the neural ODE and of the fundamental matrix of its adjoint equation."""

from __future__ import annotations

import numpy as np

from .networks import NeuralODE


def bound(x: np.ndarray) -> np.ndarray:
    """Upper bounds on |x| as doubles."""
    flat = [float(abs(ball).upper()) for ball in x.ravel()]
    return np.nextafter(np.array(flat).reshape(x.shape), np.inf)


def convolve(a: list[np.ndarray], b: list[np.ndarray], k: int) -> np.ndarray:
    """The k-th coefficient of a product of two series."""
    total = a[0] * b[k]
    for j in range(1, k + 1):
        total = total + a[j] * b[k - j]
    return total


def square(a: list[np.ndarray], k: int) -> np.ndarray:
    """The k-th coefficient of a series' square."""
    half = [a[j] * a[k - j] for j in range((k + 1) // 2)]
    total = 2 * sum(half) if half else 0 * a[0]
    return total + a[k // 2] * a[k // 2] if k % 2 == 0 else total


class Series:
    """Taylor coefficients of u, x = u^3, z, s, w = 1 - s^2, and of Psi and q = (W2^T Psi) w."""

    def __init__(self, f: NeuralODE, u: np.ndarray, psi: np.ndarray, degree: int) -> None:
        self.f, self.degree = f, degree
        self.u, self.psi = [u], [psi]
        self.x: list[np.ndarray] = []
        self.sq: list[np.ndarray] = []
        self.z: list[np.ndarray] = []
        self.s: list[np.ndarray] = []
        self.w: list[np.ndarray] = []
        self.q: list[np.ndarray] = []
        self.v: list[np.ndarray] = []
        self._dz: list[np.ndarray] = []
        self._g: list[np.ndarray] = []
        for k in range(degree + 1):
            self._next(k)

    def _next(self, k: int) -> None:
        f = self.f
        self.sq.append(square(self.u, k))
        self.x.append(convolve(self.sq, self.u, k))
        self.z.append(f.W1 @ self.x[k] + (f.b1 if k == 0 else 0))
        if k == 0:
            self.s.append(np.tanh(self.z[0]))
            self.w.append(1 - self.s[0] * self.s[0])
        else:
            self._dz.append(k * self.z[k])
            total = sum(self._dz[j - 1] * self.w[k - j] for j in range(1, k + 1))
            self.s.append(total / k)
            self.w.append(-square(self.s, k))
        self.u.append((f.W2 @ self.s[k] + (f.b2 if k == 0 else 0)) / (k + 1))
        self.v.append(f.W2.T @ self.psi[k])
        self.q.append(sum(self.v[j] * self.w[k - j][:, None] for j in range(k + 1)))
        self._g.append(f.W1.T @ self.q[k])
        rate = sum(self.sq[j][:, None] * self._g[k - j] for j in range(k + 1))
        self.psi.append(rate * (-3) / (k + 1))

    def radius_of_convergence(self) -> float:
        """An estimate (no bound) from the last coefficients of u and Psi."""
        n = np.arange(self.degree - 4, self.degree + 1)
        tops = [max(bound(self.u[k]).max(), 1e-3 * bound(self.psi[k]).max()) for k in n]
        return float(1.0 / max(max(top, 1e-300) ** (1.0 / k) for top, k in zip(tops, n)))
