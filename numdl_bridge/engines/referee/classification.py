"""The classification study in balls, its derivatives worked out by hand.

One layer Y_{j+1} = P Y_j + h sigma(K Y_j + b), with D = sigma'(K Y_j + b):

    tangent    dY_{j+1} = P dY_j + h D * (dK Y_j + db + K dY_j)
    adjoint    G_j = P^T G_{j+1} + K^T M,  M = h D * G_{j+1},  dL/dK = M Y_j^T,  dL/db = M 1

The linear model's optimum is enclosed by strong convexity: ||W - W*|| <= ||gradient(W)|| / lambda.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...studies._classification_data import (
    CLASSES,
    LAYERS,
    WIDTH,
    T,
    relu_shapes,
    resnet_shapes,
)
from ...studies._classification_quantities import ETA
from ...studies.classification import (
    LAMBDA_ELM,
    LAMBDA_THETA,
    LAMBDA_W,
    ClassificationOptions,
)
from ...studies.contract import Arrays
from .number import Double, Field, midpoint

RESNET, THETA = resnet_shapes()
RELU, _ = relu_shapes()
Shapes = Sequence[tuple[int, int]]
Activation = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def sine(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin and its derivative."""
    return np.sin(y), np.cos(y)


def _smooth_relu(y: Any) -> tuple[Any, Any]:
    zero, one = 0 * y, 0 * y + 1
    middle = y * y / (4 * ETA) + y / 2 + ETA / 4, y / (2 * ETA) + one / 2
    if abs(y) <= ETA:
        return middle
    if y > ETA:
        return y, one
    if y < -ETA:
        return zero, zero
    # A ball across a kink of the derivative: the hull of the two branches that meet there.
    side = (y, one) if y > 0 else (zero, zero)
    return middle[0].union(side[0]), middle[1].union(side[1])


