"""The claims of `subgradient`: which answers are legitimate, and that they are not the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._subgradient_cases import CASES, TORCH_SYNONYMS, Case, inside
from .contract import Arrays, Claim, Decision

_SLIDE = '"A Simple Example"'
_REGULAR = tuple(name for name, case in CASES.items() if case.regular)


def claims(options: Any) -> Sequence[Claim]:
    packages = ("", "/tracker", "/forwarddiff", "/reversediff")
    return [
        _tracker(),
        _clarke("every engine's first answer is legitimate", ("",)),
        _clarke("every Julia package's answer is legitimate", packages),
        _clarke(
            "PyTorch's answers by other names and in forward mode are legitimate",
            ("/forward",),
            [
                f"subgradient/{case}/{name}"
                for case, names in TORCH_SYNONYMS.items()
                for name in names
            ],
        ),
        _disagree(
            "Julia's packages disagree",
            "of Zygote, Tracker, ForwardDiff and ReverseDiff at least two give different "
            "derivatives of abs at 0",
            [("abs", ("", "/tracker", "/forwarddiff", "/reversediff"))],
        ),
        _disagree(
            "one library, one function, two answers",
            "PyTorch gives two answers each for relu, for clamping, for the largest entry and for "
            "fmax, depending on which of its names is called or in which mode",
            [
                ("relu", ("", "/clamp_min")),
                ("clamp", ("", "/hardtanh")),
                ("maximum", ("", "/max_dim")),
                ("max", ("/fmax", "/fmax/forward")),
            ],
        ),
        _chain(),
    ]


def _tracker() -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        answer = float(values["talk/tracker"])
        return Decision(answer == 1.0, f"Tracker.grad(x) = {answer}")

    return Claim(
        "the slide's answer",
        "Tracker's derivative of abs at 0 is 1",
        _SLIDE,
        ("talk/tracker",),
        check,
    )


def _answers(case: Case, value: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(point, gradient) for every answer in a quantity's array, both paths included."""
    rows = [value] if case.form == "vector" else list(value)
    pairs = []
    for row in rows:
        pairs += list(zip(case.columns(), np.atleast_2d(row).T, strict=True))
    return pairs


def _clarke(name: str, suffixes: tuple[str, ...], more: Sequence[str] = ()) -> Claim:
    needs = tuple(f"subgradient/{case}{suffix}" for case in _REGULAR for suffix in suffixes)
    needs += tuple(more)

    def check(values: Arrays, options: Any) -> Decision:
        total, outside, undefined = 0, [], []
        for quantity in needs:
            case = CASES[quantity.split("/")[1]]
            for x, gradient in _answers(case, values[quantity]):
                total += 1
                if not np.isfinite(gradient).all():
                    undefined.append(quantity)
                elif not inside(case, x, gradient):
                    outside.append(quantity)
        listed = ", ".join(sorted(set(undefined))) or "none"
        text = f"{total - len(undefined) - len(outside)} of {total} inside; not finite: {listed}"
        if outside:
            text += f"; outside: {', '.join(sorted(set(outside)))}"
        return Decision(not outside, text)

    return Claim(
        name,
        "every finite derivative lies in the Clarke subdifferential, where there is one; those "
        "that are not finite are listed",
        "Clarke, Optimization and Nonsmooth Analysis, 2.3",
        needs,
        check,
    )


def _disagree(name: str, statement: str, groups: list[tuple[str, tuple[str, ...]]]) -> Claim:
    needs = tuple(f"subgradient/{case}{suffix}" for case, found in groups for suffix in found)

    def check(values: Arrays, options: Any) -> Decision:
        figures, holds = [], True
        for case, suffixes in groups:
            answers = [values[f"subgradient/{case}{suffix}"] for suffix in suffixes]
            # As numbers: a zero of the other sign is not another answer.
            kinds = {(np.asarray(a, dtype=np.float64) + 0.0).tobytes() for a in answers}
            holds = holds and len(kinds) > 1
            first = ", ".join(f"{float(np.asarray(a).ravel()[0]):g}" for a in answers)
            figures.append(f"{case}: {first}")
        return Decision(holds, "; ".join(figures))

    return Claim(name, statement, "frameworks silently pick a subgradient", needs, check)


def _chain() -> Claim:
    # The masked root is asked for as well because it is chained too; the referee has no answer to
    # it, and does not apply the chain rule anywhere.
    needs = ("subgradient/sqrt_square", "subgradient/abs", "subgradient/where_sqrt")

    def check(values: Arrays, options: Any) -> Decision:
        chained, direct, masked = (np.asarray(values[name], dtype=np.float64) for name in needs)
        holds = bool(np.isfinite(direct).all() and not np.isfinite(chained).any())
        found = [float(v.ravel()[0]) for v in (direct, chained, masked)]
        return Decision(
            holds, "|x|: {:g}, sqrt(x^2): {:g}, x > 0 ? sqrt(x) : 0: {:g}".format(*found)
        )

    return Claim(
        "a chain of rules is no rule",
        "sqrt(x^2) is |x|, whose derivative at 0 is finite, and by the chain rule is not",
        _SLIDE,
        needs,
        check,
    )
