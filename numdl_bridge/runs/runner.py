"""The runner: draw once, hand the same bits to every engine, time, compare, keep.

Whatever an engine answered is on disk before it is asked the next question (`asking.py`), so that
neither a crash nor a kill loses it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.base import Engine, Stopwatch
from ..errors import BadInputError, EngineError, NumDLError
from ..studies.contract import Options, Study, check_finite, input_hash, plain_options
from .asking import Asking, Drawn, in_words
from .budget import Budget
from .events import Event, RunInterrupted, Watch
from .judging import judge
from .machine import machine, versions
from .plan import BESIDE_LIVE_JULIA, SECONDS, Plan
from .results import RunResult, StudyResult
from .slots import Slots, choose_engines
from .store import RunStore, find_run
from .timing import measure


def run(
    *names: str,
    size: str = "default",
    julia: str = "auto",
    device: str = "cpu",
    threads: int = 1,
    timings: bool = True,
    resume: str | Path | bool = False,
    folder: str | Path | None = None,
    budget: Budget | float = 1.0,
    progress: Watch | None = None,
    engines: Sequence[Engine] | None = None,
    sequential: bool = False,
    **settings: Any,
) -> StudyResult | RunResult:
    """Run studies with every engine and compare the answers; the run is kept on disk.

    **Arguments:**

    - `names`: of the studies; all of them, in the talk's order, when none is given.
    - `size`: `"quick"`, `"default"` or `"full"`.
    - `julia`: `"auto"`, `"live"`, `"recorded"` or `"off"`, see `choose_engines`.
    - `device`, `threads`: of the torch engine (threads also of Julia).
    - `timings`: False to time nothing.
    - `resume`: a run (folder, id, `"last"` or True for the last) to continue; what it holds is not
      computed again, and everything else is taken from its manifest.
    - `folder`: where the run is kept; `./numdl-runs/<UTC time>-<id>` unless given.
    - `budget`: a factor on every tolerance, or a `Budget`.
    - `progress`: called with an `Event` whenever something begins.
    - `engines`: instances to use instead of torch, Julia and the referee.
    - `sequential`: True to ask one engine after the other in this process; else the referee answers
      in a process of its own beside them. The answers are the same.
    - `settings`: options of the studies (`seed=1`, `dtype="float32"`, `n_steps=30`); one that only
      some of the chosen studies have goes to those.

    **Returns:** a `StudyResult` for one name, else a `RunResult` (a mapping by study name).

    Raises `NumDLError` for bad input, `RunInterrupted` (a `KeyboardInterrupt`) on Ctrl-C.
    """
    whole = run_all(
        *names,
        size=size,
        julia=julia,
        device=device,
        threads=threads,
        timings=timings,
        resume=resume,
        folder=folder,
        budget=budget,
        progress=progress,
        engines=engines,
        sequential=sequential,
        **settings,
    )
    asked = whole.manifest["asked"]["names"]
    return whole[asked[0]] if len(asked) == 1 else whole


def run_all(
    *names: str,
    size: str = "default",
    julia: str = "auto",
    device: str = "cpu",
    threads: int = 1,
    timings: bool = True,
    resume: str | Path | bool = False,
    folder: str | Path | None = None,
    budget: Budget | float = 1.0,
    progress: Watch | None = None,
    engines: Sequence[Engine] | None = None,
    sequential: bool = False,
    **settings: Any,
) -> RunResult:
    """`run`, but always a `RunResult`, which also tells what was found tampered with."""
    watch = progress or (lambda event: None)
    if resume:
        store = RunStore.open(find_run("last" if resume is True else resume))
        plan = Plan.read(store.manifest)
        _refuse_with_resume(
            [*names, *settings],
            plan,
            {"size": size, "julia": julia, "device": device, "threads": threads}
            | {"timings": timings, "budget": Budget.of(budget)},
        )
        chosen = plan.studies()
        if store.manifest["versions"] != versions():
            watch(Event("note", text="this run was begun with other versions than are here now"))
    else:
        plan = Plan(names, size, settings, julia, device, threads, timings, Budget.of(budget))  # type: ignore[arg-type]
        chosen = plan.studies()
        store = None
    inputs, defects = _draw(chosen)
    slots = (
        Slots(list(engines))
        if engines is not None
        else choose_engines(
            plan.julia, plan.device, plan.threads, say=_sayer(watch), sequential=sequential
        )
    )
    store = store or RunStore.create(_asked(plan), folder)
    with closing(slots):
        return _Run(store, plan, slots, watch, defects).everything(chosen, inputs)


def _refuse_with_resume(named: list[str], plan: Plan, also: Mapping[str, Any]) -> None:
    """A resumed run takes all from its manifest: what is asked beside it must be the same."""
    default = Plan(())
    given = [k for k, v in also.items() if v not in (getattr(default, k), getattr(plan, k))]
    if named or given:
        raise BadInputError(
            f"{', '.join([*named, *given])} given together with --resume",
            "nothing: a resumed run takes them from its manifest",
            "leave them out, or start a new run",
        )


def _draw(
    chosen: Sequence[tuple[Study, Options]],
) -> tuple[dict[str, dict[str, np.ndarray]], list[NumDLError]]:
    """Every study's inputs by its name, and the defects of those that could not draw theirs.

    Before anything begins that takes seconds: bad input is told at once. A defect in one study's
    own code must not cost the others.
    """
    inputs, defects = {}, []
    for study, options in chosen:
        try:
            inputs[study.name] = study.inputs(options)
            check_finite(study.name, inputs[study.name])
        except NumDLError:
            raise
        except Exception as error:
            defects.append(_defect(study, error))
    return inputs, defects


def _sayer(watch: Watch) -> Callable[[str], None]:
    return lambda line: watch(Event("note", text=line))


def _asked(plan: Plan) -> dict[str, Any]:
    return {
        "asked": plan.plain(),
        "command": sys.argv,
        "versions": versions(),
        "machine": machine(),
    }


class _Run:
    """One run in progress: keep what was drawn, ask everybody, then time, compare and keep.

    Nothing is timed before the last engine has answered: what else computes would be in the figure.
    """

    def __init__(
        self,
        store: RunStore,
        plan: Plan,
        slots: Slots,
        watch: Watch,
        errors: Sequence[NumDLError],
    ) -> None:
        self.store, self.plan, self.slots, self.watch = store, plan, slots, watch
        self.errors = list(errors)
        self.asking = Asking(store, watch, self.errors)

    def everything(
        self,
        chosen: Sequence[tuple[Study, Options]],
        inputs: Mapping[str, dict[str, np.ndarray]],
    ) -> RunResult:
        self.watch(Event("start", text=str(self.store.path), total=len(chosen)))
        for line in self.slots.notes:
            self.watch(Event("note", text=line))
        kept = [n for n in self.store.manifest.get("notes", []) if n not in self.slots.notes]
        notes = [*self.slots.notes, *kept]
        before = self.store.manifest["status"]
        self.store.set_status("running", absent=self.slots.absent, notes=notes)
        results: dict[str, StudyResult] = {}
        try:
            drawn = [
                self._keep(number, study, options, inputs[study.name])
                for number, (study, options) in enumerate(chosen, 1)
                if study.name in inputs
            ]
            self.asking.all(self.slots.engines, drawn, len(chosen))
            for d in drawn:
                with self._sparing(d.study):
                    results[d.study.name] = self._conclude(d)
            if self.errors and not results:
                raise self.errors[0]
        except KeyboardInterrupt:
            self.store.set_status("interrupted")
            raise RunInterrupted(self.store.path) from None
        except BaseException as error:
            # What refuses to be resumed stays what it was.
            refused = isinstance(error, BadInputError) and before != "running"
            self.store.set_status(before if refused else "failed")
            raise
        self.store.set_status("complete" if len(results) == len(chosen) else "failed")
        return RunResult(results, self.store.path, self.store.manifest, self.errors)

    @contextmanager
    def _sparing(self, study: Study) -> Iterator[None]:
        """A defect in one study's own code (its claims, say) must not cost the next."""
        try:
            yield
        except NumDLError:
            raise
        except Exception as error:
            self.errors.append(_defect(study, error))

    def _keep(
        self, number: int, study: Study, options: Options, inputs: dict[str, np.ndarray]
    ) -> Drawn:
        digest = input_hash(inputs)
        self.store.save_inputs(study.name, plain_options(options), inputs, digest)
        return Drawn(number, study, options, inputs, digest)

    def _conclude(self, d: Drawn) -> StudyResult:
        if self.plan.timings and not self.store.has_timings(d.study.name):
            with self.asking.clock(d.study, "timing"):
                self._time(d.study, d.options, d.inputs)
        self.watch(Event("engine", d.study.name, "comparing", d.number))
        result = judge(self.store, d.study, d.options, self.plan.budget)
        self.store.save_comparison(d.study.name, result.comparison.to_plain())
        self.watch(Event("done", d.study.name, result.summary, d.number))
        return result

    def _time(self, study: Study, options: Options, inputs: Any) -> None:
        with ExitStack() as stack:
            watches: dict[str, Stopwatch] = {}
            for engine in self.slots.engines:
                if engine.name in self.store.failures(study.name):
                    continue
                try:
                    watch = engine.stopwatch(study, options, inputs)
                except Exception as error:
                    self.watch(Event("note", study.name, f"{engine.name} is not timed: {error}"))
                    continue
                if watch is not None:
                    watches[engine.name] = stack.enter_context(closing(watch))
            both = {"torch", "julia"} <= {*watches}
            taken, problems = measure(
                watches,
                SECONDS[self.plan.size] * (BESIDE_LIVE_JULIA if both else 1.0),
                lambda task: self.watch(Event("timing", study.name, task)),
            )
        for name, problem in problems.items():
            self.watch(Event("note", study.name, f"{name} is not timed: {problem}"))
        self.store.save_timings(study.name, taken)


def _defect(study: Study, error: Exception) -> NumDLError:
    return EngineError(
        f"study {study.name!r} {in_words(error)}",
        "its inputs, quantities and claims to be made without an exception",
        "report it, or leave the study out by naming the others",
    )
