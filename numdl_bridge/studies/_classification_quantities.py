"""What the classification study asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import Quantity, Term

ACTIVATIONS = ("sin", "tanh", "relu")
ETA = 0.1
"""Half-width of the smooth ReLU's parabola: y^2/(4 eta) + y/2 + eta/4 for |y| <= eta."""

_BOTH = ("torch", "julia")


def quantities(options: Any) -> list[Quantity]:
    """See `classification`. Two columns: start weights, and weights of the size of trained ones."""
    u = float(np.finfo(options.dtype).eps) / 2
    return [
        *_derivatives(u),
        *_remainders(u),
        *_convex(u, options.dtype == "float64"),
        *_training(options.dtype == "float64"),
    ]


def _derivatives(u: float) -> list[Quantity]:
    layers = "16 layers with h |K| ~ 1: each multiplies an error of u by at most 2"
    tolerance = 1e4 * u
    return [
        Quantity("features", "solution", tolerance, layers, "Y_N of the checked points"),
        Quantity("loss", "loss", tolerance, layers, "E + regularisers, checked points"),
        Quantity("gradient", "gradient", tolerance, layers, "of the loss, by reverse mode"),
        Quantity(
            "gradient/forward",
            "gradient",
            tolerance,
            layers,
            "the same by forward mode: sensitivities with respect to every weight",
            compare_with="gradient",
            engines=_BOTH,
        ),
        Quantity(
            "gauss-newton",
            "gradient",
            tolerance,
            layers,
            "(J^T E'' J + lambda) v for the drawn direction v, J = dS/dx",
        ),
        Quantity("tangent", "jacobian", tolerance, layers, "J v, J = dY_N/d(K, b)"),
        Quantity("cotangent", "jacobian", tolerance, layers, "J^T u, the same J"),
        Quantity(
            "adjoint test",
            "figure",
            1.0,
            "",
            "|u.Jv - v.J^T u| / |u.Jv|, ResNet at both weights, then the smooth-ReLU network",
            engines=_BOTH,
            compared=False,
        ),
    ]


def _remainders(u: float) -> list[Quantity]:
    """Taylor remainders, relative to the value: cancellation leaves an absolute error of u."""
    source = "differences of two values of relative error ~1e2 u: absolute, whatever h is"
    tolerance, size = 1e4 * u, 1e3 * u * 10**0.5
    found = []
    for name, what in (
        ("resnet", "the loss at the start weights, checked points"),
        ("smooth relu", "Y_N of the course code's network, norms"),
    ):
        for order, meaning in (
            ("E0", "f(x + h v) - f(x)"),
            ("E1", "f(x + h v) - f(x) - h f'(x) v"),
        ):
            found.append(
                Quantity(
                    f"remainder/{name}/{order}",
                    "figure",
                    tolerance,
                    source,
                    f"|{meaning}| / |f(x)|, {what}; h = 0.1 ... 1e-10",
                    # The smooth ReLU's network, with h = 1 and N(0, 1) weights, amplifies rounding.
                    atol=size if name == "resnet" else 1e2 * size,
                )
            )
    return [
        *found,
        Quantity(
            "remainder/varpro/E1",
            "figure",
            tolerance,
            source + "; inner problem solved to the last digits",
            "VarPro's reduced loss: its gradient ignores dW/dtheta, rightly",
            atol=size,
            engines=_BOTH,
        ),
        Quantity(
            "remainder/varpro as published/E1",
            "figure",
            1e-6,
            "an inner Newton iteration stopped early",
            "the same with 5 inner Newton-CG iterations and no lambda_W in the value",
            engines=_BOTH,
            compared=False,
        ),
    ]


def _convex(u: float, double: bool) -> list[Quantity]:
    """Softmax regressions: strictly convex, so that every engine must find the same optimum."""
    source = "strictly convex: |W - W*| <= |gradient| / lambda, lambda = 1e-3, gradient ~1e-13"
    tolerance = 1e6 * u
    found = [
        Quantity("linear/weights", "value", tolerance, source, "optimal W, linear model on peaks"),
        Quantity("linear/loss", "loss", 1e3 * u, source, "its loss, regulariser included"),
    ]
    regressions = [
        "linear",
        *(f"elm/{s}" for s in ACTIVATIONS),
        "ellipses/linear",
        "ellipses/square",
    ]
    for name in regressions:
        if name != "linear":
            found.append(
                Quantity(
                    f"{name}/loss",
                    "loss",
                    1e3 * u,
                    source,
                    "loss at the optimum, regulariser included",
                    engines=_BOTH,
                )
            )
        found.append(
            Quantity(
                f"{name}/error",
                "figure",
                0.0,
                "a point may lie within rounding of the border of two classes",
                "share of points put into a wrong class"
                + ("" if name.startswith("ellipses") else ": training, validation"),
                atol=3e-3,
                engines=_BOTH,
                compared=double,
            )
        )
    return [
        *found,
        Quantity(
            "varpro/weights",
            "value",
            tolerance,
            source,
            "W(theta) at the start weights, all training points",
            engines=_BOTH,
        ),
    ]


def _training(double: bool) -> list[Quantity]:
    unstable = "each iteration multiplies rounding; branches of CG and line search may part"
    found = [
        Quantity(
            "newton/first",
            "loss",
            1e-9,
            "three iterations multiply rounding by ~1e4; the weights are of size 1",
            "loss after 0, 1, 2, 3 iterations of Newton-CG on the coupled problem",
            engines=_BOTH,
            compared=double,
            terms=(Term("rounding amplified by the iterations", 1e-6, unstable),),
        ),
        Quantity(
            "varpro/first",
            "loss",
            1e-9,
            "as for newton/first",
            "loss after 0, 1, 2, 3 outer iterations of VarPro",
            engines=_BOTH,
            compared=double,
            terms=(
                Term(
                    "rounding amplified by the iterations",
                    5e-4,
                    "the reduced Gauss-Newton matrix is worse conditioned: weights perturbed by "
                    "1e-15 change the first loss by 1e-5, the third by 5e-5 (measured, three times "
                    "in PyTorch alone)",
                ),
            ),
        ),
    ]
    for name, what in (("newton", "Newton-CG, coupled"), ("varpro", "VarPro")):
        found += [
            Quantity(
                f"{name}/history",
                "loss",
                1.0,
                unstable,
                f"{what}: loss after every iteration",
                engines=_BOTH,
                compared=False,
                parted=1e-3,
            ),
            Quantity(
                f"{name}/error",
                "figure",
                1.0,
                unstable,
                f"{what}: share of points put into a wrong class, training and validation",
                engines=_BOTH,
                compared=False,
            ),
        ]
    return found
