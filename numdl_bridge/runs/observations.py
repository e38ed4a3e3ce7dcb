"""An observation on disk: `<stem>.npz` (arrays) and `<stem>.json` (the rest, and the seal of both).

The JSON names the SHA-256 of the NPZ and is itself sealed, so that its seal stands for every byte
of both; it is written last, so that an observation is either wholly there or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TamperedError
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

FORMAT = 1
_PARTS = ("values", "radii")


def save_observation(observation: Observation, folder: Path, stem: str, **extra: Any) -> str:
    """Keep an observation as `folder/stem.npz` and `folder/stem.json`; returns its seal.

    `extra` is kept in the JSON beside it (a recording's date and key).
    """
    packed = pack_arrays(
        {f"{p}/{k}": v for p in _PARTS for k, v in getattr(observation, p).items()}
    )
    write_atomic(folder / f"{stem}.npz", packed)
    rest = {k: v for k, v in vars(observation).items() if k not in _PARTS}
    return write_sealed(
        folder / f"{stem}.json", {"format": FORMAT, **extra, "arrays": sha256(packed), **rest}
    )


def load_observation(folder: Path, stem: str) -> tuple[Observation, dict[str, Any], str]:
    """Read an observation: itself, the whole content of its JSON, and its seal.

    Raises `TamperedError` where any byte of either file was changed.
    """
    path = folder / f"{stem}.json"
    content, seal = read_sealed(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise TamperedError(
            f"{path} is not an observation of format {FORMAT}",
            remedy="compute it again with this version of numdl-bridge",
        )
    arrays = unpack_arrays(
        read_checked(folder / f"{stem}.npz", content["arrays"]), str(folder / f"{stem}.npz")
    )
    parts: dict[str, dict[str, np.ndarray]] = {p: {} for p in _PARTS}
    for name, array in arrays.items():
        part, _, quantity = name.partition("/")
        parts[part][quantity] = array
    timings = [Timing(t["task"], t["phase"], tuple(t["seconds"])) for t in content["timings"]]
    observation = Observation(
        study=content["study"],
        engine=content["engine"],
        options=content["options"],
        input_hash=content["input_hash"],
        values=parts["values"],
        radii=parts["radii"],
        rounding=content["rounding"],
        unavailable=content["unavailable"],
        timings=timings,
        peak_memory=content["peak_memory"],
        provenance=content["provenance"],
        recorded=content["recorded"],
    )
    return observation, content, seal
