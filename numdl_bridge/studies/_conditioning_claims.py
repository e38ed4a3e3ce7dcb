"""What the conditioning study claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._conditioning_quantities import EPS_SINGLE, WIDTHS, D, N
from .contract import Arrays, Claim, Decision

_MEDIANS = {8: (0.8e4, 1.6e4), 16: (3e5, 5e5), 32: (5.5e5, 7.5e5)}


def _medians(values: Arrays, _: Any) -> Decision:
    found = {m: float(values[f"cond/m={m}"][2]) for m in WIDTHS}
    return Decision(
        all(low <= found[m] <= high for m, (low, high) in _MEDIANS.items()),
        ", ".join(f"m = {m}: {x:.3g}" for m, x in found.items()),
    )


def _squared(values: Arrays, _: Any) -> Decision:
    found = {m: float(values[f"cond/m={m}"][2]) ** 2 for m in WIDTHS}
    return Decision(
        all(x > 1 / EPS_SINGLE for x in found.values()),
        "cond(J)^2, median: " + ", ".join(f"m = {m}: {x:.2g}" for m, x in found.items()),
    )


def _singular(values: Arrays, options: Any) -> Decision:
    # That it is singular, its shape says; that no more is lost, the numerical ranks of all draws.
    least, most = (int(r) for r in values["rank/m=32"])
    columns, rows = 32 * (N + D), N * options.samples
    return Decision(
        least == most == rows < columns, f"rank {least} to {most}, {rows} rows, {columns} columns"
    )


def _order(values: Arrays, _: Any) -> Decision:
    cond, product = float(values["wrong order/cond"]), float(values["wrong order/product"])
    return Decision(
        abs(cond) < 1e-3 and product > 0.1,
        f"cond differs by {abs(cond):.1e}, the product by {product:.2g} (relative)",
    )


def _hidden(values: Arrays, _: Any) -> Decision:
    median = {
        (m, p): float(values[f"cond/{p}m={m}"][2]) for m in WIDTHS for p in ("", "single/", "half/")
    }
    same = all(abs(median[m, "single/"] / median[m, ""] - 1) < 0.05 for m in WIDTHS)
    hidden = all(median[m, "half/"] < median[m, ""] for m in WIDTHS)
    return Decision(
        same and hidden,
        "; ".join(
            f"m = {m}: {median[m, '']:.3g} / {median[m, 'single/']:.3g} / {median[m, 'half/']:.3g}"
            for m in WIDTHS
        ),
    )


def _proven(values: Arrays, _: Any) -> Decision:
    cond = values["twins/proof"]
    grows = cond[3:] / cond[2:-1]
    return Decision(
        bool((abs(grows / 1e3 - 1) < 0.1).all() and cond[-1] > 2.0**53),
        f"cond(J) from {cond[0]:.3g} to {cond[-1]:.3g}, times {grows.min():.4g} to "
        f"{grows.max():.4g} a decade",
    )


def _blind(values: Arrays, _: Any) -> Decision:
    cond = values["twins/cond"]
    line = cond[2] * 1e3 ** np.arange(len(cond) - 2.0)
    wrong = np.abs(cond[2:] / line - 1) > 0.5
    first = 2 + int(np.argmax(wrong)) if wrong.any() else None
    return Decision(
        first is not None,
        "never"
        if first is None
        else f"wrong by more than half from a distance of 1e-{first} on, where it says "
        f"{cond[first]:.2g}; at 1e-{first - 1} it says {cond[first - 1]:.2g}",
    )


def claims(options: Any) -> Sequence[Claim]:
    """The claims; the medians need a thousand draws and 100 samples to be what they are."""
    slide = "Case 4, Ill-conditioning"
    cond = tuple(f"cond/m={m}" for m in WIDTHS)
    found = [
        Claim(
            "order of vec",
            "A wrong order of vec leaves cond(J) as it is to 1e-3, and makes J times a vector "
            "wrong by more than 10 %.",
            slide,
            ("wrong order/cond", "wrong order/product"),
            _order,
        ),
    ]
    if options.samples == 100:
        found += [
            Claim(
                "ill-posed in single precision",
                "The median of cond(J^T J) = cond(J)^2 is beyond 1/eps of single precision for "
                "m = 8, 16 and 32.",
                slide,
                cond,
                _squared,
            ),
        ]
    if options.samples == 100 and options.dtype == "float64":
        found += [
            Claim(
                "singular",
                "J^T J is singular for m = 32: every J has rank 100, no less, and 128 columns.",
                slide,
                ("rank/m=32",),
                _singular,
            ),
        ]
    if options.samples == 100 and options.draws >= 1000:
        found += [
            Claim(
                "ill-conditioned",
                "The median of cond(J) lies in [0.8e4, 1.6e4], [3e5, 5e5], [5.5e5, 7.5e5] for "
                "m = 8, 16, 32.",
                slide,
                cond,
                _medians,
            ),
            Claim(
                "hidden by rounding",
                "Single precision shows the median of cond(J) to 5 %; rounding the entries to "
                "half precision hides the small singular values and lowers it.",
                slide,
                tuple(f"cond/{p}m={m}" for m in WIDTHS for p in ("", "single/", "half/")),
                _hidden,
            ),
        ]
    if options.decades >= 5 and options.dtype == "float64":
        found += [
            Claim(
                "known by proof",
                "As two neurons approach one another cond(J) grows with the inverse cube of their "
                "distance (± 10 % a decade from 0.01 on), to beyond 1/u = 9e15.",
                slide,
                ("twins/proof",),
                _proven,
            ),
            Claim(
                "unknown to double precision",
                "Computed in double precision, cond(J) leaves that line by more than half.",
                slide,
                ("twins/cond",),
                _blind,
            ),
        ]
    return found
