"""Many small SciPy minimisations side by side, their functions evaluated in one batch.

SciPy's minimisers take one starting point and call back for one value at a time. Here each runs in
a thread of its own and waits at a common gate; when all that are still running wait there, their
points are evaluated together, in one batched computation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

ValueAndGradient = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def minimize_all(
    function: ValueAndGradient, starts: np.ndarray, **settings: Any
) -> list[OptimizeResult]:
    """Minimise from every start with `scipy.optimize.minimize(**settings)`.

    **Arguments:**

    - `function`: `(x, who) -> (value, gradient)` with `x` `(d, batch)`, `who` `(batch,)` the
      indices of the starts that ask, value `(batch,)`, gradient `(d, batch)`; float64.
    - `starts`: `(d, number)`, one start a column.
    - `settings`: passed on: `method`, `options`, ...

    Raises whatever `function` raises.
    """
    number = starts.shape[1]
    gate = _Gate(function, number)
    results: list[Any] = [None] * number

    def run(i: int) -> None:
        try:
            results[i] = minimize(lambda x: gate.ask(i, x), starts[:, i], jac=True, **settings)
        except threading.BrokenBarrierError:
            pass  # the batch failed: the gate keeps the reason
        finally:
            gate.leave()

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if gate.failure is not None:
        raise gate.failure
    return results


class _Gate:
    """Where the minimisers wait for each other: the last to arrive evaluates for all."""

    def __init__(self, function: ValueAndGradient, running: int) -> None:
        self._function, self._running = function, running
        self._changed = threading.Condition()
        self._asked: dict[int, np.ndarray] = {}
        self._answers: dict[int, tuple[float, np.ndarray]] = {}
        self.failure: BaseException | None = None

    def ask(self, who: int, x: np.ndarray) -> tuple[float, np.ndarray]:
        with self._changed:
            self._asked[who] = x.copy()
            self._evaluate_if_complete()
            self._changed.wait_for(lambda: who in self._answers or self.failure is not None)
            if self.failure is not None:
                raise threading.BrokenBarrierError
            return self._answers.pop(who)

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._evaluate_if_complete()

    def _evaluate_if_complete(self) -> None:
        if self.failure is not None or not self._asked or len(self._asked) < self._running:
            return
        who = np.array(sorted(self._asked))
        try:
            values, gradients = self._function(np.stack([self._asked[i] for i in who], -1), who)
        except BaseException as error:
            self.failure = error
        else:
            self._answers.update(
                (int(i), (float(values[j]), np.array(gradients[:, j]))) for j, i in enumerate(who)
            )
        self._asked.clear()
        self._changed.notify_all()
