"""What `compare_ode` was asked: the problem, as both languages get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import EngineError
from .checks import own_error
from .torch_side import check_finite

__tracebackhide__ = own_error

Loss = tuple[Callable[[Tensor], Tensor], str]
"""A loss in both languages: of the states, and Julia source of a function of the states."""


@dataclass(frozen=True)
class Problem:
    """The arguments of `compare_ode`, checked; see there. `cotangent` is (times, *u0.shape)."""

    f: Callable[..., Tensor]
    u0: np.ndarray
    theta: np.ndarray
    times: np.ndarray
    method: str
    mode: str
    substeps: int
    rtol: float
    atol: float
    loss: Loss | None
    cotangent: np.ndarray
    tolerances: tuple[float, ...]
    sensitivities: tuple[str, ...]

    @property
    def size(self) -> int:
        """Numbers in u0 and theta."""
        return int(self.u0.size + self.theta.size)

    def value(self, states: Tensor) -> Tensor:
        """The loss of the states at `times`."""
        if self.loss is None:
            return (torch.tensor(self.cotangent) * states).sum()
        return loss_value(self.loss[0], states, "the states")


def loss_value(loss: Callable[[Tensor], Tensor], output: Tensor, of: str) -> Tensor:
    """The user's loss of `output`; one message for whatever goes wrong in it."""
    try:
        value = loss(output)
    except Exception as error:
        raise EngineError(
            f"your torch loss raised {type(error).__name__}: {str(error) or '(no message)'}",
            f"a function of {of}, a tensor of shape {tuple(output.shape)}",
            "call it by hand with such a tensor to see the traceback",
        ) from error
    scalar = "a scalar that autograd can follow back"
    if not isinstance(value, Tensor):
        raise EngineError(
            f"your torch loss returned a {type(value).__name__}",
            scalar,
            "return a tensor without axes, and not its .item()",
        )
    if value.ndim or not value.requires_grad:
        raise EngineError(
            f"your torch loss returned a tensor of shape {tuple(value.shape)}"
            + ("" if value.requires_grad else f" that is cut off from {of}"),
            scalar,
            "reduce it with .sum() or .mean(), and remove .detach() or .item()",
        )
    check_finite(value.detach(), "your torch loss")
    return value
