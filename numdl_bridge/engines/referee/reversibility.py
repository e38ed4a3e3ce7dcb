"""Case 1 proven: round trips in ball arithmetic, gradients by hand-derived adjoints.

Of the reference case only (one network of each kind, a few points). The exact statements:

- Verlet's inverse is the inverse: recovered input = input, with radius zero.
- The flow's inverse is the inverse: so is what an adaptive solver should recover.
- RK4's defect is a number like any other, with a proven radius; on the linear test equation it is
  1 + z^6/72 + z^8/576.
- The slide's step has determinant exactly 1: it is a product of unit triangular matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...studies._reversibility_quantities import DRIFT_END, DRIFT_STEPS, LINEAR_STEPS
from . import LIBRARY_FUNCTIONS
from .number import Ball, midpoint, radius

BITS = 320  # the round trip stretches by up to exp(|K| T) each way

Array = np.ndarray
Gradient = tuple[Array, Array]


# --- RK4 on the padded ResNet --------------------------------------------------------------------


class ResNet:
    """dY/ds = tau tanh(K(s) Y + b(s)), K and b piecewise linear; K `(nodes, d, d)`, b `(nodes, d)`.

    Time s in units of the nodes' spacing, one RK4 step a spacing; weights at a stage of step j are
    (1 - c) times those of node j plus c times those of node j + 1, c in {0, 1/2, 1}.
    """

    def __init__(self, K: Array, b: Array, tau: Any, field: Any) -> None:
        self.K, self.b, self.tau, self.field = K, b, tau, field
        self.steps = len(K) - 1

    def stage(self, j: int, c: Any, Y: Array) -> tuple[Array, Array]:
        """tanh(K Y + b) at s = j + c, and the K used."""
        K = self.K[j] + c * (self.K[j + 1] - self.K[j])
        b = self.b[j] + c * (self.b[j + 1] - self.b[j])
        return np.tanh(K @ Y + b[:, None]), K

    def step(self, j: int, Y: Array, sign: int) -> tuple[Array, list[Any]]:
        """From node j to j + 1 (sign 1) or back (sign -1); with what the adjoint needs."""
        half, one = self.field.number(1) / 2, self.field.number(1)
        places = (0 * one, half, half, one) if sign > 0 else (one, half, half, 0 * one)
        tape, slopes = [], []
        point = Y
        for c, ahead in zip(places, (half, half, one, None), strict=True):
            activation, K = self.stage(j, c, point)
            tape.append((c, point, activation, K))
            slopes.append(sign * self.tau * activation)
            if ahead is not None:
                point = Y + ahead * slopes[-1]
        k1, k2, k3, k4 = slopes
        return Y + (k1 + 2 * k2 + 2 * k3 + k4) / 6, tape

    def forward(self, Y: Array) -> tuple[Array, list[list[Any]]]:
        tapes = []
        for j in range(self.steps):
            Y, tape = self.step(j, Y, 1)
            tapes.append(tape)
        return Y, tapes

    def backward(self, Y: Array) -> Array:
        for j in reversed(range(self.steps)):
            Y, _ = self.step(j, Y, -1)
        return Y

    def pull(self, j: int, tape: list[Any], seed: Array, into: Gradient) -> Array:
        """Adjoint of step j at the recorded stages: adds to `into`, returns the input's."""
        one = self.field.number(1)
        by_K, by_b = into
        slopes = [seed / 6, seed / 3, seed / 3, seed / 6]
        by_Y = seed
        for i in reversed(range(4)):
            c, point, activation, K = tape[i]
            inner = self.tau * (one - activation * activation) * slopes[i]
            K_here, b_here = inner @ point.T, inner.sum(1)
            by_K[j] += (one - c) * K_here
            by_K[j + 1] += c * K_here
            by_b[j] += (one - c) * b_here
            by_b[j + 1] += c * b_here
            back = K.T @ inner
            by_Y = by_Y + back
            if i:
                slopes[i - 1] = slopes[i - 1] + (back if i == 3 else back / 2)
        return by_Y

    def gradient(self, tapes: list[list[Any]], seed: Array) -> Gradient:
        into = (0 * self.K, 0 * self.b)
        for j in reversed(range(self.steps)):
            seed = self.pull(j, tapes[j], seed, into)
        return into

    def recomputed(self, Y: Array, seed: Array) -> Gradient:
        """The same from the output, at the states that the backward solve gives."""
        into = (0 * self.K, 0 * self.b)
        for j in reversed(range(self.steps)):
            Y, _ = self.step(j, Y, -1)
            _, tape = self.step(j, Y, 1)
            seed = self.pull(j, tape, seed, into)
        return into


