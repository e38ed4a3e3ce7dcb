"""The ResNet with its classifier, in PyTorch: values, and products with Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

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
    LAMBDA_THETA,
    LAMBDA_W,
)
from .newton import softmax_loss, with_ones

RESNET, THETA = resnet_shapes()
RELU, _ = relu_shapes()
h = T / LAYERS
Linear = Callable[[torch.Tensor], torch.Tensor]
Activation = Callable[[torch.Tensor], torch.Tensor]


def smooth_relu(y: torch.Tensor) -> torch.Tensor:
    """max(y, 0) with a parabola for |y| <= eta, once continuously differentiable."""
    return torch.where(y.abs() <= ETA, y * y / (4 * ETA) + y / 2 + ETA / 4, y.clamp_min(0))


def forward(
    theta: torch.Tensor,
    Y: torch.Tensor,
    shapes: Sequence[tuple[int, int]],
    h: float,
    sigma: Activation,
) -> torch.Tensor:
    """Y_{j+1} = P_j Y_j + h sigma(K_j Y_j + b_j), P_j = I where the width stays, else 0.

    `theta` = [vec(K_0); ...; vec(b)], vec stacking columns; `Y` `(features, samples)`.
    """
    sizes = [a * b for a, b in shapes]
    K = theta[: sum(sizes)].split(sizes)
    b = theta[sum(sizes) :].split([a for a, _ in shapes])
    for Kj, bj, (rows, columns) in zip(K, b, shapes, strict=True):
        step = h * sigma(Kj.view(columns, rows).T @ Y + bj[:, None])
        Y = Y + step if rows == columns else step
    return Y


def resnet(theta: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """The 8-wide, 16-layer network of the study: `(8, samples)`."""
    return forward(theta, Y, RESNET, h, torch.sin)


def unpack(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x `(1149,)` -> theta `(1104,)`, W `(5, 9)`."""
    return x[:THETA], x[THETA:].view(WIDTH + 1, CLASSES).T


def scores(x: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """S = W [Y_N; 1]: `(5, samples)`."""
    theta, W = unpack(x)
    return W @ with_ones(resnet(theta, Y))


def decay(x: torch.Tensor) -> torch.Tensor:
    """The regularisation's diagonal, lambda_theta on theta and lambda_W on W."""
    sizes = torch.tensor([THETA, len(x) - THETA], device=x.device)
    return x.new_tensor([LAMBDA_THETA, LAMBDA_W]).repeat_interleave(sizes)


def loss(x: torch.Tensor, Y: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """E(W Y_N + mu, C) + lambda_theta/2 ||theta||^2 + lambda_W/2 ||W||^2."""
    return softmax_loss(scores(x, Y), C) + (decay(x) * x * x).sum() / 2


def softmax_curvature(S: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    """E''(S) V, column by column (diag(p) - p p^T) v / n."""
    P = torch.softmax(S, 0)
    PV = P * V
    return (PV - P * PV.sum(0)) / S.shape[1]


def tangent_maps(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> tuple[torch.Tensor, Linear, Linear]:
    """f(x), v -> J v and u -> J^T u, from one evaluation of f.

    J v is the derivative of the linear map u -> J^T u, so that two sweeps over a stored graph do
    for any number of products ("double backpropagation"); `torch.func.jvp` would evaluate f anew
    for each, and `torch.func.linearize` spends seconds on tracing.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = function(x)
        u = torch.zeros_like(y, requires_grad=True)
        (JTu,) = torch.autograd.grad(y, x, u, create_graph=True)

    def J(v: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(JTu, u, v, retain_graph=True)[0]

    def JT(w: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(y, x, w, retain_graph=True)[0]

    return y.detach(), J, JT


def linearise(
    x: torch.Tensor, Y: torch.Tensor, C: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Linear]:
    """Loss, gradient, and v -> (J^T E'' J + lambda) v with J = dS/dx."""
    S, J, JT = tangent_maps(lambda x: scores(x, Y), x)
    lam = decay(x)
    value = softmax_loss(S, C) + (lam * x * x).sum() / 2
    gradient = JT((torch.softmax(S, 0) - C) / S.shape[1]) + lam * x
    return value, gradient, lambda v: JT(softmax_curvature(S, J(v))) + lam * v
