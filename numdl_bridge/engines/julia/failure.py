"""What may go wrong with Julia, one exception each, one message each."""

from __future__ import annotations

import re

from ...errors import EngineError

_LONGEST_LINE = 300
_LONGEST_MESSAGE = 2500


class JuliaMissingError(EngineError):
    """No Julia that could answer; the message says what was found and what would mend it."""


class JuliaFunctionError(EngineError):
    """A Julia function raised; the worker lives on.

    **Arguments:**

    - `type`: the Julia exception's type, `"DomainError"`.
    - `text`: Julia's own words, type parameters shortened.
    - `where`: the innermost frames, `"rhs at model.jl:3"`, best first.
    """

    def __init__(self, function: str, type: str, text: str, where: list[str]) -> None:
        self.type, self.text, self.where = type, shorten(text), where
        place = f" (at {', '.join(where[:3])})" if where else ""
        super().__init__(f"Julia's {function} raised {type}: {self.text}{place}")


class WorkerTimeoutError(EngineError):
    """A call took longer than its limit; the worker was ended and starts again when next asked."""


class WorkerDiedError(EngineError):
    """The worker ended in the middle of a call; it starts again when next asked."""


class WorkerGarbageError(EngineError):
    """What arrived from the worker was not a message; it was ended."""


def shorten(text: str) -> str:
    """Julia's message with its pages of type parameters cut to `{…}`, and not too long."""
    lines = [_shorten_parameters(line).rstrip() for line in text.strip().splitlines()]
    lines = [ln if len(ln) <= _LONGEST_LINE else ln[: _LONGEST_LINE - 1] + "…" for ln in lines]
    whole = "\n".join(lines)
    if len(whole) > _LONGEST_MESSAGE:
        whole = whole[: _LONGEST_MESSAGE - 1] + "…"
    return whole


def _shorten_parameters(line: str) -> str:
    """Replace each outermost `{...}` of more than 24 characters by `{…}`."""
    out: list[str] = []
    depth, start = 0, 0
    for i, letter in enumerate(line):
        if letter == "{":
            if depth == 0:
                start = i
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
            if depth == 0:
                inside = line[start : i + 1]
                out.append(inside if len(inside) <= 24 else "{…}")
            continue
        if depth == 0:
            out.append(letter)
    if depth:  # A brace that is never closed: Julia itself cut the line.
        out.append(line[start:])
    return re.sub(r"(\{…\})+", "{…}", "".join(out))


def remedy_for(stderr: str) -> str:
    """What to do about a start that failed, from what Julia printed."""
    if re.search(r"(Package|PythonCall|NumDLBridge).*not found|Pkg\.instantiate", stderr):
        return (
            "install the packages with `numdl julia setup`, or name another project with --project"
        )
    if "precompil" in stderr.lower():
        return "run `numdl julia setup`, which precompiles with its output on screen"
    return "run `numdl julia status`"