# --- the two-line network ------------------------------------------------------------------------


def verlet(K: Array, b: Array, h: Any, Y: Array, Z: Array) -> tuple[Array, Array, list[Any]]:
    """Y+ = Y + h tanh(K Z + b), Z+ = Z - h tanh(K^T Y+ + b); with what the adjoint needs."""
    tape = []
    for j in range(len(K)):
        first = np.tanh(K[j] @ Z + b[j][:, None])
        Y_new = Y + h * first
        second = np.tanh(K[j].T @ Y_new + b[j][:, None])
        tape.append((Z, first, Y_new, second))
        Y, Z = Y_new, Z - h * second
    return Y, Z, tape


def verlet_gradient(
    K: Array, b: Array, h: Any, tape: list[Any], seed: tuple[Array, Array], field: Any
) -> Gradient:
    """By K and b, from the derivatives by the output (Y, Z)."""
    one = field.number(1)
    by_K, by_b = 0 * K, 0 * b
    by_Y, by_Z = seed
    for j in reversed(range(len(K))):
        Z, first, Y_new, second = tape[j]
        inner = -h * (one - second * second) * by_Z
        by_K[j] += Y_new @ inner.T
        by_b[j] += inner.sum(1)
        by_Y = by_Y + K[j] @ inner
        inner = h * (one - first * first) * by_Y
        by_K[j] += inner @ Z.T
        by_b[j] += inner.sum(1)
        by_Z = by_Z + K[j].T @ inner
    return by_K, by_b


# --- answers -------------------------------------------------------------------------------------


def loss(W: Array, mu: Any, Y: Array, C: Array, field: Any) -> tuple[Any, Array]:
    """Mean of log(1 + exp(s)) - C s, s = W Y + mu, and its derivative by Y."""
    s = (W @ Y)[0] + mu
    one = field.number(1)
    sigmoid = one / (one + np.exp(-s))
    value = (np.log(one + np.exp(s)) - C * s).sum() / len(C)
    return value, W.T @ ((sigmoid - C) / len(C))[None, :]


def reference(inputs: dict[str, Array], options: Any, field: Any) -> dict[str, Any]:
    m = options.sample
    data, C = field.array(inputs["Y0"][:, :m]), field.array(inputs["C"][:m])
    mu = field.array(inputs["mu"])[()]
    a, T = field.number(options.reference_amplitude), field.number(options.reference_horizon)
    X = np.concatenate([data, 0 * data])
    weights = {}
    for net in ("rk4", "verlet"):
        K = a * field.array(inputs[f"K_{net}"][..., 0]).transpose(2, 0, 1)
        weights[net] = K, a * field.array(inputs[f"b_{net}"][..., 0]).T
    K, b = weights["rk4"]
    net_rk4 = ResNet(K, b, T / (len(K) - 1), field)
    Y, tapes = net_rk4.forward(X)
    value, seed = loss(field.array(inputs["W_rk4"]), mu, Y, C, field)
    gradient = net_rk4.gradient(tapes, seed)
    out = {
        "solution/rk4": Y,
        "inverse/rk4": net_rk4.backward(Y),
        "inverse/dopri5": X,
        "loss/rk4": np.array(value),
        "gradient/rk4/K/recomputed": net_rk4.recomputed(Y, seed)[0].transpose(1, 2, 0),
    }
    out |= _named("rk4", gradient, inputs, field)
    K, b = weights["verlet"]
    h = T / len(K)
    Y, Z, tape = verlet(K, b, h, data[:1], data[1:])
    value, seed = loss(field.array(inputs["W_verlet"]), mu, np.concatenate([Y, Z]), C, field)
    gradient = verlet_gradient(K, b, h, tape, (seed[:1], seed[1:]), field)
    out |= {
        "solution/verlet": np.concatenate([Y, Z]),
        "inverse/verlet": data,
        "loss/verlet": np.array(value),
    }
    return out | _named("verlet", gradient, inputs, field)


def _named(net: str, gradient: Gradient, inputs: dict[str, Array], field: Any) -> dict[str, Any]:
    by_K, by_b = gradient[0].transpose(1, 2, 0), gradient[1].T
    dK, db = field.array(inputs[f"dK_{net}"]), field.array(inputs[f"db_{net}"])
    along = (by_K * dK).sum() + (by_b * db).sum()
    return {
        f"gradient/{net}/K": by_K,
        f"gradient/{net}/b": by_b,
        f"gradient/{net}/directional": np.array(along),
    }


