"""Seconds of a user's own model: the first call apart from warm ones, without asking for too much.

What torch sets up when it is first used (forward-mode rules, thread pools) can take a thousand
times as long as a small model; Julia's seconds leave compilation out. So torch's first call is
timed and filed as such, and the task is carried out again while that is cheap. All of it together
may cost a tenth of the two computations, so that a comparison stays below 1.2 times these, or
`LEAST` where Julia is not live and there is no such bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..studies.observation import Timing

SHARE = 0.1
LEAST = 0.25
MOST_CALLS = 5

REVERSE_COST = 5.0
"""A gradient by reverse mode costs about as much as this many evaluations."""

SOLVE_COST = 15.0
"""A solve and reverse mode through its steps, beside the evaluations of the right-hand side: for 80
states the sums of a step and its backward pass cost more than what they are sums of."""


def one_call(seconds: Mapping[str, float]) -> list[Timing]:
    """One sample of each task, which took this long without compilation."""
    return [Timing(task, "kernel", (spent,)) for task, spent in seconds.items()]


def allowance(spent: Mapping[str, float], live: bool) -> float:
    """Seconds that timing again may take, after `spent` seconds of torch and Julia."""
    share = SHARE * (spent["torch"] + spent["julia"])
    return share if live else max(share, LEAST)


def again(
    first: Mapping[str, float],
    call: Callable[[], Mapping[str, float]],
    expected: float,
    allowed: float,
) -> list[Timing]:
    """The timings of tasks whose first call took `first` seconds, all of them carried out at once.

    **Arguments:**

    - `call`: carries them out once more and returns the seconds of each.
    - `expected`: seconds that a warm call is expected to take.
    - `allowed`: seconds for all further calls together.

    A call too long to be repeated stands for the kernel, unless most of it was cold.
    """
    if expected > allowed:
        cold = max(first.values()) > 2 * expected
        return [Timing(k, "first call" if cold else "kernel", (s,)) for k, s in first.items()]
    samples: list[Mapping[str, float]] = []
    begun = last = time.perf_counter()
    spent = 0.0
    while not samples or (len(samples) < MOST_CALLS and last - begun + spent < allowed):
        samples.append(call())
        spent, last = time.perf_counter() - last, time.perf_counter()
    timings = [Timing(k, "first call", (s,)) for k, s in first.items()]
    return timings + [Timing(k, "kernel", tuple(s[k] for s in samples)) for k in first]
