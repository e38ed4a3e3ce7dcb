"""Whether a Julia is ready, found out in well under a second and without starting it.

Three states: `ready`; `installable` (juliapkg would install it now, and the network answers);
`missing`, with the reason and the remedy. A start that failed is remembered until something that it
depended on changes, so that `--julia auto` does not pay for it on every run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ...resources import folder
from .settings import Settings
from .stamps import read_stamp

SUPPORTED = ((1, 10), (1, 12))
"""First and last minor release of Julia that the package is meant for."""

NETWORK_SECONDS = 3.0

State = Literal["ready", "installable", "missing"]


@dataclass(frozen=True)
class Readiness:
    """What was found; `reason` and `remedy` are whole phrases, empty when ready."""

    state: State
    reason: str = ""
    remedy: str = ""

    @property
    def message(self) -> str | None:
        """None unless `missing`, else reason and remedy in one line."""
        return f"{self.reason}; {self.remedy}" if self.state == "missing" else None


def network_answers(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the place that Julia is installed from accepts a connection within three seconds.

    The look-up runs in a thread: a name server that does not answer would otherwise hold us up for
    as long as the system's resolver likes.
    """
    environ = os.environ if environ is None else environ
    proxy = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    target = urlsplit(proxy or environ.get("JULIA_PKG_SERVER") or "https://julialang.org")
    answered = threading.Event()

    def look() -> None:
        try:
            with socket.create_connection(
                (target.hostname or "", target.port or 443), timeout=NETWORK_SECONDS
            ):
                answered.set()
        except OSError:
            pass

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(NETWORK_SECONDS)
    return answered.is_set()


def readiness(
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    online: Callable[[], bool] | None = None,
) -> Readiness:
    """Find out; never starts Julia proper and waits for the network three seconds at most."""
    environ = os.environ if environ is None else environ
    found = (
        _explicit(settings, environ)
        if settings.explicit
        else _juliapkg(online or (lambda: network_answers(environ)))
    )
    if found.state == "ready":
        stamp = read_stamp(settings, environ)
        if stamp is not None and not stamp["ready"]:
            return Readiness(
                "missing",
                f"its last start failed: {stamp['reason']}",
                "mend that, then `numdl julia setup` tries again",
            )
    return found


def _explicit(settings: Settings, environ: Mapping[str, str]) -> Readiness:
    exe, project = settings.exe, settings.project
    path = shutil.which(str(exe.value))
    if path is None:
        return Readiness(
            "missing",
            f"{exe.value} ({exe.source}) is not an executable file",
            "name a Julia with `numdl julia use --exe ... --project ...`",
        )
    release, said = julia_version(path)
    if release is None:
        return Readiness(
            "missing",
            f"{exe.value} ({exe.source}) is not a Julia: asked for its version it said {said!r}",
            "name a Julia with `numdl julia use --exe ... --project ...`",
        )
    if not SUPPORTED[0] <= release[:2] <= SUPPORTED[1]:
        return Readiness(
            "missing",
            f"{exe.value} ({exe.source}) is Julia {'.'.join(map(str, release))}, which is not "
            f"between {_dotted(SUPPORTED[0])} and {_dotted(SUPPORTED[1])}",
            "name another with `numdl julia use`",
        )
    place = Path(str(project.value)).expanduser()
    if not any((place / name).is_file() for name in ("Project.toml", "JuliaProject.toml")):
        return Readiness(
            "missing",
            f"{place} ({project.source}) is not a Julia project: it has no Project.toml",
            "name the folder of a project, or make it one with `numdl julia setup`",
        )
    manifest = find_manifest(place, release)
    if manifest is None:
        return Readiness(
            "missing",
            f"the Julia project {place} ({project.source}) has no Manifest.toml",
            "install its packages with `numdl julia setup`",
        )
    return _packages(place, manifest, _depots(settings, environ, home=environ.get("HOME")))


