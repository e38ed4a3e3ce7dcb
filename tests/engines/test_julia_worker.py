"""The worker process, with a stand-in for Julia: no hang, no lost result, no orphan."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from numdl_bridge.engines.julia.failure import (
    JuliaFunctionError,
    JuliaMissingError,
    WorkerDiedError,
    WorkerGarbageError,
    WorkerTimeoutError,
)
from numdl_bridge.engines.julia.settings import resolve
from numdl_bridge.engines.julia.worker import Worker
from numdl_bridge.errors import EngineError

HERE = Path(__file__).parent
STANDIN = str(HERE / "standin_julia.py")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins use POSIX signals")


def make(mode: str = "works", **settings) -> Worker:
    return Worker(resolve(environ={}), command=[sys.executable, STANDIN, mode], **settings)


@pytest.fixture
def worker():
    with make() as one:
        yield one


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_nothing_starts_before_the_first_call(worker):
    assert worker.pid is None
    assert worker.generation == 0
    worker.call("echo")
    assert worker.pid is not None
    assert worker.facts["julia"] == "1.10"
    assert set(worker.phases) == {"process start"}


def test_it_stays_warm(worker):
    worker.call("echo")
    first = worker.pid
    for _ in range(20):
        worker.call("echo")
    assert worker.pid == first
    assert worker.generation == 1


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<f2", "<i8", "<i4", "|u1", "|b1", "<c16"])
def test_arrays_cross_whatever_their_memory_order(worker, dtype):
    rng = np.random.default_rng(1)
    whole = (rng.standard_normal((4, 6, 3)) * 10).astype(dtype)
    arrays = {
        "C": whole,
        "F": np.asfortranarray(whole),
        "transposed": whole.T,
        "strided": whole[::2, ::-1],
        "number": np.array(whole[0, 0, 0]),
        "empty": whole[:0],
        "read-only": np.broadcast_to(whole[0, 0], (5, 3)),
    }
    back = worker.call("echo", arrays, {"n": 3}).arrays
    for name, sent in arrays.items():
        np.testing.assert_array_equal(back[name], sent, strict=True, err_msg=name)
        assert back[name].flags.writeable
        assert back[name].flags.owndata or back[name].size == 0


def test_special_numbers_cross(worker):
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    arguments = {"nan": float("nan"), "text": "θ ≤ 1", "none": None, "nested": [{"a": [1, 2.5]}]}
    reply = worker.call("echo", {"x": special}, arguments)
    assert reply.arrays["x"].tobytes() == special.tobytes()
    assert np.isnan(reply.data.pop("nan"))
    arguments.pop("nan")
    assert reply.data == arguments


def test_big_endian_becomes_little(worker):
    back = worker.call("echo", {"x": np.arange(4, dtype=">f8")}).arrays["x"]
    assert back.dtype == np.dtype("<f8")
    np.testing.assert_array_equal(back, np.arange(4.0))


@pytest.mark.parametrize(
    ("arrays", "arguments"),
    [
        ({"x": np.array(["text"])}, {}),
        ({"x": np.array([None, 1], dtype=object)}, {}),
        ({}, {"f": lambda: 0}),
    ],
)
def test_what_cannot_cross_is_refused_and_the_process_lives(worker, arrays, arguments):
    worker.call("echo")
    pid = worker.pid
    with pytest.raises(EngineError, match="does not cross"):
        worker.call("echo", arrays, arguments)
    assert worker.pid == pid
    assert worker.call("echo", {}, {"n": 1}).data == {"n": 1}


def test_julia_error_is_one_message_and_the_process_lives(worker):
    with pytest.raises(JuliaFunctionError) as caught:
        worker.call("throw")
    assert caught.value.type == "DomainError"
    assert "negative real argument" in str(caught.value)
    assert "sqrt at math.jl:33" in str(caught.value)
    assert worker.generation == 1
    worker.call("echo")
    assert worker.generation == 1


def test_printing_does_not_disturb_the_messages(worker):
    assert worker.call("chatter").data == {"stdin": ""}
    assert worker.call("echo", {}, {"n": 1}).data == {"n": 1}


def test_hang_ends_at_the_limit(worker):
    worker.call("echo")
    pid, began = worker.pid, time.monotonic()
    with pytest.raises(WorkerTimeoutError, match=r"limit of 0\.3 s"):
        worker.call("hang", timeout=0.3)
    assert time.monotonic() - began < 5
    assert gone(pid)
    assert worker.call("echo", {}, {"n": 2}).data == {"n": 2}


def test_hang_while_much_is_being_sent(worker):
    """The pipe is full and nobody reads: the limit holds for writing too."""
    worker.call("echo")
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerTimeoutError):
        worker.call("echo", {"x": np.zeros(4_000_000)}, timeout=0.5)


def test_crash_is_told_with_the_last_words(worker):
    with pytest.raises(WorkerDiedError, match="SIGKILL") as caught:
        worker.call("die")
    assert "out of luck" in str(caught.value)
    assert worker.generation == 2, "a crash is tried once more"
    assert worker.call("echo", {}, {"n": 2}).data == {"n": 2}


def test_what_a_crashed_child_had_started_ends_too(worker, tmp_path):
    file = tmp_path / "pid"
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        worker.call("spawn and die", {}, {"file": str(file)}, repeat=False)
    assert gone(int(file.read_text()))


def test_repeat_can_be_forbidden(worker):
    with pytest.raises(WorkerDiedError):
        worker.call("die", repeat=False)
    assert worker.generation == 1


def test_garbage_on_the_pipe(worker):
    worker.call("echo")
    pid = worker.pid
    with pytest.raises(WorkerGarbageError, match="Hello from"):
        worker.call("garbage")
    assert gone(pid)
    assert worker.call("echo", {}, {"n": 2}).data == {"n": 2}


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("dies", "NumDLBridge not found.*numdl julia setup"),
        ("garbage", "julia> "),
        ("refuses", "PythonCall.jl did not start"),
        ("hangs", "before it was ready|limit of"),
        ("other-version", r"NumDLBridge.jl is version 0\.0\.1"),
    ],
)
def test_a_start_that_fails_is_one_message(mode, message):
    with make(mode, start_timeout=1.5 if mode == "hangs" else 30) as worker:
        with pytest.raises(EngineError, match=f"(?s){message}"):
            worker.call("echo")
        assert worker.pid is None


def test_a_command_that_does_not_exist():
    worker = Worker(resolve(environ={}), command=["/no/such/program"])
    with pytest.raises(JuliaMissingError, match="could not be started"):
        worker.call("echo")


def test_killed_at_random_moments_200_times(worker):
    """Whatever the moment, each call returns its own answer: no hang, no mix-up, no orphan."""
    rng = random.Random(1)
    data = np.random.default_rng(1).standard_normal(20_000)
    stop, pids = threading.Event(), set()

    def assassin():
        kills = 0
        while kills < 200 and not stop.is_set():
            time.sleep(0.001)
            pid = worker.pid
            if pid is not None and pid not in pids:
                if rng.random() < 0.8:  # Most of them while it answers, some while it starts.
                    while not worker.facts and worker.pid == pid:
                        time.sleep(0.001)
                time.sleep(rng.uniform(0.0, 0.03))
                pids.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                kills += 1

    murders = threading.Thread(target=assassin)
    murders.start()
    number, failed = 0, 0
    try:
        while murders.is_alive():
            number += 1
            try:
                reply = worker.call("echo", {"x": data + number}, {"n": number}, timeout=30)
            except (WorkerDiedError, JuliaMissingError):
                failed += 1  # Killed twice in one call, or while starting; told, not hung.
                continue
            assert reply.data == {"n": number}
            np.testing.assert_array_equal(reply.arrays["x"], data + number)
    finally:
        stop.set()
        murders.join()
    assert len(pids) == 200
    assert worker.call("echo", {}, {"n": -1}).data == {"n": -1}
    assert number - failed > 200
    survivor = worker.pid
    assert all(gone(pid) for pid in pids if pid != survivor)


def test_close_ends_the_process_and_may_be_repeated():
    worker = make()
    worker.call("echo")
    pid = worker.pid
    worker.close()
    worker.close()
    assert gone(pid)


def test_a_forgotten_worker_ends():
    worker = make()
    worker.call("echo")
    pid = worker.pid
    del worker
    assert gone(pid)


PARENT = """
import sys, time, os, signal
sys.path.insert(0, {here!r})
from test_julia_worker import make
worker = make()
worker.call("echo")
print(worker.pid, flush=True)
{then}
"""


@pytest.mark.parametrize(
    "then",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "sys.exit(3)",
        "raise RuntimeError",
        # Julia holds Python's lock while it computes; so does this stand-in's sleep in spirit.
        "import threading; threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGKILL))"
        ".start(); worker.call('hang')",
    ],
)
def test_no_orphan_however_the_parent_ends(then):
    parent = subprocess.run(
        [sys.executable, "-c", PARENT.format(here=str(HERE), then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert gone(int(parent.stdout))


def test_interrupt_ends_the_call_and_the_process(worker):
    worker.call("echo")
    pid = worker.pid
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        worker.call("hang")
    assert gone(pid)
    assert worker.call("echo", {}, {"n": 2}).data == {"n": 2}


def test_threads_take_turns(worker):
    wrong = []

    def many(offset):
        for i in range(50):
            n = offset + i
            if worker.call("echo", {"x": np.full(10, n)}, {"n": n}).data != {"n": n}:
                wrong.append(n)

    threads = [threading.Thread(target=many, args=(1000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert worker.generation == 1


def test_progress_tells_the_phases():
    lines: list[str] = []
    with make(progress=lines.append) as worker:
        worker.call("echo")
    assert any("process start" in line for line in lines)
    assert any("ready after" in line for line in lines)


def test_the_parent_environment_is_not_touched(worker):
    before = dict(os.environ)
    worker.call("echo")
    assert dict(os.environ) == before


def test_bandwidth_of_the_pipes(worker):
    """8 MB each way; the requirement is 1 GB/s, checked loosely: machines are shared."""
    data = np.random.default_rng(1).standard_normal(1_000_000)
    worker.call("echo", {"x": data})
    best = min(_seconds(lambda: worker.call("echo", {"x": data})) for _ in range(20))
    assert best < 2 * 0.008 * 4
    small = min(_seconds(lambda: worker.call("echo")) for _ in range(50))
    assert small < 2e-3


def _seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