def smooth_relu(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smooth ReLU and its derivative."""
    value, slope = np.frompyfunc(_smooth_relu, 1, 2)(y)
    return value.astype(y.dtype), slope.astype(y.dtype)


@dataclass(frozen=True)
class Network:
    """Y_{j+1} = P_j Y_j + h sigma(K_j Y_j + b_j) at one set of weights, its states kept."""

    shapes: Shapes
    K: list[np.ndarray]
    h: Any
    Y: list[np.ndarray]
    D: list[np.ndarray]

    @property
    def output(self) -> np.ndarray:
        return self.Y[-1]

    def tangent(self, direction: np.ndarray, dY: Any = 0) -> np.ndarray:
        """J v for a direction of the weights and, if given, of the input."""
        dK, db = split(direction, self.shapes)
        for j, (rows, columns) in enumerate(self.shapes):
            through = dK[j] @ self.Y[j] + db[j][:, None]
            if not np.isscalar(dY):
                through = through + self.K[j] @ dY
            step = self.h * self.D[j] * through
            dY = step if rows != columns or np.isscalar(dY) else dY + step
        return dY

    def adjoint(self, G: np.ndarray) -> np.ndarray:
        """J^T u for the weights."""
        by_K, by_b = [], []
        for j in range(len(self.shapes) - 1, -1, -1):
            rows, columns = self.shapes[j]
            M = self.h * self.D[j] * G
            by_K.append((M @ self.Y[j].T).ravel(order="F"))
            by_b.append(M.sum(1))
            G = G + self.K[j].T @ M if rows == columns else self.K[j].T @ M
        return np.concatenate(by_K[::-1] + by_b[::-1])


def split(theta: np.ndarray, shapes: Shapes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """[vec(K_0); ...; b_0; ...] as matrices and vectors."""
    K, b, at = [], [], 0
    for rows, columns in shapes:
        K.append(theta[at : at + rows * columns].reshape(rows, columns, order="F"))
        at += rows * columns
    for rows, _ in shapes:
        b.append(theta[at : at + rows])
        at += rows
    return K, b


def network(theta: np.ndarray, Y: np.ndarray, shapes: Shapes, h: Any, sigma: Activation) -> Network:
    """Forward through all layers."""
    K, b = split(theta, shapes)
    states, slopes = [Y], []
    for j, (rows, columns) in enumerate(shapes):
        value, slope = sigma(K[j] @ states[-1] + b[j][:, None])
        step = h * value
        states.append(states[-1] + step if rows == columns else step)
        slopes.append(slope)
    return Network(shapes, K, h, states, slopes)


def with_ones(Z: np.ndarray, field: Field) -> np.ndarray:
    """Z with a row of ones below."""
    return np.concatenate([Z, field.array(np.ones((1, Z.shape[1])))])


def softmax(S: np.ndarray, C: np.ndarray) -> tuple[Any, np.ndarray]:
    """E(S, C) and the probabilities. Balls need no shift against overflow."""
    exp = np.exp(S)
    total = exp.sum(0)
    return (np.log(total).sum() - (C * S).sum()) / S.shape[1], exp / total


def curvature(P: np.ndarray, V: np.ndarray) -> np.ndarray:
    """E''(S) V, column by column (diag(p) - p p^T) v / n."""
    PV = P * V
    return (PV - P * PV.sum(0)) / P.shape[1]


def resnet(theta: np.ndarray, Y: np.ndarray, field: Field) -> Network:
    return network(theta, Y, RESNET, field.number(T) / LAYERS, sine)


def matrix_W(x: np.ndarray) -> np.ndarray:
    return x[THETA:].reshape(CLASSES, WIDTH + 1, order="F")


def regulariser(x: np.ndarray) -> tuple[Any, np.ndarray]:
    """Its value and its gradient."""
    gradient = np.concatenate([LAMBDA_THETA * x[:THETA], LAMBDA_W * x[THETA:]])
    return (gradient * x).sum() / 2, gradient


def loss(x: np.ndarray, Y: np.ndarray, C: np.ndarray, field: Field) -> Any:
    net = resnet(x[:THETA], Y, field)
    return softmax(matrix_W(x) @ with_ones(net.output, field), C)[0] + regulariser(x)[0]


def _derivatives(
    x: np.ndarray, Y: np.ndarray, C: np.ndarray, v: np.ndarray, u: np.ndarray, field: Field
) -> dict[str, Any]:
    net, W = resnet(x[:THETA], Y, field), matrix_W(x)
    Z = with_ones(net.output, field)
    E, P = softmax(W @ Z, C)
    R, dR = regulariser(x)

    def pull(by_S: np.ndarray) -> np.ndarray:
        """From dL/dS to dL/dx."""
        by_W = (by_S @ Z.T).ravel(order="F")
        return np.concatenate([net.adjoint(W[:, :-1].T @ by_S), by_W])

    tangent = net.tangent(v[:THETA])
    dS = W[:, :-1] @ tangent + matrix_W(v) @ Z
    return {
        "features": net.output,
        "loss": E + R,
        "gradient": pull((P - C) / Y.shape[1]) + dR,
        "gauss-newton": pull(curvature(P, dS)) + regulariser(v)[1],
        "tangent": tangent,
        "cotangent": net.adjoint(u),
    }


def _norm(x: Any) -> Any:
    return np.sqrt((np.atleast_1d(x) ** 2).sum())


def _taylor(f: Any, slope: Any, at: list[Any], steps: np.ndarray) -> tuple[list[Any], list[Any]]:
    size = _norm(f)
    E0 = [_norm(a - f) / size for a in at]
    E1 = [_norm(a - f - h * slope) / size for a, h in zip(at, steps, strict=True)]
    return E0, E1


def _linear(inputs: Arrays, field: Field) -> dict[str, Any]:
    """The optimal linear model: Newton in doubles, then to the last digit, then a proof."""
    Y, C = inputs["Y"], inputs["C"]
    Z = np.concatenate([Y, np.ones((1, Y.shape[1]))])
    n, decay = Y.shape[1], LAMBDA_ELM

    def gradient(W: np.ndarray, Z: np.ndarray, C: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        E, P = softmax(W @ Z, C)
        return E + decay * (W * W).sum() / 2, (P - C) @ Z.T / n + decay * W, P

    W = np.zeros((CLASSES, len(Z)))
    for _ in range(30):
        _, G, P = gradient(W, Z, C)
        H = np.einsum("kn,an,bn->kab", P, Z, Z)[:, :, None, :] * np.eye(CLASSES)[:, None, :, None]
        H = H - np.einsum("kn,jn,an,bn->kajb", P, P, Z, Z)
        H = H.reshape(W.size, W.size) / n + decay * np.eye(W.size)
        W = W - np.linalg.solve(H, G.ravel()).reshape(W.shape)
    proven = field.array(W)
    exact_Z, exact_C = field.array(Z), field.array(C)
    polish = 0 if isinstance(field, Double) else 3
    for _ in range(polish):
        G = gradient(proven, exact_Z, exact_C)[1]
        # Each step with the double's Hessian gains a double's digits; its midpoints are exact.
        step = np.linalg.solve(H, midpoint(G).ravel()).reshape(W.shape)
        proven = np.array([w.mid() for w in (proven - field.array(step)).ravel()], dtype=object)
        proven = proven.reshape(W.shape)
    value, G, _ = gradient(proven, exact_Z, exact_C)
    if isinstance(field, Double):
        return {"linear/weights": proven, "linear/loss": value}
    size = _norm(G)
    distance = field.number(0).union(size / decay)
    around = distance.union(-distance)
    below = field.number(0).union(-(size * size) / (2 * decay))
    return {"linear/weights": proven + around, "linear/loss": value + below}


def answer(inputs: Arrays, options: ClassificationOptions, field: Field) -> dict[str, Any]:
    few = inputs["adjoint"].shape[1]
    Y, C = field.array(inputs["Y"][:, :few]), field.array(inputs["C"][:, :few])
    v, u = field.array(inputs["direction"]), field.array(inputs["adjoint"])
    weights, steps = field.array(inputs["weights"]), field.array(inputs["steps"])
    found = [_derivatives(x, Y, C, v, u, field) for x in weights.T]
    values = {k: np.stack([np.asarray(f[k]) for f in found], -1) for k in found[0]}

    x, f = weights[:, 0], found[0]
    at = [loss(x + h * v, Y, C, field) for h in steps]
    E0, E1 = _taylor(f["loss"], (f["gradient"] * v).sum(), at, steps)
    values |= {"remainder/resnet/E0": np.array(E0), "remainder/resnet/E1": np.array(E1)}

    theta, dtheta, Y, dY = (
        field.array(inputs[f"relu/{k}"]) for k in ("weights", "direction", "Y", "dY")
    )
    net = network(theta, Y, RELU, field.number(1), smooth_relu)
    at = [
        network(theta + h * dtheta, Y + h * dY, RELU, field.number(1), smooth_relu).output
        for h in steps
    ]
    E0, E1 = _taylor(net.output, net.tangent(dtheta, dY), at, steps)
    values |= {"remainder/smooth relu/E0": np.array(E0), "remainder/smooth relu/E1": np.array(E1)}
    return values | _linear(inputs, field)
