"""The three comparisons with one set of choices about Julia, for pytest and the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import EngineError
from .checks import own_error
from .functions import compare_gradients
from .modules import compare_module
from .ode import compare_ode
from .result import ModelResult

__tracebackhide__ = own_error


def recordings_beside(file: Path) -> Path:
    """Where the recordings of a test or case file are kept."""
    return file.parent / "numdl_recordings"


@dataclass
class Bridge:
    """`compare_gradients`, `compare_ode` and `compare_module`, with recordings kept in one place.

    **Arguments:**

    - `name`: of the test or case; a second comparison in it is numbered.
    - `julia`: `auto`, `live`, `recorded` or `off`.
    - `recordings`: folder, one file pair a comparison.
    - `keep`: renew the recordings from a live Julia.
    - `results`: of the comparisons made so far.
    """

    name: str
    julia: str = "auto"
    recordings: Path | None = None
    keep: bool = False
    results: list[ModelResult] = field(default_factory=list)

    def compare_gradients(self, *arguments: Any, **options: Any) -> ModelResult:
        return self._compare(compare_gradients, arguments, options)

    def compare_ode(self, *arguments: Any, **options: Any) -> ModelResult:
        return self._compare(compare_ode, arguments, options)

    def compare_module(self, *arguments: Any, **options: Any) -> ModelResult:
        return self._compare(compare_module, arguments, options)

    def _compare(
        self, comparison: Any, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> ModelResult:
        number = len(self.results) + 1
        name = folder_name(self.name) + (f"-{number}" if number > 1 else "")
        chosen = {
            "name": name,
            "julia_mode": "live" if self.keep else self.julia,
            "recordings": self.recordings,
            "keep": self.keep,
        }
        before = self._recorded(name)
        try:
            result = comparison(*arguments, **{**chosen, **options})
        except EngineError as error:
            raise _stale(error, name) if before and "no recording" in error.got else error from None
        if self.keep:
            # What is renewed replaces what it was: an old answer would never be asked for again.
            new = self._recorded(name) - before or {sorted(self._recorded(name))[-1]}
            for path in self._recorded(name) - new:
                path.unlink()
                path.with_suffix(".npz").unlink(missing_ok=True)
        elif before and "no recording" in result.absent.get("julia", ""):
            raise _stale(EngineError(result.absent["julia"]), name)
        self.results.append(result)
        return result

    def _recorded(self, name: str) -> set[Path]:
        folder = (self.recordings or Path()) / name
        return set(folder.glob("julia-*.json")) if self.recordings else set()


def folder_name(text: str) -> str:
    """A test's name as a folder's."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", text.replace(".py::", ".")).strip("-")


def _stale(error: EngineError, name: str) -> EngineError:
    return EngineError(
        f"the recording of {name!r} is stale: its function, arguments or inputs have changed",
        "what Julia answered to this very question",
        "renew it where Julia is installed, with `pytest --numdl-record`, and look at the change",
    )
