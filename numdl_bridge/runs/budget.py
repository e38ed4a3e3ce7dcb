"""What `--budget` says: every tolerance scaled, or single ones replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInputError


@dataclass(frozen=True)
class Budget:
    """**Arguments:**

    - `scale`: factor on every tolerance and every budget term.
    - `overrides`: relative tolerance by pattern of a quantity's name (or of `study/quantity`).
    """

    scale: float = 1.0
    overrides: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Budget:
        """From `["10", "gradient/rk4=1e-10"]`: a factor, tolerances, or both."""
        scale, overrides = 1.0, {}
        for text in texts:
            name, equals, number = text.rpartition("=")
            try:
                value = float(number)
            except ValueError:
                value = math.nan
            valid = math.isfinite(value) and (value >= 0 if name else value > 0)
            if not valid or (equals and not name):
                raise BadInputError(
                    f"budget {text!r}",
                    "a positive factor such as 10, or QUANTITY=RTOL such as gradient/rk4=1e-10",
                )
            if name:
                overrides[name] = value
            else:
                scale = value
        return cls(scale, overrides)

    @classmethod
    def of(cls, value: Budget | float | Mapping[str, Any]) -> Budget:
        """A budget itself, a factor, tolerances by pattern, or what a manifest keeps."""
        if isinstance(value, Budget):
            return value
        if isinstance(value, Mapping):
            if {*value} <= {"scale", "overrides"}:
                return cls(float(value.get("scale", 1.0)), dict(value.get("overrides", {})))
            return cls(1.0, dict(value))
        try:
            return cls(float(value))
        except (TypeError, ValueError):
            raise BadInputError(
                f"budget = {value!r}",
                "a factor such as 10, tolerances as {'gradient/rk4': 1e-10}, or a Budget",
            ) from None
