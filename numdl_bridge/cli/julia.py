"""`numdl julia`: shows, prepares or names the Julia that live runs use."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..engines.julia import readiness as ready
from ..engines.julia import stamps
from ..engines.julia.failure import JuliaMissingError
from ..engines.julia.settings import (
    NAMES,
    Settings,
    config_file,
    forget_file,
    read_file,
    resolve,
    write_file,
)
from ..errors import BadInputError, NumDLError

app = typer.Typer(no_args_is_help=True, help="Show, prepare or name the Julia of live runs.")
_out, _err = Console(), Console(stderr=True)

Exe = Annotated[str | None, typer.Option(help="The julia executable.")]
Project = Annotated[str | None, typer.Option(help="The folder of a Julia project with a manifest.")]
Depot = Annotated[str | None, typer.Option(help="The depot path (JULIA_DEPOT_PATH).")]


def _one_message(command: Callable[..., None]) -> Callable[..., None]:
    """Print what went wrong without a traceback, and exit with status 2."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except NumDLError as error:
            _err.print(f"numdl: {error}", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from None

    return wrapped


@app.command()
@_one_message
def status(exe: Exe = None, project: Project = None, depot: Depot = None) -> None:
    """Which Julia, each option with where it came from, and whether it is ready."""
    settings = resolve(exe, project, depot)
    for option in settings.options:
        # A line each and not a table: paths must not be cut.
        _print(f"{option.name:8} {option.value or '-'}  (from: {option.source})")
    found = ready.readiness(settings)
    line = found.state + (f": {found.reason}" if found.reason else "")
    _print(line)
    if found.remedy:
        _print(f"What to do: {found.remedy}.")
    stamp = stamps.read_stamp(settings)
    if stamp and stamp["ready"]:
        facts = stamp["facts"]
        _print(
            f"last started {stamp['date']}: Julia {facts.get('julia')}, NumDLBridge "
            f"{facts.get('NumDLBridge')}, {facts.get('threads')} thread, BLAS "
            f"{facts.get('blas')} with {facts.get('blas threads')} thread"
        )
    raise typer.Exit(0 if found.state != "missing" else 1)


@app.command()
@_one_message
def setup(exe: Exe = None, project: Project = None, depot: Depot = None) -> None:
    """Install what is missing, precompile, start once and say what it is."""
    from ..engines.julia.worker import Worker

    settings = resolve(exe, project, depot)
    stamps.drop_stamp(settings)
    if settings.explicit:
        _prepare_project(settings)
    _check(ready.readiness(settings))
    began = time.monotonic()
    with Worker(settings, progress=_say) as worker:
        try:
            facts = worker.start()
        except NumDLError as error:
            stamps.write_stamp(settings, False, str(error))
            raise
        stamps.write_stamp(settings, True, facts=facts)
        _out.print_json(json.dumps(facts))
    _say(f"Julia is ready; that took {time.monotonic() - began:.0f} s")


@app.command()
@_one_message
def use(exe: Exe = None, project: Project = None, depot: Depot = None) -> None:
    """Remember which Julia to use; what is not named stays as it was."""
    given = {"exe": exe, "project": project, "depot": depot}
    values = read_file() | {k: _absolute(k, v) for k, v in given.items() if v is not None}
    if not values:
        raise BadInputError(
            "nothing to remember", "--exe and --project, and perhaps --depot", "name them"
        )
    if ("exe" in values) != ("project" in values):
        raise BadInputError(
            f"only {' and '.join(values)} named", "--exe and --project together", "name both"
        )
    path = write_file(values)
    _say(f"written to {path}")
    shadowed = [n for n in NAMES if n in values and os.environ.get(f"NUMDL_JULIA_{n.upper()}")]
    for name in shadowed:
        _say(f"note: NUMDL_JULIA_{name.upper()} is set and goes before this file")
    _check(ready.readiness(resolve()))


@app.command()
@_one_message
def forget() -> None:
    """Remove what `use` wrote."""
    path = forget_file()
    _say(f"removed {path}" if path else f"there was no {config_file()}")


def _absolute(name: str, value: str) -> str:
    """Paths are kept absolute; a depot path may be several."""
    if name == "depot":
        parts = value.split(os.pathsep)
        return os.pathsep.join(str(Path(p).expanduser().resolve()) if p else "" for p in parts)
    if name == "exe" and os.sep not in value:
        return value  # looked up in PATH when used
    return str(Path(value).expanduser().absolute())


def _prepare_project(settings: Settings) -> None:
    """Have Pkg fetch what the project lacks, with its own output on screen."""
    found = ready.readiness(settings)
    if found.state == "ready":
        return
    project = Path(str(settings.project.value)).expanduser()
    release, said = ready.julia_version(str(settings.exe.value))
    if release is None:
        raise JuliaMissingError(f"{settings.exe.value} is not a Julia: it said {said!r}")
    listed = json.loads((Path(__file__).parent / "juliapkg.json").read_text(encoding="utf-8"))
    specs = ", ".join(
        f'Pkg.PackageSpec(name="{name}", uuid="{package["uuid"]}")'
        for name, package in listed["packages"].items()
    )
    from importlib.metadata import version

    script = (
        f"import Pkg; Pkg.add([{specs}, "
        f'Pkg.PackageSpec(name="PythonCall", version="{version("juliacall")}")]); '
        "Pkg.instantiate(); Pkg.precompile()"
    )
    project.mkdir(parents=True, exist_ok=True)
    environment = settings.environment(os.environ)
    if ready.network_answers():
        environment["JULIA_PKG_OFFLINE"] = "false"
    _say(f"fetching packages for {project} ({found.reason})")
    command = [str(settings.exe.value), f"--project={project}", "--startup-file=no", "-e", script]
    ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL)
    if ended.returncode:
        raise JuliaMissingError(
            f"Pkg could not install the packages of {project} (exit status {ended.returncode})",
            "a network, or a depot that has them",
            "read its output above",
        )


def _check(found: ready.Readiness) -> None:
    if found.state == "missing":
        raise JuliaMissingError(found.reason, "a Julia that is ready", found.remedy)


def _say(line: str) -> None:
    _err.print(line, markup=False, highlight=False, soft_wrap=True)


def _print(line: str) -> None:
    _out.print(line, markup=False, highlight=False, soft_wrap=True)
