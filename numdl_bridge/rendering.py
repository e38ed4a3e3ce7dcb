"""How results become text: what computes them asks here, the package's top says who answers.

Results print themselves, and the modules that draw tables know results; this module, which knows
neither, is what keeps their imports one way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Render = Callable[..., str]

_RENDERERS: dict[str, Render] = {}


def use(**renderers: Render) -> None:
    """Name the functions of results that make `text` (for `print`) and `html` (for notebooks)."""
    _RENDERERS.update(renderers)


def text(*results: Any) -> str:
    """Results as plain text, a hundred columns wide."""
    return _RENDERERS["text"](*results)


def html(*results: Any) -> str:
    """Results as a fragment of HTML."""
    return _RENDERERS["html"](*results)
