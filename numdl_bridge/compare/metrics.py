"""How far two arrays are apart: absolute, relative, elementwise, in ulps, in digits, as an angle.

All metrics are symmetric, and none of them overflows, underflows to zero or returns NaN for finite
numbers that differ. Entries that are the same non-finite value on both sides (both NaN, or the same
Inf) have distance zero and no part in a norm; any other non-finite entry is infinitely far from its
partner. A complex number counts as its real and imaginary parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInputError

_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_FURTHEST = np.uint64(2**64 - 1)


def absolute(x: Any, y: Any) -> float:
    """||x - y||_2 over all entries; Inf where non-finite entries differ or the norm overflows."""
    pair = finite_pair(x, y)
    return math.inf if pair is None else _float(*_norm(*_subtract(*pair)))


def relative(x: Any, y: Any) -> float:
    """||x - y||_2 / max(||x||_2, ||y||_2), in [0, 2]; 0 where both are zero, Inf for non-finite
    entries that differ."""
    pair = finite_pair(x, y)
    if pair is None:
        return math.inf
    gap, size = _norm(*_subtract(*pair)), max((_norm(v) for v in pair), key=_by_size)
    return _ratio(gap, size)


def norm(x: Any) -> float:
    """||x||_2 over the finite entries, without overflow or underflow on the way."""
    v = reals(x)
    return _float(*_norm(v[np.isfinite(v)] if v.dtype.kind == "f" else v))


def larger_norm(x: Any, y: Any) -> float:
    """max(||x||_2, ||y||_2) over entries finite on both sides; 0 where formally apart."""
    pair = finite_pair(x, y)
    return 0.0 if pair is None else max(_float(*_norm(v)) for v in pair)


def elementwise(x: Any, y: Any) -> np.ndarray:
    """|x_i - y_i| / max(|x_i|, |y_i|) for each entry, in the shape of x (parts of a complex entry:
    the larger of both); 0 for equal entries, Inf where one of the two is non-finite."""
    first, second = reals(x), reals(y)
    _same_shape(x, y)
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        _, exponent = np.frexp(np.maximum(np.abs(a), np.abs(b)))
        a_scaled, b_scaled = np.ldexp(a, -exponent), np.ldexp(b, -exponent)
        size = np.maximum(np.abs(a_scaled), np.abs(b_scaled))
        out = np.abs(a_scaled - b_scaled) / np.where(size == 0, 1.0, size)
    loose = ~(np.isfinite(a) & np.isfinite(b))
    out[loose] = np.where(_same_nonfinite(a[loose], b[loose]), 0.0, np.inf)
    return _entrywise(out, x)


def worst_relative(x: Any, y: Any) -> float:
    """The largest entry of `elementwise`: what a norm may hide in a small component."""
    return float(elementwise(x, y).max(initial=0.0))


def ulp_distances(x: Any, y: Any) -> np.ndarray:
    """Number of floating-point numbers from x_i to y_i, uint64, in the coarser dtype of the two.

    -0.0 and 0.0 are the same number; from the largest finite number to Inf it is one step; a NaN
    is 2**64 - 1 away from anything but a NaN. Raises `BadInputError` for integers and text.
    """
    _same_shape(x, y)
    first, second = reals(x), reals(y)
    if "f" not in (first.dtype.kind, second.dtype.kind):
        raise BadInputError(
            f"ulps of arrays of dtype {first.dtype} and {second.dtype}", "floating-point numbers"
        )
    dtype = coarser(first.dtype, second.dtype)
    with np.errstate(over="ignore"):
        a, b = first.astype(dtype), second.astype(dtype)
    i, j = _ordinal(a), _ordinal(b)
    out = np.maximum(i, j) - np.minimum(i, j)
    nan_a, nan_b = np.isnan(a), np.isnan(b)
    out[nan_a & nan_b] = 0
    out[nan_a ^ nan_b] = _FURTHEST
    return _entrywise(out, x)


def ulps(x: Any, y: Any) -> int:
    """The largest of `ulp_distances`."""
    return int(ulp_distances(x, y).max(initial=0))


def ulps_median(x: Any, y: Any) -> float:
    """The median of `ulp_distances` (of the lower and the upper one the mean)."""
    steps = ulp_distances(x, y).ravel()
    return float(np.median(steps.astype(np.float64))) if steps.size else 0.0


def digits(x: Any, y: Any) -> float:
    """Decimal digits agreed, -log10(relative), between 0 and what the coarser dtype can hold."""
    return digits_of(relative(x, y), x, y)


def digits_of(gap: float, x: Any, y: Any) -> float:
    """`digits` for a relative difference that is known already."""
    kinds = [a.dtype for a in (reals(x), reals(y)) if a.dtype.kind == "f"]
    finest = np.finfo(coarser(*kinds) if kinds else np.float64).eps
    most = -math.log10(float(finest) / 2)
    return most if gap == 0 else min(most, max(0.0, -math.log10(gap)))


def cosine(x: Any, y: Any) -> float:
    """Cosine of the angle between x and y, accurate near 1 and -1 (from the chord, after Kahan).

    1 for two zero vectors, 0 where just one is zero, NaN where non-finite entries differ.
    """
    pair = finite_pair(x, y)
    if pair is None:
        return math.nan
    (a, m), (b, n) = ((v, _norm(v)[0]) for v in map(_scale, pair))
    if m == 0 or n == 0:
        return 1.0 if m == n else 0.0
    a, b = a / m, b / n
    across = float(np.dot(a, b))
    if abs(across) < 0.7:
        return across
    apart, together = _norm(a - b), _norm(a + b)
    if _by_size(apart) <= _by_size(together):
        return 1.0 - _float(*apart) ** 2 / 2
    return _float(*together) ** 2 / 2 - 1.0


LARGE = 100_000
"""Entries beyond which a comparison keeps to what one pass over the arrays can tell."""

BLOCK = 2**13
"""Entries of that pass worked on at a time: they stay in the cache while all sums are formed, and
OpenBLAS does not wake a second thread for them (beyond 10,000 it does)."""


@dataclass(frozen=True)
class Large:
    """Norm-wise metrics of two large arrays; `size` is the larger norm, `worst` a flat index."""

    absolute: float
    relative: float
    size: float
    cosine: float
    worst: int


def large(x: np.ndarray, y: np.ndarray) -> Large | None:
    """The metrics of two arrays of more than `LARGE` entries in one pass, or None.

    None for small arrays, and wherever care is needed that one pass does not take: other kinds of
    numbers than real floats of one dtype and shape, entries that are not finite, squares that over-
    or underflow, arrays that are equal (whose signs of zero may differ).
    """
    plain = x.dtype == y.dtype and x.dtype in (np.float32, np.float64) and x.shape == y.shape
    if x.size <= LARGE or not plain:
        return None
    a, b = np.ravel(x), np.ravel(y)
    squares, across, worst = np.zeros(3), 0.0, (-1.0, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, a.size, BLOCK):
            u, v = (w[first : first + BLOCK].astype(np.float64, copy=False) for w in (a, b))
            gap = u - v
            squares += np.dot(u, u), np.dot(v, v), np.dot(gap, gap)
            across += float(np.dot(u, v))
            np.abs(gap, out=gap)
            place = int(gap.argmax())
            worst = max(worst, (float(gap[place]), -first - place))
    # A NaN or Inf anywhere makes a square NaN or Inf.
    if not all(_TINY < s < math.inf for s in squares):
        return None
    m, n, apart = (math.sqrt(s) for s in squares)
    size = max(m, n)
    angle = across / (m * n)
    # Near 1 the chord is accurate and the quotient is not.
    if angle > 0.7:
        angle = 1.0 - ((apart / size) ** 2 - ((m - n) / size) ** 2) * size**2 / (2 * m * n)
    return Large(apart, apart / size, size, angle, -worst[1])


_TINY = 1e-250


def reals(x: Any) -> np.ndarray:
    """The entries as a flat array of float16/32/64 or integers; complex ones as pairs of reals."""
    array = np.asarray(x)
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], axis=-1)
    if array.dtype.kind == "b":
        array = array.astype(np.int8)
    if array.dtype.kind not in "fiu" or array.dtype.itemsize not in (1, 2, 4, 8):
        raise BadInputError(
            f"a distance of arrays of dtype {array.dtype}",
            "integers, or real or complex numbers of half, single or double precision",
        )
    return array.ravel()


def coarser(*dtypes: np.dtype) -> np.dtype:
    """The floating-point dtype with the fewest digits among `dtypes`; integers do not count."""
    floats = [np.dtype(d) for d in dtypes if np.dtype(d).kind == "f"]
    return min(floats, key=lambda d: d.itemsize)


def finite_pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """The flat entries of both where both are finite, or None where the others are not the same."""
    _same_shape(x, y)
    a, b = reals(x), reals(y)
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        return a, b
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not _same_nonfinite(a[~finite], b[~finite]).all():
        return None
    return a[finite], b[finite]


def _same_nonfinite(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.isnan(a) & np.isnan(b)) | (np.isinf(a) & (a == b))


def _same_shape(x: Any, y: Any) -> None:
    if np.shape(x) != np.shape(y) or np.iscomplexobj(x) != np.iscomplexobj(y):
        first, second = np.asarray(x), np.asarray(y)
        raise BadInputError(
            f"arrays of shape {first.shape} ({first.dtype}) and {second.shape} ({second.dtype})",
            "two arrays of one shape, both real or both complex",
        )


def _subtract(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, int]:
    """x - y as (d, e) with x - y = d * 2**e. Gradual underflow keeps d != 0 wherever x != y."""
    if a.dtype.kind != "f":  # integers beyond 2**53 and unsigned ones: subtract exactly
        return (a.astype(object) - b.astype(object)).astype(np.float64), 0
    with np.errstate(over="ignore"):
        gap = a - b
    if np.isfinite(gap).all():
        return gap, 0
    return a / 2 - b / 2, 1


def _scale(v: np.ndarray) -> np.ndarray:
    """v times the power of two that brings its largest entry into [1/2, 1)."""
    return np.ldexp(v.astype(np.float64), -_exponent(v))


def _exponent(v: np.ndarray) -> int:
    return int(np.frexp(np.abs(v.astype(np.float64)).max(initial=0.0))[1])


def _norm(v: np.ndarray, exponent: int = 0) -> tuple[float, int]:
    """||v||_2 as (m, e) with norm = m * 2**e, so that no square over- or underflows."""
    scaled = _scale(v)
    return float(np.sqrt(np.dot(scaled, scaled))), _exponent(v) + exponent


def _by_size(norm: tuple[float, int]) -> tuple[float, float]:
    mantissa, exponent = math.frexp(norm[0])
    return (-math.inf, 0.0) if norm[0] == 0 else (exponent + norm[1], mantissa)


def _float(mantissa: float, exponent: int) -> float:
    try:
        value = math.ldexp(mantissa, exponent)
    except OverflowError:
        return math.inf
    # What is not zero may not look like it.
    return value if value or not mantissa else math.ulp(0.0)


def _ratio(top: tuple[float, int], bottom: tuple[float, int]) -> float:
    return 0.0 if top[0] == 0 else _float(top[0] / bottom[0], top[1] - bottom[1])


def _ordinal(a: np.ndarray) -> np.ndarray:
    """Position of each float on the line of all floats of its dtype, as uint64."""
    bits = a.view(_UNSIGNED[a.dtype.itemsize]).astype(np.uint64)
    sign = np.uint64(1) << np.uint64(8 * a.dtype.itemsize - 1)
    return np.where(bits >= sign, sign - (bits & (sign - np.uint64(1))), sign + bits)


def _entrywise(values: np.ndarray, like: Any) -> np.ndarray:
    """Flat values of parts in the shape of `like`: of a complex entry's two parts the larger."""
    shape = np.shape(like)
    if np.iscomplexobj(like):
        return values.reshape(*shape, 2).max(axis=-1)
    return values.reshape(shape)
