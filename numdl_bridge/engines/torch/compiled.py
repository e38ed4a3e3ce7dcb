"""Compiling the steps of a solve: the loop stays in Python, the step becomes one call.

(eager for now: `kernel` returns the function itself)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Backend = Literal["auto", "native", "script", "eager"]


def kernel(
    f: Callable[..., Any],
    name: tuple[Any, ...],
    function: Callable[..., Any],
    examples: tuple[Any, ...],
    backend: Backend = "auto",
) -> Callable[..., Any]:
    """`function`, compiled for arguments like `examples`, once for each `f` and `name`."""
    return function
