"""What a run was asked for: studies, size, settings, engines; checked before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from ..compare.budget import check_overrides
from ..errors import BadInputError, UnknownNameError, nearest
from ..studies import all_studies, get_study
from ..studies.contract import Options, Size, Study, plain_options
from .budget import Budget

SECONDS = {"quick": 0.3, "default": 2.0, "full": 20.0}
"""What timings of one study may cost, by size; a default run has 120 s for everything."""

BESIDE_LIVE_JULIA = 10.0
"""How many times more where both languages are there: their ratio is what such a run is for."""


@dataclass(frozen=True)
class Plan:
    """**Arguments:**

    - `names`: of the studies, in the order of the talk where none was named.
    - `size`, `settings`: as given; `settings` go to the studies that have such options.
    - `julia`, `device`, `threads`: which engines answer, and where.
    - `timings`: whether tasks are timed.
    - `budget`: see `Budget`.
    """

    names: tuple[str, ...]
    size: Size = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    julia: str = "auto"
    device: str = "cpu"
    threads: int = 1
    timings: bool = True
    budget: Budget = field(default_factory=Budget)

    def plain(self) -> dict[str, Any]:
        """As a manifest keeps it and JSON reads it back."""
        return plain_options(asdict(self))

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Plan:
        """What an earlier run was asked for, from its manifest."""
        asked = manifest["asked"]
        return cls(
            names=tuple(asked["names"]),
            size=asked["size"],
            settings=asked["settings"],
            julia=asked["julia"],
            device=asked["device"],
            threads=asked["threads"],
            timings=asked["timings"],
            budget=Budget.of(asked["budget"]),
        )

    def studies(self) -> list[tuple[Study, Options]]:
        """Each study with its options. Raises `NumDLError` for a wrong name, size or value."""
        if self.size not in get_args(Size):
            raise BadInputError(f"size {self.size!r}", f"one of {', '.join(get_args(Size))}")
        chosen = [get_study(n) for n in self.names] if self.names else list(all_studies().values())
        _refuse_unknown(self.settings, chosen)
        found = []
        for study in chosen:
            known = study.options.__struct_fields__
            own = {k: v for k, v in self.settings.items() if k in known}
            found.append((study, study.configure(self.size, **own)))
        check_overrides(found, self.budget.overrides)
        return found


def _refuse_unknown(settings: Mapping[str, Any], chosen: Sequence[Study]) -> None:
    known = {name for study in chosen for name in study.options.__struct_fields__}
    for name in settings:
        if name not in known:
            which = (
                f"study {chosen[0].name!r} has" if len(chosen) == 1 else "the chosen studies have"
            )
            raise UnknownNameError(
                f"{which} no option {name!r}{nearest(name, known)}",
                f"one of {', '.join(sorted(known))}",
                "`numdl list STUDY` shows a study's options",
            )
