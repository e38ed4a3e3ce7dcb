"""The arguments that the three comparisons share, looked at before anything is computed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInputError, NumDLError

A_FUNCTION = "(; theta, A) -> sum(abs2, A * theta)"
AN_ODE = "(u, theta, t) -> theta .* u"
A_LOSS = "output -> sum(abs2, output)"


def own_error(info: Any) -> bool:
    """For pytest (`__tracebackhide__`): of the package's own messages no frames from inside it."""
    return info.errisinstance((NumDLError, AssertionError))


__tracebackhide__ = own_error


def first_line(error: BaseException) -> str:
    """The first line of what an exception says that says anything."""
    return next((line for line in str(error).splitlines() if line.strip()), "(no message)")


def check_common(name: Any, rtol: Any, seed: Any) -> None:
    """Raise `BadInputError` for a name, tolerance or seed that is none."""
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise BadInputError(f"name {name!r}", "a short text, for tables and recordings")
    if rtol is not None and not (is_number(rtol) and rtol >= 0):
        raise BadInputError(f"relative tolerance {rtol!r}", "a number of at least 0")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInputError(f"seed {seed!r}", "a whole number of at least 0")


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_function(torch: Any, what: str) -> None:
    """Raise `BadInputError` where the torch side is no function; `what` it should be, in words."""
    if not callable(torch):
        raise BadInputError(f"torch is of type {type(torch).__name__}", what)


def check_named(role: str, arrays: Any) -> None:
    """Raise `BadInputError` where named arrays are not given by name."""
    if not isinstance(arrays, Mapping):
        raise BadInputError(
            f"`{role}` is of type {type(arrays).__name__}",
            'arrays by name, such as {"theta": theta}',
            "the names are the keywords that both functions are called with",
        )


def several(asked: str | Sequence[str], what: str, known: Sequence[str]) -> list[str]:
    """`asked` as a list of names, one name alone too; raises where one is not `known`."""
    names = [asked] if isinstance(asked, str) else asked
    good = isinstance(names, Sequence | set | frozenset)
    if not good or any(n not in known for n in names):
        unknown = [n for n in names if n not in known] if good else names
        raise BadInputError(f"{what} {unknown!r}", f"some of {', '.join(known)}")
    return list(dict.fromkeys(names))


def check_right_hand_side(f: Callable[..., Any]) -> None:
    """Raise `BadInputError` where the names of its arguments are those of Julia's order."""
    try:
        names = [p.name for p in inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):
        return
    if len(names) >= 3 and names[2] in ("t", "time") and names[0] not in ("t", "time"):
        raise BadInputError(
            f"your torch right-hand side takes ({', '.join(names)}), which is Julia's order",
            "f(t, u, theta), torchdiffeq's order",
            "put t first on the torch side; the Julia side keeps (u, theta, t)",
        )


def check_loss(loss: Any, of: str) -> None:
    """Raise `BadInputError` where a loss is not given for both languages."""
    if loss is None:
        return
    pair = isinstance(loss, tuple | list) and len(loss) == 2
    if not (pair and callable(loss[0]) and isinstance(loss[1], str) and loss[1].strip()):
        raise BadInputError(
            f"loss {_shown(loss)}",
            f"a pair: (torch function of {of}, Julia source of the same), such as "
            f'(lambda output: output.square().sum(), "{A_LOSS}")',
            "add the Julia source, or leave loss out for a random cotangent",
        )


def _shown(loss: Any) -> str:
    if isinstance(loss, tuple | list):
        return f"of {len(loss)} parts: {', '.join(type(part).__name__ for part in loss)}"
    return f"of type {type(loss).__name__}"


def julia_source(source: Any, example: str = A_FUNCTION) -> tuple[str, str | None, str]:
    """Julia source given as text or as `file.jl::name`: text, name, where it came from.

    Raises `BadInputError` where it is no text, where the file is not there, and where the file
    cannot define the name: neither is the name in it, nor does it include other files.
    """
    if not isinstance(source, str | Path):
        raise BadInputError(
            f"julia is of type {type(source).__name__}",
            f'Julia source as text, such as "{example}", or "file.jl::name"',
            "Julia runs in a process of its own: it gets text, not a Python object",
        )
    source = str(source)
    if not source.strip():
        raise BadInputError("the Julia source is empty", f'such as "{example}", or "file.jl::name"')
    head, separator, name = source.rpartition("::")
    if separator and head.endswith(".jl") and "\n" not in source:
        path = Path(head)
        if not path.is_file():
            raise BadInputError(
                f"no Julia file {head!r}", "a file that exists", "mind the working directory"
            )
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{head} does not read: {error}", "Julia source in UTF-8") from None
        # What it includes or evaluates may define any name.
        elsewhere = re.search(r"\binclude\b|\beval\b", text)
        if not re.search(rf"(?<!\w){re.escape(name)}(?![\w!])", text) and not elsewhere:
            raise BadInputError(
                f"{head} has no function {name!r}",
                "file.jl::function, a name that the file defines",
                *_defined(text),
            )
        return text, name, head
    if source.endswith(".jl") and "\n" not in source:
        raise BadInputError(
            f"the Julia source {source!r} names no function", "file.jl::function", "add ::function"
        )
    return source, None, "source text"


def _defined(text: str) -> tuple[str, ...]:
    """A remedy that lists the functions of a Julia text, where a simple look finds any."""
    names = list(dict.fromkeys(re.findall(r"^(?:function\s+)?([A-Za-z_]\w*!?)\s*[(=]", text, re.M)))
    return (f"it seems to define {', '.join(names[:6])}",) if names else ()
