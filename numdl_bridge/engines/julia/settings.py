"""Which Julia: the executable, the project and the depot, each with where it came from.

Looked up in this order:

1. an argument (or `--exe`, `--project`, `--depot` on the command line),
2. the environment: `NUMDL_JULIA_EXE`, `NUMDL_JULIA_PROJECT`, `NUMDL_JULIA_DEPOT`,
3. the user's file `julia.toml`, written by `numdl julia use`,
4. juliapkg, which installs Julia and the packages of `numdl_bridge/juliapkg.json` when first asked.

Executable and project belong together: naming one of them only is an error. With both, juliapkg is
never asked and nothing goes online: that is the reproducible path, and the one for a machine
without a network.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInputError
from ...resources import folder

NAMES = ("exe", "project", "depot")
JULIAPKG = "juliapkg default"


@dataclass(frozen=True)
class Option:
    """One option: its value (None where juliapkg decides) and where that came from."""

    name: str
    value: str | None
    source: str


@dataclass(frozen=True)
class Settings:
    """The three options; see the module's text for the order in which they are looked up.

    `threads`: of Julia and of its BLAS.
    """

    exe: Option
    project: Option
    depot: Option
    threads: int = 1

    @property
    def options(self) -> tuple[Option, Option, Option]:
        return self.exe, self.project, self.depot

    @property
    def explicit(self) -> bool:
        """Whether a Julia was named, as opposed to left to juliapkg."""
        return self.exe.value is not None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The worker's whole environment; the parent's own is never touched.

        `threads` threads everywhere, no startup file, and signals handled by Julia (so that a stack
        overflow is an exception and not the end of the process).
        """
        drop = ("PYTHON_JULIACALL_", "PYTHON_JULIAPKG_", "JULIA_LOAD_PATH", "JULIA_PROJECT")
        out = {k: v for k, v in inherited.items() if not k.startswith(drop)}
        # Proxies, certificates and a user's juliapkg settings matter to juliapkg only.
        if not self.explicit:
            out |= {k: v for k, v in inherited.items() if k.startswith("PYTHON_JULIAPKG_")}
        else:
            out |= {
                "PYTHON_JULIACALL_EXE": str(self.exe.value),
                "PYTHON_JULIACALL_PROJECT": str(self.project.value),
                "PYTHON_JULIAPKG_OFFLINE": "yes",
                "JULIA_PKG_OFFLINE": "true",
            }
        if self.depot.value is not None:
            out["JULIA_DEPOT_PATH"] = self.depot.value
        for name in ("OPENBLAS", "MKL", "OMP", "GOTO", "JULIA"):
            out[f"{name}_NUM_THREADS"] = str(self.threads)
        out |= {
            "PYTHON_JULIACALL_THREADS": str(self.threads),
            "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes",
            "PYTHON_JULIACALL_STARTUP_FILE": "no",
            "PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION": "no",
            "JULIA_CONDAPKG_BACKEND": "Null",
            "PYTHONUNBUFFERED": "1",
            "NUMDL_JULIA_PACKAGE": str(folder("julia")),
        }
        return out


def resolve(
    exe: str | os.PathLike[str] | None = None,
    project: str | os.PathLike[str] | None = None,
    depot: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Look the three options up. Raises `BadInputError` when exe and project are not both named."""
    environ = os.environ if environ is None else environ
    given = {"exe": exe, "project": project, "depot": depot}
    written = read_file(environ)
    found: dict[str, Option] = {}
    for name in NAMES:
        variable = f"NUMDL_JULIA_{name.upper()}"
        if given[name] is not None:
            option = Option(name, os.fspath(given[name]), "argument")  # type: ignore[arg-type]
        elif environ.get(variable):
            option = Option(name, environ[variable], f"environment variable {variable}")
        elif name in written:
            option = Option(name, written[name], f"file {config_file(environ)}")
        elif name == "depot" and environ.get("JULIA_DEPOT_PATH"):
            option = Option(name, None, "environment variable JULIA_DEPOT_PATH, left as it is")
        else:
            option = Option(name, None, JULIAPKG if name != "depot" else "Julia's default")
        found[name] = option
    settings = Settings(found["exe"], found["project"], found["depot"])
    pair = (settings.exe, settings.project)
    if (pair[0].value is None) != (pair[1].value is None):
        named, other = pair if pair[0].value is not None else pair[::-1]
        raise BadInputError(
            f"Julia's {named.name} is {named.value} ({named.source}) but no {other.name} is named",
            "both or neither",
            f"name the {other.name} too (--{other.name}, NUMDL_JULIA_{other.name.upper()} or "
            "`numdl julia use`), or neither, to leave both to juliapkg",
        )
    return settings


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where `numdl julia use` writes: `numdl-bridge/julia.toml` in the user's settings folder."""
    return _platform_folder("config", environ) / "julia.toml"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where stamps of a Julia found ready are kept; may be deleted at any time."""
    return _platform_folder("cache", environ) / "julia"


def _platform_folder(kind: str, environ: Mapping[str, str] | None) -> Path:
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "win32":
        base = Path(environ.get("LOCALAPPDATA" if kind == "cache" else "APPDATA", home))
    elif sys.platform == "darwin":
        base = home / "Library" / ("Caches" if kind == "cache" else "Application Support")
    else:
        base = Path(environ.get(f"XDG_{kind.upper()}_HOME") or home / f".{kind}")
    return base / "numdl-bridge"


def read_file(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What `numdl julia use` wrote; empty where there is no file."""
    path = config_file(environ)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"the file {path} cannot be read ({error})",
            "TOML with exe, project and perhaps depot, as `numdl julia use` writes it",
            "mend it, or remove it with `numdl julia forget`",
        ) from None
    wrong = [k for k, v in content.items() if k not in NAMES or not isinstance(v, str)]
    if wrong:
        raise BadInputError(
            f"the file {path} holds {', '.join(map(repr, wrong))}",
            f"text values for {', '.join(NAMES)} only",
            "mend it, or remove it with `numdl julia forget`",
        )
    return content


def write_file(values: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Path:
    """Write the user's file; the folder is made where it is missing."""
    path = config_file(environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = '{values[name]}'" for name in NAMES if name in values]
    path.write_text("# Written by `numdl julia use`.\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def forget_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """Remove the user's file; returns its path, or None where there was none."""
    path = config_file(environ)
    if not path.is_file():
        return None
    path.unlink()
    return path
