"""From what a run keeps on disk to its conclusions; nothing is computed by an engine."""

from __future__ import annotations

from pathlib import Path

from ..compare import compare_study
from ..studies import get_study
from ..studies.contract import Options, Study
from .budget import Budget
from .files import plain
from .plan import Plan
from .results import RunResult, StudyResult
from .store import RunStore, find_run


def judge(store: RunStore, study: Study, options: Options, budget: Budget) -> StudyResult:
    """Compare the stored observations of a study under a budget."""
    failures = store.failures(study.name)
    observations = {}
    for name in store.engines(study.name):
        observation = store.observation(study.name, name)
        if observation is not None:
            observations[name] = observation
    reasons = {name: failure.reason for name, failure in failures.items()}
    comparison = compare_study(
        study,
        options,
        observations,
        scale=budget.scale,
        overrides=budget.overrides,
        absent={**store.manifest.get("absent", {}), **reasons},
    )
    return StudyResult(
        study=study,
        options=options,
        observations=observations,
        comparison=comparison,
        crashed={n: f.reason for n, f in failures.items() if f.crashed},
        folder=store.path,
    )


def open_run(run: str | Path = "last", budget: Budget | None = None) -> RunResult:
    """A run as it was kept, judged by its own budget or by another; nothing is written.

    Raises `UnknownNameError` where there is no such run, `TamperedError` where a byte changed.
    """
    store = RunStore.open(find_run(run))
    own = Plan.read(store.manifest).budget
    results = {}
    for name in store.studies:
        if not store.engines(name) and not store.failures(name):
            continue  # Interrupted before anybody answered: there is nothing to judge.
        study = get_study(name)
        options = study.configure(**store.manifest["studies"][name]["options"])
        results[name] = judge(store, study, options, budget or own)
    return RunResult(results, store.path, store.manifest)


def rescore(run: str | Path = "last", budget: Budget | float = 1.0) -> RunResult:
    """Judge a run's stored observations by another budget, and keep the new verdicts with it.

    Engines compute nothing. Raises what `open_run` raises, and `BadInputError` for a budget that
    names no quantity of the run.
    """
    from ..compare import check_overrides

    chosen = Budget.of(budget)
    store = RunStore.open(find_run(run))
    check_overrides(
        [
            (get_study(n), get_study(n).configure(**store.manifest["studies"][n]["options"]))
            for n in store.studies
        ],
        chosen.overrides,
    )
    result = open_run(store.path, chosen)
    for name, study_result in result.items():
        store.save_comparison(name, study_result.comparison.to_plain())
    store.manifest["asked"]["budget"] = plain(chosen)
    store.set_status(store.manifest["status"])
    return result
