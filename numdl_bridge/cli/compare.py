"""`numdl compare FILE::CASE`: a comparison of one's own model, without a test suite around it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BadInputError, NumDLError
from .console import say

if TYPE_CHECKING:
    from ..models.bridge import Bridge


def compare(
    case: Annotated[str, typer.Argument(metavar="FILE.py::CASE", help="a function case(bridge)")],
    julia: Annotated[str, typer.Option(help="auto, live, recorded or off")] = "auto",
    record: Annotated[
        bool, typer.Option("--record", help="keep Julia's answers in numdl_recordings/ beside FILE")
    ] = False,
) -> None:
    """Compare a model of your own in both languages, as `case(bridge)` in your file says.

    Status 1: a disagreement, or nothing that Julia answered (unless it was switched off).
    """
    from ..models.bridge import Bridge, recordings_beside

    if record and julia in ("recorded", "off"):
        raise BadInputError(
            f"--record with --julia {julia}", "a live Julia", "leave one of them out"
        )
    path, name = _place(case)
    function = _function(_load(path), name, path)
    bridge = Bridge(f"{path.stem}.{name}", julia, recordings_beside(path), record)
    claimed = _call(function, bridge, path)
    if not bridge.results:
        raise BadInputError(
            f"{case} compared nothing",
            "at least one call of bridge.compare_gradients, compare_ode or compare_module",
        )
    told: list[str] = []
    for result in bridge.results:
        typer.echo(f"{result}\n")
        if any(d.verdict != "agree" for d in result.rows):
            typer.echo(f"{result.explain()}\n")
            told += result.explain().split("\n\n")
    absent = _without_julia(bridge)
    # What an assertion says beyond what is printed anyway.
    if beyond := [part for part in claimed.split("\n\n") if part and part not in told + absent]:
        say("\n\n".join(beyond), style="red")
    for line in absent:
        say(line)
    failed = claimed or (absent and julia != "off") or not all(r.ok for r in bridge.results)
    if failed:
        raise typer.Exit(1)


def _without_julia(bridge: Bridge) -> list[str]:
    """Why Julia had no answer, one line each; `numdl julia setup` where that would help."""
    reasons = {r.name: r.absent["julia"] for r in bridge.results if "julia" in r.absent}
    lines = [f"{name}: nothing was compared with Julia: {why}" for name, why in reasons.items()]
    if lines and bridge.julia != "off":
        lines.append("`numdl julia setup` prepares a Julia, `numdl julia status` says which.")
    return lines


def _place(case: str) -> tuple[Path, str]:
    file, _, name = case.rpartition("::")
    path = Path(file)
    if not file or not name.isidentifier():
        raise BadInputError(
            f"case {case!r}", "FILE.py::CASE, as in numdl compare my_port.py::encoder"
        )
    if not path.is_file():
        raise BadInputError(f"no file {file}", "a Python file with a function case(bridge)")
    return path.resolve(), name


def _load(path: Path) -> ModuleType:
    """The user's file as a module; it may import its neighbours, as a script may."""
    name = f"numdl_case_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInputError(f"{path.name} is no Python file", "a file that ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except NumDLError:
        raise
    except Exception as error:
        raise _theirs(error, path) from None
    return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if callable(found):
        return found
    own = [n for n, f in vars(module).items() if inspect.isfunction(f)]
    own = [n for n in own if getattr(module, n).__module__ == module.__name__]
    raise BadInputError(
        f"{path.name} has no function {name!r}",
        f"one of {', '.join(own)}" if own else "a function case(bridge)",
    )


def _call(function: Callable[..., Any], bridge: Bridge, path: Path) -> str:
    """Call the case; what an assertion in it says, or "". Other exceptions become one message."""
    try:
        function(bridge)
    except NumDLError:
        raise
    except AssertionError as error:
        return str(error) or "an assertion in the case failed"
    except Exception as error:
        raise _theirs(error, path) from None
    return ""


def _theirs(error: Exception, path: Path) -> BadInputError:
    """An exception of the user's own code, with the last of its lines that was reached."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    at = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = f"{path.name}, line {at}" if at else path.name
    words = str(error).strip().splitlines()
    return BadInputError(
        f"{where}: {type(error).__name__}{f': {words[0]}' if words else ''}",
        "a case that runs in Python",
    )
