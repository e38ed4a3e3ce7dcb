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

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from .contract import Arrays, Claim, Decision, Options, Quantity, Study, Term

WIDTHS = (8, 16, 32)
PRECISIONS = ("double", "single", "half")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
D, N = 3, 1
"""Features and outputs of the slide's experiment."""
VEC_SHAPE = (3, 2, 4, 6)
"""d, n, m, s of the small problem in which the two orders of vec are told apart: with the slide's
n = 1 both orders of W and of the residual are the same."""
EPS_HALF, EPS_SINGLE = 2.0**-10, 2.0**-23

Positive = Annotated[int, msgspec.Meta(ge=1)]


class ConditioningOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `conditioning`.

    **Arguments:**

    - `draws`: independent draws of K, W and Y for each width 8, 16, 32.
    - `samples`: columns of Y.
    - `checked`: the first so many draws of each width, for which singular values are proven and
      gradients and pseudo-inverses computed; at most `draws`.
    - `halvings`: the weights of one network are halved so many times, until double precision no
      longer knows cond(J).
    """

    draws: Positive = 1000
    samples: Annotated[int, msgspec.Meta(ge=2)] = 100
    checked: Positive = 8
    halvings: Annotated[int, msgspec.Meta(ge=1, le=30)] = 10


def draw(options: ConditioningOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the networks; K and W are N(0, 1), Y is uniform on [-1, 1]^3.

    **Returns**, for each m in 8, 16, 32:

    - `K/m=8` `(m, 3, draws)`, `W/m=8` `(1, m, draws)`, `Y/m=8` `(3, samples, draws)`;
    - `C/m=8` `(1, samples, checked)`: targets, N(0, 1); only the residual needs them;

    and

    - `vec/K` `(4, 3)`, `vec/W` `(2, 4)`, `vec/Y` `(3, 6)`: the small problem for the order of vec,
      and the direction `vec/dK`, `vec/dW` that products are taken with;
    - `scales` `(halvings + 1,)`: factors 1, 1/2, 1/4, ... of the first K of width 8.
    """
    o = options
    found: dict[str, np.ndarray] = {}
    for m in WIDTHS:
        # One network after the other, K then W then Y: the order that the reference figures of the
        # documentation were made in.
        networks = [
            (
                rng.standard_normal((m, D)),
                rng.standard_normal((N, m)),
                rng.uniform(-1.0, 1.0, (D, o.samples)),
            )
            for _ in range(o.draws)
        ]
        for name, arrays in zip("KWY", zip(*networks, strict=True), strict=True):
            found[f"{name}/m={m}"] = np.stack(arrays, axis=-1)
    checked = min(o.checked, o.draws)
    for m in WIDTHS:
        found[f"C/m={m}"] = rng.standard_normal((N, o.samples, checked))
    d, n, m, s = VEC_SHAPE
    return found | {
        "vec/K": rng.standard_normal((m, d)),
        "vec/W": rng.standard_normal((n, m)),
        "vec/Y": rng.uniform(-1.0, 1.0, (d, s)),
        "vec/dK": rng.standard_normal((m, d)),
        "vec/dW": rng.standard_normal((n, m)),
        "scales": 0.5 ** np.arange(o.halvings + 1.0),
    }


