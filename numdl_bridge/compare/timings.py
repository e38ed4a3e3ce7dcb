"""Timings summarised, and the ratios that may honestly be quoted.

A ratio is quoted for kernels of one task, live on both sides in one run, on equal numbers of
threads, and only where the two engines were seen to compute the same thing. It is the ratio of
medians, with a bootstrap interval; what forbids one is said in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..studies.observation import Observation
from .comparison import Comparison

_KERNEL = "kernel"
_GRADIENTS = ("gradient", "jacobian")
_FEWEST = 5
"""Samples below which a bootstrap interval of a median means nothing."""


@dataclass(frozen=True)
class TimingSummary:
    """Seconds of one phase of one task in one engine.

    **Arguments:**

    - `minimum`, `median`, `iqr`: over the samples; never a mean, which one interruption spoils.
    - `recorded`: the date of the recording that the samples come from; None if taken here.
    """

    task: str
    phase: str
    engine: str
    minimum: float
    median: float
    iqr: float
    samples: int
    recorded: str | None


@dataclass(frozen=True)
class Ratio:
    """Median seconds of `left` over those of `right` for one task's kernel.

    `ratio` is None where none may be quoted, and `reason` says why (fewer than five samples on a
    side, say); `low` and `high` bound it with 95 % confidence.
    """

    task: str
    left: str
    right: str
    ratio: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class TimingRow:
    """One phase of one task: each engine's summary by name, and the ratio where it is a kernel."""

    task: str
    phase: str
    engines: dict[str, TimingSummary]
    ratio: Ratio | None


def timing_rows(
    comparison: Comparison,
    observations: Mapping[str, Observation],
    left: str = "torch",
    right: str = "julia",
) -> list[TimingRow]:
    """All timings, a row for each task and phase, with the ratio of `left` to `right`."""
    quoted = {r.task: r for r in ratios(comparison, observations, left, right)}
    rows: dict[tuple[str, str], TimingRow] = {}
    for summary in summaries(observations):
        key = (summary.task, summary.phase)
        ratio = quoted.get(summary.task) if summary.phase == _KERNEL else None
        rows.setdefault(key, TimingRow(*key, {}, ratio)).engines[summary.engine] = summary
    return list(rows.values())


def summaries(observations: Mapping[str, Observation]) -> Iterator[TimingSummary]:
    """One for each task, phase and engine that has samples, tasks in the order of the engines."""
    for task, phase in dict.fromkeys(
        (t.task, t.phase) for o in observations.values() for t in o.timings
    ):
        for engine, observation in observations.items():
            seconds = _seconds(observation, task, phase)
            if seconds.size:
                low, median, high = np.percentile(seconds, [25, 50, 75])
                yield TimingSummary(
                    task,
                    phase,
                    engine,
                    float(seconds.min()),
                    float(median),
                    float(high - low),
                    int(seconds.size),
                    observation.recorded,
                )


def ratios(
    comparison: Comparison,
    observations: Mapping[str, Observation],
    left: str = "torch",
    right: str = "julia",
) -> Iterator[Ratio]:
    """`left` over `right` for each task that both timed; nothing where one of them is not there."""
    if left not in observations or right not in observations:
        return
    one, other = observations[left], observations[right]
    forbidden = forbids_ratio(comparison, observations, left, right)
    for task in dict.fromkeys(t.task for t in one.timings if t.phase == _KERNEL):
        a, b = _seconds(one, task, _KERNEL), _seconds(other, task, _KERNEL)
        if not (a.size and b.size):
            continue
        if forbidden is None and min(a.min(), b.min()) <= 0:
            yield Ratio(task, left, right, None, reason="a sample of zero seconds")
        elif forbidden is None and min(a.size, b.size) < _FEWEST:
            few = f"fewer than {_FEWEST} samples of one of the two"
            yield Ratio(task, left, right, None, reason=few)
        elif forbidden is not None:
            yield Ratio(task, left, right, None, reason=forbidden)
        else:
            low, high = median_ratio_interval(a, b)
            yield Ratio(task, left, right, float(np.median(a) / np.median(b)), low, high)


def forbids_ratio(
    comparison: Comparison, observations: Mapping[str, Observation], left: str, right: str
) -> str | None:
    """Why the two engines' timings may not be divided; None where they may."""
    for name in (left, right):
        if observations[name].recorded is not None:
            return f"{name} was recorded elsewhere ({observations[name].recorded})"
    threads = [observations[name].provenance.get("threads") for name in (left, right)]
    if all(isinstance(n, int) for n in threads) and threads[0] != threads[1]:
        return f"{left} ran on {threads[0]} threads, {right} on {threads[1]}"
    between = [d for d in comparison.differences if {d.left, d.right} == {left, right}]
    gradients = [d for d in between if d.kind in _GRADIENTS]
    asked = gradients or between
    what = "gradients" if gradients else "values"
    if wrong := [d for d in asked if d.verdict == "disagree"]:
        return f"they disagree on {wrong[0].quantity!r}"
    if all(d.verdict == "unavailable" for d in asked):
        return f"no {what} of theirs were compared"
    return None


def median_ratio_interval(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, resamples: int = 2000
) -> tuple[float | None, float | None]:
    """Bootstrap interval of median(a) / median(b), the percentile method, the same at every call.

    The default BCa method needs a smooth statistic, which a median is not. None, None for fewer
    than five samples on a side.
    """
    if min(len(a), len(b)) < _FEWEST:
        return None, None
    from scipy.stats import bootstrap

    def statistic(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    found = bootstrap(
        (a, b),
        statistic,
        n_resamples=resamples,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(1234),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)


def _seconds(observation: Observation, task: str, phase: str) -> np.ndarray:
    samples = [t.seconds for t in observation.timings if (t.task, t.phase) == (task, phase)]
    return np.concatenate([np.asarray(s, dtype=np.float64) for s in samples] or [np.empty(0)])
