"""A question about a function: what is sent to Julia of it, and what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import EngineError
from ..studies.contract import Quantity
from .question import Question, tolerance

ABOUT_JV = "Jv is the derivative along a random direction v, by forward mode"
ABOUT_PAIRING = (
    "⟨w, Jv⟩ and ⟨Jᵀw, v⟩ are one number in exact arithmetic: forward mode on the left, reverse "
    "mode on the right"
)


def question(
    name: str,
    source: tuple[str, str | None],
    packages: Sequence[str],
    points: Mapping[str, np.ndarray],
    fixed: Mapping[str, np.ndarray],
    tangent: Mapping[str, np.ndarray],
    w: np.ndarray,
    precision: str,
    rtol: float | None,
    shown: Mapping[str, Any],
    notes: Sequence[str],
) -> Question:
    """What is sent to Julia, and what is compared; `source` is Julia's text and a name in it."""
    text, function = source
    inputs = {f"at/{n}": v for n, v in points.items()}
    inputs |= {f"constants/{n}": v for n, v in fixed.items()}
    inputs |= {f"tangent/{n}": v for n, v in tangent.items()}
    inputs["cotangent"] = w
    allowed, why = tolerance(precision, rtol)
    both = ("torch", "julia")
    quantities = [Quantity("value", "value", allowed, why, engines=both)]
    for n in points:
        quantities.append(Quantity(f"gradient/{n}", "gradient", allowed, why, engines=both))
        quantities += [
            Quantity(
                f"gradient/{n}/{package}",
                "gradient",
                allowed,
                why,
                engines=("julia",),
                compare_with=f"gradient/{n}",
            )
            for package in packages[1:]
        ]
    # The two sides of ⟨w, Jv⟩ = ⟨Jᵀw, v⟩ cancel: what they may differ by is relative to the terms.
    size = float(np.linalg.norm(w)) or 1.0
    quantities += [
        Quantity("Jv", "jacobian", allowed, why, about="J v by forward mode"),
        Quantity("⟨w, Jv⟩", "jacobian", allowed, why, atol=allowed * size, engines=both),
        Quantity(
            "⟨Jᵀw, v⟩",
            "jacobian",
            allowed,
            why,
            atol=allowed * size,
            engines=both,
            compare_with="⟨w, Jv⟩",
        ),
    ]
    arguments = {
        "source": text,
        "name": function,
        "at": list(points),
        "constants": list(fixed),
        "packages": list(packages),
    }

    def translate(reply: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        failures, arrays = reply.data["failures"], reply.arrays
        if packages[0] in failures:
            raise EngineError(
                f"{packages[0]} cannot differentiate your Julia function: {failures[packages[0]]}",
                "a function that this package can differentiate",
                "rewrite that line, or put another package first in `packages`",
            )
        values, reasons = {"value": arrays["value"]}, {}
        for n in points:
            for package in packages:
                key = f"gradient/{n}" + ("" if package == packages[0] else f"/{package}")
                if package in failures:
                    reasons[key] = f"{package}: {failures[package]}"
                else:
                    values[key] = arrays[f"gradient/{package}/{n}"]
        if "jvp" in arrays:
            values["Jv"] = arrays["jvp"]
        else:
            why_not = f"ForwardDiff: {failures['jvp']}"
            reasons |= dict.fromkeys(("Jv", "⟨w, Jv⟩", "⟨Jᵀw, v⟩"), why_not)
        return values, reasons

    return Question(name, "own_gradient", arguments, inputs, quantities, translate, shown, notes)
