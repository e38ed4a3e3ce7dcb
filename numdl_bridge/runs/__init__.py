"""What is kept: the runner, timing, the store, recordings."""

from .budget import Budget
from .events import Event, RunInterrupted
from .judging import open_run, rescore
from .recordings import RecordedEngine, record
from .results import RunResult, StudyResult
from .runner import run
from .store import RunStore, find_run

__all__ = [
    "Budget",
    "Event",
    "RecordedEngine",
    "RunInterrupted",
    "RunResult",
    "RunStore",
    "StudyResult",
    "find_run",
    "open_run",
    "record",
    "rescore",
    "run",
]
