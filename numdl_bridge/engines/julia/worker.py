"""The Julia worker: a process of its own that runs juliacall, seen from Python as one object.

    from numdl_bridge.engines.julia.worker import Worker

    with Worker() as worker:                                # nothing is started yet
        reply = worker.call("echo", {"A": A}, {"n": 3})     # starts Julia, prints the phases
        reply.arrays["A"], reply.data["n"], reply.timings["kernel"]

What a caller may rely on:

- `call(function, arrays, arguments, timeout)` calls `NumDLBridge.<function>(arrays, arguments)`,
  where `function` is one of those that the Julia package serves (`julia/src/serve.jl`, table
  `SERVED`), `arrays` arrives as a `Dict{String,Array}` whose index `[i, j]` (counted from 1) is
  NumPy's `[i, j]` (counted from 0), and `arguments` as a `Dict{String,Any}` of what JSON can say
  (None, bool, int, float, str, list, dict with text keys), NaN, infinities and bytes included.
  A user's own Julia source travels as one of the arguments, as text.
- A Julia function returns `Answer(arrays, data)`; both come back in a `Reply`, arrays with their
  shape and dtype, in Fortran order, owned by the caller.
- Each call ends in a `Reply` or in one exception of `failure`, all of them `EngineError`s:
  `JuliaFunctionError` (Julia raised; the worker lives on), `WorkerTimeoutError`, `WorkerDiedError`,
  `WorkerGarbageError`, `JuliaMissingError`. After each of the last four the next call starts a new
  process. A process that was killed or crashed is restarted and the call repeated once
  (`repeat=False` forbids it): functions served must not mind being called twice.
- What Julia keeps between calls (`prepare` keeps a study's inputs) is lost with its process:
  `worker.generation` counts the processes, so that a caller knows when to send it again.
- Ctrl-C during a call ends the process and raises `KeyboardInterrupt`; nothing else is lost.
- Thread-safe: calls of several threads take turns.

Julia's own printing goes to stderr, which is captured and quoted when the process ends; it never
mixes with the messages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ...errors import EngineError
from ...version import __version__
from . import frames
from .failure import (
    JuliaFunctionError,
    WorkerDiedError,
    WorkerGarbageError,
    died,
    garbled,
    not_ready,
    refused,
    timed_out,
    unfit_start,
)
from .process import END_SECONDS, Process, Progress, Watch, close_pipes, end, spawn
from .settings import Settings, resolve

START_TIMEOUT = 3600.0
"""Seconds for a start that may install Julia and its packages; one that is ready takes about 10."""


@dataclass(frozen=True)
class Reply:
    """What a call returned.

    **Arguments:**

    - `arrays`: by name, as Julia returned them.
    - `data`: plain data.
    - `timings`: seconds by phase: `conversion in`, `kernel`, `conversion out` as Julia measured
      them, `compilation` (the part of `kernel` that went into compiling), and `bridge`, the rest of
      the wall time of the call.
    """

    arrays: dict[str, np.ndarray]
    data: dict[str, Any]
    timings: dict[str, float]


class Worker:
    """The worker process; see the module's text for what a caller may rely on.

    **Arguments:**

    - `settings`: which Julia; looked up when None.
    - `progress`: takes one line for each phase of a start; None is silent.
    - `command`: another child in place of the Julia one, as an argument list (for tests).
    - `start_timeout`: seconds that a start may take.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        progress: Progress | None = None,
        command: Sequence[str] | None = None,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self.settings = resolve() if settings is None else settings
        self.progress = progress or (lambda line: None)
        self.command = list(command) if command else _julia_command()
        self.start_timeout = start_timeout
        self.facts: dict[str, Any] = {}
        """What the running process said about itself: versions, threads, BLAS, CPU."""
        self.phases: dict[str, float] = {}
        """Seconds of the last start by phase: `process start`, `package load`."""
        self.generation = 0
        """How many processes have been started."""
        self._process: Process | None = None
        self._lock = threading.RLock()
        self._calls = 0
        # Ends the process with this object, or with the interpreter, whichever comes first.
        self._finalizer: weakref.finalize | None = None

    # -- life -------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The child's process number, or None when none runs."""
        process = self._process
        return process.popen.pid if process and process.popen.poll() is None else None

    def start(self) -> dict[str, Any]:
        """Start the process unless it runs; returns its `facts`. Raises `JuliaMissingError`."""
        with self._lock:
            if self.pid is None:
                self._discard()
                try:
                    self._start()
                except WorkerDiedError:  # Somebody killed it before it was ready.
                    self._start()
            return self.facts

    def close(self) -> None:
        """End the process. Idempotent; a later call would start another."""
        with self._lock:
            if self._process is not None:
                end(self._process)
            self._discard()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- calls ------------------------------------------------------------------------------------

    def call(
        self,
        function: str,
        arrays: Mapping[str, np.ndarray] | None = None,
        arguments: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        repeat: bool = True,
    ) -> Reply:
        """Call a served Julia function; see the module's text. `timeout` in seconds, None for none.

        A start that turns out to be needed does not count against `timeout`.
        """
        with self._lock:
            try:
                return self._call(function, arrays or {}, arguments or {}, timeout)
            except WorkerDiedError as error:
                if not repeat:
                    raise
                self.progress(f"Julia ended unexpectedly; starting it again. {error.got}")
                return self._call(function, arrays or {}, arguments or {}, timeout)

    def _call(
        self,
        function: str,
        arrays: Mapping[str, np.ndarray],
        arguments: Mapping[str, Any],
        timeout: float | None,
    ) -> Reply:
        self.start()
        process = cast(Process, self._process)
        self._calls += 1
        header = {
            "kind": "call",
            "id": self._calls,
            "function": function,
            "arguments": dict(arguments),
        }
        began = time.perf_counter()
        try:
            with Watch(process, timeout):
                self._send(process, function, header, arrays)
                answer, received = self._receive(process)
        except (EOFError, OSError):
            raise self._died(process, function, timeout) from None
        except frames.GarbageError as error:
            raise self._garbled(process, function, error) from None
        except _RefusedError as error:
            # Refused before a byte was written: the process is as it was.
            raise refused(function, error) from None
        except BaseException:  # Ctrl-C: what the process goes on to send would answer nobody.
            self._discard()
            raise
        if answer["kind"] == "error":
            raise JuliaFunctionError(
                function, answer["type"], answer["message"], list(answer["where"])
            )
        timings = dict(answer["timings"])
        inside = sum(timings[k] for k in ("conversion in", "kernel", "conversion out"))
        timings["bridge"] = max(time.perf_counter() - began - inside, 0.0)
        return Reply(received, answer["data"], timings)

    def _send(
        self,
        process: Process,
        function: str,
        header: dict[str, Any],
        arrays: Mapping[str, np.ndarray],
    ) -> None:
        try:
            message = frames.pack(header, arrays)
        except (TypeError, ValueError, OverflowError) as error:
            raise _RefusedError(str(error)) from None
        frames.write(process.to, message)

    def _receive(self, process: Process) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The next message that is not about a phase."""
        while True:
            message = frames.receive(process.back)
            if message is None:
                raise EOFError
            header, arrays = message
            kind = header.get("kind")
            if kind == "phase":
                self._note(header)
            elif header.get("id") == self._calls and kind in ("ready", "reply", "error"):
                return header, arrays
            else:
                raise frames.GarbageError(f"a message of kind {kind!r} that answers no call")

    def _note(self, header: dict[str, Any]) -> None:
        if "seconds" in header:
            self.phases[header["phase"]] = header["seconds"]
            self.progress(f"Julia: {header['phase']} took {header['seconds']:.1f} s")
        else:
            self.progress(f"Julia: {header['phase']}")

    def _garbled(
        self, process: Process, function: str, error: frames.GarbageError
    ) -> WorkerGarbageError:
        process.kill()
        words = process.last_words()
        self._discard()
        return garbled(function, error, words)

    def _died(self, process: Process, function: str, timeout: float | None) -> EngineError:
        """The exception for a process that is gone, by our watch or otherwise."""
        try:
            code = process.popen.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:  # It closed its pipe and lives on.
            process.kill()
            code = process.popen.wait()
        words = process.last_words()
        self._discard()
        if process.out_of_time:
            return timed_out(function, timeout)
        return died(function, code, words)

    # -- start ------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.phases, self.facts = {}, {}
        began = time.perf_counter()
        self.progress(f"Julia: starting ({self.settings.exe.value or 'found by juliapkg'})")
        process = self._process = spawn(
            self.command, self.settings.environment(os.environ), self.progress
        )
        self._finalizer = weakref.finalize(self, end, process)
        self.generation += 1
        self._calls = 0
        try:
            with Watch(process, self.start_timeout):
                facts, _ = self._receive(process)
        except (EOFError, OSError):
            error = self._died(process, "start", self.start_timeout)
            if process.popen.returncode < 0 and not process.out_of_time:
                raise error from None  # Killed, not failed: worth another try.
            raise not_ready(error) from None
        except frames.GarbageError as garbage:
            raise self._garbled(process, "start", garbage) from None
        except BaseException:
            self._discard()
            raise
        if unfit := unfit_start(facts, protocol=frames.PROTOCOL, version=__version__):
            self._discard()
            raise unfit
        self.facts = {k: v for k, v in facts.items() if k not in ("kind", "id", "protocol")}
        self.progress(f"Julia: ready after {time.perf_counter() - began:.1f} s")

    def _discard(self) -> None:
        """Forget the process, making sure that it is gone."""
        process, self._process = self._process, None
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None
        if process is not None:
            process.kill()
            process.popen.wait()
            close_pipes(process)


class _RefusedError(Exception):
    """What was to be sent cannot cross."""


def _julia_command() -> list[str]:
    return [sys.executable, "-P", "-m", f"{__package__}.worker_main"]
