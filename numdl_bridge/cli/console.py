"""What the commands share: their console, and how settings and sizes are written."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ..errors import BadInputError

WIDTH = 100
_OPTIONS_OF_COMMANDS = {
    "size", "julia", "device", "threads", "timings", "resume", "folder", "budget", "progress",
    "engines", "sequential", "jobs", "backend",
}  # fmt: skip


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """`["samples=500", "widths=8,16"]` as settings; numbers and lists as JSON has them.

    Raises `BadInputError` for what is no setting of a study but an option of the command.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise BadInputError(f"--set {text}", "NAME=VALUE, as in --set samples=500")
        if name in _OPTIONS_OF_COMMANDS:
            raise BadInputError(
                f"--set {text}", "an option of a study", f"--{name} is an option of the command"
            )
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """JSON; `8,16` is a list, as it would be with brackets; anything else is text."""
    for attempt in (text, f"[{text}]" if "," in text else text):
        try:
            return json.loads(attempt)
        except json.JSONDecodeError:
            continue
    return text


def console(stderr: bool = False) -> Console:
    """A hundred columns unless the terminal is narrower; a pipe gets the full hundred."""
    made = Console(stderr=stderr, highlight=False)
    made.width = min(made.width, WIDTH) if made.is_terminal else WIDTH
    return made


def say(line: str, style: str = "") -> None:
    """One message for people, on stderr, never cut into pieces."""
    console(stderr=True).print(Text(line, style=style), soft_wrap=True)


Quick = Annotated[bool, typer.Option("--quick", help="small sizes, seconds")]
Full = Annotated[bool, typer.Option("--full", help="large sizes, minutes")]


def size_of(quick: bool, full: bool) -> str:
    """The size that two flags ask for; both together are refused."""
    if quick and full:
        raise BadInputError("--quick together with --full", "one of them", "leave one out")
    return "quick" if quick else "full" if full else "default"
