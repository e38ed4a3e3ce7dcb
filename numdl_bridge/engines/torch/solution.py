"""What a solve returns: states at the times asked for, and everything that it did on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from ...errors import BadInputError
from .rungekutta import Dense

SUCCESS = "success"


@dataclass
class Steps:
    """What a solve did: one entry an attempt, in order."""

    t: list[float] = field(default_factory=list)
    h: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    grid: list[float] = field(default_factory=list)
    """Times of the accepted steps, the first time included: what `replay` takes."""

    @property
    def accepted_sizes(self) -> np.ndarray:
        return np.array([h for h, ok in zip(self.h, self.accepted) if ok])

    @property
    def rejected(self) -> int:
        return self.accepted.count(False)


@dataclass
class Solution:
    """What a solve returned.

    **Arguments:**

    - `times`, `states`: as asked for, shape `(len(times), *y0.shape)`; NaN from the first time that
      was not reached.
    - `outcome`: `"success"`, or in words why the solve ended early and where. A solve that fails
      numerically returns; it does not raise.
    - `evaluations`: of the right-hand side, the two of the starting step included.
    - `dense`: the continuous solution, where it was asked for.
    """

    times: np.ndarray
    states: Tensor
    steps: Steps
    evaluations: int
    outcome: str = SUCCESS
    dense: Dense | None = None

    @property
    def ok(self) -> bool:
        return self.outcome == SUCCESS


def check_times(times: Any) -> list[float]:
    """The times as floats; `BadInputError` unless finite and strictly monotone."""
    clock = times.double().tolist() if isinstance(times, Tensor) else [float(t) for t in times]
    ascending = all(a < b for a, b in pairwise(clock))
    descending = all(a > b for a, b in pairwise(clock))
    if not clock or not all(map(math.isfinite, clock)) or not (ascending or descending):
        raise BadInputError(
            f"times {clock!r}", "finite times, strictly increasing or decreasing", "sort the times"
        )
    return clock
