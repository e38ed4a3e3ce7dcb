"""The documented rule, exactly: the element of least norm of the Clarke subdifferential.

Computed in rational numbers, so that nothing is rounded: PyTorch, "Autograd mechanics", section
"Gradients for non-differentiable functions", rules 2 and 3 (the subgradient, or supergradient, of
least norm where a function is locally convex, or concave) and 4 (else by continuity).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from ...studies._subgradient_cases import CASES, Case
from ...studies.observation import Unavailable

Vector = list[Fraction]


def answer(inputs: dict[str, np.ndarray], options: Any, field: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"talk": field.array(0.0)}
    for name, case in CASES.items():
        x = inputs[f"x/{name}"]
        if case.regular:
            least, low, high = zip(*(_at(case, point) for point in np.atleast_2d(x).T), strict=True)
            out[f"subgradient/{name}"] = _paths(case, _stack(case, least), field)
            out[f"clarke/{name}"] = _balls(np.stack([_stack(case, low), _stack(case, high)]), field)
        else:
            out[f"subgradient/{name}"] = _by_continuity(case)
    return out


def rounding(inputs: dict[str, np.ndarray], options: Any) -> dict[str, float]:
    """Nothing is computed, so nothing is rounded."""
    return {}


def minimum_norm(vertices: list[Vector]) -> Vector:
    """The point of least Euclidean norm of the convex hull of `vertices`, in rational numbers.

    It is the least-norm point of the affine hull of some affinely independent vertices, with
    positive weights, and no vertex lies nearer in its direction: v . p >= p . p for all v. Few
    vertices, so every subset is tried.
    """
    dimension = len(vertices[0])
    for size in range(1, min(len(vertices), dimension + 1) + 1):
        for chosen in combinations(vertices, size):
            weights = _weights(list(chosen))
            if weights is None or min(weights) < 0:
                continue
            point = [
                sum((w * v[i] for w, v in zip(weights, chosen, strict=True)), Fraction(0))
                for i in range(dimension)
            ]
            if all(_dot(v, point) >= _dot(point, point) for v in vertices):
                return point
    raise AssertionError("a convex hull has a point of least norm")


def _weights(chosen: list[Vector]) -> list[Fraction] | None:
    """Weights, summing to one, of the affine hull's least-norm point; None where dependent."""
    n = len(chosen)
    # Stationarity: the Gram matrix times the weights is a constant; the weights sum to one.
    rows = [[_dot(a, b) for b in chosen] + [Fraction(-1), Fraction(0)] for a in chosen]
    rows.append([Fraction(1)] * n + [Fraction(0), Fraction(1)])
    for i in range(n + 1):
        pivot = next((r for r in range(i, n + 1) if rows[r][i] != 0), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(n + 1):
            if r != i and rows[r][i] != 0:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [rows[i][-1] for i in range(n)]


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _at(case: Case, point: np.ndarray) -> tuple[Vector, Vector, Vector]:
    """Least-norm element, least and largest entries of the subdifferential at one point."""
    if case.ball:
        n = len(point)
        return [Fraction(0)] * n, [Fraction(-1)] * n, [Fraction(1)] * n
    # Inputs of single precision hold exact multiples of their spacing, so ties remain ties.
    vertices = [[Fraction(float(e)) for e in g] for g in case.active(point.astype(np.float64))]
    columns = list(zip(*vertices, strict=True))
    return minimum_norm(vertices), [min(c) for c in columns], [max(c) for c in columns]


def _by_continuity(case: Case) -> np.ndarray | Unavailable:
    """Rule 4, for the functions that are not Lipschitz at their points. No ball: a limit."""
    shape = (2, *case.points.shape)
    if case.name == "sqrt":
        return np.full(shape, np.inf)
    if case.name == "sign":
        return np.zeros(shape)
    return Unavailable(
        f"{case.formula} is not Lipschitz at 0, its one-sided derivatives are 0, Inf"
    )


def _stack(case: Case, found: tuple[Vector, ...]) -> np.ndarray:
    """Points last; a function of one number has no axis for its arguments."""
    table = np.array([list(column) for column in zip(*found, strict=True)], dtype=object)
    return table[0] if case.form == "elementwise" else table


def _paths(case: Case, table: np.ndarray, field: Any) -> np.ndarray:
    """The rule does not know how it was called: both rows are the same."""
    return _balls(table if case.form == "vector" else np.stack([table, table]), field)


def _balls(table: np.ndarray, field: Any) -> np.ndarray:
    out = np.empty(table.shape, dtype=object)
    for index, value in np.ndenumerate(table):
        out[index] = field.number(value.numerator) / field.number(value.denominator)
    return out
