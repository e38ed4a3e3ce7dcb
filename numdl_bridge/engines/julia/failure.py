"""What may go wrong with Julia, one exception each, one message each."""

from __future__ import annotations

import re
import signal
from typing import Any

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


def refused(function: str, error: Exception) -> EngineError:
    """Of what was to be sent, something cannot cross; no byte was written."""
    return EngineError(
        f"what was to be sent to Julia's {function} does not cross: {error}",
        "arrays of numbers, and arguments of None, bool, int, float, str, list, dict",
        "convert it first",
    )


def timed_out(function: str, timeout: float | None) -> WorkerTimeoutError:
    """A call that reached its limit of `timeout` seconds."""
    return WorkerTimeoutError(
        f"Julia's {function} took longer than its limit of {timeout:g} s and was ended",
        "an answer within that time",
        "raise the limit, or make the problem smaller; what was computed before is kept",
    )


def died(function: str, code: int, words: str) -> WorkerDiedError:
    """The process ended with `code` (negative: a signal), having printed `words` last."""
    return WorkerDiedError(
        f"Julia ended ({_how(code)}) while answering {function}" + _quoted(words),
        "an answer",
        "run it again; if it ends again the lines quoted say why",
    )


def garbled(function: str, error: Exception, words: str) -> WorkerGarbageError:
    """What arrived was no message."""
    return WorkerGarbageError(
        f"the Julia worker answered {function} with {error}" + _quoted(words),
        "a message",
        "run `numdl julia status`; something else may write to the worker's pipe",
    )


def not_ready(error: EngineError) -> JuliaMissingError:
    """The process ended before it had said that it was ready."""
    return JuliaMissingError(
        error.got.replace("while answering start", "before it was ready"),
        "a worker that reports ready",
        remedy_for(error.got),
    )


def unfit_start(facts: dict[str, Any], protocol: int, version: str) -> JuliaMissingError | None:
    """Why a process that answered cannot be used; None where it can.

    **Arguments:**

    - `facts`: its first message.
    - `protocol`, `version`: those of this package.
    """
    if facts["kind"] == "error":
        return JuliaMissingError(
            f"Julia did not start: {shorten(facts['message'])}",
            facts.get("expected") or "a Julia with the packages of NumDLBridge",
            facts.get("remedy") or remedy_for(facts["message"]),
        )
    wrong = [
        f"{what} {got}, this package has {ours}"
        for what, got, ours in (
            ("the worker speaks protocol", facts.get("protocol"), protocol),
            ("its NumDLBridge.jl is version", facts.get("NumDLBridge"), version),
        )
        if got != ours
    ]
    if not wrong:
        return None
    return JuliaMissingError(
        "; ".join(wrong),
        "the Julia package and the Python package from one release",
        "remove NumDLBridge from the Julia project, so that the copy that comes with this "
        "package is used, or install the matching release",
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _quoted(words: str) -> str:
    return f'; it printed last: "{words}"' if words else ""


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
