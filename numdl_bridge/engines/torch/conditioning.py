"""Conditioning of a single layer's Jacobian, in PyTorch: all draws in one batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.func import grad, jacfwd, jacrev, jvp, vmap

from ...studies.conditioning import (
    EPS_HALF,
    EPS_SINGLE,
    QUANTILES,
    WIDTHS,
    ConditioningOptions,
)

Values = dict[str, torch.Tensor]
COLUMN, ROW = "column", "row"


def layer(W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """W tanh(K Y): `(n, s)`."""
    return W @ torch.tanh(K @ Y)


def vec(A: torch.Tensor, order: str = COLUMN) -> torch.Tensor:
    """The entries of A, its columns (or rows) one after the other; batches in front."""
    return (A.mT if order == COLUMN else A).flatten(-2)


def kronecker_jacobian(
    W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor, order: str
) -> torch.Tensor:
    """[J_W J_K] by the Kronecker formulas: the slide's for columns, their twins for rows."""
    Z = torch.tanh(K @ Y)
    slope = torch.diag(vec(1 - Z * Z, order))
    (n, m), s = W.shape, Y.shape[1]
    I_n, I_m, I_s = (torch.eye(k, dtype=W.dtype, device=W.device) for k in (n, m, s))
    if order == COLUMN:
        J_W = torch.kron(Z.T.contiguous(), I_n)
        J_K = torch.kron(I_s, W) @ slope @ torch.kron(Y.T.contiguous(), I_m)
    else:
        J_W = torch.kron(I_n, Z.T.contiguous())
        J_K = torch.kron(W, I_s) @ slope @ torch.kron(I_m, Y.T.contiguous())
    return torch.cat([J_W, J_K], -1)


