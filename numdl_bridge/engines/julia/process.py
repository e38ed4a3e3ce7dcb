"""One running child: its pipes, its last words, how it is started, watched and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from . import frames
from .failure import JuliaMissingError, shorten
from .lifeline import Lifeline

Progress = Callable[[str], None]
"""Takes one line about what is going on."""

_PIPE_SIZE = 2**20
END_SECONDS = 5.0


@dataclass
class Process:
    """One running child and its ends of the pipes."""

    popen: subprocess.Popen[bytes]
    to: BinaryIO
    back: BinaryIO
    lifeline: Lifeline
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    reader: threading.Thread | None = None
    out_of_time: bool = False
    owner: int = field(default_factory=os.getpid)

    def kill(self, out_of_time: bool = False) -> None:
        self.out_of_time = self.out_of_time or out_of_time
        _kill_group(self.popen)

    def last_words(self) -> str:
        """What the child printed last, after waiting a moment for it to arrive."""
        if self.reader is not None:
            self.reader.join(timeout=1.0)
        lines = list(self.stderr)
        # A crash says what it was before pages of addresses.
        crash = next((i for i, line in enumerate(lines) if "] signal (" in line), None)
        return shorten("\n".join(lines[-15:] if crash is None else lines[crash : crash + 6]))


class Watch:
    """Ends the process when the time is up, so that every blocking read and write returns."""

    def __init__(self, process: Process, timeout: float | None) -> None:
        self._timer = threading.Timer(timeout, process.kill, [True]) if timeout else None
        if self._timer is not None:
            self._timer.daemon = True

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def spawn(command: list[str], environment: Mapping[str, str], progress: Progress) -> Process:
    environment = dict(environment)
    # juliapkg and `-m` look for this package where Python looks; a caller may have found it through
    # sys.path, which a child does not inherit.
    root = str(Path(__file__).resolve().parents[3])
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    lifeline = Lifeline()
    try:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**environment, **lifeline.environment},
            pass_fds=lifeline.inherited,
            start_new_session=os.name == "posix",  # Ctrl-C is ours to handle.
        )
    except OSError as error:
        lifeline.close()
        raise JuliaMissingError(f"the worker could not be started: {error}") from None
    lifeline.release_child_end()
    stdin, stdout, stderr = (cast(BinaryIO, s) for s in (popen.stdin, popen.stdout, popen.stderr))
    for stream in (stdin, stdout):
        _enlarge(stream)
    to = os.fdopen(os.dup(stdin.fileno()), "wb")
    stdin.close()
    process = Process(popen, to, stdout, lifeline)
    process.reader = threading.Thread(
        target=_drain, args=(stderr, process.stderr, progress), daemon=True
    )
    process.reader.start()
    return process


def _enlarge(stream: BinaryIO) -> None:
    """A larger pipe buffer means fewer switches between the processes; Linux only."""
    try:
        import fcntl

        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except (ImportError, AttributeError, OSError):
        pass


def _drain(stream: BinaryIO, kept: deque[str], progress: Progress) -> None:
    """Keep the child's last lines; pass on those that tell of an installation."""
    with stream, open(stream.fileno(), "rb", closefd=False) as lines:
        for raw in lines:
            line = raw.decode(errors="replace").rstrip()
            kept.append(line)
            if line.startswith("[juliapkg]") or "Precompiling" in line or "Installed" in line:
                progress(line)


def _kill_group(popen: subprocess.Popen[bytes]) -> None:
    """Kill the child and what it started: Julia precompiles in processes of its own.

    Also when the child has crashed, because those would go on. Its group's number cannot belong to
    anybody else as long as one of them lives.
    """
    if os.name != "posix":
        popen.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)


def end(process: Process) -> None:
    """Ask the child to end; make sure that it does. A fork of this process leaves it alone."""
    if process.owner != os.getpid():
        return
    if process.popen.poll() is None:
        try:
            frames.write(process.to, frames.pack({"kind": "end"}, {}))
            process.popen.wait(timeout=END_SECONDS)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            process.kill()
    process.popen.wait()
    close_pipes(process)


def close_pipes(process: Process) -> None:
    for stream in (process.to, process.back):
        with contextlib.suppress(OSError):  # Flushing into a pipe that nobody reads any more.
            stream.close()
    process.lifeline.close()
