"""The referee in a process of its own, so that it computes beside torch; the answers are the same.

What crosses is a study's name, its options and inputs, and back comes the observation or the
exception. Both ends of the two pipes are this very module, which makes pickle safe here. Torch is
not loaded there, and precision, being a setting of a whole process, is set there only.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

from ...errors import EngineError, NumDLError
from ...studies import get_study
from ...studies.contract import Arrays, Options, Study, plain_options
from ...studies.observation import Observation
from . import RefereeEngine

END_SECONDS = 5.0


class RefereeProcess:
    """`RefereeEngine`, computing elsewhere; one process, started with the first question.

    **Arguments:**

    - `bits`: as in `RefereeEngine`.

    A process that ends costs the answer that it was asked for, as an `EngineError`; the next
    question starts another. It ends with this object, with this process (`kill -9` included), and
    with `close`, which may come from another thread in the middle of a question.
    """

    name = "referee"
    apart = True

    def __init__(self, bits: int = 256) -> None:
        self.bits = bits
        self._popen: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize | None = None

    @property
    def pid(self) -> int | None:
        """The process's number, or None when none runs."""
        return self._popen.pid if self._popen and self._popen.poll() is None else None

    def missing(self) -> str | None:
        return None

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        popen = self._running()
        try:
            _send(popen.stdin, (self.bits, study.name, plain_options(options), dict(inputs)))
            answer = pickle.load(cast(BinaryIO, popen.stdout))
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            self.close()
            raise EngineError(
                f"the referee's process ended ({_how(popen.returncode)}) while answering "
                f"study {study.name!r}",
                "an answer",
                "ask again with --resume; --sequential keeps the referee in the calling process",
            ) from None
        except BaseException:  # Ctrl-C: what it goes on to send would answer another question.
            self.close()
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> None:
        """The referee is there to be right; its time is not a result."""

    def close(self) -> None:
        """End the process. Idempotent; a later question would start another."""
        if self._finalizer is not None:
            self._finalizer()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._popen is None or self._popen.poll() is not None:
            self.close()
            self._popen = _start()
            self._finalizer = weakref.finalize(self, _end, self._popen, os.getpid())
        return self._popen


def _start() -> subprocess.Popen[bytes]:
    # A caller may have found this package through sys.path, which a child does not inherit.
    root, inherited = str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, inherited] if inherited else [root])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=os.name == "posix",  # Ctrl-C is the parent's to handle.
        )
    except OSError as error:
        raise EngineError(
            f"the referee's process could not be started: {error}",
            "a Python that starts",
            "--sequential keeps the referee in the calling process",
        ) from None


def _end(popen: subprocess.Popen[bytes], owner: int) -> None:
    """Kill the process and wait for it; a fork of its owner leaves it alone."""
    if os.getpid() != owner:
        return
    popen.kill()
    popen.wait(END_SECONDS)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _send(stream: Any, message: object) -> None:
    pickle.dump(message, stream, protocol=5)
    stream.flush()


def serve() -> None:
    """The other side: answer questions from stdin on stdout until the parent is gone."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever prints must not stand between the answers.
    waiting: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(questions, waiting), daemon=True).start()
    while True:
        try:
            _send(answers, _answer(*waiting.get()))
        except BrokenPipeError:
            os._exit(1)


def _listen(questions: BinaryIO, waiting: SimpleQueue[Any]) -> None:
    """Pass questions on; a closed pipe means that the parent is gone, in mid-answer or not."""
    while True:
        try:
            waiting.put(pickle.load(questions))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


def _answer(
    bits: int, name: str, options: dict[str, Any], inputs: Arrays
) -> Observation | Exception:
    try:
        study = get_study(name)
        return RefereeEngine(bits).observe(study, study.configure(**options), inputs)
    except Exception as error:
        return _portable(error)


def _portable(error: Exception) -> Exception:
    """The exception itself where it survives the way, else its class and message in words."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass
    if isinstance(error, NumDLError):
        return EngineError(error.got, error.expected, error.remedy)
    return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    serve()
