"""A table of short texts, as terminal, page and HTML get it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..runs.results import StudyResult

MARKS = {
    "agree": "✓",
    "agree within budget": "≈",
    "explained": "∗",
    "disagree": "✗",
    "unavailable": "–",
}
VERDICTS = "   ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
CELLS = (
    "A cell is the relative difference of two engines' values in the norm, in brackets the largest "
    "distance in units in the last place (~: their median, where one tiny entry makes the largest "
    "senseless), and the verdict. = is equality to the last bit, ±0 equality but for a zero's "
    "sign, abs an absolute difference, where that is what the tolerance bounds; ‖…‖ is the norm "
    "of an array."
)


@dataclass
class Table:
    """**Arguments:**

    - `title`, `columns`: the heading and those of the columns.
    - `rows`: cells as text, as many as columns.
    - `verdicts`: for each row the gravest verdict in it, or `""`; for colours.
    - `notes`: lines below the table.
    - `section`: a heading that it shares with its neighbours, on pages.
    - `more_columns`, `more`: further columns, and for each row their cells, that only pages have
      room for. `hints`: for each row what the last of them rests on.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    section: str = ""
    more_columns: list[str] = field(default_factory=list)
    more: list[list[str]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def add(self, *cells: str, verdict: str = "") -> None:
        self.rows.append(list(cells))
        self.verdicts.append(verdict)

    def wide(self) -> tuple[list[str], list[list[str]]]:
        """Columns and rows with those that only pages have; further columns all empty left out."""
        kept = [k for k in range(len(self.more_columns)) if any(row[k] for row in self.more)]
        rows = [
            [*row, *(more[k] for k in kept)]
            for row, more in zip(self.rows, self.more or [[]] * len(self.rows), strict=True)
        ]
        return [*self.columns, *(self.more_columns[k] for k in kept)], rows


def answering(result: StudyResult) -> list[str]:
    """The engines that returned anything."""
    return [e for e in result.observations if any(c for c in result.observations[e].values)]
