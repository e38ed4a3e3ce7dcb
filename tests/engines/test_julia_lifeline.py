"""What a worker has started ends with the worker's parent, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

CHILD = """
import os, subprocess, sys, time
from numdl_bridge.engines.julia import lifeline
lifeline.hold(os.environ)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(helper.pid, flush=True)
time.sleep(60)
"""

PARENT = f"""
import os, signal, subprocess, sys
from numdl_bridge.engines.julia.lifeline import Lifeline
lifeline = Lifeline()
child = subprocess.Popen(
    [sys.executable, "-c", {CHILD!r}],
    env={{**os.environ, **lifeline.environment}},
    pass_fds=lifeline.inherited,
    start_new_session=True,
    stdout=subprocess.PIPE,
)
lifeline.release_child_end()
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_parent_takes_the_worker_and_its_own_children_along() -> None:
    run = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=60)
    pids = [int(word) for word in run.stdout.split()]
    assert len(pids) == 2
    until = time.monotonic() + 20
    while not all(map(ended, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [ended(pid) for pid in pids] == [True, True]
