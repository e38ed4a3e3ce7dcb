"""How tasks are timed: inside each language, in rounds that go from engine to engine.

Samples of different engines alternate, so that a drift of the machine's speed hits all of them.
A sample is at least ten milliseconds long, its calls doubled until it is; the first call, which may
compile, is kept apart.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..engines.base import Stopwatch
from ..studies.observation import Timing

SHORTEST_SAMPLE = 0.010
MOST_CALLS = 2**14
MOST_ROUNDS = 15


def measure(
    stopwatches: Mapping[str, Stopwatch],
    seconds: float,
    tick: Callable[[str], None] = lambda task: None,
) -> tuple[dict[str, list[Timing]], dict[str, str]]:
    """Time every task of every engine, in about `seconds` altogether.

    Returns timings by engine (phases `first call` and `kernel`), and by engine the reason why one
    of its tasks could not be timed; its other tasks are kept.
    """
    tasks = list(dict.fromkeys(task for watch in stopwatches.values() for task in watch.tasks))
    timings: dict[str, list[Timing]] = {engine: [] for engine in stopwatches}
    problems: dict[str, str] = {}
    end = time.perf_counter() + seconds
    for number, task in enumerate(tasks):
        tick(task)
        share = max(0.0, end - time.perf_counter()) / (len(tasks) - number)
        running = {e: w for e, w in stopwatches.items() if task in w.tasks}
        with _without_collector():
            _measure_task(task, running, share, timings, problems)
    return timings, problems


def _measure_task(
    task: str,
    watches: dict[str, Stopwatch],
    share: float,
    timings: dict[str, list[Timing]],
    problems: dict[str, str],
) -> None:
    start = time.perf_counter()
    calls: dict[str, int] = {}
    samples: dict[str, list[float]] = {}
    for engine, watch in list(watches.items()):
        try:
            first = watch.sample(task, 1)
            calls[engine], seconds = _calls_per_sample(watch, task, share / len(watches))
        except Exception as error:
            problems[engine] = f"{task}: {error}"
            del watches[engine]
            continue
        timings[engine].append(Timing(task, "first call", (first,)))
        samples[engine] = [seconds / calls[engine]]
    for _ in range(MOST_ROUNDS - 1):
        if time.perf_counter() - start > share:
            break
        for engine, watch in list(watches.items()):
            try:
                samples[engine].append(watch.sample(task, calls[engine]) / calls[engine])
            except Exception as error:
                problems[engine] = f"{task}: {error}"
                del watches[engine]
    for engine in watches:
        timings[engine].append(Timing(task, "kernel", tuple(samples[engine])))


def _calls_per_sample(watch: Stopwatch, task: str, share: float) -> tuple[int, float]:
    """Double the calls until a sample is long enough; the last sample counts as the first."""
    calls, spent = 1, 0.0
    while True:
        seconds = watch.sample(task, calls)
        spent += seconds
        if seconds >= SHORTEST_SAMPLE or calls >= MOST_CALLS or spent > share:
            return calls, seconds
        calls *= 2


@contextmanager
def _without_collector() -> Iterator[None]:
    """Collect garbage before, not during: a collection would land in one engine's sample."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
