"""What the last start of a Julia came to, remembered until something it depended on changes."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...resources import folder
from ...version import __version__
from .settings import Settings, cache_folder


def stamp_key(settings: Settings, environ: Mapping[str, str] | None = None) -> str:
    """Changes with anything that a start depends on."""
    environ = os.environ if environ is None else environ
    digest = hashlib.sha256()
    files = sorted(p for p in folder("julia").rglob("*") if p.suffix in (".jl", ".toml"))
    if settings.explicit:
        place = Path(str(settings.project.value)).expanduser()
        files += [Path(str(settings.exe.value)), *sorted(place.glob("*.toml"))]
    for path in files:
        if path.is_file():
            seen = path.stat()
            digest.update(f"{path}|{seen.st_mtime_ns}|{seen.st_size}\n".encode())
    for item in (
        *(str(o.value) for o in settings.options),
        environ.get("JULIA_DEPOT_PATH", ""),
        version("juliacall"),
        __version__,
    ):
        digest.update(f"{item}\n".encode())
    return digest.hexdigest()[:24]


def read_stamp(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """What was written about the last start of this Julia as it is now; None if nothing."""
    path = cache_folder(environ) / f"{stamp_key(settings, environ)}.json"
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("ready"), bool) else None


def write_stamp(
    settings: Settings,
    ready: bool,
    reason: str = "",
    facts: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Remember what a start came to. A cache that cannot be written is no reason to fail."""
    path = cache_folder(environ) / f"{stamp_key(settings, environ)}.json"
    stamp = {
        "ready": ready,
        "reason": reason,
        "facts": dict(facts or {}),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    except OSError:
        pass


def drop_stamp(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Forget what the last start came to."""
    (cache_folder(environ) / f"{stamp_key(settings, environ)}.json").unlink(missing_ok=True)
