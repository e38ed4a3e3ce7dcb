"""The landscape's losses and derivatives in balls; gradients by the hand-derived adjoint.

With z_j = K Y_j, D_j = 1 - tanh(z_j)^2 and P_N = Y_N - C,

    P_j = P_{j+1} + h K^T (D_j * P_{j+1})
    dPhi/dtheta_i = h sum_j <(dK/dtheta_i) Y_j, D_j * P_{j+1}>

and, for the Hessian at the truth, where the residual vanishes and J^T J is all of it, the
sensitivities S_{j+1} = S_j + h D_j * (K S_j + (dK/dtheta_i) Y_j).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...studies.contract import Arrays
from ...studies.landscape import (
    SAMPLED,
    TRUE_LAYERS,
    TRUE_THETA,
    UNSTABLE,
    LandscapeOptions,
    T,
)
from .number import Ball, Field, midpoint, radius


def directions(Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(dK/dtheta_1) Y and (dK/dtheta_2) Y: differences to the next and to the previous row."""
    return np.roll(Y, -1, 0) - Y, np.roll(Y, 1, 0) - Y


def product(theta: Any, Y: np.ndarray) -> np.ndarray:
    """K(theta) Y."""
    first, second = directions(Y)
    return theta[0] * first + theta[1] * second


def transposed(theta: Any, P: np.ndarray) -> np.ndarray:
    """K(theta)^T P: K with its two weights exchanged."""
    return product((theta[1], theta[0]), P)


def states(theta: Any, Y: np.ndarray, n: int, h: Any) -> list[np.ndarray]:
    """Y_0 ... Y_n."""
    found = [Y]
    for _ in range(n):
        found.append(found[-1] + h * np.tanh(product(theta, found[-1])))
    return found


def loss_and_gradient(
    theta: Any, Y0: np.ndarray, C: np.ndarray, n: int, h: Any
) -> tuple[Any, np.ndarray]:
    """Phi_n `(points,)` and its gradient `(2, points)`; `Y0` and `C` `(3, samples, 1)`."""
    Y = states(theta, Y0, n, h)
    P = Y[-1] - C
    Phi = (P * P).sum((0, 1)) / 2
    gradient: Any = 0
    for y in reversed(Y[:-1]):
        tanh = np.tanh(product(theta, y))
        DP = (1 - tanh * tanh) * P
        gradient = gradient + np.stack([(d * DP).sum((0, 1)) for d in directions(y)])
        P = P + h * transposed(theta, DP)
    return Phi, h * gradient


def hessian_at_truth(theta: Any, Y: np.ndarray, h: Any) -> np.ndarray:
    """S^T S with S = dY_200/dtheta at the weights that made the data."""
    S = [0 * Y, 0 * Y]
    for _ in range(TRUE_LAYERS):
        tanh = np.tanh(product(theta, Y))
        D = 1 - tanh * tanh
        both = zip(S, directions(Y), strict=True)
        S = [s + h * D * (product(theta, s) + d) for s, d in both]
        Y = Y + h * tanh
    return np.array([[(a * b).sum() for b in S] for a in S])


def answer(inputs: Arrays, options: LandscapeOptions, field: Field) -> dict[str, Any]:
    Y0 = field.array(inputs["Y0"][:, :, 0])
    theta = field.array(inputs["theta"])[:, None, None, :]
    truth = [field.number(t) for t in TRUE_THETA]
    h = field.number(T) / TRUE_LAYERS
    C = states(truth, Y0, TRUE_LAYERS, h)[-1]
    values: dict[str, Any] = {"target": C, "hessian": hessian_at_truth(truth, Y0, h)}
    for n in SAMPLED:
        Phi, gradient = loss_and_gradient(
            theta, Y0[:, :, None], C[:, :, None], n, field.number(T) / n
        )
        values[f"loss/N={n}"], values[f"gradient/N={n}"] = Phi, gradient
    return values


def rounding(inputs: Arrays, options: LandscapeOptions) -> dict[str, float]:
    """What rounding may do, relative in the norm.

    N = 5: the same computation in balls of the working precision. For N >= 100 balls would wrap: an
    interval does not see that the step is a contraction. It is one in the largest entry, since
    h (theta_1 + theta_2) <= 1 makes every row of I + h diag(tanh') K a convex combination. So each
    of N steps adds at most c u max|Y| to the error of Y_N, c = 8 operations, and C as much again.
    """
    u = float(np.finfo(options.dtype).eps) / 2
    Y0, theta = inputs["Y0"][:, :, 0], inputs["theta"]
    size = float(np.abs(Y0).max())
    C = states(TRUE_THETA, Y0, TRUE_LAYERS, T / TRUE_LAYERS)[-1]
    bounds = {"target": 8 * u * TRUE_LAYERS * size * Y0.size**0.5 / float(np.linalg.norm(C))}
    for n in SAMPLED:
        if n == UNSTABLE:
            continue
        YN = states(theta[:, None, None, :], Y0[:, :, None], n, T / n)[-1]
        residual = np.linalg.norm(YN - C[:, :, None], axis=(0, 1))
        error = 8 * u * (n + TRUE_LAYERS) * size * Y0.size**0.5
        Phi = residual**2 / 2
        bounds[f"loss/N={n}"] = float(
            np.linalg.norm(residual * error + error**2 / 2) / np.linalg.norm(Phi)
        )
    coarse = Ball(53 if options.dtype == "float64" else 24)
    with coarse.working():
        Phi, gradient = loss_and_gradient(
            coarse.array(theta)[:, None, None, :],
            coarse.array(Y0)[:, :, None],
            coarse.array(C)[:, :, None],
            UNSTABLE,
            coarse.number(T) / UNSTABLE,
        )
        for name, value in (("loss", Phi), ("gradient", gradient)):
            relative = np.linalg.norm(radius(value)) / np.linalg.norm(midpoint(value))
            if np.isfinite(relative):
                bounds[f"{name}/N={UNSTABLE}"] = float(relative)
    return bounds
