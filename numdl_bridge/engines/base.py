"""What every engine is: it observes a study, and it times tasks one sample at a time.

An engine's answer to a study is a module of its own, `engines/<engine>/<study>.py`, found by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from ..errors import EngineError
from ..studies.contract import Arrays, Options, Study
from ..studies.observation import Observation, Unavailable

Answer = Mapping[str, np.ndarray | float | int | Unavailable]
"""What an engine's `answer` returns: by quantity name, a value or the reason why there is none."""

Tasks = Mapping[str, Callable[[], object]]
"""What an engine's `tasks` returns: callables to be timed, by a name shared between engines."""


class Stopwatch(Protocol):
    """Times an engine's tasks, inside the engine's own language, one sample at a time.

    The runner interleaves the samples of all engines, so that a drift of the machine's speed hits
    all of them alike.
    """

    tasks: tuple[str, ...]

    def sample(self, task: str, calls: int) -> float:
        """Seconds for `calls` calls of the task, without the bridge."""
        ...

    def close(self) -> None: ...


class Engine(Protocol):
    """Something that answers a study: `torch`, `julia`, `referee`, or a recording of one.

    One that computes in a process of its own, and whose `close` may come from another thread, says
    so with an attribute `apart = True`; it is asked beside the others.
    """

    name: str

    def missing(self) -> str | None:
        """None when the engine can answer, else the reason and what would mend it."""
        ...

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        """All quantities of the study that this engine can give. Raises `EngineError`."""
        ...

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> Stopwatch | None:
        """A stopwatch over the study's tasks, or None where nothing is to be timed."""
        ...

    def close(self) -> None:
        """End what the engine keeps running. Idempotent."""
        ...


def sort_answer(
    study: Study, engine: str, options: Options, answer: Answer
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Split an engine's answer into values and reasons, holding it to the study's quantities.

    Every quantity that the study expects of the engine must be there, and nothing else. Raises
    `EngineError` naming the quantities where it is not so.
    """
    expected = {q.name for q in study.quantities(options) if engine in q.engines}
    missing, extra = sorted(expected - set(answer)), sorted(set(answer) - expected)
    if missing or extra:
        raise EngineError(
            f"engine {engine!r} broke the contract of study {study.name!r}: "
            f"missing {missing or 'nothing'}, undeclared {extra or 'nothing'}",
            "exactly the quantities of the study, or an `Unavailable` with a reason",
        )
    values = {k: np.asarray(v) for k, v in answer.items() if not isinstance(v, Unavailable)}
    reasons = {k: v.reason for k, v in answer.items() if isinstance(v, Unavailable)}
    return values, reasons
