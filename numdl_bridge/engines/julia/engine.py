"""`JuliaEngine`: answers studies in Julia, through the worker.

A study is answered in parts (`NumDLBridge.prepare` names them), one call a part, so that a crash in
one of them costs that part only: the worker starts again, gets the inputs again, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import EngineError
from ...studies.contract import Arrays, Options, Study, check_finite, plain_options
from ...studies.observation import Observation, Timing, Unavailable
from ..base import sort_answer
from .failure import JuliaMissingError, WorkerDiedError, WorkerGarbageError
from .process import Progress
from .readiness import Readiness, readiness
from .settings import Settings, resolve
from .stamps import write_stamp
from .worker import Reply, Worker

PART_SECONDS = 1800.0
"""Seconds that one part of a study may take, compilation included."""


class JuliaEngine:
    """Answers studies with Julia, live.

    **Arguments:**

    - `settings`: which Julia; looked up when None (see `settings.resolve`).
    - `progress`: takes one line for each phase of a start.
    - `timeout`: seconds that one part of a study may take.
    - `worker`: another worker than the one of `settings` (for tests).
    - `threads`: of Julia and of its BLAS, where `settings` are looked up.
    """

    name = "julia"

    def __init__(
        self,
        settings: Settings | None = None,
        progress: Progress | None = None,
        timeout: float = PART_SECONDS,
        worker: Worker | None = None,
        threads: int = 1,
    ) -> None:
        self.settings = replace(resolve(), threads=threads) if settings is None else settings
        self.worker = worker or Worker(self.settings, progress)
        self.timeout = timeout
        self._readiness: Readiness | None = None

    def readiness(self) -> Readiness:
        """Whether Julia is ready, installable or missing; looked up once."""
        if self._readiness is None:
            self._readiness = readiness(self.settings)
        return self._readiness

    def missing(self) -> str | None:
        return None if self.worker.pid is not None else self.readiness().message

    def start(self) -> dict[str, Any]:
        """Start Julia unless it runs, remember what that came to, and return the worker's facts."""
        if self.worker.pid is None:
            try:
                self.worker.start()
            except (JuliaMissingError, WorkerDiedError, WorkerGarbageError) as error:
                write_stamp(self.settings, False, str(error))
                raise
            write_stamp(self.settings, True, facts=self.worker.facts)
        return self.worker.facts

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        check_finite(study.name, inputs)
        self.start()
        prepared = _Prepared(self, study, options, inputs)
        answer: dict[str, Any] = {}
        timings = self._life()
        failures: list[EngineError] = []
        peak = 0
        for part in prepared.parts:
            try:
                reply = prepared.call("answer", {"part": part})
            except EngineError as error:
                failures.append(error)
                continue
            answer |= reply.arrays | reply.data["labels"]
            answer |= {k: Unavailable(why) for k, why in reply.data["unavailable"].items()}
            peak = max(peak, reply.data["peak memory"])
            timings += _phases(part, reply)
        if failures:
            if not answer:
                raise failures[0]
            why = Unavailable("; ".join(error.got for error in failures))
            expected = {q.name for q in study.quantities(options) if self.name in q.engines}
            answer |= dict.fromkeys(expected - answer.keys(), why)
        values, reasons = sort_answer(study, self.name, options, answer)
        prepared.drop()
        return Observation(
            study=study.name,
            engine=self.name,
            options=plain_options(options),
            input_hash=prepared.input_hash,
            values={k: _native(v) for k, v in values.items()},
            unavailable=reasons,
            timings=timings,
            peak_memory=peak or None,
            provenance=dict(self.worker.facts),
        )

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> JuliaStopwatch | None:
        check_finite(study.name, inputs)
        self.start()
        watch = JuliaStopwatch(_Prepared(self, study, options, inputs))
        return watch if watch.tasks else None

    def bridge_cost(self, megabytes: float = 8.0, samples: int = 20) -> list[Timing]:
        """What the bridge itself costs: a call with small arguments, and an array each way.

        Returned as tasks `bridge/call`, `bridge/<n> MB in` and `bridge/<n> MB out`, seconds a call.
        """
        self.start()
        data = np.random.default_rng(0).standard_normal(int(megabytes * 1e6 / 8))
        calls = {
            "bridge/call": lambda: self.worker.call("echo", {}, {"back": True}),
            f"bridge/{megabytes:g} MB in": lambda: self.worker.call(
                "echo", {"x": data}, {"back": False}
            ),
            f"bridge/{megabytes:g} MB out": lambda: self.worker.call(
                "zeros", {}, {"shape": [data.size]}
            ),
        }
        out = []
        for task, call in calls.items():
            call()
            seconds = []
            for _ in range(samples):
                began = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - began)
            out.append(Timing(task, "bridge", tuple(seconds)))
        return out

    def close(self) -> None:
        self.worker.close()

    def _life(self) -> list[Timing]:
        return [Timing("engine", name, (s,)) for name, s in self.worker.phases.items()]


class _Prepared:
    """A study whose inputs Julia holds; sent again when the process is another one."""

    def __init__(self, engine: JuliaEngine, study: Study, options: Options, inputs: Arrays) -> None:
        self._worker, self._timeout = engine.worker, engine.timeout
        self._arguments = {"study": study.name, "options": plain_options(options)}
        self._inputs = {k: np.asarray(v) for k, v in inputs.items()}
        self._send()

    def _send(self) -> None:
        reply = self._worker.call("prepare", self._inputs, self._arguments, self._timeout)
        self._generation = self._worker.generation
        self._key = reply.data["key"]
        self.input_hash: str = reply.data["input hash"]
        self.parts: list[str] = reply.data["parts"]
        self.tasks: list[str] = reply.data["tasks"]

    def call(self, function: str, arguments: Mapping[str, Any]) -> Reply:
        """Call with these inputs; after a crash send them to the new process and try once more."""
        try:
            return self._once(function, arguments)
        except WorkerDiedError:
            return self._once(function, arguments)

    def _once(self, function: str, arguments: Mapping[str, Any]) -> Reply:
        if self._worker.pid is None or self._generation != self._worker.generation:
            self._send()
        return self._worker.call(
            function, {}, {**arguments, "key": self._key}, self._timeout, repeat=False
        )

    def drop(self) -> None:
        """Let Julia forget the inputs."""
        if self._worker.pid is not None and self._generation == self._worker.generation:
            self._worker.call("drop", {}, {"key": self._key}, self._timeout)


class JuliaStopwatch:
    """Times a study's tasks inside Julia, without the bridge."""

    def __init__(self, prepared: _Prepared) -> None:
        self._prepared = prepared
        self.tasks = tuple(prepared.tasks)

    def sample(self, task: str, calls: int) -> float:
        """Seconds for `calls` calls; garbage is collected before the clock starts."""
        reply = self._prepared.call("sample", {"task": task, "calls": calls})
        return float(reply.data["seconds"])

    def close(self) -> None:
        self._prepared.drop()


def _phases(part: str, reply: Reply) -> list[Timing]:
    """Julia's own split of a part's answer (compilation included), and the bridge's share."""
    rows = [
        Timing(part, "answer", (reply.timings["kernel"],)),
        Timing(part, "conversion out", (reply.timings["conversion out"],)),
        Timing(part, "bridge", (reply.timings["bridge"],)),
    ]
    if reply.timings.get("compilation"):
        rows.append(Timing(part, "compilation", (reply.timings["compilation"],)))
    return rows


def _native(value: np.ndarray) -> np.ndarray:
    """C order, as the other engines' values are."""
    return np.array(value, order="C")
