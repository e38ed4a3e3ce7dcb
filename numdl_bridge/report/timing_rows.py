"""Timings as a table: what a call costs, torch over Julia, and what was no task."""

from __future__ import annotations

import numpy as np

from ..compare import formatting
from ..compare.timings import TimingSummary, timing_rows
from ..runs.results import StudyResult
from .table import Table, answering

_OF_TASKS = {"first call", "kernel"}


def timing_table(result: StudyResult) -> Table:
    """Each timed task's time a call by engine, and torch over Julia.

    Where the two disagree there are no times to compare, and none are shown.
    """
    found = timing_rows(result.comparison, result.observations)
    others = {row.task for row in found if row.phase not in _OF_TASKS}
    tasks = list(dict.fromkeys(row.task for row in found if row.task not in others))
    by_phase = {(row.task, row.phase): row for row in found}
    kernels = {t: by_phase[t, "kernel"] for t in tasks if (t, "kernel") in by_phase}
    firsts = {t: by_phase[t, "first call"] for t in tasks if (t, "first call") in by_phase}
    timed = [*kernels.values(), *firsts.values()]
    engines = [e for e in answering(result) if any(e in row.engines for row in timed)]
    table = Table("Timings", ["timings"])
    for engine in engines:
        table.columns.append(
            f"{engine}, recorded" if result.observations[engine].recorded else engine
        )
    quoted = [row.ratio for row in kernels.values() if row.ratio is not None]
    refused = sorted({r.reason for r in quoted if r.ratio is None and r.reason})
    if any(reason.startswith("they disagree") for reason in refused):
        table.notes.append(f"no timings of torch and julia: {refused[0]}")
        return table
    with_ratio = any(r.ratio is not None for r in quoted)
    table.columns += ["torch / julia"] if with_ratio else []
    for task in tasks:
        kernel, first = kernels.get(task), firsts.get(task)
        cells = [
            _time(
                kernel.engines.get(e) if kernel else None, first.engines.get(e) if first else None
            )
            for e in engines
        ]
        if with_ratio:
            r = kernel.ratio if kernel else None
            cells.append(formatting.ratio(r.ratio, r.low, r.high) if r else "")
        table.add(task, *cells)
    if table.rows:
        table.notes.append("one call: median ± interquartile range (least)")
    table.notes += [f"no ratio: {reason}" for reason in refused]
    table.notes += _phase_notes(result, set(tasks))
    return table


def _time(kernel: TimingSummary | None, first: TimingSummary | None) -> str:
    if kernel is None and first is not None:
        return f"{formatting.seconds(first.median)}, first call"
    return _kernel(kernel)


def _kernel(s: TimingSummary | None) -> str:
    if s is None:
        return formatting.NOTHING
    show = formatting.seconds
    if s.samples == 1:
        return show(s.median)
    return f"{show(s.median)} ± {show(s.iqr)} ({show(s.minimum)})"


def _phase_notes(result: StudyResult, tasks: set[str]) -> list[str]:
    """One line an engine on what is no task: its start, compilation, what the bridge took."""
    lines = []
    for name, observation in result.observations.items():
        total: dict[str, float] = {}
        for t in observation.timings:
            if t.task not in tasks and t.seconds:
                total[t.phase] = total.get(t.phase, 0.0) + float(np.median(t.seconds))
        parts = [f"{phase} {formatting.seconds(s)}" for phase, s in total.items()]
        if observation.peak_memory:
            parts.append(f"peak memory {formatting.memory(observation.peak_memory)}")
        if parts:
            lines.append(f"{name}: {', '.join(parts)}")
    return lines