def quantities(options: ConditioningOptions) -> list[Quantity]:
    """See the module. `rcond` is sigma_min / sigma_1, with sigma_min the min(rows, columns)-th
    singular value, as in cond(J) of the slide's plot, also where J is wide (m = 32).

    A backward stable SVD moves every singular value by a small multiple of u * sigma_1 (Weyl): the
    natural tolerance of rcond is absolute, and cond = 1/rcond is known to u * cond only.
    """
    o = options
    u = float(np.finfo(o.dtype).eps) / 2
    double = o.dtype == "float64"
    both = ("torch", "julia")
    checked = min(o.checked, o.draws)
    weyl = 32.0
    weyl_source = "backward stable SVD and Weyl: each singular value to 32 u sigma_1"
    single = 2.0**-24
    found = _vec_quantities(u)
    for m in WIDTHS:
        name = f"m={m}"
        found += [
            Quantity(
                f"rcond/{name}",
                "spectrum",
                weyl * u,
                weyl_source,
                "sigma_min / sigma_1 of J, by draw",
                atol=weyl * u * o.draws**0.5,
                engines=both,
            ),
            Quantity(
                f"sigma_1/{name}",
                "spectrum",
                weyl * u,
                weyl_source,
                "largest singular value of J, by draw",
                engines=both,
            ),
            Quantity(
                f"rcond/single/{name}",
                "spectrum",
                weyl * single,
                weyl_source + ", in single precision",
                "the same with J and its SVD in single precision",
                atol=weyl * single * o.draws**0.5,
                engines=both,
            ),
            Quantity(
                f"rcond/half/{name}",
                "spectrum",
                weyl * u,
                weyl_source,
                "the same with the entries of J rounded to half precision, SVD in full",
                atol=weyl * u * o.draws**0.5,
                engines=both,
                terms=(
                    Term(
                        "entry rounded the other way",
                        1e-2,
                        "a last-bit difference of tanh next to a tie moves one entry of one J by "
                        "2^-10",
                    ),
                ),
            ),
            Quantity(
                f"cond/{name}",
                "figure",
                weyl * u * 1e8,
                "32 u cond(J); the 95 % quantile stays below 1e8",
                "5, 25, 50, 75 and 95 % quantiles of cond(J)",
                engines=both,
            ),
            Quantity(
                f"cond/{name}/range",
                "figure",
                weyl * u * 1e11,
                "32 u cond(J); the tail is heavy (7.8e9 of 1000 draws at m = 8)",
                "smallest and largest cond(J)",
                engines=both,
                compared=double,
            ),
            Quantity(
                f"cond/single/{name}",
                "figure",
                1.0,
                "",
                "quantiles of cond(J) in single precision",
                engines=both,
                compared=False,
            ),
            Quantity(
                f"cond/half/{name}",
                "figure",
                1.0,
                "",
                "quantiles of cond(J) with entries rounded to half precision",
                engines=both,
                compared=False,
            ),
            Quantity(
                f"cond/blocks/{name}",
                "figure",
                weyl * u * 1e8,
                "32 u cond; medians stay below 1e8",
                "medians of cond(J_W) and cond(J_K)",
                engines=both,
            ),
            Quantity(
                f"share/{name}",
                "figure",
                0.0,
                "a draw may lie within rounding of the threshold",
                "share of draws with cond(J) above 1/eps of half and of single precision",
                atol=1.5 / o.draws,
                engines=both,
            ),
            Quantity(
                f"rank/{name}",
                "count",
                0.0,
                "",
                "smallest and largest numerical rank of J, hence of J^T J, over the draws",
                engines=both,
                compared=double,
            ),
            Quantity(
                f"gram/{name}",
                "figure",
                1.0,
                "",
                "median of lambda_1 / |lambda_min| of J^T J as formed and solved in working "
                "precision, where it has full rank, else of J J^T; beside it the square of cond(J)",
                engines=both,
                compared=False,
            ),
        ]
        found += _checked_quantities(name, u, weyl, weyl_source, checked, double)
    return [
        *found,
        Quantity(
            "small weights/rcond",
            "spectrum",
            weyl * u,
            weyl_source,
            "sigma_min / sigma_1 as the first K of width 8 is halved again and again",
            atol=weyl * u * (o.halvings + 1) ** 0.5,
        ),
        Quantity(
            "small weights/cond",
            "figure",
            1.0,
            "",
            "its reciprocal, as this engine sees it; beyond 1/u = 9e15 double precision cannot",
            compared=False,
        ),
        Quantity(
            "small weights/proof",
            "figure",
            4 * u,
            "the referee's enclosure, rounded once",
            "cond(J) of the same, proven",
            engines=("referee",),
        ),
    ]


def _vec_quantities(u: float) -> list[Quantity]:
    source = "products and sums of a few dozen terms"
    found = []
    for order in ("column", "row"):
        found += [
            Quantity(
                f"jacobian/{order}",
                "jacobian",
                64 * u,
                source,
                f"[J_W J_K] by its Kronecker formula, vec by {order}s, n = 2",
            ),
            Quantity(
                f"jacobian/{order}/ad",
                "jacobian",
                64 * u,
                source,
                "the same by automatic differentiation",
                compare_with=f"jacobian/{order}",
                engines=("torch", "julia"),
            ),
            Quantity(
                f"product/{order}",
                "jacobian",
                64 * u,
                source,
                f"J times vec of a direction (dW, dK), vec by {order}s",
            ),
            Quantity(
                f"product/{order}/ad",
                "jacobian",
                64 * u,
                source,
                "vec of the directional derivative of R, by forward mode",
                compare_with=f"product/{order}",
                engines=("torch", "julia"),
            ),
        ]
    return [
        *found,
        Quantity(
            "wrong order/cond",
            "figure",
            64 * u,
            "",
            "cond(J) by columns, relative to cond(J) by rows, minus one",
            atol=1e5 * u,
            engines=("torch", "julia"),
        ),
        Quantity(
            "wrong order/product",
            "figure",
            64 * u,
            source,
            "relative error of J times vec when J is by columns and vec by rows",
            engines=("torch", "julia"),
        ),
    ]


