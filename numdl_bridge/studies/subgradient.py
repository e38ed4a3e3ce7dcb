"""The talk's "A Simple Example": what do frameworks answer where there is no derivative?

    x = param(0.0); f = abs(x); Tracker.back!(f); Tracker.grad(x)

and its whole family: kinks of abs, relu, max, min, clamp, norms; the square root at zero; signed
zeros and ties. Every answer is measured and compared to the last bit, the sign of zero included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._subgradient_cases import CASES, SLOPE, TORCH_SYNONYMS, Case
from ._subgradient_claims import claims
from ._subgradient_results import results
from .contract import Options, Quantity, Study

JULIA_PACKAGES = ("tracker", "forwarddiff", "reversediff")
"""Further opinions in Julia; Zygote is the one whose name the plain quantity bears."""


class SubgradientOptions(Options, frozen=True, kw_only=True):
    """Nothing to choose but the precision."""


def draw(options: SubgradientOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The kinks, `x/<case>` (see `Case.points`), and the leaky ReLU's `slope`; nothing random."""
    return {f"x/{name}": case.points for name, case in CASES.items()} | {"slope": np.array(SLOPE)}


def shape(case: Case) -> tuple[int, ...]:
    """Shape of `subgradient/<case>`.

    Functions of numbers are asked twice: row 0, called on each number by itself; row 1, broadcast
    over an array of them. Functions of a vector are asked once.
    """
    return case.points.shape if case.form == "vector" else (2, *case.points.shape)


def quantities(options: SubgradientOptions) -> Sequence[Quantity]:
    """All exact. The referee's `subgradient/<case>` is the rule that PyTorch documents: the element
    of least norm of the Clarke subdifferential, or where there is none the limit of derivatives."""
    exact = "a choice, not a computation: equal to the last bit, the sign of zero included"

    def ask(name: str, about: str, engines: tuple[str, ...], of: str | None = None) -> Quantity:
        return Quantity(
            name, "gradient", 0.0, exact, about, engines=engines, compare_with=of, mode="native"
        )

    out = [
        ask("talk", "the talk's four lines in each language's main package", ("torch", "referee")),
        ask("talk/tracker", "the talk's four lines as printed: Tracker", ("julia",), "talk"),
    ]
    for name, case in CASES.items():
        main = f"subgradient/{name}"
        rows = "" if case.form == "vector" else "; rows: by itself, broadcast"
        everyone = ("torch", "julia", "referee")
        out.append(ask(main, f"{case.formula}: autograd, Zygote, least norm{rows}", everyone))
        out += [
            ask(f"{main}/{package}", f"{case.formula}: {package}{rows}", ("julia",), main)
            for package in JULIA_PACKAGES
        ]
        out.append(ask(f"{main}/forward", f"{case.formula}: forward mode{rows}", ("torch",), main))
        out += [
            ask(f"{main}/{synonym}", f"{case.formula} as {call}{rows}", ("torch",), main)
            for synonym, call in TORCH_SYNONYMS.get(name, {}).items()
        ]
        if case.regular:
            out.append(
                Quantity(
                    f"clarke/{name}",
                    "value",
                    0.0,
                    "active pieces, by hand",
                    f"{case.formula}: least and largest entries of the Clarke subdifferential",
                    engines=("referee",),
                )
            )
    return out


STUDY = Study(
    name="subgradient",
    order=0,
    title="Subgradients at kinks",
    slide='"A Simple Example"',
    question="What is the derivative of abs at 0, and who says so?",
    options=SubgradientOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    notes=(
        "The slide asks for Tracker's answer and prints none. It is 1, at -0.0 too, with every "
        "DiffRules but 1.14.0 and 1.15.0, where it is 0 (pull requests 98 and 100). The rule's "
        "source says `signbit`, which would make it -1 at -0.0; on a tracked number `signbit` "
        "falls back to `x < 0`, and only broadcast, where Tracker computes with dual numbers, is "
        "it -1.\n\n"
        'PyTorch documents a rule (autograd mechanics, "Gradients for non-differentiable '
        'functions"): the subgradient of least norm where a function is locally convex or concave, '
        "else the limit of derivatives. It follows it for abs, relu, max, min and the norms, and "
        "departs from it for `clamp`, which passes 1 at its bounds where `hardtanh` passes 0 and "
        "`relu` is 0; for `torch.max(x, dim)`, which takes the first of tied entries where `amax` "
        "shares; and for `fmax`, whose reverse and forward modes take different arguments.\n\n"
        "At a kink every answer in the Clarke subdifferential is a legitimate one. A chain of them "
        "need not be: sqrt(x^2) gives NaN at 0 by the chain rule, in every library that does not "
        "special-case the square root."
    ),
)
