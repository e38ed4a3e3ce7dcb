"""A result in the terminal: per study its tables, claims and remarks, in a hundred columns."""

from __future__ import annotations

import io
from importlib.util import find_spec

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from ..runs.results import RunResult, StudyResult
from ..runs.store import ROOT
from . import rows
from .table import CELLS, VERDICTS, Table

WIDTH = 100
MOST_ROWS = 60
MOST_ROWS_OF_MANY = 12
"""Rows of a table where several studies are printed one after the other."""
MOST_JUDGED_OF_MANY = 6
"""The same of tables of differences, most rows of which say that all is well."""

SENTENCES = ("Claims", "Published figures")
"""Tables whose rows are named in words."""

JUDGED = (*rows.KINDS, "Further opinions")

_STYLES = {
    "agree": "",
    "agree within budget": "cyan",
    "explained": "yellow",
    "disagree": "bold red",
    "unavailable": "dim",
    "": "dim",
}
_LEGEND = [Text(VERDICTS, style="dim"), Text(CELLS, style="dim")]


def as_text(*results: StudyResult, width: int = WIDTH) -> str:
    """Plain text without colours, what `print(result)` shows."""
    console = Console(file=io.StringIO(), width=width, no_color=True, highlight=False)
    for result in results:
        console.print(study(result))
    console.print(*_LEGEND, sep="\n")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")


def show(console: Console, run: RunResult) -> None:
    """Print a whole run: every study, then one line each, where the run is kept, and what next."""
    most = MOST_ROWS if len(run) == 1 else MOST_ROWS_OF_MANY
    for result in run.values():
        console.print(study(result, most))
    console.print(overview(run))


def study(result: StudyResult, most: int = MOST_ROWS) -> RenderableType:
    """One study: question, the tables (`most` rows each), claims, published figures, remarks."""
    parts: list[RenderableType] = [
        Rule(Text(f" {result.study.title} ", style="bold"), style="dim", align="left"),
        Text(f"{result.study.question}", style="italic"),
        Text(f"{result.name} · {_options(result)}", style="dim"),
        Text(),
    ]
    for table in rows.all_tables(result):
        judged = most < MOST_ROWS and table.title in JUDGED
        parts.append(table_of(table, min(most, MOST_JUDGED_OF_MANY) if judged else most))
    for verdict, line in rows.remarks(result):
        parts.append(Padding(Text(line, style=_STYLES[verdict]), (0, 0, 0, 1), expand=False))
    return Group(*parts, Text())


def table_of(table: Table, most: int = MOST_ROWS) -> RenderableType:
    """A table in the package's one style: its first rows, and every one that disagrees."""
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    titled = table.title.lower() in table.columns
    for place, column in enumerate(table.columns):
        named = column == table.title.lower()
        # A quantity's name is never broken, so that it can be copied; claims are sentences.
        grid.add_column(
            Text(table.title, style="bold not dim") if named else Text(column),
            overflow="fold",
            no_wrap=(named and table.title not in SENTENCES) or (place == 0 and not titled),
            min_width=None if titled else max(map(len, column.split()), default=1),
        )
    shown = [
        row
        for number, row in enumerate(zip(table.rows, table.verdicts))
        if number < most or row[1] == "disagree" or table.title == "Claims"
    ]
    for cells, verdict in shown:
        style = _STYLES[verdict] if verdict else ""
        grid.add_row(*[Text(c, style=style) for c in cells])
    hidden = len(table.rows) - len(shown)
    how = "`numdl show RUN STUDY`" if most < MOST_ROWS else "`numdl pages`"
    judged = ", none of which disagrees" if any(table.verdicts) else ""
    more = [f"and {hidden} more{judged}; {how} has them all"] if hidden else []
    notes = [Text(f"  {n}", style="dim") for n in [*more, *table.notes]]
    heading = [] if titled else [Text(table.title, style="bold")]
    return Padding(Group(*heading, grid, *notes), (0, 0, 1, 1), expand=False)


def overview(run: RunResult) -> RenderableType:
    """One line a study, then where the run is kept and what to do now."""
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for result in run.values():
        mark = Text("✓", style="green") if result.ok else Text("✗", style="bold red")
        alone = "" if "julia" in result.values else " · without Julia"
        grid.add_row(mark, Text(result.name), Text(f"{result.summary}{alone}"))
    notes = [Text(note, style="dim") for note in run.manifest.get("notes", [])]
    kept = Text(f"kept in {run.folder}")
    told = [Text(line, style="dim") for line in next_steps(run)]
    return Group(Rule(style="dim"), grid, Text(), *notes, *_LEGEND, kept, *told)


def next_steps(run: RunResult) -> list[str]:
    """The commands that make sense after this run, a line each."""
    # Runs of a plain `numdl run` are found by `last`; others by their path.
    name = "last" if run.folder.parent == ROOT else str(run.folder)
    status = run.manifest["status"]
    steps = []
    if status != "complete":
        steps.append((f"numdl run --resume --out {run.folder}", f"goes on ({status} now)"))
    steps.append((f"numdl show {name}", "prints this again"))
    if status == "complete":
        drawn = ", with figures" if find_spec("matplotlib") else ""
        steps.append((f"numdl pages {name} --folder pages", f"writes it as pages{drawn}"))
    if not any("julia" in result.values for result in run.values()):
        steps.append(("numdl julia setup", "prepares a Julia to compare with"))
    elif all(result.observations["julia"].recorded for result in _with_julia(run)):
        steps.append(("numdl julia setup", "prepares a live Julia, with timings"))
    width = max(len(command) for command, _ in steps)
    return [f"  {command:<{width}}  {what}" for command, what in steps]


def _with_julia(run: RunResult) -> list[StudyResult]:
    return [result for result in run.values() if "julia" in result.observations]


def _options(result: StudyResult) -> str:
    fields = {f: getattr(result.options, f) for f in result.options.__struct_fields__}
    return ", ".join(f"{k}={v}" for k, v in fields.items())