def _checked_quantities(
    name: str, u: float, weyl: float, weyl_source: str, checked: int, double: bool
) -> list[Quantity]:
    """Those of the first draws only: proofs, gradients and pseudo-inverses."""
    both = ("torch", "julia")
    gradient = "sums of some hundred terms without much cancellation"
    found = [
        Quantity(
            f"checked/rcond/{name}",
            "spectrum",
            weyl * u,
            weyl_source,
            "sigma_min / sigma_1 of the checked draws; the referee's are proven enclosures",
            atol=weyl * u * checked**0.5,
        ),
        Quantity(
            f"checked/sigma_1/{name}",
            "spectrum",
            weyl * u,
            weyl_source,
            "largest singular value of the checked draws",
        ),
        Quantity(
            f"gradient/{name}",
            "gradient",
            1e3 * u,
            gradient,
            "J^T vec(R) / s, one column a checked draw, vec(W) then vec(K) by columns",
        ),
    ]
    for way in ("reverse", "forward"):
        found.append(
            Quantity(
                f"gradient/{name}/{way}",
                "gradient",
                1e3 * u,
                gradient,
                f"gradient of the loss by {way} mode",
                compare_with=f"gradient/{name}",
                engines=both,
            )
        )
    found.append(
        Quantity(
            f"inverse/{name}",
            "inverse",
            weyl * u * 1e7,
            "32 u cond(J), cond(J) below 1e7 in the checked draws",
            "-pinv(J) vec(R): the Gauss-Newton step of least norm, one column a checked draw",
            compared=double,
        )
    )
    for precision in PRECISIONS[1:]:
        found.append(
            Quantity(
                f"inverse/{precision}/{name}",
                "inverse",
                1.0,
                "",
                f"relative error of that step when J is in {precision} precision, by draw",
                engines=both,
                compared=False,
            )
        )
    return found


_MEDIANS = {8: (0.8e4, 1.6e4), 16: (3e5, 5e5), 32: (5.5e5, 7.5e5)}


def _medians(values: Arrays, _: ConditioningOptions) -> Decision:
    found = {m: float(values[f"cond/m={m}"][2]) for m in WIDTHS}
    return Decision(
        all(low <= found[m] <= high for m, (low, high) in _MEDIANS.items()),
        ", ".join(f"m = {m}: {x:.3g}" for m, x in found.items()),
    )


def _squared(values: Arrays, _: ConditioningOptions) -> Decision:
    found = {m: float(values[f"cond/m={m}"][2]) ** 2 for m in WIDTHS}
    return Decision(
        all(x > 1 / EPS_SINGLE for x in found.values()),
        "cond(J)^2, median: " + ", ".join(f"m = {m}: {x:.2g}" for m, x in found.items()),
    )


def _singular(values: Arrays, options: ConditioningOptions) -> Decision:
    rank, columns = int(values["rank/m=32"].max()), 32 * (N + D)
    return Decision(
        rank <= N * options.samples < columns, f"rank at most {rank}, {columns} columns"
    )


def _order(values: Arrays, _: ConditioningOptions) -> Decision:
    cond, product = float(values["wrong order/cond"]), float(values["wrong order/product"])
    return Decision(
        abs(cond) < 1e-3 and product > 0.1,
        f"cond differs by {abs(cond):.1e}, the product by {product:.2g} (relative)",
    )


def _hidden(values: Arrays, _: ConditioningOptions) -> Decision:
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


def _beyond(values: Arrays, _: ConditioningOptions) -> Decision:
    cond, limit = values["small weights/proof"], 2.0**53
    first = int(np.argmax(cond > limit)) if (cond > limit).any() else None
    return Decision(
        bool(first is not None and (np.diff(cond) > 0).all()),
        f"cond(J) from {cond[0]:.3g} to {cond[-1]:.3g}"
        + (f", above 1/u from K / {2**first} on" if first is not None else ""),
    )


def claims(options: ConditioningOptions) -> Sequence[Claim]:
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
            Claim(
                "singular",
                "J^T J is singular for m = 32: rank 100 at most, 128 columns.",
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
    if options.halvings >= 10:
        found.append(
            Claim(
                "small weights",
                "Halving the weights raises cond(J) every time, to beyond 1/u = 9e15.",
                slide,
                ("small weights/proof",),
                _beyond,
            )
        )
    return found


STUDY = Study(
    name="conditioning",
    order=7,
    title="Conditioning of the Gauss-Newton problem",
    slide="Case 4: Ill-conditioning",
    question="How well is the Jacobian of a single layer conditioned, and in which precision?",
    options=ConditioningOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
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
