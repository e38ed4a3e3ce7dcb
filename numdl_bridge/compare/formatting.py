"""How numbers are printed, in the terminal, on the page and in messages: one place for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..studies.contract import Term

NOTHING = "–"
"""What a table shows where there is no number."""

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


def number(value: float | int | None, significant: int = 6) -> str:
    """`significant` digits, integers whole: `1733.79`, `2.3e-16`, `29`, `nan`, `–`."""
    if value is None:
        return NOTHING
    if isinstance(value, int | np.integer):
        return str(int(value))
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    text = f"{value:.{significant}g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def size(value: float | None) -> str:
    """A difference or a bound: two significant digits, `2.3e-16`; `0` only for an exact zero."""
    if value is None or value == 0 or not math.isfinite(value):
        return number(value)
    if 0.01 <= abs(value) < 99.5:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def three(value: float) -> str:
    """Three significant digits, zeros kept: `0.0344`, `1734`, `1.50e-5`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    # To three digits first: 9999.9 has five places, and 0.0099996 belongs to 0.01.
    rounded = float(f"{value:.2e}") if abs(value) < 999.5 else value
    if 0.01 <= abs(rounded) < 999.5:
        return f"{value:.{2 - math.floor(math.log10(abs(rounded)))}f}"
    if 999.5 <= abs(value) < 9999.5:
        return f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def digits(value: float | None) -> str:
    """Decimal digits agreed, rounded down: a digit that is half right is not agreed."""
    return NOTHING if value is None else f"{math.floor(value * 10) / 10:.1f}"


def ulps(value: float | None) -> str:
    """A distance in ulps (a median may be half a one); beyond six digits the magnitude matters."""
    if value is None:
        return NOTHING
    return f"{value:.10g}" if value < 10**6 else size(float(value))


def cosine(value: float | None) -> str:
    """Four decimals, and `1 - 2.0e-9` where those would all be nines."""
    if value is None:
        return NOTHING
    gap = 1.0 - value
    return f"1 - {size(gap)}" if 0 < gap < 5e-5 else f"{value:.4f}"


def seconds(value: float | None) -> str:
    """Three significant digits with a unit: `1.70 ms`."""
    return _with_unit(value, _SECONDS)


def memory(value: float | None) -> str:
    """Bytes, three significant digits with a binary unit."""
    if value is not None and value < 2**10:
        return f"{value:.0f} B"
    return _with_unit(value, _BYTES)


def ratio(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """`3.41 [3.35, 3.52]`; without an interval where there is none."""
    if value is None:
        return NOTHING
    if low is None or high is None:
        return f"{value:.3g}"
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def terms(parts: Sequence[Term]) -> str:
    """A budget as a sum: `rounding in torch 1.2e-14 + solver tolerance 1.0e-7`."""
    return " + ".join(f"{t.name} {size(t.size)}" for t in parts) or NOTHING


def value(array: Any) -> str:
    """A quantity in one cell: the number itself, or the shape and the norm of an array."""
    from .metrics import norm

    array = np.asarray(array)
    if array.ndim == 0:
        item = array[()]
        return number(item, 10) if array.dtype.kind in "fiu" else str(item)
    if array.dtype.kind not in "fiuc":
        return f"{array.dtype}{list(array.shape)}"
    odd = int((~np.isfinite(array)).sum()) if array.dtype.kind in "fc" else 0
    more = f", {odd} not finite" if odd else ""
    return f"norm {number(norm(array), 10)} {list(array.shape)}{more}"


def _with_unit(amount: float | None, units: Sequence[tuple[float, str]]) -> str:
    if amount is None or not math.isfinite(amount):
        return NOTHING
    factor, unit = next((u for u in units if amount >= u[0]), units[-1])
    scaled = amount / factor
    places = max(0, 2 - math.floor(math.log10(scaled))) if scaled > 0 else 0
    return f"{scaled:.{places}f} {unit}"
