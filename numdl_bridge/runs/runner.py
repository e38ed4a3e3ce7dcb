"""The runner: draw once, hand the same bits to every engine, time, compare, keep.

Whatever an engine answered is on disk before the next one is asked, so that neither a crash nor a
kill loses it.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.base import Engine, Stopwatch, plain_options
from ..errors import BadInputError, EngineError, NumDLError, TamperedError
from ..studies.contract import Options, Study, check_finite, input_hash
from ..studies.observation import Observation
from .budget import Budget
from .events import Event, RunInterrupted, Watch
from .files import KEPT
from .judging import judge
from .machine import machine, versions
from .plan import SECONDS, Plan
from .recordings import NoRecordingError, against_recording
from .results import RunResult, StudyResult
from .slots import Slots, choose_engines
from .store import Failure, RunStore, find_run
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
    **settings: Any,
) -> RunResult:
    """`run`, but always a `RunResult`, which also tells what was found tampered with."""
    watch = progress or (lambda event: None)
    if resume:
        store = RunStore.open(find_run("last" if resume is True else resume))
        plan = Plan.read(store.manifest)
        if names or settings:
            raise BadInputError(
                f"studies or settings ({', '.join([*names, *settings])}) together with --resume",
                "nothing: a resumed run takes them from its manifest",
                "leave them out, or start a new run",
            )
        chosen = plan.studies()
        if store.manifest["versions"] != versions():
            watch(Event("note", text="this run was begun with other versions than are here now"))
    else:
        plan = Plan(names, size, settings, julia, device, threads, timings, Budget.of(budget))  # type: ignore[arg-type]
        chosen = plan.studies()
        store = None
    slots = (
        Slots(list(engines))
        if engines is not None
        else choose_engines(plan.julia, plan.device, plan.threads, say=_sayer(watch))
    )
    store = store or RunStore.create(_asked(plan), folder)
    with closing(slots):
        return _Run(store, plan, slots, watch).everything(chosen)


def _sayer(watch: Watch) -> Callable[[str], None]:
    return lambda line: watch(Event("note", text=line))


def _asked(plan: Plan) -> dict[str, Any]:
    return {
        "asked": dataclasses.asdict(plan),
        "command": sys.argv,
        "versions": versions(),
        "machine": machine(),
    }


class _Run:
    """One run in progress."""

    def __init__(self, store: RunStore, plan: Plan, slots: Slots, watch: Watch) -> None:
        self.store, self.plan, self.slots, self.watch = store, plan, slots, watch
        self.errors: list[NumDLError] = []

    def everything(self, chosen: Sequence[tuple[Study, Options]]) -> RunResult:
        self.watch(Event("start", text=str(self.store.path), total=len(chosen)))
        for line in self.slots.notes:
            self.watch(Event("note", text=line))
        kept = [n for n in self.store.manifest.get("notes", []) if n not in self.slots.notes]
        notes = [*self.slots.notes, *kept]
        self.store.set_status("running", absent=self.slots.absent, notes=notes)
        results = {}
        try:
            for number, (study, options) in enumerate(chosen, 1):
                self.watch(Event("study", study.name, study.title, number, len(chosen)))
                try:
                    results[study.name] = self._study(study, options)
                except NumDLError:
                    raise
                except Exception as error:
                    # A defect in one study's own code (its draw, say) must not cost the next.
                    self.errors.append(_defect(study, error))
                    continue
                self.watch(Event("done", study.name, self._done(results[study.name]), number))
            if self.errors and not results:
                raise self.errors[0]
        except KeyboardInterrupt:
            self.store.set_status("interrupted")
            raise RunInterrupted(self.store.path) from None
        except BaseException:
            self.store.set_status("failed")
            raise
        self.store.set_status("complete" if len(results) == len(chosen) else "failed")
        return RunResult(results, self.store.path, self.store.manifest, self.errors)

    def _done(self, result: StudyResult) -> str:
        spent = self.store.manifest["studies"][result.name].get("seconds", {})
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in spent.items())
        return f"({parts})  {result.summary}"

    def _study(self, study: Study, options: Options) -> StudyResult:
        inputs = study.inputs(options)
        check_finite(study.name, inputs)
        digest = input_hash(inputs)
        self.store.save_inputs(study.name, plain_options(options), inputs, digest)
        for engine in self.slots.engines:
            with self._clock(study, engine.name):
                self._observe(engine, study, options, inputs, digest)
        if self.plan.timings and not self.store.has_timings(study.name):
            with self._clock(study, "timing"):
                self._time(study, options, inputs)
        self.watch(Event("engine", study.name, "comparing"))
        result = judge(self.store, study, options, self.plan.budget)
        self.store.save_comparison(study.name, result.comparison.to_plain())
        return result

    @contextmanager
    def _clock(self, study: Study, part: str) -> Iterator[None]:
        """Note in the manifest what a part of the run took; a resumed one adds to it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = self.store.manifest["studies"][study.name].setdefault("seconds", {})
            seconds[part] = round(seconds.get(part, 0.0) + time.perf_counter() - start, 3)

    def _observe(
        self, engine: Engine, study: Study, options: Options, inputs: Any, digest: str
    ) -> None:
        if self.store.observation(study.name, engine.name) is not None:
            return
        self.watch(Event("engine", study.name, engine.name))
        try:
            observation = engine.observe(study, options, inputs)
            _check_observation(observation, study, engine, digest)
        except BadInputError:
            raise
        except NoRecordingError as error:
            self.store.save_failure(study.name, engine.name, Failure(str(error), crashed=False))
        except Exception as error:
            # One engine's fall costs nobody else's results; a changed file is said aloud as well.
            if isinstance(error, TamperedError):
                self.errors.append(error)
            self.store.save_failure(study.name, engine.name, Failure(_in_words(error)))
        else:
            self.store.save_observation(observation)
            self._note_recording(observation, study, options)

    def _note_recording(self, observation: Observation, study: Study, options: Options) -> None:
        """Where a live engine's answer was once recorded, say whether it still is the same."""
        try:
            line = against_recording(observation, study, options)
        except TamperedError as error:
            self.errors.append(error)
            return
        if line is not None:
            self.watch(Event("note", study.name, line))
            notes = [*self.store.manifest["notes"], f"{study.name}: {line}"]
            self.store.set_status("running", notes=notes)

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
            taken, problems = measure(
                watches,
                SECONDS[self.plan.size],
                lambda task: self.watch(Event("timing", study.name, task)),
            )
        for name, problem in problems.items():
            self.watch(Event("note", study.name, f"{name} is not timed: {problem}"))
        self.store.save_timings(study.name, taken)


def _defect(study: Study, error: Exception) -> NumDLError:
    return EngineError(
        f"study {study.name!r} {_in_words(error)}",
        "its inputs, quantities and claims to be made without an exception",
        "report it, or leave the study out by naming the others",
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, NumDLError):
        return str(error)
    lines = str(error).strip().splitlines() or ["no message"]
    return f"crashed with {type(error).__name__}: {lines[0]}"


def _check_observation(observation: Observation, study: Study, engine: Engine, digest: str) -> None:
    if observation.input_hash != digest:
        raise EngineError(
            f"engine {engine.name!r} received other bytes ({observation.input_hash[:12]}…) "
            f"than study {study.name!r} drew",
            f"inputs {digest[:12]}…",
        )
    for name, value in observation.values.items():
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        if not isinstance(value, np.ndarray) or value.dtype.kind not in KEPT:
            raise EngineError(
                f"engine {engine.name!r} returned {kind} for {name!r}", "an array of numbers"
            )
