"""The talk's neural ODE u' = W2 tanh(W1 u^3 + b1) + b2, and the loss it is trained with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def unpack(theta: Tensor, width: int = 50, n: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W1 (width x n), b1, W2 (n x width), b2 from the vector theta.

    The matrices stand in theta column by column, as Julia keeps them.
    """
    w1, b1, w2, b2 = theta.split((width * n, width, n * width, n))
    return w1.reshape(n, width).T, b1, w2.reshape(width, n).T, b2


def right_hand_side(t: Any, u: Tensor, theta: Tensor) -> Tensor:
    """F(u, theta), shape of u: `(2,)`; the cube is elementwise, t does not enter."""
    w1, b1, w2, b2 = unpack(theta)
    return w2 @ (w1 @ u**3 + b1).tanh() + b2


def sum_of_squares(data: Tensor) -> Callable[[Tensor], Tensor]:
    """J(U) = ||U - data||_F^2, no 1/2 and no mean, for U of shape `(times, 2)`."""
    return lambda states: ((states - data) ** 2).sum()
