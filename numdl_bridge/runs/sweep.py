"""Sweeps: the same studies for many seeds, on one core, all cores or a cluster, by joblib.

One option chooses where (`backend="loky"`, `"dask"`, `"ray"`, or whatever joblib has registered);
the results are the same, because every seed is a run of its own with its own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInputError
from .events import Event
from .plan import Plan
from .runner import run_all

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["study", "seed", "engine", "claim", "outcome", "figure"]


def sweep(
    *names: str,
    seeds: int | Sequence[int] = 10,
    jobs: int = 1,
    backend: str = "loky",
    folder: str | Path = "numdl-runs/sweep",
    progress: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> pd.DataFrame:
    """Run studies for several seeds and return every claim's outcome, one row each.

    **Arguments:**

    - `names`: of the studies, as in `run`.
    - `seeds`: how many (0, 1, 2, ...) or which.
    - `jobs`: processes; -1 for one a core.
    - `backend`: of joblib; `"dask"` and `"ray"` need a client registered with joblib.
    - `folder`: each seed's run is kept in `folder/seed-<seed>`; runs that are complete there are
      read, not repeated, and unfinished ones are continued.
    - `options`: as in `run`; timings are off unless asked for.

    **Returns:** columns `study`, `seed`, `engine`, `claim`, `outcome`, `figure`. A verdict
    `disagree` is a row too, its quantity as the claim.

    Raises `NumDLError` for bad input, before anything is computed.
    """
    import joblib
    import pandas as pd

    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not chosen or jobs == 0:
        raise BadInputError(f"{len(chosen)} seeds on {jobs} jobs", "at least one of each")
    if backend == "threading":
        raise BadInputError(
            "backend 'threading'",
            "a backend of processes, such as loky, dask or ray",
            "use loky: precision and thread counts are settings of a whole process",
        )
    options.setdefault("timings", False)
    # Several seeds at once leave no core for a second process each.
    options.setdefault("sequential", jobs != 1)
    _check(names, chosen[0], options)
    progress(Event("start", text=str(folder), total=len(chosen)))
    work = [joblib.delayed(_one)(names, s, str(folder), options) for s in chosen]
    rows: list[tuple[Any, ...]] = []
    with joblib.parallel_config(backend=backend):
        finished = joblib.Parallel(n_jobs=jobs, return_as="generator")(work)
        for number, (seed, found) in enumerate(zip(chosen, finished), 1):
            rows += found
            progress(Event("study", f"seed {seed}", "", number, len(chosen)))
            progress(Event("done", f"seed {seed}", f"{len(found)} outcomes", number))
    return pd.DataFrame(rows, columns=COLUMNS)


def _check(names: Sequence[str], seed: int, options: dict[str, Any]) -> None:
    own = {"julia", "device", "threads", "timings", "size", "budget", "engines", "sequential"}
    settings = {k: v for k, v in options.items() if k not in own}
    Plan(tuple(names), options.get("size", "default"), {**settings, "seed": seed}).studies()


def _one(
    names: Sequence[str], seed: int, folder: str, options: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """One seed, in whatever process joblib chose; plain tuples travel back."""
    place = Path(folder) / f"seed-{seed}"
    if (place / "manifest.json").is_file():
        own = {k: options[k] for k in ("engines", "sequential") if k in options}
        result = run_all(resume=place, **own)
    else:
        result = run_all(*names, seed=seed, folder=place, **options)
    rows: list[tuple[Any, ...]] = []
    for name, study in result.items():
        for row in study.claims.itertuples(index=False):
            rows.append((name, seed, row.engine, row.claim, row.outcome, row.figure))
        for d in study.comparison.disagreements:
            rows.append((name, seed, d.pair, d.quantity, "disagree", d.reason))
        for engine, reason in study.crashed.items():
            rows.append((name, seed, engine, "answers at all", "crashed", reason))
    return rows
