"""A result in the terminal: per study its tables, claims and remarks, in a hundred columns."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from ..runs.results import RunResult, StudyResult
from . import rows

WIDTH = 100
MOST_ROWS = 60
_STYLES = {
    "agree": "",
    "agree within budget": "cyan",
    "explained": "yellow",
    "disagree": "bold red",
    "unavailable": "dim",
    "": "dim",
}


def as_text(*results: StudyResult, width: int = WIDTH) -> str:
    """Plain text without colours, what `print(result)` shows."""
    console = Console(file=io.StringIO(), width=width, no_color=True, highlight=False)
    for result in results:
        console.print(study(result))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")


def show(console: Console, run: RunResult) -> None:
    """Print a whole run: every study, then one line each and where the run is kept."""
    for result in run.values():
        console.print(study(result))
    console.print(overview(run))


def study(result: StudyResult) -> RenderableType:
    """One study: question, the tables, claims, published figures, remarks."""
    parts: list[RenderableType] = [
        Rule(Text(f" {result.study.title} ", style="bold"), style="dim", align="left"),
        Text(f"{result.study.question}", style="italic"),
        Text(f"{result.name} · {_options(result)}", style="dim"),
        Text(),
    ]
    parts += [table_of(t) for t in rows.all_tables(result)]
    for verdict, line in rows.remarks(result):
        parts.append(Padding(Text(line, style=_STYLES[verdict]), (0, 0, 0, 1), expand=False))
    return Group(*parts, Text())


def table_of(table: rows.Table) -> RenderableType:
    """A table in the package's one style."""
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        named = column == table.title.lower()
        grid.add_column(
            Text(table.title, style="bold not dim") if named else Text(column), overflow="fold"
        )
    for cells, verdict in list(zip(table.rows, table.verdicts))[:MOST_ROWS]:
        style = _STYLES[verdict] if verdict else ""
        grid.add_row(*[Text(c, style=style) for c in cells])
    hidden = len(table.rows) - MOST_ROWS
    more = [f"and {hidden} more; `numdl pages` writes them all"] if hidden > 0 else []
    notes = [Text(f"  {n}", style="dim") for n in [*more, *table.notes]]
    return Padding(Group(grid, *notes), (0, 0, 1, 1), expand=False)


def overview(run: RunResult) -> RenderableType:
    """One line a study, then where the run is kept."""
    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for result in run.values():
        mark = Text("✓", style="green") if result.ok else Text("✗", style="bold red")
        grid.add_row(mark, Text(result.name), Text(result.summary))
    legend = "✓ agree   ≈ agree within budget   ∗ explained   ✗ disagree   – unavailable"
    notes = [Text(note, style="dim") for note in run.manifest.get("notes", [])]
    kept = Text(f"kept in {run.folder}")
    return Group(Rule(style="dim"), grid, Text(), *notes, Text(legend, style="dim"), kept)


def _options(result: StudyResult) -> str:
    fields = {f: getattr(result.options, f) for f in result.options.__struct_fields__}
    return ", ".join(f"{k}={v}" for k, v in fields.items())
