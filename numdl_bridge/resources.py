"""Where the data files are: published figures, recordings, the Julia package.

In a checkout they stand at the top level, where people read them; in an installed wheel they
stand in `numdl_bridge/_data`. Nobody else in the package builds such a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UnknownNameError

if TYPE_CHECKING:
    import numpy as np

_PACKAGE = Path(__file__).resolve().parent
_FOLDERS = {
    "published": "comparisons/published",
    "recordings": "comparisons/recordings",
    "inputs": "comparisons/inputs",
}


def folder(name: str) -> Path:
    """The folder called `name`: `"published"`, `"recordings"`, `"inputs"` or `"julia"`."""
    installed = _PACKAGE / "_data" / name
    if installed.is_dir():
        return installed
    return _PACKAGE.parent / _FOLDERS.get(name, name)


def published(name: str) -> np.ndarray:
    """Read `comparisons/published/<name>.csv`.

    Returns a structured array (one field a column) where the file has a header line, otherwise a
    float64 array of shape `(rows,)` or `(rows, columns)`; lines that start with `#` are comments.
    """
    return _table("published", name)


def inputs(name: str) -> np.ndarray:
    """Read `comparisons/inputs/<name>.csv`: inputs that no machine could draw twice alike.

    Trained weights, say: kept with the command that made them. Form and errors as in `published`.
    """
    return _table("inputs", name)


def _table(kind: str, name: str) -> np.ndarray:
    # Not at the top: the command line asks where things are long before it needs numbers.
    import numpy as np

    path = folder(kind) / f"{name}.csv"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.csv")))
        raise UnknownNameError(f"no {kind} table called {name!r}", f"one of {known}")
    first = next(line for line in path.read_text().splitlines() if not line.startswith("#"))
    if first.split(",")[0][:1].isalpha():
        return np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return np.loadtxt(path, delimiter=",", comments="#")
