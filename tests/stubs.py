"""A study and engines small enough to know all answers by heart, for tests of what is above them.

The study `stub` asks for y = a * x and its gradient; the engines answer it in one line each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from numdl_bridge.engines.base import sort_answer
from numdl_bridge.studies.contract import (
    Arrays,
    Claim,
    Decision,
    Options,
    Published,
    Quantity,
    Study,
    Term,
    input_hash,
    plain_options,
)
from numdl_bridge.studies.observation import Observation, Timing, Unavailable


class StubOptions(Options, frozen=True, kw_only=True):
    """`samples`: length of x."""

    samples: int = 4


def draw(options: StubOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"x": rng.standard_normal(options.samples), "a": np.array(3.0)}


def quantities(options: StubOptions) -> tuple[Quantity, ...]:
    return (
        Quantity("y", "solution", 1e-12, "4 u"),
        Quantity("gradient", "gradient", 1e-12, "4 u", terms=(Term("solver", 1e-9, "by design"),)),
        Quantity("gradient/other", "gradient", 1e-12, "4 u", engines=("julia",),
                 compare_with="gradient"),
        Quantity("inverse", "inverse", 0.0, "algebraic", atol=1e-13),
        Quantity("steps", "count", 0.0, "an integer"),
        Quantity("chaos", "figure", 0.0, "no reason to agree", compared=False),
    )  # fmt: skip


def check_double(values: Arrays, options: Any) -> Decision:
    size = float(np.linalg.norm(values["gradient"]))
    return Decision(size < 100, f"norm {size:.3f}")


STUDY = Study(
    name="stub",
    order=99,
    title="A stub",
    slide="none",
    question="Is y = a x?",
    options=StubOptions,
    draw=draw,
    quantities=quantities,
    claims=lambda options: (
        Claim("bounded", "The gradient is below 100.", "here", ("gradient",), check_double),
    ),
    published=lambda options: (
        Published("steps", 29.0, "a table", lambda values: values.get("steps")),
    ),
    sizes={"quick": {"samples": 2}},
)


def exact(inputs: Arrays, options: StubOptions) -> dict[str, Any]:
    """The right answer to everything."""
    x, a = inputs["x"], inputs["a"]
    return {
        "y": a * x,
        "gradient": np.full(x.shape, float(a)),
        "gradient/other": np.full(x.shape, float(a)),
        "inverse": x,
        "steps": np.asarray(29),
        "chaos": np.asarray(0.5),
    }


class StubEngine:
    """An engine that gives the right answer, spoilt where a test wants it to be.

    **Arguments:**

    - `spoil`: by quantity name, a function of the right value, or an `Unavailable`.
    - `rounding`, `timings`, `provenance`, `recorded`: go into the observation as they are.
    """

    def __init__(
        self,
        name: str,
        spoil: Mapping[str, Callable[[np.ndarray], Any] | Unavailable] | None = None,
        **extra: Any,
    ) -> None:
        self.name, self.spoil, self.extra = name, dict(spoil or {}), extra

    def missing(self) -> str | None:
        return None

    def observe(self, study: Study, options: StubOptions, inputs: Arrays) -> Observation:
        answer = {}
        for quantity in study.quantities(options):
            if self.name not in quantity.engines:
                continue
            value = exact(inputs, options)[quantity.name]
            spoil = self.spoil.get(quantity.name)
            answer[quantity.name] = (
                value
                if spoil is None
                else spoil
                if isinstance(spoil, Unavailable)
                else spoil(value)
            )
        values, reasons = sort_answer(study, self.name, options, answer)
        observation = Observation(
            study=study.name,
            engine=self.name,
            options=plain_options(options),
            input_hash=input_hash(inputs),
            values=values,
            unavailable=reasons,
        )
        if self.name == "referee":
            observation.radii = {
                k: np.full(v.shape, 1e-30) for k, v in values.items() if v.dtype.kind == "f"
            }
        return replace(observation, **self.extra)

    def stopwatch(self, study: Study, options: StubOptions, inputs: Arrays) -> StubStopwatch:
        return StubStopwatch()

    def close(self) -> None:
        """Nothing runs on after a call."""


class StubStopwatch:
    """Every call takes a millisecond, by decree."""

    tasks = ("gradient",)

    def sample(self, task: str, calls: int) -> float:
        return 1e-3 * calls

    def close(self) -> None:
        """Nothing to end."""


def observations(**engines: Any) -> tuple[Study, StubOptions, dict[str, Observation]]:
    """Study, options and observations, for `compare_study(*observations(...))`.

    Each keyword is an engine: None for the right answer, or the arguments of a `StubEngine` as a
    dict. Without keywords: torch, julia and referee, all right.
    """
    options = STUDY.configure()
    inputs = STUDY.inputs(options)
    wanted = engines or {"torch": None, "julia": None, "referee": None}
    made = {name: StubEngine(name, **(given or {})) for name, given in wanted.items()}
    return STUDY, options, {k: e.observe(STUDY, options, inputs) for k, e in made.items()}


def kernel(*seconds: float, task: str = "gradient") -> Timing:
    return Timing(task, "kernel", seconds)
