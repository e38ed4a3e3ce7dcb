"""Progress on stderr: a live line in a terminal, one line a step elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ..runs.events import Event


class Progress:
    """Shows the runner's events; use it as a context and give it to `run` as `progress`."""

    def __init__(self, console: Console) -> None:
        self.console, self.total, self.number = console, 0, 0
        self.folder = ""
        self._start = self._began = time.monotonic()
        self._live: Status | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._live = self.console.status("starting")
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self.total, self.folder = event.total, event.text
        elif event.kind == "study":
            self.number, self._began = event.number, time.monotonic()
            self._say(f"{event.study}")
        elif event.kind == "engine":
            self._say(f"{event.study}: {event.text}")
        elif event.kind == "timing":
            self._say(f"{event.study}: timing {event.text}")
        elif event.kind == "note":
            lead = f"{event.study}: " if event.study else ""
            self.console.print(Text(f"note: {lead}{event.text}", style="dim"), soft_wrap=True)
        elif event.kind == "done":
            seconds = time.monotonic() - self._began
            line = f"{self._place()} {event.study:<15} {seconds:6.1f} s  {event.text}"
            self.console.print(Text(line), soft_wrap=True)

    def _place(self) -> str:
        return f"[{self.number}/{self.total}]"

    def _say(self, line: str) -> None:
        """Only where it can be overwritten: a log file wants one line a study."""
        if self._live:
            self._live.update(Text(f"{self._place()} {line}"))
