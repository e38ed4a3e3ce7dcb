"""Newton's method in two sizes: with the Hessian formed, and with conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

ARMIJO, HALVINGS = 1e-4, 20

Linear = Callable[[torch.Tensor], torch.Tensor]


def conjugate_gradients(
    apply: Linear, b: torch.Tensor, iterations: int = 10, tolerance: float = 1e-2
) -> torch.Tensor:
    """Solve A x = b for a symmetric positive definite A, from x = 0.

    Stops when the residual's norm is `tolerance` times that of b, or after `iterations` steps.
    """
    x, r = torch.zeros_like(b), b.clone()
    p, rho = r, r @ r
    stop = tolerance**2 * rho
    for _ in range(iterations):
        if rho <= stop:
            break
        q = apply(p)
        alpha = rho / (p @ q)
        x, r = x + alpha * p, r - alpha * q
        before, rho = rho, r @ r
        p = r + rho / before * p
    return x


@dataclass(frozen=True)
class Minimum:
    """Where an iteration ended, and the loss at every iterate, the start included."""

    x: torch.Tensor
    history: torch.Tensor


def newton_cg(
    linearise: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, Linear]],
    value: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    iterations: int,
) -> Minimum:
    """Newton-CG with Armijo backtracking, as specified in the `classification` study.

    **Arguments:**

    - `linearise`: x -> (value, gradient, v -> H v) with a positive definite H.
    - `value`: x -> value alone, for the line search.
    - `x`: `(d,)`, where to start.
    """
    mu, history = 1.0, []
    for _ in range(iterations):
        f, g, hessian = linearise(x)
        history.append(f)
        p = conjugate_gradients(hessian, -g)
        slope = g @ p
        step = mu
        for _ in range(HALVINGS):
            if value(x + step * p) <= f + ARMIJO * step * slope:
                break
            step /= 2
        else:
            break
        x = x + step * p
        mu = min(1.5 * mu, 1.0) if step == mu else step
    history.append(value(x))
    return Minimum(x, torch.stack(history))


def softmax_loss(S: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """E(S, C) = 1/n (-<C, S> + sum_i log sum_k exp S_ki), S and C `(classes, n)`, one-hot C."""
    # A shift by the largest entry, as in the course code, would cancel in the sum; logsumexp does.
    return (torch.logsumexp(S, 0).sum() - (C * S).sum()) / S.shape[1]


def with_ones(Z: torch.Tensor) -> torch.Tensor:
    """Z with a row of ones below, for the bias in the last column of W."""
    return torch.cat([Z, Z.new_ones(1, Z.shape[1])])


def softmax_regression(
    Z: torch.Tensor,
    C: torch.Tensor,
    decay: float,
    W: torch.Tensor | None = None,
    iterations: int = 100,
) -> torch.Tensor:
    """The W that minimises E(W [Z; 1], C) + decay/2 ||W||^2, by Newton's method.

    `Z` `(features, n)`, `C` `(classes, n)`; returns W `(classes, features + 1)`.
    """
    Z = with_ones(Z)
    classes, (d, n) = len(C), Z.shape
    W = Z.new_zeros(classes, d) if W is None else W
    eye = torch.eye(classes * d, dtype=Z.dtype, device=Z.device)
    enough = 1e-13 * torch.finfo(Z.dtype).eps / torch.finfo(torch.float64).eps

    def value(W: torch.Tensor) -> torch.Tensor:
        return softmax_loss(W @ Z, C) + decay / 2 * W.square().sum()

    f = value(W)
    for _ in range(iterations):
        P = torch.softmax(W @ Z, 0)
        G = (P - C) @ Z.T / n + decay * W
        if G.norm() <= enough:
            break
        step = -torch.linalg.solve(_softmax_hessian(Z, P) + decay * eye, G.ravel()).view_as(W)
        mu, slope = 1.0, (G * step).sum()
        for _ in range(HALVINGS):
            tried = value(W + mu * step)
            if tried <= f + ARMIJO * mu * slope:
                break
            mu /= 2
        else:
            # Only rounding keeps the loss from falling: the last full step is still the best.
            return W + step
        W, f = W + mu * step, tried
    return W


def _softmax_hessian(Z: torch.Tensor, P: torch.Tensor) -> torch.Tensor:
    """1/n sum_i (diag(p_i) - p_i p_i^T) kron z_i z_i^T, for W flattened by rows."""
    classes, (d, n) = len(P), Z.shape
    H = Z.new_empty(classes, d, classes, d)
    for k in range(classes):
        for j in range(k + 1):
            weight = P[k] * ((1.0 if k == j else 0.0) - P[j])
            H[k, :, j] = H[j, :, k] = (Z * weight) @ Z.T / n
    return H.reshape(classes * d, classes * d)
