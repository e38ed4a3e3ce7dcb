"""Recordings: what an engine really answered, kept to be replayed where it is not installed.

`<folder>/<study>/<engine>-<key>.json` and `.npz`; the key is the first twelve digits of the SHA-256
of the options and the input hash, so that a recording answers exactly the question that it was
asked. Only a live engine's observation can be recorded.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .. import resources
from ..compare import formatting
from ..compare.metrics import relative
from ..errors import BadInputError, EngineError, TamperedError
from ..studies import get_study
from ..studies.contract import Arrays, Options, Study, input_hash, plain_options
from ..studies.observation import Observation
from .files import sha256
from .observations import load_observation, save_observation


class NoRecordingError(EngineError):
    """This very question was never recorded."""


def recording_key(options: dict[str, Any], inputs: str) -> str:
    """The key of a recording: options (plain data, order irrelevant) and the inputs' hash."""
    text = msgspec.json.encode({"options": options, "inputs": inputs}, order="deterministic")
    return sha256(text)[:12]


def record(
    observation: Observation, folder: Path | None = None, study: Study | None = None
) -> Path:
    """Keep a live observation as a recording; returns the path of its JSON file.

    It must answer the study's own inputs for its options, and be live: a replayed one is refused,
    so that a recording's date and provenance are always those of the computation.
    """
    asked = study or get_study(observation.study)
    name = f"{observation.engine!r} on study {observation.study!r}"
    if observation.recorded is not None:
        raise BadInputError(
            f"the observation of {name} is itself a recording of {observation.recorded}",
            "a live observation",
            "run `numdl record` where the engine is installed",
        )
    if not observation.provenance:
        raise BadInputError(
            f"the observation of {name} has no provenance",
            "versions, CPU, BLAS and threads, as a live engine reports them",
        )
    options = asked.configure(**observation.options)
    if input_hash(asked.inputs(options)) != observation.input_hash:
        raise BadInputError(
            f"the observation of {name} answers other inputs than the study draws",
            "the study's own inputs for these options",
            "record what `numdl record` computes, nothing else",
        )
    place = (folder or resources.folder("recordings")) / observation.study
    key = recording_key(observation.options, observation.input_hash)
    stem = f"{observation.engine}-{key}"
    save_observation(observation, place, stem, date=datetime.now(UTC).strftime("%Y-%m-%d"))
    return place / f"{stem}.json"


class RecordedEngine:
    """Replays an engine's recordings; it computes nothing and times nothing.

    **Arguments:**

    - `name`: of the engine that was recorded.
    - `folder`: of the recordings; those of this repository unless given.
    - `remedy`: how a missing one is made, where that is not `numdl record <study>`.
    """

    def __init__(self, name: str, folder: Path | None = None, remedy: str = "") -> None:
        self.name, self.folder = name, folder or resources.folder("recordings")
        self.remedy = remedy

    def missing(self) -> str | None:
        if any(self.folder.glob(f"*/{self.name}-*.json")):
            return None
        return f"no recordings of engine {self.name!r} here; `numdl record` makes them"

    def missing_for(self, study: Study, options: Options, inputs: Arrays) -> str | None:
        """None where this very question was recorded, else the reason and how to record it."""
        if self._asked(study, options, inputs).is_file():
            return None
        others = sorted((self.folder / study.name).glob(f"{self.name}-*.json"))
        why = "other options or inputs than these" if others else "none for this study"
        where = f"where {self.name.capitalize()} is installed"
        remedy = self.remedy or f"`numdl record {study.name}` makes one {where}"
        return f"no recording ({why}; inputs {input_hash(inputs)[:12]}…); {remedy}"

    def observe(self, study: Study, options: Options, inputs: Arrays) -> Observation:
        reason = self.missing_for(study, options, inputs)
        if reason:
            raise NoRecordingError(reason)
        path = self._asked(study, options, inputs)
        observation, content, _ = load_observation(path.parent, path.stem)
        key = recording_key(observation.options, observation.input_hash)
        if observation.engine != self.name or path.stem != f"{self.name}-{key}":
            raise TamperedError(
                f"{path} holds the answer of {observation.engine!r} to another question ({key})",
                f"the recording of {self.name!r} that its name promises",
                "restore the original",
            )
        observation.recorded = content["date"]
        return observation

    def stopwatch(self, study: Study, options: Options, inputs: Arrays) -> None:
        """A recording has the times of the day on which it was made, and no others."""

    def close(self) -> None:
        """Nothing runs."""

    def path(self, study: str, options: dict[str, Any], inputs: str) -> Path:
        """Where the recording of a question is, or would be: plain options and the inputs' hash."""
        return self.folder / study / f"{self.name}-{recording_key(options, inputs)}.json"

    def _asked(self, study: Study, options: Options, inputs: Arrays) -> Path:
        return self.path(study.name, plain_options(options), input_hash(inputs))


def against_recording(
    observation: Observation, study: Study, options: Options, folder: Path | None = None
) -> str | None:
    """In one line, how a live answer differs from the recorded one; None where none is recorded."""
    recorded = RecordedEngine(observation.engine, folder)
    inputs = observation.input_hash
    path = recorded.path(study.name, observation.options, inputs)
    if observation.recorded is not None or not path.is_file():
        return None
    old, content, _ = load_observation(path.parent, path.stem)
    when = f"the recording of {content['date']}"
    names = [q.name for q in study.quantities(options) if q.name in old.values]
    apart = [n for n in names if not _same_bits(observation.values.get(n), old.values[n])]
    if not apart:
        return f"{observation.engine} equals {when} bit for bit"
    shown = ", ".join(f"{n} ({_gap(observation.values.get(n), old.values[n])})" for n in apart[:4])
    more = f" and {len(apart) - 4} more" if len(apart) > 4 else ""
    return (
        f"{observation.engine} differs from {when} in {len(apart)} of {len(names)}: {shown}{more}"
    )


def _same_bits(new: np.ndarray | None, old: np.ndarray) -> bool:
    return (
        new is not None
        and (new.dtype, new.shape) == (old.dtype, old.shape)
        and np.asarray(new).tobytes() == old.tobytes()
    )


def _gap(new: np.ndarray | None, old: np.ndarray) -> str:
    if new is None:
        return "missing now"
    if new.shape != old.shape or new.dtype.kind != old.dtype.kind or old.dtype.kind in "US":
        return f"{old.dtype}{list(old.shape)} then, {new.dtype}{list(new.shape)} now"
    return f"relative {formatting.size(relative(new, old))}"