def _packages(place: Path, manifest: Path, depots: list[Path]) -> Readiness:
    """Whether the manifest has what NumDLBridge needs, and the depots have what it says."""
    remedy = "install them with `numdl julia setup`, or name another project"
    try:
        entries = tomllib.loads(manifest.read_text(encoding="utf-8")).get("deps", {})
    except (OSError, ValueError) as error:
        return Readiness("missing", f"{manifest} cannot be read ({error})", remedy)
    lacking = sorted(name for name in needed_packages() if name not in entries)
    if lacking:
        return Readiness("missing", f"the Julia project {place} lacks {', '.join(lacking)}", remedy)
    want = version("juliacall")
    have = str(entries["PythonCall"][0].get("version"))
    if have != want:
        return Readiness(
            "missing",
            f"the Julia project {place} has PythonCall {have}, and juliacall here is {want}",
            f"the two must be equal: `pip install juliacall=={have}`, or PythonCall {want} there",
        )
    absent = sorted(
        name
        for name in needed_packages()
        if "git-tree-sha1" in entries[name][0]
        and not any((depot / "packages" / name).is_dir() for depot in depots)
    )
    if absent:
        return Readiness(
            "missing",
            f"{', '.join(absent)} of the Julia project {place} are in none of the depots "
            f"{', '.join(map(str, depots))}",
            "name the depot too (--depot), or fetch them with `numdl julia setup`",
        )
    return Readiness("ready")


def _juliapkg(online: Callable[[], bool]) -> Readiness:
    """The default path: what juliapkg has installed, or could install now."""
    try:
        from juliapkg import deps, state
    except ImportError as error:
        return Readiness("missing", f"juliapkg is not there ({error})", "`pip install juliacall`")
    try:
        # Not `resolve(dry_run=True)`, which waits for ever on the lock of a running installation.
        if deps.can_skip_resolve():
            return Readiness("ready")
        offline = bool(state.STATE["offline"])
    except Exception as error:  # juliapkg raises bare exceptions for a broken set-up.
        return Readiness("missing", f"juliapkg says: {error}", "run `numdl julia setup`")
    if offline:
        return Readiness(
            "missing",
            "Julia is not set up, and juliapkg is told to stay offline (PYTHON_JULIAPKG_OFFLINE)",
            "name a Julia with `numdl julia use`, or allow it to go online",
        )
    if not online():
        return Readiness(
            "missing",
            f"Julia is not set up, and the network did not answer within {NETWORK_SECONDS:g} s",
            "name a Julia with `numdl julia use --exe ... --project ...`, or run "
            "`numdl julia setup` where there is a network",
        )
    return Readiness("installable", "Julia is not set up yet", "the first live run installs it")


def julia_version(path: str) -> tuple[tuple[int, ...] | None, str]:
    """The release that an executable says it is, or None and what it said instead."""
    try:
        ran = subprocess.run(
            [path, "--version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=5,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None, "nothing within 5 s"
    except OSError as error:
        return None, str(error)
    said = (ran.stdout + ran.stderr).strip()
    match = re.match(r"julia version (\d+)\.(\d+)\.(\d+)", said)
    return (tuple(map(int, match.groups())) if match else None), said[:80]


def find_manifest(project: Path, release: tuple[int, ...]) -> Path | None:
    """The manifest that this release would use."""
    minor = _dotted(release[:2])
    names = (f"Manifest-v{minor}.toml", "JuliaManifest.toml", "Manifest.toml")
    return next((project / name for name in names if (project / name).is_file()), None)


def needed_packages() -> tuple[str, ...]:
    """The packages that a project must have: NumDLBridge's own, and PythonCall."""
    project = tomllib.loads((folder("julia") / "Project.toml").read_text(encoding="utf-8"))
    return (*project["deps"], "PythonCall")


def _depots(settings: Settings, environ: Mapping[str, str], home: str | None) -> list[Path]:
    text = settings.depot.value or environ.get("JULIA_DEPOT_PATH") or ""
    default = Path(home or Path.home()) / ".julia"
    # An empty entry stands for the default ones, as in Julia.
    return [Path(part).expanduser() if part else default for part in text.split(os.pathsep)]


def _dotted(release: Iterable[int]) -> str:
    return ".".join(map(str, release))
