"""What is kept: the runner, timing, the store, recordings."""

from .budget import Budget
from .judging import open_run, rescore
from .recordings import RecordedEngine, record
from .results import RunResult, StudyResult
from .runner import Event, RunInterrupted, run
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