def jacobian(W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """[J_W J_K] by columns without forming Kronecker products, batches in front.

    `W` `(batch, n, m)`, `K` `(batch, m, d)`, `Y` `(batch, d, s)` give `(batch, n s, n m + m d)`.
    """
    Z = torch.tanh(K @ Y)
    # Row i + n k (output i, sample k); columns a + n b of W[a, b] and b + m c of K[b, c].
    eye = torch.eye(W.shape[-2], dtype=W.dtype, device=W.device)
    J_W = torch.einsum("...bk,ia->...kiba", Z, eye).flatten(-2).flatten(-3, -2)
    left = torch.einsum("...ib,...bk->...kib", W, 1 - Z * Z)
    J_K = torch.einsum("...kib,...ck->...kicb", left, Y).flatten(-2).flatten(-3, -2)
    return torch.cat([J_W, J_K], -1)


def batch_first(*arrays: torch.Tensor) -> list[torch.Tensor]:
    """The studies put the batch last, LAPACK's batches come first."""
    return [a.movedim(-1, 0) for a in arrays]


def extremes(J: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """sigma_min / sigma_1 and sigma_1 of each J, in the precision of J."""
    sigma = torch.linalg.svdvals(J)
    return sigma[..., -1] / sigma[..., 0], sigma[..., 0]


def gauss_newton_step(J: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """-pinv(J) r by the SVD, all singular values kept: `(batch, columns)`."""
    U, sigma, V = torch.linalg.svd(J, full_matrices=False)
    return -(V.mT @ ((U.mT @ r[..., None]) / sigma[..., None]))[..., 0]


def _vec_order(inputs: Values) -> Values:
    W, K, Y = inputs["vec/W"], inputs["vec/K"], inputs["vec/Y"]
    direction = inputs["vec/dW"], inputs["vec/dK"]
    _, change = jvp(lambda W, K: layer(W, K, Y), (W, K), direction)[:2]
    values: Values = {}
    for order in (COLUMN, ROW):
        J = kronecker_jacobian(W, K, Y, order)
        # One derivative for both orders: only the flattening differs.
        by_W, by_K = jacrev(layer, (0, 1))(W, K, Y)
        blocks = [vec(vec(b, order).movedim(-1, 0), order).mT for b in (by_W, by_K)]
        values[f"jacobian/{order}"] = J
        values[f"jacobian/{order}/ad"] = torch.cat(blocks, -1)
        v = torch.cat([vec(d, order) for d in direction])
        values[f"product/{order}"] = J @ v
        values[f"product/{order}/ad"] = vec(change, order)
    columns, rows = values["jacobian/column"], values["jacobian/row"]
    values["wrong order/cond"] = extremes(rows)[0] / extremes(columns)[0] - 1
    mistaken = columns @ torch.cat([vec(d, ROW) for d in direction]) - vec(change, ROW)
    values["wrong order/product"] = mistaken.norm() / change.norm()
    return values


def _spectra(J: torch.Tensor, m: int) -> Values:
    name, quantiles = f"m={m}", J.new_tensor(QUANTILES)
    rows, columns = J.shape[-2:]
    sigma = torch.linalg.svdvals(J)
    rcond, largest = sigma[:, -1] / sigma[:, 0], sigma[:, 0]
    single = extremes(J.float())[0]
    half = extremes(J.half().to(J.dtype))[0]
    tolerance = max(rows, columns) * torch.finfo(J.dtype).eps
    rank = (sigma > tolerance * sigma[:, :1]).sum(-1)
    G = J.mT @ J if columns <= rows else J @ J.mT
    eigenvalues = torch.linalg.eigvalsh(G)
    squared = eigenvalues[:, -1] / eigenvalues[:, 0].abs()
    blocks = [1 / extremes(block)[0].quantile(0.5) for block in (J[..., :m], J[..., m:])]
    cond = 1 / rcond
    return {
        f"rcond/{name}": rcond,
        f"sigma_1/{name}": largest,
        f"rcond/single/{name}": single,
        f"rcond/half/{name}": half,
        f"cond/{name}": cond.quantile(quantiles),
        f"cond/{name}/range": torch.stack([cond.min(), cond.max()]),
        f"cond/single/{name}": (1 / single).quantile(quantiles.float()),
        f"cond/half/{name}": (1 / half).quantile(quantiles),
        f"cond/blocks/{name}": torch.stack(blocks),
        f"share/{name}": torch.stack(
            [(cond > 1 / eps).to(J.dtype).mean() for eps in (EPS_HALF, EPS_SINGLE)]
        ),
        f"rank/{name}": torch.stack([rank.min(), rank.max()]),
        f"gram/{name}": torch.stack([squared.quantile(0.5), (cond * cond).quantile(0.5)]),
    }


def _residual(W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    return vec(layer(W, K, Y) - C)


def _loss(W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """1/(2 s) ||R||_F^2."""
    return (layer(W, K, Y) - C).square().sum() / (2 * Y.shape[-1])


def _gradients(
    W: torch.Tensor, K: torch.Tensor, Y: torch.Tensor, C: torch.Tensor
) -> dict[str, torch.Tensor]:
    """vec of the gradient for each draw of a batch, `(parameters, batch)`, three ways."""
    r, s = _residual(W, K, Y, C), Y.shape[-1]
    by_formula = (jacobian(W, K, Y).mT @ r[..., None])[..., 0] / s
    found = {"": by_formula.T}
    for way, derivative in (("/reverse", grad), ("/forward", jacfwd)):
        by_W, by_K = vmap(derivative(_loss, (0, 1)))(W, K, Y, C)
        found[way] = torch.cat([vec(by_W), vec(by_K)], -1).T
    return found


def _checked(inputs: Values, m: int) -> Values:
    name = f"m={m}"
    C = inputs[f"C/{name}"]
    first = [inputs[f"{k}/{name}"][..., : C.shape[-1]] for k in "WKY"]
    W, K, Y, C = batch_first(*first, C)
    J, r = jacobian(W, K, Y), _residual(W, K, Y, C)
    rcond, largest = extremes(J)
    step = gauss_newton_step(J, r)
    values = {
        f"checked/rcond/{name}": rcond,
        f"checked/sigma_1/{name}": largest,
        f"inverse/{name}": step.T,
    }
    for precision, rounded in (("single", J.float()), ("half", J.half().to(J.dtype))):
        found = gauss_newton_step(rounded, r.to(rounded.dtype)).to(J.dtype)
        error = (found - step).norm(dim=-1) / step.norm(dim=-1)
        values[f"inverse/{precision}/{name}"] = error
    for way, value in _gradients(W, K, Y, C).items():
        values[f"gradient/{name}{way}"] = value
    return values


def _twins(inputs: Values) -> Values:
    """The first network of width 8, two of its neurons ever nearer to one another."""
    W, Y = (inputs[f"{k}/m=8"][..., 0] for k in "WY")
    (K,) = batch_first(inputs["twins/K"])
    batch = (len(K), -1, -1)
    rcond, _ = extremes(jacobian(W.expand(batch), K, Y.expand(batch)))
    return {"twins/rcond": rcond, "twins/cond": 1 / rcond}


def answer(inputs: Values, options: ConditioningOptions) -> Values:
    values = _vec_order(inputs) | _twins(inputs)
    for m in WIDTHS:
        W, K, Y = batch_first(*(inputs[f"{k}/m={m}"] for k in "WKY"))
        values |= _spectra(jacobian(W, K, Y), m) | _checked(inputs, m)
    return values


def tasks(inputs: Values, options: ConditioningOptions) -> dict[str, Callable[[], object]]:
    """Jacobians and singular values of up to 50 draws, gradients of the checked ones."""
    named: dict[str, Callable[[], object]] = {}
    for m in (WIDTHS[0], WIDTHS[-1]):
        few = [inputs[f"{k}/m={m}"][..., :50] for k in "WKY"]
        W, K, Y = (a.contiguous() for a in batch_first(*few))
        named[f"jacobian/m={m}"] = partial(jacobian, W, K, Y)
        named[f"svd/m={m}"] = partial(torch.linalg.svdvals, jacobian(W, K, Y))
    C = inputs[f"C/m={WIDTHS[-1]}"].movedim(-1, 0).contiguous()
    checked = [a[: len(C)] for a in (W, K, Y)]
    reverse: Any = vmap(grad(_loss, (0, 1)))
    named["gradient"] = partial(reverse, *checked, C)
    return named
