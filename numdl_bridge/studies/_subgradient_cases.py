"""The kinks of `subgradient`: where they are, and between which smooth pieces.

Every function here but three is piecewise affine; its Clarke subdifferential at x is the convex
hull of the gradients of the pieces that are active at x (Scholtes, "Introduction to Piecewise
Differentiable Equations", 2012, prop. 4.3.1). The Euclidean norm's at 0 is the unit ball.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

SLOPE = 0.01
"""Of the leaky ReLU, left of zero."""

Piece = tuple[np.ndarray, float]
"""Gradient and constant of one affine piece: x -> gradient . x + constant."""


@dataclass(frozen=True)
class Case:
    """One function at its kinks.

    **Arguments:**

    - `name`, `formula`: as in quantity names, and for tables.
    - `points`: `(points,)` for functions of a number, `(arguments, points)` for functions of two
      numbers, `(length, points)` for functions of a vector.
    - `form`: `"elementwise"`, `"binary"` or `"vector"`.
    - `pieces`: affine pieces, all of which meet somewhere; None where the function is not
      piecewise affine.
    - `ball`: the subdifferential at the points is the Euclidean unit ball.
    """

    name: str
    formula: str
    points: np.ndarray
    form: str
    pieces: tuple[Piece, ...] | None = None
    value: Callable[[np.ndarray], float] | None = None
    ball: bool = False

    @property
    def regular(self) -> bool:
        """Whether there is a Clarke subdifferential (the function is Lipschitz at its points)."""
        return self.pieces is not None or self.ball

    def columns(self) -> list[np.ndarray]:
        """The points one by one, each as a vector of arguments."""
        return list(np.atleast_2d(self.points).T)

    def active(self, x: np.ndarray) -> np.ndarray:
        """`(k, arguments)`: gradients of the pieces that are active at x (compared exactly)."""
        assert self.pieces is not None
        assert self.value is not None
        found = [g for g, c in self.pieces if float(g @ x + c) == self.value(x)]
        return np.array(found)


def _pieces(*gradients: tuple[float, ...], constants: tuple[float, ...] = ()) -> tuple[Piece, ...]:
    shifts = constants or (0.0,) * len(gradients)
    return tuple((np.array(g), c) for g, c in zip(gradients, shifts, strict=True))


def _top(pieces: tuple[Piece, ...]) -> Callable[[np.ndarray], float]:
    return lambda x: max(float(g @ x + c) for g, c in pieces)


def _largest(
    name: str, formula: str, points: np.ndarray, form: str, pieces: tuple[Piece, ...]
) -> Case:
    """A convex function: the largest of its pieces."""
    return Case(name, formula, points, form, pieces, _top(pieces))


_ZEROS = np.array([0.0, -0.0])
_TIES = np.array([[0.0, 1.0, 0.0, -0.0], [0.0, 1.0, -0.0, 0.0]])
_E = tuple(tuple(row) for row in np.eye(3))
_SIGNED = tuple(tuple(s * row) for row in np.eye(3) for s in (1.0, -1.0))
_ABS = _pieces((1.0,), (-1.0,))
_PAIR = _pieces((1.0, 0.0), (0.0, 1.0))

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        _largest("abs", "|x|", _ZEROS, "elementwise", _ABS),
        _largest("relu", "relu(x)", _ZEROS, "elementwise", _pieces((0.0,), (1.0,))),
        _largest(
            "leaky_relu",
            "leaky_relu(x, slope)",
            _ZEROS,
            "elementwise",
            _pieces((SLOPE,), (1.0,)),
        ),
        Case(
            "clamp",
            "clamp(x, -1, 1)",
            np.array([1.0, -1.0]),
            "elementwise",
            _pieces((0.0,), (1.0,), (0.0,), constants=(-1.0, 0.0, 1.0)),
            lambda x: min(1.0, max(-1.0, float(x[0]))),
        ),
        Case("sign", "sign(x)", _ZEROS, "elementwise"),
        Case("sqrt", "sqrt(x)", _ZEROS, "elementwise"),
        _largest("sqrt_square", "sqrt(x^2) = |x|", _ZEROS, "elementwise", _ABS),
        Case("where_sqrt", "x > 0 ? sqrt(x) : 0", _ZEROS, "elementwise"),
        _largest("max", "max(a, b), a = b", _TIES, "binary", _PAIR),
        Case(
            "min",
            "min(a, b), a = b",
            _TIES,
            "binary",
            _PAIR,
            lambda x: float(min(x)),
        ),
        Case(
            "hypot",
            "hypot(a, b) at 0",
            np.array([[0.0, -0.0], [0.0, 0.0]]),
            "binary",
            ball=True,
        ),
        _largest(
            "norm1",
            "|x_1| + |x_2| + |x_3|",
            np.array([[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]]),
            "vector",
            _pieces(*product((1.0, -1.0), repeat=3)),
        ),
        Case("norm2", "Euclidean norm at 0", np.zeros((3, 1)), "vector", ball=True),
        _largest(
            "norminf",
            "max |x_i|",
            np.array([[1.0, 0.0], [-1.0, 0.0], [0.5, 0.0]]),
            "vector",
            _pieces(*_SIGNED),
        ),
        _largest(
            "maximum",
            "largest entry, tied",
            np.array([[1.0, 1.0], [1.0, 1.0], [0.5, 1.0]]),
            "vector",
            _pieces(*_E),
        ),
    )
}

TORCH_SYNONYMS: dict[str, dict[str, str]] = {
    "relu": {"clamp_min": "torch.clamp(x, min=0)"},
    "clamp": {"hardtanh": "torch.nn.functional.hardtanh(x)"},
    "max": {"fmax": "torch.fmax(a, b)", "fmax/forward": "torch.fmax(a, b), forward mode"},
    "norm2": {"by_hand": "(x * x).sum(0).sqrt()"},
    "maximum": {"max_dim": "torch.max(x, dim=0).values"},
}
"""The same function by another name, in the same library."""


def inside(case: Case, x: np.ndarray, gradient: np.ndarray) -> bool:
    """Whether `gradient` lies in the Clarke subdifferential of a regular case at the point x."""
    g = np.atleast_1d(np.asarray(gradient, dtype=np.float64))
    if case.ball:
        return bool(np.linalg.norm(g) <= 1 + 1e-15)
    from scipy.optimize import nnls

    vertices = case.active(np.atleast_1d(x))
    # A point of the hull is V^T w with w >= 0 and sum(w) = 1: a non-negative least-squares problem
    # whose residual is then zero.
    system = np.vstack([vertices.T, np.ones(len(vertices))])
    _, residual = nnls(system, np.append(g, 1.0))
    return bool(residual <= 1e-7)
