"""Conditioning: the Jacobian of a single layer with a linear classifier.

    R(W, K) = W Z - C,  Z = sigma(K Y),  loss = 1/(2 s) ||R||_F^2,  J = [J_W  J_K]

with Y d x s, K m x d, Z m x s, W n x m, C n x s and sigma = tanh, no bias. Z' stands for
sigma'(K Y). With vec stacking columns (Julia's and MATLAB's order) the slide's formulas are right,

    J_W = Z^T kron I_n              (n s x n m)
    J_K = (I_s kron W) diag(vec Z') (Y^T kron I_m)        (n s x m d)

with vec stacking rows (the order in which NumPy and PyTorch flatten) they are

    J_W = I_n kron Z^T
    J_K = (W kron I_s) diag(vec Z') (I_m kron Y^T)

The two differ by permutations of rows and columns only: a mistake in the order leaves cond(J) as
it is and shows in a matrix-vector product alone. J does not depend on C.

Source: the talk, Case 4, "Ill-conditioning"; course notes, single layer.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from ._conditioning_claims import claims
from ._conditioning_quantities import (
    EPS_HALF,
    EPS_SINGLE,
    PRECISIONS,
    QUANTILES,
    VEC_SHAPE,
    WIDTHS,
    D,
    N,
    quantities,
)
from ._conditioning_results import results
from .contract import Options, Study

Positive = Annotated[int, msgspec.Meta(ge=1)]


class ConditioningOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `conditioning`.

    **Arguments:**

    - `draws`: independent draws of K, W and Y for each width 8, 16, 32.
    - `samples`: columns of Y.
    - `checked`: the first so many draws of each width, for which singular values are proven and
      gradients and pseudo-inverses computed; at most `draws`.
    - `decades`: two rows of one K approach one another by so many factors of ten, until double
      precision no longer knows cond(J).
    """

    draws: Positive = 1000
    samples: Annotated[int, msgspec.Meta(ge=2)] = 100
    checked: Positive = 5
    decades: Annotated[int, msgspec.Meta(ge=1, le=8)] = 6


def draw(options: ConditioningOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the networks; K and W are N(0, 1), Y is uniform on [-1, 1]^3.

    **Returns**, for each m in 8, 16, 32:

    - `K/m=8` `(m, 3, draws)`, `W/m=8` `(1, m, draws)`, `Y/m=8` `(3, samples, draws)`;
    - `C/m=8` `(1, samples, checked)`: targets, N(0, 1); only the residual needs them;

    and

    - `vec/K` `(4, 3)`, `vec/W` `(2, 4)`, `vec/Y` `(3, 6)`: the small problem for the order of vec,
      and the direction `vec/dK`, `vec/dW` that products are taken with;
    - `twins/K` `(8, 3, decades + 1)`: the first K of width 8, its second row replaced by the first
      plus 1, 0.1, 0.01, ... times a fixed direction.
    """
    o = options
    found: dict[str, np.ndarray] = {}
    for m in WIDTHS:
        # A stream of its own for each width, one network after the other, K then W then Y: so the
        # figures of a width do not depend on the other widths.
        stream = np.random.default_rng(o.seed)
        networks = [
            (
                stream.standard_normal((m, D)),
                stream.standard_normal((N, m)),
                stream.uniform(-1.0, 1.0, (D, o.samples)),
            )
            for _ in range(o.draws)
        ]
        for name, arrays in zip("KWY", zip(*networks, strict=True), strict=True):
            found[f"{name}/m={m}"] = np.stack(arrays, axis=-1)
    checked = min(o.checked, o.draws)
    for m in WIDTHS:
        found[f"C/m={m}"] = rng.standard_normal((N, o.samples, checked))
    twins = np.repeat(found["K/m=8"][:, :, :1], o.decades + 1, axis=-1)
    distances = 10.0 ** -np.arange(o.decades + 1.0)
    twins[1] = twins[0] + distances * rng.standard_normal((D, 1))
    d, n, m, s = VEC_SHAPE
    return found | {
        "vec/K": rng.standard_normal((m, d)),
        "vec/W": rng.standard_normal((n, m)),
        "vec/Y": rng.uniform(-1.0, 1.0, (d, s)),
        "vec/dK": rng.standard_normal((m, d)),
        "vec/dW": rng.standard_normal((n, m)),
        "twins/K": twins,
    }


STUDY = Study(
    name="conditioning",
    order=8,
    title="Conditioning of the Gauss-Newton problem",
    slide="Case 4: Ill-conditioning",
    question="How well is the Jacobian of a single layer conditioned, and in which precision?",
    options=ConditioningOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    sizes={"quick": {"draws": 50, "checked": 2}, "full": {"draws": 10_000}},
    notes="""\
- The slide's formulas of J_W and J_K are right, provided that vec stacks columns and that the
  identities are I_n, I_s and I_m. With rows stacked, as NumPy and PyTorch flatten, J_W is
  I_n kron Z^T and J_K is (W kron I_s) diag(vec Z') (I_m kron Y^T).
- A wrong order permutes rows and columns, which no condition number shows.
- The slide does not say what cond means for the wide J of m = 32 (100 x 128). Here it is
  sigma_1 / sigma_100; cond(J^T J) is infinite there.
- The distribution has a heavy tail: quantiles are compared, never means.
- The factor 1/(2 s) of the loss does not change cond(J).
- A residual of n = 1 row hides a wrong order in W; the Jacobian is checked with n = 2.""",
)

__all__ = ["EPS_HALF", "EPS_SINGLE", "PRECISIONS", "QUANTILES", "STUDY", "VEC_SHAPE", "WIDTHS"]
