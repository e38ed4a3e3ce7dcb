"""The command `numdl`. Results go to stdout; progress and messages for people go to stderr.

Exit status: 0 all is well; 1 a disagreement, a failed claim or a crashed engine; 2 bad input, said
in one message; 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import NumDLError
from ..version import __version__
from . import julia as julia_commands
from .compare import compare
from .console import Full, Quick, console, parse_settings, say, size_of
from .info import doctor, list_studies
from .sweep import sweep

if TYPE_CHECKING:
    from ..runs.results import RunResult


class _Group(TyperGroup):
    """Ends every error of this package, and Ctrl-C, in one message and its exit status."""

    def invoke(self, ctx: Any) -> Any:
        from ..runs.events import RunInterrupted

        try:
            return super().invoke(ctx)
        except NumDLError as error:
            say(str(error), style="red")
            raise typer.Exit(2) from None
        except RunInterrupted as stop:
            say(f"Interrupted. What was computed is kept in {stop.folder}; go on with")
            say(f"  numdl run --resume --out {stop.folder}")
            raise typer.Exit(130) from None
        except KeyboardInterrupt:
            say("Interrupted.")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of a pipe (head, less) left: nobody is there to be told.
            sys.stderr.close()
            raise typer.Exit(141) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The same case studies in PyTorch and in Julia, from the same bits: what differs in "
    "gradients, inverses and timings, and which side is right.",
)

Studies = Annotated[list[str] | None, typer.Argument(metavar="STUDY", help="all if none")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="K=V", help="option of a study; `numdl list STUDY` shows them"),
]
Json = Annotated[bool, typer.Option("--json", help="machine-readable result on stdout")]
Julia = Annotated[str, typer.Option(help="auto, live, recorded or off")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a folder, an id, or `last`")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"numdl-bridge {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="and exit")
    ] = False,
) -> None:
    """Options of `numdl` itself."""


@app.command()
def run(
    studies: Studies = None,
    settings: Settings = None,
    quick: Quick = False,
    full: Full = False,
    dtype: Annotated[str | None, typer.Option(help="float64 or float32")] = None,
    seed: Annotated[int | None, typer.Option(help="of the generator that draws inputs")] = None,
    device: Annotated[str, typer.Option(help="of torch: cpu, cuda, cuda:1, mps")] = "cpu",
    threads: Annotated[int, typer.Option(help="of each engine")] = 1,
    julia: Julia = "auto",
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="X|Q=RTOL", help="factor on every tolerance, or one quantity's"),
    ] = None,
    timings: Annotated[bool, typer.Option("--timings/--no-timings")] = True,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="the referee not beside torch but after it")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the last run, or --out's")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="folder of the run [./numdl-runs/…]")] = None,
    as_json: Json = False,
) -> None:
    """Run studies with torch, the referee and Julia, and compare the answers."""
    from ..report.progress import Progress
    from ..runs.budget import Budget
    from ..runs.runner import run_all

    given = parse_settings(settings or [])
    given |= {k: v for k, v in (("dtype", dtype), ("seed", seed)) if v is not None}
    stderr = console(stderr=True)
    with Progress(stderr) as progress:
        result = run_all(
            *(studies or []),
            size=size_of(quick, full),
            julia=julia,
            device=device,
            threads=threads,
            timings=timings,
            sequential=sequential,
            resume=(out or True) if resume else False,
            folder=None if resume else out,
            budget=Budget.parse(budget or []),
            progress=progress,
            **given,
        )
    _finish(result, as_json)


@app.command()
def show(name: RunName = "last", studies: Studies = None, as_json: Json = False) -> None:
    """Print a run that is kept on disk, or some of its studies with all rows."""
    from ..runs.judging import open_run

    _finish(open_run(name).only(*(studies or [])), as_json)


@app.command()
def rescore(
    name: RunName,
    budget: Annotated[
        list[str], typer.Option(metavar="X|Q=RTOL", help="a factor, or QUANTITY=RTOL; repeatable")
    ],
    as_json: Json = False,
) -> None:
    """Judge a run's stored observations by another budget; nothing is computed again."""
    from ..runs.budget import Budget
    from ..runs.judging import rescore as rescore_run

    _finish(rescore_run(name, Budget.parse(budget)), as_json)


@app.command()
def record(
    studies: Studies = None,
    settings: Settings = None,
    quick: Quick = False,
    full: Full = False,
    folder: Annotated[Path | None, typer.Option(help="of the recordings")] = None,
    timings: Annotated[bool, typer.Option("--timings/--no-timings")] = True,
) -> None:
    """Record what a live Julia answers, to be replayed where there is none."""
    from ..report.progress import Progress
    from ..runs.recorder import record_studies

    stderr = console(stderr=True)
    with Progress(stderr) as progress:
        paths = record_studies(
            *(studies or []),
            size=size_of(quick, full),
            folder=folder,
            timings=timings,
            progress=progress,
            **parse_settings(settings or []),
        )
    for path in paths:
        typer.echo(path)


@app.command()
def pages(
    name: RunName = "last",
    folder: Annotated[Path, typer.Option(help="where the pages go")] = Path("comparisons"),
    html: Annotated[Path | None, typer.Option(help="also one HTML page of the whole run")] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures")] = True,
) -> None:
    """Write a run's pages, one a study, as they stand in comparisons/."""
    from ..report.pages import write_pages
    from ..runs.judging import open_run

    result = open_run(name)
    if figures and not find_spec("matplotlib"):
        say(
            "No figures: matplotlib is not installed; pip install 'numdl-bridge[report]' brings it."
        )
    for path in write_pages(result, folder, figures=figures):
        typer.echo(path)
    if html:
        from ..report.html import page
        from ..runs.files import write_atomic

        write_atomic(html, page(result).encode())
        typer.echo(html)


# The commands that stand in modules of their own.
app.command("list")(list_studies)
app.command()(doctor)
app.command()(sweep)
app.command()(compare)
app.add_typer(julia_commands.app, name="julia")


def _finish(result: RunResult, as_json: bool) -> None:
    from ..report.terminal import show as show_run

    if as_json:
        from ..report.machine_readable import run_as_json

        typer.echo(run_as_json(result))
    else:
        show_run(console(), result)
    for error in result.errors:
        say(str(error), style="red")
    if result.errors:
        raise typer.Exit(2)
    if not result.ok:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the command `numdl`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no such signs gets question marks, not a traceback.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="numdl")
