"""Julia's answer to a question: live from the warm worker, or replayed from a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ..engines.julia.worker import Worker
from ..errors import BadInputError, EngineError
from ..runs.recordings import RecordedEngine, record
from ..studies.observation import Observation, Timing
from .checks import own_error
from .question import Question, recordings_folder
from .timing import one_call

__tracebackhide__ = own_error

Mode = Literal["auto", "live", "recorded", "off"]

CALL_TIMEOUT = 600.0
"""Seconds that a user's model may take in Julia, its compilation included."""

HOW_TO_RECORD = (
    "where Julia is installed, `pytest --numdl-record` or `numdl compare FILE.py::CASE --record` "
    "keeps one; in a script `recordings=FOLDER, keep=True`"
)

_warm: list[Worker] = []


def shared_worker() -> Worker:
    """The one worker that all comparisons of this process share; it ends with the process."""
    if not _warm:
        _warm.append(Worker())
    return _warm[0]


def ask_julia(
    question: Question,
    mode: str = "auto",
    recordings: str | Path | None = None,
    keep: bool = False,
) -> tuple[Observation | None, str]:
    """Julia's observation, or None with the reason why there is none.

    **Arguments:**

    - `mode`: `auto` (live where a Julia is ready, else a recording), `live`, `recorded`, `off`.
    - `recordings`: folder of recordings.
    - `keep`: keep a live answer there.

    Raises `EngineError` where Julia was asked for and cannot answer, and where Julia's own code
    raised; `BadInputError` for an unknown mode.
    """
    if mode not in get_args(Mode):
        raise BadInputError(f"julia mode {mode!r}", f"one of {', '.join(get_args(Mode))}")
    if mode == "off":
        return None, "switched off"
    recorded = RecordedEngine("julia", recordings_folder(recordings), HOW_TO_RECORD)
    asked = (question.study, question.options, question.inputs)
    if mode == "recorded":
        return recorded.observe(*asked), ""
    reason = _not_ready()
    if reason is None:
        observation = _ask_live(question)
        if keep:
            record(observation, recorded.folder, question.study)
        return observation, ""
    if mode == "live" or keep:
        raise EngineError(f"no live Julia: {reason}", "a Julia that is ready", "numdl julia status")
    missing = recorded.missing_for(*asked)
    if missing is None:
        return recorded.observe(*asked), ""
    return None, f"{reason}; {missing}"


def _not_ready() -> str | None:
    from ..engines.julia import JuliaEngine

    return None if _warm and _warm[0].pid else JuliaEngine().missing()


def _ask_live(question: Question) -> Observation:
    worker = shared_worker()
    worker.start()
    reply = worker.call(
        question.function, dict(question.inputs), dict(question.arguments), CALL_TIMEOUT
    )
    received = reply.data["input_hash"]
    if received != question.input_hash:
        raise EngineError(
            f"Julia received other bytes ({received[:12]}) than were sent",
            "the same bits on both sides",
            "report this: it is a defect of the bridge",
        )
    values, unavailable = question.translate(reply)
    phases = ("conversion in", "kernel", "conversion out", "bridge")
    timings = [Timing("call", p, (reply.timings[p],)) for p in phases if p in reply.timings]
    timings += one_call(reply.data["seconds"])
    return question.observation(
        "julia", values, unavailable, timings=timings, provenance=dict(worker.facts)
    )
