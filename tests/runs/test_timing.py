"""Timing: rounds alternate between engines, samples are long enough, the budget is kept."""

from __future__ import annotations

import time

import pytest
from stub_study import Watch

from numdl_bridge.runs.timing import MOST_ROUNDS, measure


class Clockwork:
    """A stopwatch with a cost of its own and no waiting, which notes when it was asked."""

    tasks = ("a",)

    def __init__(self, name: str, log: list[tuple[str, int]], cost: float) -> None:
        self.name, self.log, self.cost = name, log, cost

    def sample(self, task: str, calls: int) -> float:
        self.log.append((self.name, calls))
        return self.cost * calls

    def close(self) -> None: ...


def test_rounds_alternate_and_calls_double_to_ten_milliseconds() -> None:
    log: list[tuple[str, int]] = []
    watches = {n: Clockwork(n, log, c) for n, c in (("torch", 1e-3), ("julia", 4e-3))}
    timings, problems = measure(watches, 60.0)
    assert not problems
    assert log[:6] == [("torch", calls) for calls in (1, 1, 2, 4, 8, 16)]
    rounds = log[-2 * (MOST_ROUNDS - 1) :]
    assert rounds == [("torch", 16), ("julia", 4)] * (MOST_ROUNDS - 1)
    for name, cost in (("torch", 1e-3), ("julia", 4e-3)):
        first, kernel = timings[name]
        assert (first.phase, kernel.phase) == ("first call", "kernel")
        assert kernel.seconds == pytest.approx([cost] * MOST_ROUNDS)


def test_a_task_that_one_engine_lacks_is_timed_in_the_other() -> None:
    alone = Watch()
    alone.tasks = ("only here",)
    timings, _ = measure({"torch": Watch(), "julia": alone}, 0.2)
    assert {t.task for t in timings["torch"]} == {"forward", "gradient"}
    assert {t.task for t in timings["julia"]} == {"only here"}


def test_the_budget_bounds_the_time() -> None:
    start = time.perf_counter()
    timings, _ = measure({"torch": Watch(pause=0.02)}, 0.3)
    assert time.perf_counter() - start < 1.5
    assert all(len(t.seconds) >= 1 for t in timings["torch"])


def test_a_task_that_fails_loses_only_itself() -> None:
    class Failing(Watch):
        def sample(self, task: str, calls: int) -> float:
            if task == "gradient":
                raise RuntimeError("no gradient")
            return super().sample(task, calls)

    timings, problems = measure({"torch": Watch(), "julia": Failing()}, 0.2)
    assert problems == {"julia": "gradient: no gradient"}
    assert {t.task for t in timings["julia"]} == {"forward"}
    assert {t.task for t in timings["torch"]} == {"forward", "gradient"}
