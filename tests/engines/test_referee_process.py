"""The referee in its own process: the same bits, and no way for it to take anything with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee.process import RefereeProcess
from numdl_bridge.errors import BadInputError, EngineError
from numdl_bridge.studies import get_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def referee():
    engine = RefereeProcess()
    yield engine
    engine.close()


def asked(name: str, **settings):
    study = get_study(name)
    options = study.configure("quick", **settings)
    return study, options, study.inputs(options)


@pytest.mark.parametrize("name", ["subgradient", "classification", "oscillator"])
def test_the_same_bits_as_in_this_process(referee, name: str) -> None:
    here, there = (e.observe(*asked(name)) for e in (RefereeEngine(), referee))
    assert referee.pid not in (None, os.getpid())
    for part in ("values", "radii"):
        mine, other = getattr(here, part), getattr(there, part)
        assert list(mine) == list(other)
        for key, value in mine.items():
            assert (value.dtype, value.shape) == (other[key].dtype, other[key].shape)
            assert value.tobytes() == other[key].tobytes(), key
    rest = [
        {k: v for k, v in vars(o).items() if k not in ("values", "radii")} for o in (here, there)
    ]
    assert rest[0] == rest[1]


def test_torch_is_not_loaded_there(referee) -> None:
    referee.observe(*asked("subgradient"))
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells what another process has loaded")
    maps = Path(f"/proc/{referee.pid}/maps").read_text()
    assert "numpy" in maps
    assert "libtorch" not in maps


def test_an_exception_comes_back_as_it_was_and_the_process_lives_on(referee) -> None:
    study, options, inputs = asked("subgradient")
    broken = {k: np.full(np.shape(v), np.nan) for k, v in inputs.items()}
    with pytest.raises(BadInputError) as here:
        RefereeEngine().observe(study, options, broken)
    with pytest.raises(BadInputError) as there:
        referee.observe(study, options, broken)
    assert str(here.value) == str(there.value)
    assert (here.value.got, here.value.remedy) == (there.value.got, there.value.remedy)
    pid = referee.pid
    with pytest.raises(KeyError):
        referee.observe(study, options, {})
    assert referee.observe(study, options, inputs).values
    assert referee.pid == pid


def killed_while_it_answers(referee, by) -> tuple[list[BaseException], int]:
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            referee.observe(*asked("training", iterations=150))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while referee.pid is None or psutil.Process(referee.pid).cpu_times().user < 0.5:
        time.sleep(0.02)
    pid = referee.pid
    by(pid)
    thread.join(20)
    assert not thread.is_alive()
    return raised, pid


def test_kill_9_costs_one_answer_and_the_next_question_starts_another(referee) -> None:
    raised, pid = killed_while_it_answers(referee, lambda pid: os.kill(pid, signal.SIGKILL))
    assert isinstance(raised[0], EngineError)
    assert "ended (signal SIGKILL) while answering study 'training'" in str(raised[0])
    assert referee.observe(*asked("subgradient")).values
    assert referee.pid != pid


def test_close_from_another_thread_ends_a_question(referee) -> None:
    raised, pid = killed_while_it_answers(referee, lambda pid: referee.close())
    assert isinstance(raised[0], EngineError)
    assert not psutil.pid_exists(pid)


ORPHAN = """
import sys, threading, time
from numdl_bridge.engines.referee.process import RefereeProcess
from numdl_bridge.studies import get_study
study = get_study("training")
options = study.configure("quick", iterations=150)
engine = RefereeProcess()
ask = lambda: engine.observe(study, options, study.inputs(options))
threading.Thread(target=ask, daemon=True).start()
while engine.pid is None:
    time.sleep(0.01)
print(engine.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_its_parent(how) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        child = psutil.Process(pid)
        time.sleep(1.0)  # By now it computes.
        assert child.is_running()
        parent.send_signal(how)
    child.wait(10)
