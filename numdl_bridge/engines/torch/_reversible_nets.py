"""Case 1's two networks: forward, backward, and gradients with states stored or recovered.

Weights come batch-last, as drawn: K `(d, d, nodes, ...)`, b `(d, nodes, ...)`. Here they have the
node first and matrices last, `(nodes, ..., d, d)`: that is what batched products want, and
`nodes_first` is the one place of the change. States are `(..., d, n)`: features x samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from . import integrators as ti


def nodes_first(K: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`(d, d, nodes, *batch)` and `(d, nodes, *batch)` to `(nodes, *batch, d, d)` and `(.., d)`."""
    return K.movedim((0, 1), (-2, -1)), b.movedim(0, -1)


def layer(K: Tensor, b: Tensor, Y: Tensor) -> Tensor:
    """tanh(K Y + b)."""
    return torch.tanh(K @ Y + b[..., None])


def at_node(W: Tensor, s: float) -> Tensor:
    """Piecewise linear interpolation: W at "time" s, in units of the nodes' spacing."""
    j = min(max(int(s), 0), len(W) - 2)
    return W[j] + (s - j) * (W[j + 1] - W[j])


def resnet(K: Tensor, b: Tensor, tau: Tensor | float) -> ti.RightHandSide:
    """dY/ds = tau tanh(K(s) Y + b(s)), s from 0 to nodes - 1.

    Time in units of the nodes' spacing tau = T/(nodes - 1), so that networks of all horizons T step
    together, and s and its stages are exact binary fractions on the way back as well.
    """
    return lambda s, Y: tau * layer(at_node(K, s), at_node(b, s), Y)


def rk4_forward(K: Tensor, b: Tensor, Y: Tensor, tau: Tensor | float, steps: int) -> Tensor:
    """RK4 from Y(0) to Y(T)."""
    spacings = len(K) - 1
    return ti.advance(ti.rk4, resnet(K, b, tau), Y, 0.0, spacings / steps, steps)


def rk4_backward(K: Tensor, b: Tensor, Y: Tensor, tau: Tensor | float, steps: int) -> Tensor:
    """RK4 from Y(T) back to 0: the same nodes and midpoints in reverse order."""
    spacings = len(K) - 1
    return ti.advance(ti.rk4, resnet(K, b, tau), Y, float(spacings), -spacings / steps, steps)


def verlet_layer(
    K: Tensor, b: Tensor, h: Tensor | float, Y: Tensor, Z: Tensor
) -> tuple[Tensor, Tensor]:
    """The slide's two lines: Y+ = Y + h tanh(K Z + b), Z+ = Z - h tanh(K^T Y+ + b)."""
    Y = Y + h * layer(K, b, Z)
    return Y, Z - h * layer(K.mT, b, Y)


def undo_verlet_layer(
    K: Tensor, b: Tensor, h: Tensor | float, Y: Tensor, Z: Tensor
) -> tuple[Tensor, Tensor]:
    """The two lines in reverse order, signs changed."""
    Z = Z + h * layer(K.mT, b, Y)
    return Y - h * layer(K, b, Z), Z


def verlet_forward(
    K: Tensor, b: Tensor, h: Tensor | float, Y: Tensor, Z: Tensor
) -> tuple[Tensor, Tensor]:
    """All layers of the Hamiltonian network."""
    for j in range(len(K)):
        Y, Z = verlet_layer(K[j], b[j], h, Y, Z)
    return Y, Z


def verlet_backward(
    K: Tensor, b: Tensor, h: Tensor | float, Y: Tensor, Z: Tensor
) -> tuple[Tensor, Tensor]:
    """All layers undone."""
    for j in reversed(range(len(K))):
        Y, Z = undo_verlet_layer(K[j], b[j], h, Y, Z)
    return Y, Z


def logistic_loss(W: Tensor, mu: Tensor, Y: Tensor, C: Tensor) -> Tensor:
    """Mean of log(1 + exp(s)) - C s over the samples, s = W Y + mu, C in {0, 1}; one per batch.

    With `logaddexp`, because `softplus` is linear above its threshold of 20.
    """
    s = (W @ Y)[..., 0, :] + mu[..., None]
    return (torch.logaddexp(s, torch.zeros_like(s)) - C * s).mean(-1)


def recomputed_verlet(
    K: Tensor, b: Tensor, h: float, state: tuple[Tensor, Tensor], seed: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Gradients by K and b, no state stored: each layer's input is recovered by its inverse.

    `state` is the output (Y, Z), `seed` the loss's derivatives by it.
    """
    Y, Z = state
    by_K, by_b = torch.empty_like(K), torch.empty_like(b)
    for j in reversed(range(len(K))):
        Y, Z = undo_verlet_layer(K[j], b[j], h, Y, Z)
        pull = torch.func.vjp(lambda K, b, Y, Z: verlet_layer(K, b, h, Y, Z), K[j], b[j], Y, Z)[1]
        by_K[j], by_b[j], *seed = pull(tuple(seed))
    return by_K, by_b


def recomputed_rk4(
    K: Tensor, b: Tensor, tau: float, Y: Tensor, seed: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for RK4, one step a spacing: states "recovered" by steps of -h, which is no inverse.

    The adjoint of each step is exact, at a state that is not the one that the forward pass had.
    """

    def step(pair_K: Tensor, pair_b: Tensor, Y: Tensor) -> Tensor:
        return ti.rk4(resnet(pair_K, pair_b, tau), 0.0, Y, 1.0)

    by_K, by_b = torch.zeros_like(K), torch.zeros_like(b)
    for j in reversed(range(len(K) - 1)):
        pair_K, pair_b = K[j : j + 2], b[j : j + 2]
        Y = ti.rk4(resnet(pair_K, pair_b, tau), 1.0, Y, -1.0)
        pull: Callable[..., tuple[Tensor, ...]] = torch.func.vjp(step, pair_K, pair_b, Y)[1]
        part_K, part_b, seed = pull(seed)
        by_K[j : j + 2] += part_K
        by_b[j : j + 2] += part_b
    return by_K, by_b
