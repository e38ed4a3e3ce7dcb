"""What the conditioning study asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import Quantity, Term

WIDTHS = (8, 16, 32)
PRECISIONS = ("double", "single", "half")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
D, N = 3, 1
"""Features and outputs of the slide's experiment."""
VEC_SHAPE = (3, 2, 4, 6)
"""d, n, m, s of the small problem in which the two orders of vec are told apart: with the slide's
n = 1 both orders of W and of the residual are the same."""
EPS_HALF, EPS_SINGLE = 2.0**-10, 2.0**-23


def quantities(options: Any) -> list[Quantity]:
    """See `conditioning`. `rcond` is sigma_min / sigma_1, with sigma_min the min(rows, columns)-th
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
            *(
                _shown(f"cond/{p}/{name}", f"quantiles of 1 / (rcond/{p}/{name})")
                for p in PRECISIONS[1:]
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
            _shown(
                f"gram/{name}",
                "median of lambda_1 / |lambda_min| of J^T J as formed and solved in working "
                "precision, where it has full rank, else of J J^T; beside it the square of cond(J)",
            ),
        ]
        found += _checked_quantities(name, u, weyl, weyl_source, checked, double)
    return [
        *found,
        Quantity(
            "twins/rcond",
            "spectrum",
            weyl * u,
            weyl_source,
            "sigma_min / sigma_1 as two rows of one K come ten times nearer at each entry",
            atol=weyl * u * (o.decades + 1) ** 0.5,
        ),
        _shown("twins/cond", "its reciprocal in working precision, blind beyond about 1/u"),
        Quantity(
            "twins/proof",
            "figure",
            4 * u,
            "the referee's enclosure, rounded once",
            "cond(J) of the same, proven",
            engines=("referee",),
        ),
    ]


def _shown(name: str, about: str) -> Quantity:
    """A figure that is reported, with no reason to be equal between engines."""
    return Quantity(name, "figure", 1.0, "", about, engines=("torch", "julia"), compared=False)


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
            "relative error of J times vec: J by columns, both vectors by rows",
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