def linear(inputs: dict[str, Array], field: Any) -> dict[str, Any]:
    """1 + z^6/72 + z^8/576, and with i z for z."""
    z, one = field.array(inputs["z"]), field.number(1)
    errors = []
    for n in LINEAR_STEPS:
        w = field.number(10) / n
        errors.append((one + w**6 / 72 + w**8 / 576) ** n - 1)
    return {
        "linear/factor/real": one + z**6 / 72 + z**8 / 576,
        "linear/factor/imaginary": one - z**6 / 72 + z**8 / 576,
        "linear/roundtrip": np.array(errors),
    }


def structure(inputs: dict[str, Array], field: Any) -> dict[str, Any]:
    """Jacobians of one step by hand: products of two unit triangular block matrices."""
    x, K = field.array(inputs["x_step"]), field.array(inputs["K_step"])
    b, one = field.array(inputs["b_step"]), field.number(1)
    d, h = len(b), field.number(1) / 2
    eye, zero = field.array(np.eye(d)), field.array(np.zeros((d, d)))
    Omega = np.block([[zero, eye], [-eye, zero]])
    out: dict[str, Any] = {}
    for name in ("slide", "canonical"):
        # Outer matrix, and the two inner ones.
        outer, second = (eye, K.T) if name == "slide" else (K.T, K)
        Y, Z = x[:d], x[d:]
        t1 = np.tanh(K @ Z + b)
        Y = Y + h * (outer @ t1)
        t2 = np.tanh(second @ Y + b)
        A = h * (outer @ ((one - t1 * t1)[:, None] * K))
        B = h * (outer @ ((one - t2 * t2)[:, None] * second))
        J = np.block([[eye, A], [-B, eye - B @ A]])
        out[f"jacobian/step/{name}"] = J
        if name == "slide":
            off = J.T @ Omega @ J - Omega
            defect = np.sqrt(np.array([(off * off).sum()], dtype=J.dtype))
    # The canonical blocks A and B are symmetric, as derivatives of gradients: no defect at all.
    out["structure/symplectic_defect"] = np.concatenate([defect, field.array([0])])
    out["structure/volume_defect"] = field.array([0, 0])
    for name, method in (("two_line", _two_line), ("stormer_verlet", _kick_drift_kick)):
        drifts = [_drift(method, inputs, h, field) for h in DRIFT_STEPS]
        out[f"hamiltonian/drift/{name}"] = np.array(drifts)
    return out


def _two_line(Y: Array, Z: Array, h: Any, k: Any, beta: Any) -> tuple[Array, Array]:
    Y = Y + h * np.tanh(k * Z + beta)
    return Y, Z - h * np.tanh(k * Y + beta)


def _kick_drift_kick(Y: Array, Z: Array, h: Any, k: Any, beta: Any) -> tuple[Array, Array]:
    Z = Z - h / 2 * np.tanh(k * Y + beta)
    Y = Y + h * np.tanh(k * Z + beta)
    return Y, Z - h / 2 * np.tanh(k * Y + beta)


def _drift(method: Any, inputs: dict[str, Array], h: float, field: Any) -> Any:
    k, beta = field.array(inputs["k"])[()], field.array(inputs["beta"])[()]
    start = field.array(inputs["x0"])
    Y, Z = start[:1], start[1:]
    size = field.number(h)

    def hamiltonian(Y: Array, Z: Array) -> Array:
        return (np.log(np.cosh(k * Z + beta)) + np.log(np.cosh(k * Y + beta))) / k

    H0 = hamiltonian(Y, Z)
    largest = np.abs(H0 - H0)[0]
    for _ in range(round(DRIFT_END / h)):
        Y, Z = method(Y, Z, size, k, beta)
        change = np.abs(hamiltonian(Y, Z) - H0)[0]
        largest = largest.max(change) if hasattr(largest, "mid") else max(largest, change)
    return largest


def answer(inputs: dict[str, Array], options: Any, field: Any) -> dict[str, Any]:
    return {
        **reference(inputs, options, field),
        **linear(inputs, field),
        **structure(inputs, field),
    }


def rounding(inputs: dict[str, Array], options: Any) -> dict[str, float]:
    """Radii of the reference case in balls of the working precision, relative in the norm.

    Not of the Hamiltonian's drift: over hundreds of steps of a rotation balls wrap, and what they
    would say is no bound on anything.
    """
    coarse = Ball(np.finfo(options.dtype).nmant + 1)
    bounds = {}
    with coarse.working():
        for name, value in {**reference(inputs, options, coarse), **linear(inputs, coarse)}.items():
            size, error = np.linalg.norm(midpoint(value)), np.linalg.norm(radius(value))
            if 0 < error < np.inf and size > 0:
                bounds[name] = float(LIBRARY_FUNCTIONS * error / size)
    return bounds
