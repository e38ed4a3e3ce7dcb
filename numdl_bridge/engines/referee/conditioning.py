"""Conditioning in balls: Jacobians by index, proven singular values, exact pseudo-inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...studies.conditioning import WIDTHS, ConditioningOptions
from ...studies.contract import Arrays
from .enclosures import extreme_singular_values, to_array, to_matrix
from .number import Ball, Field

BITS = 512
"""cond(J)^2 reaches 1e38 for twin neurons, and the proof wants another 2^-100 of its inverse."""


def blocks(W: np.ndarray, K: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dR/dW `(n, s, n, m)` and dR/dK `(n, s, m, d)`, from

    dR[i, k]/dW[a, b] = delta_ia Z[b, k]  and  dR[i, k]/dK[b, c] = W[i, b] (1 - Z[b, k]^2) Y[c, k].
    """
    Z = np.tanh(K @ Y)
    (n, m), s = W.shape, Y.shape[1]
    by_W = np.full((n, s, n, m), 0 * W[0, 0], dtype=W.dtype)
    for i in range(n):
        by_W[i, :, i, :] = Z.T
    left = W[:, None, :] * (1 - Z * Z).T
    return by_W, left[:, :, :, None] * Y.T[:, None, :]


def jacobian(W: np.ndarray, K: np.ndarray, Y: np.ndarray, order: str) -> np.ndarray:
    """[J_W J_K], vec by columns (`"F"`) or by rows (`"C"`)."""
    rows = W.shape[0] * Y.shape[1]
    return np.concatenate(
        [_flatten(block, rows, order) for block in blocks(W, K, Y)],
        axis=1,
    )


def _flatten(block: np.ndarray, rows: int, order: str) -> np.ndarray:
    if order == "C":
        return block.reshape(rows, -1)
    return block.transpose(1, 0, 3, 2).reshape(rows, -1)


def _vec_order(inputs: Arrays, field: Field) -> dict[str, Any]:
    W, K, Y, dW, dK = (field.array(inputs[f"vec/{k}"]) for k in ("W", "K", "Y", "dW", "dK"))
    Z = np.tanh(K @ Y)
    # The directional derivative, without any Jacobian.
    change = dW @ Z + W @ ((1 - Z * Z) * (dK @ Y))
    values: dict[str, Any] = {}
    for name, order in (("column", "F"), ("row", "C")):
        values[f"jacobian/{name}"] = jacobian(W, K, Y, order)
        values[f"product/{name}"] = change.ravel(order=order)
    return values


def _least_norm(J: np.ndarray, r: np.ndarray) -> np.ndarray:
    """-pinv(J) r for a J of full rank: the normal equations are harmless at this precision."""
    matrix, right = to_matrix(J), to_matrix(r[:, None])
    transpose = matrix.transpose()
    if J.shape[0] < J.shape[1]:
        step = transpose * (matrix * transpose).solve(right)
    else:
        step = (transpose * matrix).solve(transpose * right)
    return -to_array(step)[:, 0]


def _checked(inputs: Arrays, m: int, field: Field) -> dict[str, Any]:
    name = f"m={m}"
    C = field.array(inputs[f"C/{name}"])
    columns: dict[str, list[Any]] = {}
    for i in range(C.shape[-1]):
        W, K, Y = (field.array(inputs[f"{k}/{name}"][..., i]) for k in "WKY")
        J = jacobian(W, K, Y, "F")
        r = (W @ np.tanh(K @ Y) - C[..., i]).ravel(order="F")
        smallest, largest = extreme_singular_values(J)
        for key, value in {
            f"checked/rcond/{name}": smallest / largest,
            f"checked/sigma_1/{name}": largest,
            f"gradient/{name}": J.T @ r / Y.shape[1],
            f"inverse/{name}": _least_norm(J, r),
        }.items():
            columns.setdefault(key, []).append(value)
    return {key: np.stack([np.asarray(v) for v in value], -1) for key, value in columns.items()}


def _twins(inputs: Arrays, field: Field) -> dict[str, Any]:
    W, Y = (field.array(inputs[f"{k}/m=8"][..., 0]) for k in "WY")
    found = []
    for K in np.moveaxis(field.array(inputs["twins/K"]), -1, 0):
        smallest, largest = extreme_singular_values(jacobian(W, K, Y, "F"))
        found.append(smallest / largest)
    rcond = np.array(found, dtype=object)
    return {"twins/rcond": rcond, "twins/proof": 1 / rcond}


def answer(inputs: Arrays, options: ConditioningOptions, field: Field) -> dict[str, Any]:
    values = _vec_order(inputs, field) | _twins(inputs, field)
    # cond(J) < 1e10 there: half the digits, and half the time.
    fewer = Ball(BITS // 2)
    with fewer.working():
        for m in WIDTHS:
            values |= _checked(inputs, m, fewer)
    return values


def rounding(inputs: Arrays, options: ConditioningOptions) -> dict[str, float]:
    """A-priori bounds, relative in the norm.

    Entries of J are products of three factors, one of them a tanh of a sum of d products: a few
    units each. Singular values move by no more than the error of J and of a backward stable SVD,
    which is relative to sigma_1, not to themselves; so no bound for rcond stands here, its
    tolerance is absolute.
    """
    u = float(np.finfo(options.dtype).eps) / 2
    entries = {f"jacobian/{order}": 16 * u for order in ("column", "row")}
    return entries | {f"checked/sigma_1/m={m}": 16 * u * m**0.5 for m in WIDTHS}
