"""An observation: what one engine returned for one study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Seconds that one phase of one task took, in one engine.

    **Arguments:**

    - `task`: what was timed, the same name in every engine (`"gradient/rk4"`), or the engine's own
      life (`"engine"`).
    - `phase`: of the engine `process start`, `package load`; of a study's answer `answer`,
      `compilation` (in it), `conversion in`, `conversion out`, `bridge`; of a timed task `first
      call` (after the answer: what is still compiled then) and `kernel`.
    - `seconds`: one entry a sample, each already divided by the number of calls in the sample.
    """

    task: str
    phase: str
    seconds: tuple[float, ...]


@dataclass
class Observation:
    """What one engine returned for one study.

    **Arguments:**

    - `study`, `engine`: names.
    - `options`: the study's options as plain data.
    - `input_hash`: of the bytes that the engine *received*, computed by the engine.
    - `values`: by quantity name; NumPy arrays (0-dimensional for numbers), native dtypes.
    - `radii`: referee only: proven bound on |value - exact|, elementwise, same shapes.
    - `rounding`: referee only: a bound, relative in the norm, on what rounding in the working
      precision may do to this quantity (the radius of the same ball computation carried out at
      that precision).
    - `unavailable`: reason by quantity name, for those that the engine should return but cannot.
    - `timings`: see `Timing`.
    - `peak_memory`: bytes, of the engine's process.
    - `provenance`: versions, CPU, BLAS, threads; plain data.
    - `recorded`: None if live, else the date of the recording that was replayed.
    """

    study: str
    engine: str
    options: dict[str, Any]
    input_hash: str
    values: dict[str, np.ndarray]
    radii: dict[str, np.ndarray] = field(default_factory=dict)
    rounding: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    peak_memory: int | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    recorded: str | None = None


@dataclass(frozen=True)
class Unavailable:
    """Returned by an engine's `answer` in place of a value that it cannot give, with the reason."""

    reason: str
