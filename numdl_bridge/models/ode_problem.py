"""What `compare_ode` was asked: the problem, as both languages get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import EngineError

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
        value = self.loss[0](states)
        if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
            raise EngineError(
                "your torch loss returned no scalar that autograd can follow back",
                "a tensor without axes",
                "reduce it with .sum(), and remove .detach() or .item()",
            )
        return value
