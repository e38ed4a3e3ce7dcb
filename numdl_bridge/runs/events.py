"""What a run tells while it goes on, and how it ends when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Event:
    """What the runner is doing, for a progress display.

    **Arguments:**

    - `kind`: `start` (with `total` studies), `study`, `engine`, `answered` (a study, by every
      engine), `timing`, `note`, `done` (a study).
    - `number`, `total`: which study of how many.
    """

    kind: Literal["start", "study", "engine", "answered", "timing", "note", "done"]
    study: str = ""
    text: str = ""
    number: int = 0
    total: int = 0


Watch = Callable[[Event], None]


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run; `folder` holds everything that was computed until then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"interrupted; `numdl run --resume --out {folder}` continues")
