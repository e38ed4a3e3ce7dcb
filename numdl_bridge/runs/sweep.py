"""Sweeps: the same studies for many seeds, on one core, all cores or a cluster, by joblib.

One option chooses where (`backend="loky"`, `"dask"`, `"ray"`, or whatever joblib has registered);
the results are the same, because every seed is a run of its own with its own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInputError
from .budget import Budget
from .events import Event
from .plan import Plan
from .runner import run_all
from .store import RunStore

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
    settings: Mapping[str, Any] | None = None,
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
    - `settings`: options of the studies that are called as an argument here (`seeds`).
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
    options = {**options, **_not_ours(settings or {})}
    options.setdefault("timings", False)
    # Several seeds at once leave no core for a second process each.
    options.setdefault("sequential", jobs != 1)
    for seed in chosen:
        _check(names, seed, options, Path(folder))
    progress(Event("start", text=str(folder), total=len(chosen)))
    work = [joblib.delayed(_one)(names, s, str(folder), options) for s in chosen]
    rows: list[tuple[Any, ...]] = []
    with _parallel(backend):
        finished = joblib.Parallel(n_jobs=jobs, return_as="generator")(work)
        for number, (seed, found) in enumerate(zip(chosen, finished), 1):
            rows += found
            progress(Event("study", f"seed {seed}", "", number, len(chosen)))
            progress(Event("done", f"seed {seed}", f"{len(found)} outcomes", number))
    return pd.DataFrame(rows, columns=COLUMNS)


@contextmanager
def _parallel(backend: str) -> Iterator[None]:
    """joblib's backend; one that is not there ends in one message."""
    import joblib

    try:
        context = joblib.parallel_config(backend=backend)
    except (ValueError, ImportError) as error:
        raise BadInputError(
            f"backend {backend!r}: {error}",
            "loky, or one that joblib knows and that is installed",
            "use loky; dask and ray need their packages and a client",
        ) from None
    with context:
        yield


_OF_A_RUN = ("julia", "device", "threads", "timings", "size", "budget", "engines", "sequential")


def _not_ours(settings: Mapping[str, Any]) -> dict[str, Any]:
    if wrong := [name for name in settings if name in _OF_A_RUN or name == "seed"]:
        raise BadInputError(f"settings {wrong}", "options of the studies", "pass them by name")
    return dict(settings)


def _check(names: Sequence[str], seed: int, options: dict[str, Any], folder: Path) -> None:
    """Raise for bad input, and for a folder that holds the answer to another question."""
    settings = {k: v for k, v in options.items() if k not in _OF_A_RUN}
    plan = Plan(
        tuple(names),
        options.get("size", "default"),
        {**settings, "seed": seed},
        **{k: options[k] for k in ("julia", "device", "threads", "timings") if k in options},
        budget=Budget.of(options.get("budget", 1.0)),
    )
    plan.studies()
    place = folder / f"seed-{seed}"
    if (place / "manifest.json").is_file():
        kept, asked = RunStore.open(place).manifest["asked"], plan.plain()
        if off := [k for k in asked if asked[k] != kept.get(k)]:
            raise BadInputError(
                f"{place} holds a run with " + ", ".join(f"{k} = {kept.get(k)}" for k in off),
                ", ".join(f"{k} = {asked[k]}" for k in off),
                "choose another folder with --out, or remove that one",
            )


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
