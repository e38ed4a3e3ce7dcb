"""A pipe on which nothing is ever written, so that a worker does not outlive its parent.

The parent holds the writing end. However the parent ends, `kill -9` included, the system closes it,
and the child's reading end comes to its end. A Python thread in the child could not act on that:
while Julia computes it holds Python's global lock. So the child asks the system for SIGIO on that
pipe, whose default action ends the process wherever it is.

Where there is no SIGIO (Windows) the child ends when it next reads its own pipe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "NUMDL_LIFELINE"


class Lifeline:
    """The parent's side."""

    def __init__(self) -> None:
        self._read: int | None = None
        self._write: int | None = None
        if os.name == "posix":
            self._read, self._write = os.pipe()

    @property
    def inherited(self) -> tuple[int, ...]:
        """What the child must inherit."""
        return () if self._read is None else (self._read,)

    @property
    def environment(self) -> dict[str, str]:
        """How the child finds it."""
        return {} if self._read is None else {VARIABLE: str(self._read)}

    def release_child_end(self) -> None:
        """Close our copy of the child's end, once the child has its own."""
        if self._read is not None:
            os.close(self._read)
            self._read = None

    def close(self) -> None:
        self.release_child_end()
        if self._write is not None:
            os.close(self._write)
            self._write = None


def hold(environ: Mapping[str, str]) -> None:
    """The child's side: from here on this process ends with its parent."""
    number = environ.get(VARIABLE)
    if number is None:
        return
    import fcntl
    import select
    import signal

    pipe = int(number)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    # Of the whole group where it is ours: Julia precompiles in processes of its own.
    leads = os.getpgrp() == os.getpid()
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp() if leads else os.getpid())
    flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    if select.select([pipe], [], [], 0)[0]:  # The parent ended before we asked.
        os._exit(1)
