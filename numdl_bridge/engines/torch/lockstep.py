"""Many small SciPy minimisations side by side, their functions evaluated in one batch.

SciPy's minimisers take one starting point and call back for one value at a time. Here each runs in
a thread of its own and asks at a common gate; when all that are still running wait there, the
calling thread evaluates their points together, in one batched computation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

ValueAndGradient = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class _AbandonedError(Exception):
    """Ends a minimiser whose batch could not be evaluated."""


def minimize_all(
    function: ValueAndGradient, starts: np.ndarray, **settings: Any
) -> list[OptimizeResult]:
    """Minimise from every start with `scipy.optimize.minimize(**settings)`.

    **Arguments:**

    - `function`: `(x, who) -> (value, gradient)` with x `(d, batch)`, who `(batch,)` the indices
      of the starts that ask, value `(batch,)`, gradient `(d, batch)`; float64. It is called in the
      calling thread, whose thread settings it keeps.
    - `starts`: `(d, number)`, one start a column.
    - `settings`: passed on: `method`, `options`, ...

    Raises what `function` or a minimiser raises.
    """
    number = starts.shape[1]
    gate = _Gate(number)
    results: list[Any] = [None] * number

    def run(i: int) -> None:
        try:
            results[i] = minimize(lambda x: gate.ask(i, x), starts[:, i], jac=True, **settings)
        except _AbandonedError:
            pass
        except BaseException as error:
            gate.failure = error
        finally:
            gate.leave()

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(number)]
    for thread in threads:
        thread.start()
    try:
        while (batch := gate.collect()) is not None:
            gate.reply(batch[0], *function(batch[1], batch[0]))
    finally:
        gate.abandon()
        for thread in threads:
            thread.join()
    if gate.failure is not None:
        raise gate.failure
    return results


class _Gate:
    """Where minimisers leave their questions and wait for the answers."""

    def __init__(self, running: int) -> None:
        self._running, self._abandoned = running, False
        self._complete = threading.Condition()
        self._asked: dict[int, np.ndarray] = {}
        self._answers: list[Any] = [None] * running
        self._answered = [threading.Semaphore(0) for _ in range(running)]
        self.failure: BaseException | None = None

    def ask(self, who: int, x: np.ndarray) -> tuple[float, np.ndarray]:
        with self._complete:
            self._asked[who] = x.copy()
            self._complete.notify()
        self._answered[who].acquire()
        if self._abandoned:
            raise _AbandonedError
        return self._answers[who]

    def leave(self) -> None:
        with self._complete:
            self._running -= 1
            self._complete.notify()

    def collect(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Who asks, and their points, once all that run have asked; None when none runs."""
        with self._complete:
            self._complete.wait_for(lambda: len(self._asked) >= self._running)
            if not self._asked or self.failure is not None:
                return None
            who = np.array(sorted(self._asked))
            x = np.stack([self._asked[i] for i in who], axis=-1)
            self._asked.clear()
            return who, x

    def reply(self, who: np.ndarray, values: np.ndarray, gradients: np.ndarray) -> None:
        for j, i in enumerate(who):
            self._answers[i] = float(values[j]), np.array(gradients[:, j])
            self._answered[i].release()

    def abandon(self) -> None:
        """End those that still run: none of them will be answered."""
        self._abandoned = True
        for semaphore in self._answered:
            semaphore.release()
