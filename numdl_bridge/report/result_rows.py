"""A study's own results as tables: numbers in rows and columns of the study's choosing."""

from __future__ import annotations

import numpy as np

from ..compare import formatting
from ..runs.results import StudyResult
from ..studies.contract import ResultTable
from .table import Table

RESULTS = "Results"
"""The section that these tables stand in, on pages."""


def result_tables(result: StudyResult) -> list[Table]:
    """What the study found; a table that cannot be made is named, and the others are shown."""
    found = {name: o.values for name, o in result.observations.items() if o.values}
    try:
        return [_table(t) for t in result.study.results(found, result.options)]
    except Exception as error:  # a study's own code, over values of a run that is already there
        why = f"could not be tabulated: {type(error).__name__}: {error}"
        return [Table(RESULTS, [], notes=[why], section=RESULTS)]


def _table(found: ResultTable) -> Table:
    table = Table(found.title, list(found.columns), section=RESULTS)
    for row in found.rows:
        table.add(*(entry(cell) for cell in row))
    if found.note:
        table.notes.append(found.note)
    return table


def entry(cell: str | float | None) -> str:
    """Text as it is, whole numbers whole, others to three significant digits: `0.0344`, `1734`."""
    if cell is None:
        return formatting.NOTHING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int | np.integer):
        return str(cell)
    return formatting.three(float(cell))
