"""Who fills the Julia slot, by mode and by what is there; and who may be recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from stub_study import StubEngine

from numdl_bridge.engines.julia import engine as julia_module
from numdl_bridge.errors import BadInputError, EngineError
from numdl_bridge.runs.recorder import record_studies
from numdl_bridge.runs.recordings import RecordedEngine, record
from numdl_bridge.runs.slots import choose_engines


@dataclass
class Found:
    state: str
    reason: str = "there is none"
    remedy: str = "install one"


class FakeJulia(StubEngine):
    """Stands in for `JuliaEngine`: `state` as readiness finds it, `starts` whether it then does."""

    state, starts = "ready", True
    opened: list[FakeJulia]

    def __init__(self, progress=None, threads: int = 1) -> None:
        super().__init__("julia")
        self.threads = threads
        self.running = False
        type(self).opened.append(self)

    def readiness(self) -> Found:
        return Found(self.state)

    def start(self) -> None:
        if not self.starts:
            raise EngineError("it dies at once")
        self.running = True

    def close(self) -> None:
        self.running = False


@pytest.fixture
def julia(monkeypatch):
    FakeJulia.opened = []
    monkeypatch.setattr(julia_module, "JuliaEngine", FakeJulia)

    def be(state: str, starts: bool = True) -> None:
        monkeypatch.setattr(FakeJulia, "state", state)
        monkeypatch.setattr(FakeJulia, "starts", starts)

    return be


@pytest.fixture
def recordings(stubs, tmp_path: Path) -> Path:
    study = stubs["stub"]
    options = study.configure()
    folder = tmp_path / "recordings"
    record(StubEngine("julia").observe(study, options, study.inputs(options)), folder)
    return folder


def kinds(slots) -> list[str]:
    return [f"{e.name}:{type(e).__name__}" for e in slots.engines]


RECORDED = ["torch:TorchEngine", "julia:RecordedEngine", "referee:RefereeProcess"]
LIVE = ["torch:TorchEngine", "julia:FakeJulia", "referee:RefereeProcess"]


def test_auto_takes_a_ready_julia(julia, recordings) -> None:
    julia("ready")
    slots = choose_engines("auto", recordings=recordings)
    assert kinds(slots) == LIVE
    assert FakeJulia.opened[0].running
    slots.close()
    assert not FakeJulia.opened[0].running


@pytest.mark.parametrize(("state", "starts"), [("missing", True), ("ready", False)])
def test_auto_falls_back_to_recordings_and_says_why(julia, recordings, state, starts) -> None:
    julia(state, starts)
    slots = choose_engines("auto", recordings=recordings)
    assert kinds(slots) == RECORDED
    (note,) = slots.notes
    assert note.startswith("Julia is replayed from its recordings, where one fits: ")
    assert ("there is none; install one" in note) if starts else ("it dies at once" in note)


def test_auto_installs_nothing_unasked_and_live_does(julia, recordings) -> None:
    julia("installable")
    assert kinds(choose_engines("auto", recordings=recordings)) == RECORDED
    assert kinds(choose_engines("live", recordings=recordings)) == LIVE


def test_without_recordings_the_reason_fills_the_slot(julia, tmp_path: Path) -> None:
    julia("missing")
    slots = choose_engines("auto", recordings=tmp_path / "none")
    assert kinds(slots) == ["torch:TorchEngine", "referee:RefereeProcess"]
    assert "there is none; install one" in slots.absent["julia"]
    assert "numdl record" in slots.absent["julia"]


def test_live_insists(julia, recordings) -> None:
    for state, starts in (("missing", True), ("ready", False)):
        julia(state, starts)
        with pytest.raises(EngineError, match="--julia live, and there is none"):
            choose_engines("live", recordings=recordings)


def test_recorded_and_off_never_look_for_julia(julia, recordings) -> None:
    assert kinds(choose_engines("recorded", recordings=recordings)) == RECORDED
    assert choose_engines("off", recordings=recordings).absent["julia"]
    assert FakeJulia.opened == []


def test_threads_are_both_languages(julia) -> None:
    julia("ready")
    torch, live, _ = choose_engines("live", threads=3).engines
    assert (torch.threads, live.threads) == (3, 3)


def test_a_wrong_mode_or_thread_count_is_named(julia) -> None:
    with pytest.raises(BadInputError, match="one of auto, live, recorded, off"):
        choose_engines("maybe")
    with pytest.raises(BadInputError, match="0 threads"):
        choose_engines("off", threads=0)


def test_record_asks_a_live_engine_and_replay_gives_it_back(stubs, tmp_path: Path) -> None:
    paths = record_studies(
        "stub", "stub_two", engine=StubEngine("julia"), folder=tmp_path, size="quick", seed=4
    )
    assert [p.parent.name for p in paths] == ["stub", "stub_two"]
    study = stubs["stub"]
    options = study.configure("quick", seed=4)
    replayed = RecordedEngine("julia", tmp_path).observe(study, options, study.inputs(options))
    assert {t.phase for t in replayed.timings} == {"first call", "kernel"}


def test_record_needs_a_live_julia_and_keeps_what_it_had(julia, stubs, tmp_path: Path) -> None:
    julia("missing")
    with pytest.raises(EngineError, match="nothing to record from: there is none; install one"):
        record_studies("stub", folder=tmp_path)
    failing = StubEngine("julia", "error", only="stub_two")
    with pytest.raises(EngineError, match="no wish"):
        record_studies("stub", "stub_two", engine=failing, folder=tmp_path, timings=False)
    assert [p.parent.name for p in tmp_path.rglob("*.json")] == ["stub"]


def test_sequential_keeps_the_referee_in_this_process(julia) -> None:
    slots = choose_engines("off", sequential=True)
    assert kinds(slots) == ["torch:TorchEngine", "referee:RefereeEngine"]
