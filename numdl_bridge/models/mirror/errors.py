"""What cannot be mirrored says so by name."""

from __future__ import annotations

from ...errors import NumDLError


class CannotMirrorError(NumDLError):
    """A layer, option or operation that has no twin in Flux here; the message says what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(
            f"{what} cannot be mirrored in Flux",
            remedy=remedy
            or "rewrite that part with mirrored layers, or compare it by hand with "
            "compare_gradients and your own Julia source",
        )
