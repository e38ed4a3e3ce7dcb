"""A question about a user's own model, put to torch, Julia and a referee as if it were a study.

So that verdicts, budgets, the register of known differences, tables and recordings are those of the
case studies, and there is one of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .. import resources
from ..compare import Comparison, compare_study
from ..errors import BadInputError, EngineError
from ..studies.contract import Options, Quantity, Study, input_hash, plain_options
from ..studies.observation import Observation
from .inputs import common_precision

DIGITS = {"float64": 10, "float32": 4}
"""Decimal digits, relative in the norm, that two correct implementations agree to."""


class Asked(Options, frozen=True, kw_only=True):
    """What a recording of a user's model is keyed by, beside its inputs.

    **Arguments:**

    - `function`: of the Julia package, that answered.
    - `arguments`: SHA-256 of what was sent to it beside arrays, the user's Julia source included.
    """

    function: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Question:
    """**Arguments:**

    - `name`: for tables, and the folder of its recordings.
    - `function`, `arguments`, `inputs`: what is sent to Julia; `inputs` are all arrays.
    - `quantities`: what is to be compared.
    - `translate`: from Julia's arrays and data to values and reasons by quantity name.
    - `shown`: what was asked for, as it is printed; no part of a recording's key.
    - `notes`: what a reader of the tables needs to know, one line each.
    """

    name: str
    function: str
    arguments: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray]
    quantities: Sequence[Quantity]
    translate: Callable[[Any], tuple[dict[str, np.ndarray], dict[str, str]]]
    shown: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @cached_property
    def input_hash(self) -> str:
        """Of the inputs, computed once: they may be large."""
        return input_hash(self.inputs)

    @cached_property
    def options(self) -> Asked:
        text = msgspec.json.encode(self.arguments, order="deterministic")
        return Asked(
            dtype=common_precision(self.inputs),  # type: ignore[arg-type]
            function=self.function,
            arguments=hashlib.sha256(text).hexdigest(),
        )

    @property
    def study(self) -> Study:
        return Study(
            name=self.name,
            order=0,
            title=self.name,
            slide="",
            question="Do PyTorch and Julia compute the same?",
            options=Asked,
            draw=lambda options, rng: dict(self.inputs),
            quantities=lambda options: self.quantities,
        )

    def observation(
        self,
        engine: str,
        values: Mapping[str, np.ndarray],
        unavailable: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> Observation:
        """An observation of this question by an engine that computed from `inputs` here."""
        return Observation(
            study=self.name,
            engine=engine,
            options=plain_options(self.options),
            input_hash=self.input_hash,
            values={k: np.asarray(v) for k, v in values.items()},
            unavailable=dict(unavailable or {}),
            **rest,
        )

    def compare(
        self, observations: Mapping[str, Observation], absent: Mapping[str, str]
    ) -> Comparison:
        return compare_study(self.study, self.options, observations, absent=absent)


def tolerance(precision: str, rtol: float | None) -> tuple[float, str]:
    """The relative tolerance of a question's quantities, and where it comes from."""
    if rtol is not None:
        if not rtol >= 0:
            raise BadInputError(f"rtol {rtol!r}", "a number of at least 0")
        return rtol, "given by the caller"
    digits = DIGITS[precision]
    return 10.0**-digits, f"{digits} digits, what {precision} keeps of a model's gradients"


def recordings_folder(folder: str | Path | None) -> Path:
    """Where a question's recordings are: a folder of the user's, else the package's own."""
    return Path(folder) if folder is not None else resources.folder("recordings")


def check_precision(name: str, value: np.ndarray, precision: str) -> None:
    """Raise `EngineError` where an engine promoted or truncated without being asked."""
    if np.issubdtype(value.dtype, np.floating) and value.dtype.name != precision:
        raise EngineError(f"{name} is {value.dtype.name}", precision)
