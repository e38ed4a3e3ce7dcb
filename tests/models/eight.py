"""Eight models that a user would bring, small, with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def seeded(build: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    """A module whose weights do not depend on torch's own initialisation streams."""
    module = build().to(dtype)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            size = parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 2.0
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(drawn / size)
    return module


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2), nn.LogSoftmax(-1)
    )


class ResidualCNN(nn.Module):
    """Two convolutions with batch normalisation and a skip connection, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 2, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(2)
        self.pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(2 * 3 * 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)) + x)
        return self.fc(self.pool(y).flatten(1))


class Recurrent(nn.Module):
    """A two-layer LSTM; the last output is read."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class EncoderBlock(nn.Module):
    """A transformer encoder block, normalisation first."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(8)
        self.feed = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.feed(self.norm2(x))


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (6, 3)),
    "residual cnn": (ResidualCNN, (5, 2, 6, 8)),
    "lstm": (Recurrent, (4, 5, 3)),
    "encoder block": (EncoderBlock, (3, 5, 8)),
}


def lotka_volterra(t: Any, u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    a, b, c, d = theta
    return torch.stack([a * u[0] - b * u[0] * u[1], -c * u[1] + d * u[0] * u[1]])


LOTKA_VOLTERRA = """
function lotka_volterra(u, p, t)
    a, b, c, d = p
    return [a * u[1] - b * u[1] * u[2], -c * u[2] + d * u[1] * u[2]]
end
"""


def van_der_pol(t: Any, u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    return torch.stack([u[1], theta[0] * (1 - u[0] ** 2) * u[1] - u[0]])


VAN_DER_POL = "(u, p, t) -> [u[2], p[1] * (1 - u[1]^2) * u[2] - u[1]]"

HIDDEN = 6
N_THETA = 2 * HIDDEN + HIDDEN + HIDDEN * 2 + 2


def neural_ode(t: Any, u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """W2 tanh(W1 u + b1) + b2, theta stacking W1, b1, W2, b2 by columns."""
    W1, b1, W2, b2 = theta.split([2 * HIDDEN, HIDDEN, 2 * HIDDEN, 2])
    hidden = torch.tanh(W1.reshape(2, HIDDEN).T @ u + b1)
    return W2.reshape(HIDDEN, 2).T @ hidden + b2


NEURAL_ODE = f"""
function neural_ode(u, theta, t)
    n = {HIDDEN}
    W1 = reshape(theta[1:2n], n, 2)
    b1 = theta[2n+1:3n]
    W2 = reshape(theta[3n+1:5n], 2, n)
    b2 = theta[5n+1:end]
    return W2 * tanh.(W1 * u .+ b1) .+ b2
end
"""

ODES: dict[str, tuple[Callable[..., torch.Tensor], str, list[float], list[float]]] = {
    "lotka-volterra": (lotka_volterra, LOTKA_VOLTERRA, [1.0, 1.0], [1.5, 1.0, 3.0, 1.0]),
    "van der pol": (van_der_pol, VAN_DER_POL, [2.0, 0.0], [1.5]),
    "neural ode": (neural_ode, NEURAL_ODE, [2.0, 0.0], (drawn(N_THETA) * 0.6).tolist()),
}


def flow_step(
    z: torch.Tensor, W1: torch.Tensor, b1: torch.Tensor, W2: torch.Tensor, h: torch.Tensor
) -> torch.Tensor:
    """One Euler step of a continuous normalising flow, z and log-determinant stacked.

    z+ = z + h W2 tanh(W1 z + b1), logdet+ = h tr(W2 diag(1 - tanh^2) W1), one column a sample.
    """
    y = torch.tanh(W1 @ z + b1[:, None])
    trace = ((W2 * W1.T).sum(0)[:, None] * (1 - y * y)).sum(0)
    return torch.cat([z + h * (W2 @ y), (h * trace)[None]])


FLOW_STEP = """
function flow_step(; z, W1, b1, W2, h)
    y = tanh.(W1 * z .+ b1)
    trace = sum(sum(W2 .* W1'; dims=1)' .* (1 .- y .* y); dims=1)
    return vcat(z .+ h .* (W2 * y), h .* trace)
end
"""
