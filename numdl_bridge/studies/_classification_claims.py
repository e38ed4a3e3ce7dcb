"""What the classification study claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .contract import Arrays, Claim, Decision


def slope(remainder: np.ndarray, first: int, last: int) -> float:
    """Observed order of remainders at h = 10^-(1 + first) ... 10^-(1 + last), by least squares."""
    exponents = -np.arange(1.0 + first, 2.0 + last)
    return float(np.polyfit(exponents, np.log10(remainder[first : last + 1]), 1)[0])


def _percent(x: float) -> str:
    return f"{100 * float(x):.1f} %"


def _linear(values: Arrays, _: Any) -> Decision:
    train, test = values["linear/error"]
    return Decision(
        bool(min(train, test) > 0.4), f"training {_percent(train)}, validation {_percent(test)}"
    )


def _resnet(values: Arrays, _: Any) -> Decision:
    train, test = values["newton/error"]
    return Decision(bool(train < 0.1), f"training {_percent(train)}, validation {_percent(test)}")


def _varpro(values: Arrays, _: Any) -> Decision:
    coupled, reduced = values["newton/history"], values["varpro/history"]
    outer = len(reduced) - 1
    target = float(coupled[min(outer, len(coupled) - 1)])
    reached = int(np.argmax(reduced <= target)) if (reduced <= target).any() else None
    return Decision(
        reached is not None and reached < outer,
        f"loss {target:.4g} after {outer} coupled iterations and "
        + (f"{reached} of VarPro" if reached is not None else f"more than {outer} of VarPro"),
    )


def _slopes(values: Arrays, _: Any) -> Decision:
    found = {}
    for name in ("resnet", "smooth relu"):
        found[name] = (
            slope(values[f"remainder/{name}/E0"], 2, 5),
            slope(values[f"remainder/{name}/E1"], 3, 5),
        )
    holds = all(abs(a - 1) < 0.05 and abs(b - 2) < 0.1 for a, b in found.values())
    return Decision(
        holds, "; ".join(f"{name}: {a:.3f} and {b:.3f}" for name, (a, b) in found.items())
    )


def _adjoint(values: Arrays, _: Any) -> Decision:
    worst = float(np.max(values["adjoint test"]))
    return Decision(worst < 1e-12, f"{worst:.1e}")


def _ellipses(values: Arrays, _: Any) -> Decision:
    linear, square = (float(values[f"ellipses/{k}/error"]) for k in ("linear", "square"))
    return Decision(
        linear > 0.4 and square < 0.01, f"linear {_percent(linear)}, with r^2 {_percent(square)}"
    )


def _features(values: Arrays, _: Any) -> Decision:
    errors = {s: float(values[f"elm/{s}/error"][0]) for s in ("sin", "tanh", "relu")}
    return Decision(
        errors["sin"] < min(errors["tanh"], errors["relu"]) and max(errors.values()) < 0.2,
        ", ".join(f"{s}: {_percent(e)}" for s, e in errors.items()),
    )


def _reduced(values: Arrays, _: Any) -> Decision:
    right = slope(values["remainder/varpro/E1"], 2, 4)
    wrong = slope(values["remainder/varpro as published/E1"], 1, 5)
    return Decision(
        abs(right - 2) < 0.1 and wrong < 1.5, f"slopes {right:.2f} and, as published, {wrong:.2f}"
    )


def claims(options: Any) -> Sequence[Claim]:
    """The claims; those on rounding and on training need double precision and enough points."""
    slide = "Optimal Control Framework for Deep Learning"
    found = [
        Claim(
            "linear fails",
            "A linear classifier misplaces more than 40 % of the points of peaks.",
            slide,
            ("linear/error",),
            _linear,
        ),
        Claim(
            "the right feature",
            "On the ellipses a linear classifier misplaces more than 40 % of the points, and less "
            "than 1 % when x^2 + (y / 0.4)^2 is given to it.",
            slide,
            ("ellipses/linear/error", "ellipses/square/error"),
            _ellipses,
        ),
    ]
    if options.dtype == "float64":
        found += [
            Claim(
                "derivatives",
                "Taylor remainders without and with the gradient fall with slopes 1 (± 0.05) and "
                "2 (± 0.1) from h = 1e-3 (with the gradient 1e-4) to 1e-6, for the ResNet and the "
                "smooth-ReLU network.",
                slide,
                tuple(
                    f"remainder/{n}/{e}" for n in ("resnet", "smooth relu") for e in ("E0", "E1")
                ),
                _slopes,
            ),
            Claim(
                "adjoint",
                "u.Jv and v.J^T u differ by less than 1e-12, relatively.",
                slide,
                ("adjoint test",),
                _adjoint,
            ),
            Claim(
                "reduced gradient",
                "VarPro's gradient that ignores dW/dtheta has a remainder of slope 2 when the "
                "inner problem is solved and lambda_W counts, and below 1.5 as published.",
                slide,
                ("remainder/varpro/E1", "remainder/varpro as published/E1"),
                _reduced,
            ),
        ]
    if options.points >= 1000 and options.iterations >= 50 and options.outer >= 10:
        found += [
            Claim(
                "layers help",
                "The ResNet (8 wide, 16 layers) misplaces less than 10 % of the training points.",
                slide,
                ("newton/error",),
                _resnet,
            ),
            Claim(
                "VarPro is faster",
                "VarPro reaches the coupled solver's loss in fewer outer iterations.",
                slide,
                ("newton/history", "varpro/history"),
                _varpro,
            ),
        ]
        if options.features >= 200:
            found.append(
                Claim(
                    "random features",
                    "200 random features misplace less than 20 %, sin fewer than tanh and relu.",
                    slide,
                    tuple(f"elm/{s}/error" for s in ("sin", "tanh", "relu")),
                    _features,
                )
            )
    return found
