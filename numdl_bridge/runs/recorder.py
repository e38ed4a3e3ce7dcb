"""`numdl record`: ask a live Julia every question anew and keep its answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ..engines.base import Engine
from ..errors import EngineError
from ..studies.contract import Study, check_finite
from .events import Event
from .plan import SECONDS, Plan
from .recordings import record
from .slots import live_julia
from .timing import measure


def record_studies(
    *names: str,
    size: str = "default",
    folder: Path | None = None,
    timings: bool = True,
    progress: Callable[[Event], None] = lambda event: None,
    engine: Engine | None = None,
    **settings: Any,
) -> list[Path]:
    """Record what a live engine answers to each study; returns the paths of the recordings.

    **Arguments:** as in `run`; `engine` instead of a live Julia.

    Raises `EngineError` where there is no live Julia, or where it fails on a study: recordings
    written before that stay.
    """
    plan = Plan(names, size, settings)  # type: ignore[arg-type]
    chosen = plan.studies()
    live = engine
    if live is None:
        live, reason = live_julia(insist=True, say=lambda line: progress(Event("note", text=line)))
        if live is None:
            raise EngineError(
                f"nothing to record from: {reason}", "a Julia that is ready", "numdl doctor"
            )
    paths = []
    with closing(live):
        progress(Event("start", total=len(chosen)))
        for number, (study, options) in enumerate(chosen, 1):
            progress(Event("study", study.name, study.title, number, len(chosen)))
            path = _record_one(live, study, options, folder, timings, SECONDS[plan.size])
            paths.append(path)
            progress(Event("done", study.name, f"{path.stem}", number))
    return paths


def _record_one(
    engine: Engine, study: Study, options: Any, folder: Path | None, timings: bool, seconds: float
) -> Path:
    inputs = study.inputs(options)
    check_finite(study.name, inputs)
    observation = engine.observe(study, options, inputs)
    watch = engine.stopwatch(study, options, inputs) if timings else None
    if watch is not None:
        with closing(watch):
            taken, _ = measure({engine.name: watch}, seconds)
        observation.timings = [*observation.timings, *taken[engine.name]]
    return record(observation, folder)
