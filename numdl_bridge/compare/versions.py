"""Conditions on versions: `{"julia/Zygote.jl": ">=0.7.11"}` against a provenance."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from ..errors import BadInputError

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": le,
    ">=": ge,
    "==": eq,
    "!=": ne,
    "<": lt,
    ">": gt,
}
_CONDITION = re.compile(r"(<=|>=|==|!=|<|>)\s*v?(\d+(?:\.\d+)*)\s*")


def release(version: str) -> tuple[int, ...]:
    """The release numbers of a version, trailing zeros cut: `"2.13.0+cpu"` is (2, 13)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    if match is None:
        raise BadInputError(f"version {version!r}", "numbers with dots, such as 1.15.1")
    numbers = [int(n) for n in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def check_condition(condition: str) -> list[tuple[str, str]]:
    """Split `">=1.14, <1.15.1"` into its parts. Raises `BadInputError` where it does not read."""
    parts = [_CONDITION.fullmatch(part.strip()) for part in condition.split(",")]
    if any(part is None for part in parts):
        raise BadInputError(f"version condition {condition!r}", "such as '>=1.14,<1.15.1'")
    return [(part[1], part[2]) for part in parts if part is not None]


def satisfies(version: str, condition: str) -> bool:
    """Whether a version fulfils every part of a condition (pre-release tags do not count)."""
    have = release(version)
    return all(_OPERATORS[op](have, release(v)) for op, v in check_condition(condition))


def unmet(when: Mapping[str, str], provenances: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The first condition that does not hold, in words; None where all hold.

    **Arguments:**

    - `when`: condition by path; a path is `engine/key/key...` into that engine's provenance.
    - `provenances`: by engine.
    """
    for path, condition in when.items():
        version: Any = provenances
        for key in path.split("/"):
            version = version.get(key) if isinstance(version, Mapping) else None
        if not isinstance(version, str):
            return f"{path} is not known (needed: {condition})"
        if not satisfies(version, condition):
            return f"{path} is {version} (needed: {condition})"
    return None
