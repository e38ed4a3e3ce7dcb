"""The register of known differences: what may differ, why, by how much, and who says so.

`register.toml` is data. An entry that has no source, or that would explain anything whatever its
size, does not load; an entry whose expected values are not met explains nothing.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import BadInputError
from .budget import Side
from .difference import Difference
from .formal import contract_mismatch, formal_mismatch, identical
from .formatting import size
from .metrics import relative
from .versions import check_condition, unmet


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an engine is known to return.

    **Arguments:**

    - `engine`, `quantity`: whose value it is; both are patterns.
    - `when`: the versions that it holds for.
    - `value`: nested lists in the shape of the quantity, or in one that broadcasts to it; `nan`,
      `inf` and `-0.0` are themselves.
    - `rtol`: 0 for equality to the last bit, the sign of zero included.
    """

    engine: str
    value: Any
    quantity: str = "*"
    when: dict[str, str] = {}
    rtol: float = 0.0

    def met_by(self, value: np.ndarray) -> bool:
        if value.dtype.kind not in "fiu":
            return False
        found = np.asarray(value, dtype=np.float64)
        try:
            wanted = np.broadcast_to(np.asarray(self.value, dtype=np.float64), found.shape)
        except ValueError:
            return False
        if self.rtol == 0:
            return identical(found, wanted)
        return formal_mismatch(found, wanted) is None and relative(found, wanted) <= self.rtol


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One known difference.

    **Arguments:**

    - `id`: what a difference names as its cause.
    - `study`, `quantities`: patterns; the quantity is the one on the left of the pair.
    - `engines`: the pair, in either order; a `"*"` stands for any engine.
    - `cause`: one or two sentences.
    - `source`: the file, issue or paper that says so.
    - `when`: versions that it holds for, by path into a provenance (see `versions.unmet`).
    - `expected`: values that the engines must have returned for the entry to count.
    - `share`: the largest relative difference that the cause accounts for. Without a share, the
      values of both sides have to be expected ones, so that no entry explains just anything.
    - `advice`: what to do where the difference is unwelcome.
    """

    id: str
    study: str
    quantities: tuple[str, ...]
    engines: tuple[str, str]
    cause: str
    source: str
    when: dict[str, str] = {}
    expected: tuple[Expected, ...] = ()
    share: float | None = None
    advice: str = ""

    def concerns(self, difference: Difference) -> bool:
        """Whether it speaks of this study, quantity and pair (versions not yet asked)."""
        a, b = self.engines
        return (
            fnmatchcase(difference.study, self.study)
            and any(fnmatchcase(difference.quantity, pattern) for pattern in self.quantities)
            and any(
                fnmatchcase(difference.left, p) and fnmatchcase(difference.right, q)
                for p, q in ((a, b), (b, a))
            )
        )

    def objection(self, difference: Difference, left: Side, right: Side) -> str | None:
        """Why it does not explain the difference after all; None where it does."""
        if contract_mismatch(left.value, right.value) is not None:
            return "another shape or kind of number is never explained"
        if self.share is not None:
            gap = math.inf if difference.relative is None else difference.relative
            if not gap <= self.share:
                return (
                    f"it accounts for a relative difference of {size(self.share)}, not {size(gap)}"
                )
        provenances = _provenances(left, right)
        for side in (left, right):
            mine = [
                e
                for e in self.expected
                if fnmatchcase(side.engine, e.engine) and fnmatchcase(side.quantity, e.quantity)
            ]
            valid = [e for e in mine if unmet(e.when, provenances) is None]
            if self.share is None and not mine:
                return f"it has no expected value for {side.quantity!r} of {side.engine}"
            if mine and not valid:
                return f"it expects nothing for {unmet(mine[0].when, provenances)}"
            if valid and not any(e.met_by(side.value) for e in valid):
                wanted = " or ".join(str(e.value) for e in valid)
                return f"it expects {side.engine} to return {wanted}, not {_short(side.value)}"
        return None


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entries in the order of the file."""

    known: tuple[Known, ...] = ()

    def explain(
        self, difference: Difference, left: Side, right: Side
    ) -> tuple[Known | None, tuple[str, ...]]:
        """The first entry that explains a difference, else None and why the others do not."""
        objections = []
        for entry in self.known:
            if not entry.concerns(difference):
                continue
            if unmet(entry.when, _provenances(left, right)) is not None:
                continue
            objection = entry.objection(difference, left, right)
            if objection is None:
                return entry, ()
            objections.append(f"register entry {entry.id!r}: {objection}")
        return None, tuple(objections)

    def stale(self, differences: Iterable[Difference]) -> tuple[Known, ...]:
        """Entries that speak of a compared pair and explained none: candidates for deletion.

        An entry about a pair that was not compared here (an engine away, another study) is not
        stale, just not asked.
        """
        compared = [d for d in differences if d.verdict != "unavailable"]
        used = {d.cause for d in compared}
        return tuple(
            entry
            for entry in self.known
            if entry.id not in used and any(entry.concerns(d) for d in compared)
        )

    def get(self, id: str) -> Known | None:
        return next((entry for entry in self.known if entry.id == id), None)

    def __add__(self, other: Register) -> Register:
        """Both registers' entries; the second one's (a user's own) are asked first."""
        return _checked(Register((*other.known, *self.known)), "two registers together")


def read_register(path: Path) -> Register:
    """Read a register. Raises `BadInputError` naming the entry that is wrong and how."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Register)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInputError(
            f"register {path.name}: {error}",
            "a TOML file of [[known]] tables with id, study, quantities, engines, cause, source, "
            "and expected values or a share",
        ) from None
    return _checked(found, f"register {path.name}")


@cache
def default_register() -> Register:
    """The register that comes with the package."""
    return read_register(Path(__file__).with_name("register.toml"))


def _checked(register: Register, where: str) -> Register:
    seen: set[str] = set()
    for entry in register.known:
        name = f"{where}, entry {entry.id!r}"
        if entry.id in seen:
            raise BadInputError(f"{name} stands there twice", "one entry for each id")
        seen.add(entry.id)
        if not entry.source.strip() or not entry.cause.strip():
            raise BadInputError(f"{name} has no source or no cause", "both, in words")
        if entry.share is None and not entry.expected:
            raise BadInputError(f"{name} would explain anything", "expected values or a share")
        if entry.share is not None and not (math.isfinite(entry.share) and entry.share > 0):
            raise BadInputError(f"{name} has share {entry.share}", "a positive finite number")
        for when in (entry.when, *(e.when for e in entry.expected)):
            for condition in when.values():
                check_condition(condition)
    return register


def _provenances(left: Side, right: Side) -> Mapping[str, Mapping[str, Any]]:
    return {side.engine: side.observation.provenance for side in (left, right)}


def _short(value: np.ndarray) -> str:
    text = np.array2string(value, threshold=6, separator=", ")
    return " ".join(text.split())
