"""`JuliaEngine` with a stand-in for Julia: what one part loses, the others keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from numdl_bridge.engines.julia.engine import JuliaEngine
from numdl_bridge.engines.julia.failure import JuliaMissingError
from numdl_bridge.engines.julia.settings import resolve
from numdl_bridge.engines.julia.worker import Worker
from numdl_bridge.errors import BadInputError, EngineError
from numdl_bridge.studies.contract import Options, Quantity, Study, input_hash

STANDIN = str(Path(__file__).parent / "standin_julia.py")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins use POSIX signals")


class StandinOptions(Options, frozen=True, kw_only=True):
    trouble: Literal["fine", "die", "hang", "throw", "die once"] = "fine"


def quantities(options):
    who = ("torch", "julia")
    names = ("double", "triple", "absent")
    return [Quantity(n, "value", 1e-12, "exact", engines=who) for n in names]


STUDY = Study(
    name="standin",
    order=0,
    title="",
    slide="",
    question="",
    options=StandinOptions,
    draw=lambda options, rng: {"x": rng.standard_normal((3, 4)), "n": np.array(2)},
    quantities=quantities,
)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setenv("STANDIN_MARKER", str(tmp_path / "marker"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = resolve(environ={})
    worker = Worker(settings, command=[sys.executable, STANDIN])
    one = JuliaEngine(settings, worker=worker, timeout=1.0)
    yield one
    one.close()


def observe(engine, trouble="fine"):
    options = STUDY.configure(trouble=trouble)
    inputs = STUDY.inputs(options)
    return inputs, engine.observe(STUDY, options, inputs)


def test_a_study_is_answered(engine):
    inputs, seen = observe(engine)
    np.testing.assert_array_equal(seen.values["double"], 2 * inputs["x"])
    np.testing.assert_array_equal(seen.values["triple"], 3 * inputs["x"])
    assert seen.values["double"].flags.c_contiguous
    assert seen.unavailable == {"absent": "not in this stand-in"}
    assert seen.input_hash == input_hash(inputs)
    assert seen.peak_memory == 1000
    assert seen.provenance["julia"] == "1.10"
    assert {t.phase for t in seen.timings} >= {"process start", "answer", "bridge"}


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("die", "SIGKILL"), ("hang", "limit of 1 s"), ("throw", "DomainError")],
)
def test_one_part_is_lost_the_other_kept(engine, trouble, reason):
    inputs, seen = observe(engine, trouble)
    np.testing.assert_array_equal(seen.values["double"], 2 * inputs["x"])
    assert reason in seen.unavailable["triple"]
    assert seen.unavailable["absent"] == "not in this stand-in"
    # And the engine goes on.
    assert not observe(engine)[1].unavailable.get("triple")


def test_a_crash_in_passing_loses_nothing(engine):
    inputs, seen = observe(engine, "die once")
    np.testing.assert_array_equal(seen.values["triple"], 3 * inputs["x"])
    assert engine.worker.generation == 2


def test_stopwatch(engine):
    options = STUDY.configure()
    inputs = STUDY.inputs(options)
    watch = engine.stopwatch(STUDY, options, inputs)
    assert watch.tasks == ("forward",)
    assert watch.sample("forward", 3) == pytest.approx(0.003)
    os.kill(engine.worker.pid, 9)
    assert watch.sample("forward", 2) == pytest.approx(0.002)
    watch.close()


def test_inputs_must_be_finite(engine):
    with pytest.raises(BadInputError, match="nan"):
        engine.observe(STUDY, STUDY.configure(), {"x": np.array([np.nan])})
    assert engine.worker.pid is None


def test_a_failed_start_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = resolve(environ={})
    engine = JuliaEngine(
        settings, worker=Worker(settings, command=[sys.executable, STANDIN, "dies"])
    )
    with pytest.raises(JuliaMissingError):
        engine.start()
    stamps = list((tmp_path / "cache").rglob("*.json"))
    assert len(stamps) == 1
    assert "NumDLBridge not found" in stamps[0].read_text()


def test_missing_says_why(monkeypatch):
    engine = JuliaEngine(resolve("/no/such/julia", "/nowhere"))
    assert "/no/such/julia" in engine.missing()
    with pytest.raises(EngineError):
        engine.start()


def test_nothing_heavy_is_imported():
    """The parent imports neither juliacall nor Julia; the child never imports torch."""
    code = (
        "import sys; from numdl_bridge.engines.julia import JuliaEngine, worker_main; "
        "sys.exit(bool({'juliacall', 'juliapkg', 'torch'} & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
