"""Timings as a table: kernels, first calls, torch over Julia, and what was no task."""

from __future__ import annotations

import numpy as np

from ..compare import formatting
from ..compare.timings import TimingSummary, timing_rows
from ..runs.results import StudyResult
from .table import Table, answering


def timing_table(result: StudyResult) -> Table:
    """Each task's time a call by engine, kernel and first call apart, and torch over Julia.

    Where the two disagree there are no times to compare, and none are shown.
    """
    found = timing_rows(result.comparison, result.observations)
    kernels = {row.task: row for row in found if row.phase == "kernel"}
    firsts = {row.task: row for row in found if row.phase == "first call"}
    engines = [e for e in answering(result) if any(e in r.engines for r in kernels.values())]
    table = Table("Timings", ["timings"])
    for engine in engines:
        when = result.observations[engine].recorded
        table.columns += [f"{engine}, recorded" if when else engine, "first call"]
    quoted = [row.ratio for row in kernels.values() if row.ratio is not None]
    refused = sorted({r.reason for r in quoted if r.ratio is None and r.reason})
    if any(reason.startswith("they disagree") for reason in refused):
        table.notes.append(f"no timings of torch and julia: {refused[0]}")
        return table
    with_ratio = any(r.ratio is not None for r in quoted)
    table.columns += ["torch / julia"] if with_ratio else []
    for task, row in kernels.items():
        cells = []
        for engine in engines:
            first = firsts[task].engines.get(engine) if task in firsts else None
            cells.append(_kernel(row.engines.get(engine)))
            cells.append(formatting.seconds(first.median if first else None))
        if with_ratio:
            r = row.ratio
            cells.append(formatting.ratio(r.ratio, r.low, r.high) if r else "")
        table.add(task, *cells)
    if table.rows:
        table.notes.append("one call: median ± interquartile range (least)")
    table.notes += [f"no ratio: {reason}" for reason in refused]
    table.notes += _phase_notes(result, set(kernels))
    return table


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
