"""Small studies, and engines that answer them, fail, disagree or kill their process."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import pytest

from numdl_bridge.engines.base import sort_answer
from numdl_bridge.errors import EngineError
from numdl_bridge.studies import all_studies
from numdl_bridge.studies.contract import (
    Claim,
    Decision,
    Options,
    Quantity,
    Study,
    input_hash,
    plain_options,
)
from numdl_bridge.studies.observation import Observation, Unavailable


class StubOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """**Arguments:**

    - `entries`: length of x.
    - `powers`: nothing depends on them; a tuple, which JSON does not know.
    """

    entries: Annotated[int, msgspec.Meta(ge=1)] = 5
    powers: tuple[int, ...] = (1, 2)


def quantities(options: StubOptions) -> list[Quantity]:
    return [
        Quantity("loss", "loss", 1e-14, "one sum", about="sum of x^4 / 4"),
        Quantity("gradient/x", "gradient", 1e-14, "one product", about="x^3"),
        Quantity("inverse/x", "inverse", 1e-14, "one root", about="x again"),
        Quantity("count", "count", 0.0, "exact", about="entries of x"),
    ]


def claims(options: StubOptions) -> list[Claim]:
    def check(values, options):  # type: ignore[no-untyped-def]
        worst = float(np.abs(values["inverse/x"]).max())
        return Decision(worst < 10, f"max |x| = {worst:.2f}")

    return [Claim("bounded", "|x| stays below 10", "a stub", ("inverse/x",), check)]


def make(name: str, order: int = 100) -> Study:
    return Study(
        name=name,
        order=order,
        title=f"The study {name}",
        slide="none",
        question="Does the machinery work?",
        options=StubOptions,
        draw=lambda o, rng: {"x": rng.standard_normal(o.entries), "n": np.array(o.entries)},
        quantities=quantities,
        claims=claims,
        sizes={"quick": {"entries": 2}, "full": {"entries": 50}},
        notes="A slip of the stub.",
    )


STUBS = {s.name: s for s in (make("stub"), make("stub_two", 101))}


class Watch:
    def __init__(self, pause: float = 0.0) -> None:
        self.tasks, self.pause = ("forward", "gradient"), pause

    def sample(self, task: str, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            time.sleep(0.001 + self.pause)
        return time.perf_counter() - start

    def close(self) -> None:
        pass


class StubEngine:
    """Answers right, or as `fault` says: `error`, `crash`, `kill`, `interrupt`, `wrong`, `bytes`,
    `lacks` (one quantity unavailable). `only`: the study that the fault is in."""

    def __init__(self, name: str = "torch", fault: str = "", only: str = "") -> None:
        self.name, self.fault, self.only = name, fault, only
        self.asked: list[str] = []

    def missing(self) -> str | None:
        return None

    def observe(self, study, options, inputs) -> Observation:  # type: ignore[no-untyped-def]
        self.asked.append(study.name)
        fault = self.fault if self.only in ("", study.name) else ""
        if fault == "error":
            raise EngineError("the stub has no wish to answer")
        if fault == "crash":
            raise ZeroDivisionError("deep inside")
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "interrupt":
            raise KeyboardInterrupt
        x = np.asarray(inputs["x"])
        answer = {
            "loss": np.sum(x**4) / 4,
            "gradient/x": x**3 * (1.5 if fault == "wrong" else 1.0),
            "inverse/x": np.cbrt(x**3) if fault != "lacks" else Unavailable("no root here"),
            "count": int(inputs["n"]),
        }
        values, reasons = sort_answer(study, self.name, options, answer)
        return Observation(
            study=study.name,
            engine=self.name,
            options=plain_options(options),
            input_hash=input_hash(inputs) if fault != "bytes" else "0" * 64,
            values=values,
            unavailable=reasons,
            provenance={"stub": "1.0"},
        )

    def stopwatch(self, study, options, inputs) -> Watch:  # type: ignore[no-untyped-def]
        return Watch()

    def close(self) -> None:
        pass


def engines(**faults: str) -> list[StubEngine]:
    return [StubEngine(n, faults.get(n, "")) for n in ("torch", "julia", "referee")]


def install() -> None:
    """Make the stubs known, as modules in `studies/` would be."""
    all_studies().update(STUBS)


def changed(study: Study, **fields: object) -> Study:
    return replace(study, **fields)  # type: ignore[arg-type]


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Study]:
    """The stub studies are known, and runs are kept in a folder of the test's own."""
    for name, study in STUBS.items():
        monkeypatch.setitem(all_studies(), name, study)
    monkeypatch.chdir(tmp_path)
    return STUBS
