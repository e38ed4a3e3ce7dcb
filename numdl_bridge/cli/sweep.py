"""`numdl sweep`: the same studies for many seeds, on several cores or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from .console import Full, Quick, console, parse_settings, size_of


def sweep(
    studies: Annotated[list[str] | None, typer.Argument(help="all if none")] = None,
    seeds: Annotated[int, typer.Option(help="how many: 0, 1, 2, ...")] = 10,
    jobs: Annotated[int, typer.Option(help="processes; -1: one a core")] = 1,
    backend: Annotated[str, typer.Option(help="of joblib: loky, dask, ray")] = "loky",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="option of a study")
    ] = None,
    quick: Quick = False,
    full: Full = False,
    julia: Annotated[str, typer.Option(help="auto, live, recorded or off")] = "off",
    out: Annotated[Path, typer.Option(help="one run a seed goes here")] = Path("numdl-runs/sweep"),
    csv: Annotated[Path | None, typer.Option(help="also every outcome as CSV")] = None,
) -> None:
    """Run studies for many seeds: how often does each claim hold?"""
    from ..report.progress import Progress
    from ..runs.files import write_atomic
    from ..runs.sweep import sweep as run_sweep

    with Progress(console(stderr=True)) as progress:
        found = run_sweep(
            *(studies or []),
            seeds=seeds,
            jobs=jobs,
            backend=backend,
            folder=out,
            progress=progress,
            size=size_of(quick, full),
            julia=julia,
            settings=parse_settings(settings or []),
        )
    if csv:
        write_atomic(csv, found.to_csv(index=False).encode())
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("study", "claim", "engine", "holds"):
        grid.add_column(column, overflow="fold")
    decided = found[found["outcome"] != "not checked"]
    all_hold = True
    for key, rows in decided.groupby(["study", "claim", "engine"], sort=False):
        held = int((rows["outcome"] == "holds").sum())
        all_hold &= held == len(rows)
        style = "" if held == len(rows) else "bold red"
        grid.add_row(*map(str, key), Text(f"{held}/{len(rows)}", style=style))
    console().print(grid)
    if not all_hold:
        raise typer.Exit(1)
