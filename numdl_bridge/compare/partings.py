"""Where the histories of two engines part: losses of an optimisation, iteration by iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..studies.contract import Quantity
from ..studies.observation import Observation


@dataclass(frozen=True)
class Parting:
    """Two engines' histories of one quantity, `left` and `right`, as far as both go.

    **Arguments:**

    - `iterations`: entries that both have.
    - `beyond`: the relative difference that counts as parting, `Quantity.parted`.
    - `at`: the first entry that differs by more, or where one of the two is no finite number; None
      where they stay together.
    - `before`: the largest relative difference up to there; `difference`: that at `at`, and
      `largest`: the largest from there on (None where they stay together or it is not finite).
    """

    quantity: str
    left: str
    right: str
    iterations: int
    beyond: float
    at: int | None
    before: float
    difference: float | None = None
    largest: float | None = None

    @property
    def pair(self) -> str:
        return f"{self.left}–{self.right}"


def partings(
    quantities: Sequence[Quantity], observations: Mapping[str, Observation]
) -> Iterator[Parting]:
    """One for each pair of engines that have a history of a quantity with `parted`."""
    for q in quantities:
        if q.parted is not None:
            histories = {
                name: np.ravel(o.values[q.name])
                for name, o in observations.items()
                if name in q.engines and q.name in o.values
            }
            for left, right in combinations(histories, 2):
                yield _parting(q.name, left, right, histories[left], histories[right], q.parted)


def _parting(
    name: str, left: str, right: str, x: np.ndarray, y: np.ndarray, beyond: float
) -> Parting:
    n = min(x.size, y.size)
    x, y = x[:n].astype(np.float64), y[:n].astype(np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    size = np.maximum(np.abs(x), np.abs(y))
    gap = np.full(n, np.inf)
    usable = finite & (size > 0)
    gap[usable] = np.abs(x[usable] - y[usable]) / size[usable]
    gap[(size == 0) | (np.isnan(x) & np.isnan(y)) | (x == y)] = 0.0
    apart = gap > beyond
    at = int(apart.argmax()) if apart.any() else None
    before = float(gap[:at].max(initial=0.0))
    if at is None:
        return Parting(name, left, right, n, beyond, None, before)
    after = gap[at:]
    return Parting(
        name, left, right, n, beyond, at, before, _finite(after[0]), _finite(after.max())
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
