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
        self.console, self.total = console, 0
        self.folder = ""
        self._start = time.monotonic()
        self._now: dict[str, str] = {}
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
        elif event.kind == "engine":
            # Two engines may be at two studies at once: each has its own place in the line.
            self._now.pop("comparing", None)
            self._now[event.text] = event.study
            self._say("   ".join(f"{who}: {what}" for who, what in self._now.items()))
        elif event.kind == "timing":
            self._now.clear()
            self._say(f"{event.study}: timing {event.text}")
        elif event.kind == "answered":
            self._line(event.number, f"{event.study:<15} answered: {event.text}")
        elif event.kind == "note":
            lead = f"{event.study}: " if event.study else ""
            self.console.print(Text(f"note: {lead}{event.text}", style="dim"), soft_wrap=True)
        elif event.kind == "done":
            self._line(event.number, f"{event.study:<15} {event.text}")

    def _line(self, number: int, text: str) -> None:
        seconds = time.monotonic() - self._start
        self.console.print(Text(f"{seconds:5.0f} s [{number}/{self.total}] {text}"), soft_wrap=True)

    def _say(self, line: str) -> None:
        """Only where it can be overwritten: a log file wants one line a study."""
        if self._live:
            self._live.update(Text(line))
