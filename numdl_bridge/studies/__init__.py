"""The case studies, one file each; found by looking, never registered by hand."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ..errors import UnknownNameError, nearest
from .contract import Study

_NOT_STUDIES = {"contract", "observation"}


@cache
def all_studies() -> dict[str, Study]:
    """Every study by name, in the order of the talk."""
    modules = (m.name for m in iter_modules(__path__) if m.name not in _NOT_STUDIES)
    found = [import_module(f"{__name__}.{m}") for m in modules if not m.startswith("_")]
    studies = [module.STUDY for module in found if hasattr(module, "STUDY")]
    return {study.name: study for study in sorted(studies, key=lambda s: s.order)}


def get_study(name: str) -> Study:
    """The study called `name`; raises `UnknownNameError` with the names that exist."""
    studies = all_studies()
    if name not in studies:
        raise UnknownNameError(
            f"no study called {name!r}{nearest(name, studies)}", f"one of {', '.join(studies)}"
        )
    return studies[name]
