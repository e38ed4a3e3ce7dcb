"""The referee: NumPy, derivatives worked out by hand, digits proven by ball arithmetic.

It shares no code and no automatic differentiation with the other engines. A study's module has

- `answer(inputs, options, field) -> {quantity: array | number | Unavailable}`, generic in the
  number type `field` (see `number.py`). Object arrays of balls carry their proof with them; a plain
  float array says that this quantity has no proof (a NumPy reference), and its radius is Inf.

and may have

- `rounding(inputs, options) -> {quantity: relative bound}`, an a-priori bound from an operation
  count, where balls in working precision would be too pessimistic (they wrap), and
- `BITS`, the precision that the proof needs (256 by default).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from ...errors import EngineError
from ...studies.contract import Arrays, Options, Study, check_finite, input_hash, plain_options
from ...studies.observation import Observation
from ..base import sort_answer
from .number import Ball, midpoint, radius

# A library's tanh or exp may be a few units in the last place off where a ball's is off by one.
LIBRARY_FUNCTIONS = 4.0

_SIGNIFICAND = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


class RefereeEngine:
    """Answers studies in ball arithmetic.

    **Arguments:**

    - `bits`: precision of the proof; a study's module may ask for more.
    """

    name = "referee"

    def __init__(self, bits: int = 256) -> None:
        self.bits = bits

    def missing(self) -> str | None:
        return None

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        module = _module(study.name)
        check_finite(study.name, inputs)
        # One memory order, wherever the inputs come from: sums in doubles depend on it.
        received = {k: np.array(v, order="C") for k, v in inputs.items()}
        bits = max(self.bits, getattr(module, "BITS", 0))
        proof = Ball(bits)
        with proof.working():
            answer, reasons = sort_answer(
                study, self.name, options, module.answer(received, options, proof)
            )
            values = {k: midpoint(v) for k, v in answer.items()}
            radii = {k: radius(v) for k, v in answer.items() if np.asarray(v).dtype == object}
        return Observation(
            study=study.name,
            engine=self.name,
            options=plain_options(options),
            input_hash=input_hash(received),
            values=values,
            radii=radii,
            rounding=self._rounding(module, received, options),
            unavailable=reasons,
            provenance={
                "python": platform.python_version(),
                "numpy": np.__version__,
                "python-flint": version("python-flint"),
                "bits": bits,
            },
        )

    def _rounding(
        self, module: Any, inputs: Mapping[str, np.ndarray], options: Options
    ) -> dict[str, float]:
        """Relative bounds on the effect of rounding in the working precision.

        The same lines, in balls with as many bits as the working precision has: each operation adds
        at least the error that a float operation can make, so the radius bounds a float evaluation
        in the same order. A bound that is not finite is left out rather than quoted.
        """
        if hasattr(module, "rounding"):
            return dict(module.rounding(inputs, options))
        coarse = Ball(_SIGNIFICAND[options.dtype])
        with coarse.working():
            answer = module.answer(inputs, options, coarse)
            bounds = {}
            for name, value in answer.items():
                if np.asarray(value).dtype != object:
                    continue
                size, error = np.linalg.norm(midpoint(value)), np.linalg.norm(radius(value))
                if np.isfinite(size) and np.isfinite(error) and size > 0:
                    bounds[name] = float(LIBRARY_FUNCTIONS * error / size)
        return bounds

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> None:
        """The referee is there to be right; its time is not a result."""

    def close(self) -> None:
        """Nothing runs on after a call."""


def _module(study: str) -> Any:
    try:
        return import_module(f"{__name__}.{study}")
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.{study}":
            raise EngineError(f"the referee has no answer to study {study!r}") from None
        raise
