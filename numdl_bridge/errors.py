"""The one exception that a user should ever see from this package.

Every message says three things: what was got, what was expected, what to do. The command line
prints it without a traceback and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class NumDLError(Exception):
    """Something that the user can mend.

    **Arguments:**

    - `got`: what was found, in words, with the offending value.
    - `expected`: what would have been right.
    - `remedy`: what to do now.
    """

    def __init__(self, got: str, expected: str = "", remedy: str = "") -> None:
        self.got, self.expected, self.remedy = got, expected, remedy
        parts = [got if got.endswith("?") else got.rstrip(".") + "."]
        if expected:
            parts.append(f"Expected: {expected.rstrip('.')}.")
        if remedy:
            parts.append(f"What to do: {remedy.rstrip('.')}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Its three parts, so that it comes whole out of another process."""
        return type(self), (self.got, self.expected, self.remedy)


class UnknownNameError(NumDLError):
    """A study, option, quantity or run that does not exist; the message lists those that do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'oscillator'?` where one of the names that exist is close, else nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class BadInputError(NumDLError):
    """A value of the wrong type, shape, dtype or range, or one that is not finite."""


class TamperedError(NumDLError):
    """A file on disk whose content does not match the hash that was written with it."""


class EngineError(NumDLError):
    """An engine that is missing, crashed, hung, or broke its contract."""
