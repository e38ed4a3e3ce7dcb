"""A run on disk: what was asked, observed and concluded, readable without executing anything.

    numdl-runs/<UTC time>-<short id>/
      manifest.json             what was asked, of which versions, on which machine; status
      <study>/inputs.npz        drawn once; its SHA-256 is in the manifest
      <study>/<engine>.npz      values and radii         (see `observations.py`)
      <study>/<engine>.json     the rest of the observation, and the seal of both
      <study>/<engine>.failed.json   why an engine gave no answer
      <study>/timings.json
      <study>/comparison.json   verdicts, claims, and the seals of what they were drawn from

JSON is sealed and every file is written atomically. What an engine answered is written once and
never rewritten, so that a kill at any moment leaves a run that `--resume` can continue.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..compare import ENGINES
from ..errors import BadInputError, TamperedError, UnknownNameError
from ..studies.contract import Arrays
from ..studies.observation import Observation, Timing
from .files import (
    pack_arrays,
    read_checked,
    read_sealed,
    sha256,
    unpack_arrays,
    write_atomic,
    write_sealed,
)
from .observations import load_observation, save_observation

ROOT = Path("numdl-runs")
FORMAT = 1
_FAILED = ".failed.json"
_NOT_ENGINES = {"timings", "comparison"}


@dataclass(frozen=True)
class Failure:
    """Why an engine gave no answer.

    **Arguments:**

    - `reason`: in words.
    - `crashed`: True where the engine was there and failed, False where it could not be expected to
      answer (no recording of this question).
    """

    reason: str
    crashed: bool = True


class RunStore:
    """One run's folder. Create one with `RunStore.create`, read one with `RunStore.open`."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def create(cls, asked: Mapping[str, Any], folder: str | Path | None = None) -> RunStore:
        """Start a run in `folder`, or in a new folder under `./numdl-runs`.

        `asked` goes into the manifest: studies, size, settings, engines, versions, machine.
        """
        now = datetime.now(UTC)
        identity = secrets.token_hex(3)
        path = Path(folder) if folder else ROOT / f"{now:%Y%m%dT%H%M%SZ}-{identity}"
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadInputError(
                f"{path} exists and is not an empty folder",
                "a new or empty folder for the run",
                "choose another with --out, or continue the run in it with --resume",
            )
        manifest = {
            "format": FORMAT,
            "id": identity,
            "created": now.isoformat(timespec="seconds"),
            "status": "running",
            **asked,
            "studies": {},
        }
        store = cls(path, manifest)
        store._write_manifest()
        return store

    @classmethod
    def open(cls, path: str | Path) -> RunStore:
        """Read a run's manifest. Raises `UnknownNameError` or `TamperedError`."""
        file = Path(path) / "manifest.json"
        if not file.is_file():
            raise UnknownNameError(
                f"{path} is not a run: it has no manifest.json",
                "a folder that `numdl run` wrote",
                "`ls numdl-runs` lists those in this folder",
            )
        manifest, _ = read_sealed(file)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise TamperedError(
                f"{file} is not a manifest of format {FORMAT}",
                remedy="open it with the version of numdl-bridge that wrote it",
            )
        return cls(Path(path), manifest)

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of the studies whose inputs are kept, in the order in which they were run."""
        return tuple(self.manifest["studies"])

    def set_status(self, status: str, **also: Any) -> None:
        """`running`, `complete`, `interrupted` or `failed`."""
        self.manifest.update(status=status, **also)
        self._write_manifest()

    def save_inputs(
        self, study: str, options: Mapping[str, Any], inputs: Arrays, digest: str
    ) -> None:
        """Keep a study's inputs, or check that a resumed run drew the same ones."""
        known = self.manifest["studies"].get(study)
        if known:
            remedy = "start a new run: the study, its options or NumPy changed since"
            if known["options"] != options:
                names = sorted({*known["options"], *options})
                off = [n for n in names if known["options"].get(n) != options.get(n)]
                raise BadInputError(
                    f"study {study!r} has other options now: "
                    + ", ".join(f"{n}={options.get(n)}" for n in off),
                    ", ".join(f"{n}={known['options'].get(n)}" for n in off),
                    remedy,
                )
            if known["input_hash"] != digest:
                raise BadInputError(
                    f"study {study!r} draws other inputs now ({digest[:12]}…) than this run kept",
                    f"inputs {known['input_hash'][:12]}…",
                    remedy,
                )
            return
        packed = pack_arrays(inputs)
        write_atomic(self.path / study / "inputs.npz", packed)
        self.manifest["studies"][study] = {
            "options": dict(options),
            "input_hash": digest,
            "inputs": sha256(packed),
        }
        self._write_manifest()

    def inputs(self, study: str) -> dict[str, np.ndarray]:
        """A study's inputs as they were handed to every engine."""
        path = self.path / study / "inputs.npz"
        seal = self.manifest["studies"][study]["inputs"]
        return unpack_arrays(read_checked(path, seal), str(path))

    def save_observation(self, observation: Observation) -> None:
        """Keep what an engine answered."""
        folder = self.path / observation.study
        save_observation(observation, folder, observation.engine)
        (folder / f"{observation.engine}.failed.json").unlink(missing_ok=True)

    def observation(self, study: str, engine: str) -> Observation | None:
        """What an engine answered, with its timings; None where it has not."""
        if not (self.path / study / f"{engine}.json").is_file():
            return None
        observation, _, _ = load_observation(self.path / study, engine)
        if observation.input_hash != self.manifest["studies"][study]["input_hash"]:
            raise TamperedError(
                f"{self.path / study / engine}.json answers other inputs than this run's",
                f"inputs {self.manifest['studies'][study]['input_hash'][:12]}…",
                "restore the original, or delete it and continue with --resume",
            )
        observation.timings = [*observation.timings, *self.timings(study).get(engine, [])]
        return observation

    def save_failure(self, study: str, engine: str, failure: Failure) -> None:
        """Keep why an engine gave no answer; `--resume` asks it again."""
        write_sealed(self.path / study / f"{engine}{_FAILED}", failure)

    def failures(self, study: str) -> dict[str, Failure]:
        """By engine, of those that gave no answer."""
        found = sorted((self.path / study).glob(f"*{_FAILED}"))
        return {f.name.removesuffix(_FAILED): Failure(**read_sealed(f)[0]) for f in found}

    def engines(self, study: str) -> list[str]:
        """Names of the engines whose answers are kept, in the order of the tables."""
        names = {p.stem for p in (self.path / study).glob("*.json") if not p.name.startswith(".")}
        found = [n for n in names - _NOT_ENGINES if not n.endswith(".failed")]
        return sorted(found, key=lambda n: (ENGINES.index(n) if n in ENGINES else len(ENGINES), n))

    def save_timings(self, study: str, timings: Mapping[str, list[Timing]]) -> None:
        """Keep the samples of all engines, which were taken together."""
        write_sealed(self.path / study / "timings.json", timings)

    def has_timings(self, study: str) -> bool:
        return (self.path / study / "timings.json").is_file()

    def timings(self, study: str) -> dict[str, list[Timing]]:
        """Samples by engine; empty where nothing was timed."""
        if not self.has_timings(study):
            return {}
        content, _ = read_sealed(self.path / study / "timings.json")
        return {
            engine: [Timing(t["task"], t["phase"], tuple(t["seconds"])) for t in samples]
            for engine, samples in content.items()
        }

    def save_comparison(self, study: str, comparison: Any) -> None:
        """Keep verdicts and claims; the one file of a run that `rescore` writes anew."""
        write_sealed(self.path / study / "comparison.json", comparison)

    def comparison(self, study: str) -> Any | None:
        """Verdicts and claims as plain data; None where the study was not finished."""
        path = self.path / study / "comparison.json"
        return read_sealed(path)[0] if path.is_file() else None

    def _write_manifest(self) -> None:
        write_sealed(self.path / "manifest.json", self.manifest)


def find_run(text: str | Path, root: Path = ROOT) -> Path:
    """The folder of a run: a path, the beginning of its name or of its id, or `last`.

    Raises `UnknownNameError` where none or more than one fits.
    """
    if (Path(text) / "manifest.json").is_file():
        return Path(text)
    runs = sorted(p.parent for p in root.glob("*/manifest.json"))
    if text == "last" and runs:
        return runs[-1]
    fits = [r for r in runs if r.name.startswith(str(text)) or r.name.split("-")[-1] == str(text)]
    fits = fits or [r for r in runs if r.name.split("-")[-1].startswith(str(text))]
    if len(fits) == 1:
        return fits[0]
    names = ", ".join(r.name for r in (fits or runs)[-5:]) or f"none in {root}"
    raise UnknownNameError(
        f"{'more than one run fits' if fits else 'no run called'} {str(text)!r}",
        f"a path, an id or `last`; there are {names}",
    )
