"""The real thing: run wherever a ready Julia is found, skipped with the reason elsewhere."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from numdl_bridge.engines.julia.engine import JuliaEngine
from numdl_bridge.engines.julia.failure import (
    JuliaFunctionError,
    WorkerDiedError,
    WorkerTimeoutError,
)
from numdl_bridge.engines.julia.worker import Worker
from numdl_bridge.studies import all_studies
from numdl_bridge.studies.contract import input_hash

pytestmark = pytest.mark.julia


def test_threads_are_pinned_and_read_back(julia):
    facts = julia.start()
    assert facts["threads"] == 1
    assert facts["blas threads"] == 1
    assert facts["handles signals"] is True
    assert facts["PythonCall.jl"]


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<f2", "<i8", "|b1", "<c16"])
def test_arrays_cross_both_ways(julia, dtype):
    rng = np.random.default_rng(1)
    whole = (rng.standard_normal((4, 6, 3)) * 10).astype(dtype)
    arrays = {
        "C": whole,
        "F": np.asfortranarray(whole),
        "transposed": whole.T,
        "strided": whole[::2, ::-1],
        "number": np.array(whole[0, 0, 0]),
        "empty": whole[:0],
        "row": whole[:1],
    }
    back = julia.worker.call("echo", arrays).arrays
    for name, sent in arrays.items():
        np.testing.assert_array_equal(back[name], sent, strict=True, err_msg=name)


def test_cost_of_a_call(julia):
    """At most 2 ms for a small call; bandwidth is reported by `bridge_cost` and checked loosely."""
    rows = {t.task: min(t.seconds) for t in julia.bridge_cost(samples=50)}
    assert rows["bridge/call"] < 2e-3
    assert rows["bridge/8 MB in"] < 4 * 8e-3
    assert rows["bridge/8 MB out"] < 4 * 8e-3


def test_errors_are_julias_own_words(julia):
    julia.start()
    pid = julia.worker.pid
    with pytest.raises(JuliaFunctionError, match="no served function") as caught:
        julia.worker.call("no such function")
    assert caught.value.type == "ArgumentError"
    assert "Stacktrace" not in str(caught.value)
    assert julia.worker.pid == pid


def own(julia, source: str, **options):
    arguments = {
        "source": source,
        "name": None,
        "at": ["x"],
        "constants": [],
        "packages": ["zygote"],
    }
    arrays = {"at/x": np.ones(2), "tangent/x": np.ones(2)}
    return julia.worker.call("own_gradient", arrays, arguments, **options)


def test_stack_overflow_is_an_exception(julia):
    julia.start()
    pid = julia.worker.pid
    with pytest.raises(JuliaFunctionError, match="StackOverflowError"):
        own(julia, "f(x) = f(x) + 1; (; x) -> f(x)")
    assert julia.worker.pid == pid


def test_hang_and_crash_of_a_users_function(julia):
    with pytest.raises(WorkerTimeoutError):
        own(julia, "(; x) -> (while true; end; sum(x))", timeout=5.0)
    assert own(julia, "(; x) -> sum(abs2, x)").arrays["value"] == 2.0
    with pytest.raises(WorkerDiedError):
        own(julia, "(; x) -> (ccall(:abort, Cvoid, ()); sum(x))", repeat=False)
    assert own(julia, "(; x) -> sum(abs2, x)").arrays["value"] == 2.0


def test_printing_goes_elsewhere(julia, capfd):
    source = '(; x) -> (println("from Julia"); ccall(:puts, Cint, (Cstring,), "from C"); sum(x))'
    assert own(julia, source).arrays["value"] == 2.0
    assert "from" not in capfd.readouterr().out


@pytest.mark.parametrize("name", sorted(all_studies()))
def test_every_study_is_answered(julia, name):
    study = all_studies()[name]
    options = study.configure("quick")
    inputs = study.inputs(options)
    seen = julia.observe(study, options, inputs)
    assert seen.input_hash == input_hash(inputs)
    assert seen.values
    lost = {k: why for k, why in seen.unavailable.items() if "Julia" in why}
    assert not lost, lost


@pytest.mark.slow
def test_killed_20_times(tmp_path):
    """kill -9 at random moments of a real Julia: no hang, no lost result, no orphan."""
    rng = random.Random(1)
    worker = Worker()
    pids: set[int] = set()
    stop = threading.Event()

    def assassin():
        while len(pids) < 20 and not stop.is_set():
            time.sleep(0.01)
            pid = worker.pid
            if pid is not None and pid not in pids and worker.facts:
                time.sleep(rng.uniform(0, 0.5))
                pids.add(pid)
                os.kill(pid, signal.SIGKILL)

    murders = threading.Thread(target=assassin)
    murders.start()
    x = np.random.default_rng(1).standard_normal(100_000)
    number = 0
    try:
        while murders.is_alive():
            number += 1
            try:
                reply = worker.call("echo", {"x": x + number}, {"n": number}, timeout=60)
            except WorkerDiedError:
                continue  # Killed twice in one call: told, not hung.
            assert reply.data["n"] == number
            np.testing.assert_array_equal(reply.arrays["x"], x + number)
    finally:
        stop.set()
        murders.join()
        worker.close()
    assert len(pids) == 20
    import psutil

    for pid in pids:
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_an_engine_of_its_own_ends(julia):
    engine = JuliaEngine(julia.settings)
    engine.start()
    pid = engine.worker.pid
    engine.close()
    import psutil

    assert not psutil.pid_exists(pid)
