"""The referee beside the others: the same run as one after the other, whatever happens to it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from stub_study import StubEngine

from numdl_bridge.errors import BadInputError, EngineError
from numdl_bridge.runs import RunInterrupted, open_run, run
from numdl_bridge.runs.events import Event

pytestmark = pytest.mark.usefixtures("stubs")
QUICK = {"size": "quick", "timings": False}


class Apart(StubEngine):
    """A referee that computes elsewhere: `close` ends the question that it is at."""

    apart = True

    def __init__(self, fault: str = "", only: str = "") -> None:
        super().__init__("referee", fault, only)
        self.closed, self.threads = threading.Event(), set()

    def observe(self, study, options, inputs):
        self.threads.add(threading.get_ident())
        if self.fault == "hang":
            assert self.closed.wait(20)
            raise EngineError("was ended")
        if self.fault == "bad":
            raise BadInputError("no such device")
        return super().observe(study, options, inputs)

    def close(self) -> None:
        self.closed.set()


def files(folder: Path) -> dict[str, bytes]:
    kept = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "manifest.json"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def test_beside_or_after_the_run_on_disk_is_the_same(tmp_path: Path) -> None:
    after = [StubEngine("torch"), StubEngine("referee")]
    apart = Apart()
    beside = [StubEngine("torch"), apart]
    one = run("stub", "stub_two", engines=after, folder=tmp_path / "after", **QUICK)
    two = run("stub", "stub_two", engines=beside, folder=tmp_path / "beside", **QUICK)
    assert one.ok
    assert two.ok
    assert files(tmp_path / "after") == files(tmp_path / "beside")
    assert apart.threads
    assert threading.get_ident() not in apart.threads


def test_the_real_referee_beside_torch_or_after_it_gives_the_same_bits(tmp_path: Path) -> None:
    names, more = ("subgradient", "classification"), {"size": "quick", "timings": False}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, sequential in zip(folders, (False, True)):
        run(*names, julia="off", folder=folder, sequential=sequential, **more)
    one, two = (open_run(folder) for folder in folders)
    for name in names:
        assert one[name].comparison == two[name].comparison
        for engine, values in one[name].values.items():
            other = two[name].values[engine]
            assert {k: v.tobytes() for k, v in values.items()} == {
                k: v.tobytes() for k, v in other.items()
            }


def test_it_gets_ahead_of_a_slow_engine_and_its_answers_are_kept_at_once(tmp_path: Path) -> None:
    apart, folder = Apart(), tmp_path / "run"

    class Slow(StubEngine):
        def observe(self, study, options, inputs):
            until = time.monotonic() + 10
            while not (folder / "stub_two" / "referee.json").exists():
                assert time.monotonic() < until
                time.sleep(0.01)
            return super().observe(study, options, inputs)

    assert run("stub", "stub_two", engines=[Slow("torch"), apart], folder=folder, **QUICK).ok


def test_nothing_is_timed_while_anybody_answers(tmp_path: Path) -> None:
    events: list[Event] = []

    class Late(Apart):
        def observe(self, study, options, inputs):
            time.sleep(0.2)
            return super().observe(study, options, inputs)

    chosen = [StubEngine("torch"), Late()]
    run("stub", "stub_two", engines=chosen, size="quick", progress=events.append)
    kinds = [e.kind for e in events]
    assert kinds.index("timing") > max(i for i, k in enumerate(kinds) if k == "answered")
    assert kinds.count("answered") == 2


@pytest.mark.parametrize("fault", ["error", "crash", "bytes"])
def test_its_fall_costs_only_its_own_answer(fault: str) -> None:
    results = run("stub", "stub_two", engines=[StubEngine("torch"), Apart(fault, "stub")], **QUICK)
    assert "referee" in results["stub"].crashed
    assert results["stub_two"].ok
    sound = [StubEngine("torch"), Apart()]
    assert run(resume=results.folder, engines=sound).ok
    assert [e.asked for e in sound] == [[], ["stub"]]


def test_ctrl_c_ends_it_and_does_not_count_as_its_failure() -> None:
    apart = Apart("hang")
    chosen = [StubEngine("torch", "interrupt", only="stub_two"), apart]
    with pytest.raises(RunInterrupted) as caught:
        run("stub", "stub_two", engines=chosen, **QUICK)
    assert apart.closed.is_set()
    kept = open_run(caught.value.folder)
    assert kept.manifest["status"] == "interrupted"
    assert list(kept) == ["stub"], "a study that nobody answered is not shown"
    assert not kept["stub"].crashed
    assert run(resume=caught.value.folder, engines=[StubEngine("torch"), Apart()]).ok


def test_bad_input_found_there_ends_the_run() -> None:
    with pytest.raises(BadInputError, match="no such device"):
        run("stub", "stub_two", engines=[StubEngine("torch"), Apart("bad")], **QUICK)
