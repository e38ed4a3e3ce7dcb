"""Asking every engine every study, the referee beside the others; each answer is kept as it comes.

An answer is on disk before the same engine is asked the next question, so that neither a crash nor
a kill loses it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..engines.base import Engine
from ..errors import BadInputError, EngineError, NumDLError, TamperedError
from ..studies.contract import Arrays, Options, Study
from ..studies.observation import Observation
from .events import Event, Watch
from .files import KEPT
from .recordings import NoRecordingError, against_recording
from .store import Failure, RunStore

GLANCE = 0.2
"""Seconds between two looks at Ctrl-C while another process is waited for."""


class Drawn(NamedTuple):
    """A study's turn in a run: its place, its options, its inputs and their hash."""

    number: int
    study: Study
    options: Options
    inputs: Arrays
    digest: str


class Asking:
    """**Arguments:**

    - `store`: takes the answers.
    - `watch`: told what begins and what is answered; never called by two threads at once.
    - `errors`: gets what did not end the run and must be known.
    """

    def __init__(self, store: RunStore, watch: Watch, errors: list[NumDLError]) -> None:
        self._store, self._watch, self._errors = store, watch, errors
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._open: dict[str, int] = {}
        self._instead: dict[tuple[str, str], str] = {}

    def all(self, engines: Sequence[Engine], drawn: Sequence[Drawn], total: int) -> None:
        """Return when every engine has answered or failed on every study.

        Engines that are `apart` go through the studies in threads of their own. Raises what an
        engine raises to end a run (`BadInputError`, Ctrl-C), after ending those that are apart.
        """
        self._open = {d.study.name: len(engines) for d in drawn}
        apart = [e for e in engines if getattr(e, "apart", False)]
        here = [e for e in engines if e not in apart]
        with ThreadPoolExecutor(max(1, len(apart))) as pool:
            try:
                lanes = [pool.submit(self._lane, [e], drawn, 0) for e in apart]
                self._lane(here, drawn, total)
                _finish(lanes)
            except BaseException:
                self._stopped.set()
                for engine in apart:
                    engine.close()
                raise

    def _lane(self, engines: Sequence[Engine], drawn: Sequence[Drawn], total: int) -> None:
        """Ask some engines, study by study; the lane that knows the `total` tells the studies."""
        try:
            for d in drawn:
                if total:
                    self._tell(Event("study", d.study.name, d.study.title, d.number, total))
                for engine in engines:
                    if self._stopped.is_set():
                        return
                    self._ask(engine, d)
                    self._answered(d)
        except BaseException:
            self._stopped.set()
            raise

    def _ask(self, engine: Engine, d: Drawn) -> None:
        if self._store.observation(d.study.name, engine.name) is not None:
            return
        self._tell(Event("engine", d.study.name, engine.name, d.number))
        with self.clock(d.study, engine.name):
            try:
                observation = engine.observe(d.study, d.options, d.inputs)
                _check(observation, d, engine)
            except BadInputError:
                raise
            except Exception as error:
                if not self._stopped.is_set():  # One that was ended by Ctrl-C has not failed.
                    self._failed(engine, d, error)
            else:
                self._store.save_observation(observation)
                if observation.recorded:
                    self._instead[d.study.name, engine.name] = "replayed"
                self._note_recording(observation, d)

    def _failed(self, engine: Engine, d: Drawn, error: Exception) -> None:
        """One engine's fall costs nobody else's results; a changed file is said aloud as well."""
        if isinstance(error, TamperedError):
            self._errors.append(error)
        crashed = not isinstance(error, NoRecordingError)
        if not crashed:
            self._instead[d.study.name, engine.name] = "no recording"
        self._store.save_failure(d.study.name, engine.name, Failure(in_words(error), crashed))

    def _note_recording(self, observation: Observation, d: Drawn) -> None:
        """Where a live engine's answer was once recorded, say whether it still is the same."""
        try:
            line = against_recording(observation, d.study, d.options)
        except TamperedError as error:
            self._errors.append(error)
            return
        if line is not None:
            self._tell(Event("note", d.study.name, line))
            with self._lock:
                notes = [*self._store.manifest["notes"], f"{d.study.name}: {line}"]
                self._store.set_status("running", notes=notes)

    def _answered(self, d: Drawn) -> None:
        with self._lock:
            self._open[d.study.name] -= 1
            if not self._open[d.study.name]:
                self._tell(Event("answered", d.study.name, self.spent(d.study), d.number))

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._watch(event)

    @contextmanager
    def clock(self, study: Study, part: str) -> Iterator[None]:
        """Note in the manifest what a part of the run took; a resumed one adds to it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - start
            with self._lock:
                seconds = self._store.manifest["studies"][study.name].setdefault("seconds", {})
                seconds[part] = round(seconds.get(part, 0.0) + took, 3)

    def spent(self, study: Study) -> str:
        """Seconds by part, in words; of an engine that computed nothing, what it did instead."""
        seconds = self._store.manifest["studies"][study.name].get("seconds", {})
        return ", ".join(
            f"{part} {self._instead.get((study.name, part), f'{took:.1f} s')}"
            for part, took in seconds.items()
        )


def _finish(lanes: Sequence[Future[None]]) -> None:
    while wait(lanes, GLANCE).not_done:
        continue
    for lane in lanes:
        lane.result()


def in_words(error: Exception) -> str:
    """An exception in one line; this package's own as they stand."""
    if isinstance(error, NumDLError):
        return str(error)
    lines = str(error).strip().splitlines() or ["no message"]
    return f"crashed with {type(error).__name__}: {lines[0]}"


def _check(observation: Observation, d: Drawn, engine: Engine) -> None:
    if observation.input_hash != d.digest:
        raise EngineError(
            f"engine {engine.name!r} received other bytes ({observation.input_hash[:12]}…) "
            f"than study {d.study.name!r} drew",
            f"inputs {d.digest[:12]}…",
        )
    for name, value in observation.values.items():
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        if not isinstance(value, np.ndarray) or value.dtype.kind not in KEPT:
            raise EngineError(
                f"engine {engine.name!r} returned {kind} for {name!r}", "an array of numbers"
            )
