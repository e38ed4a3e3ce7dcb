"""The claims of `propagation`: orders, gradients against each other, stability limits, inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import Arrays, Claim, Decision

SHIFT = 0.1
"""What the shifted matrix of the stability tables has less on its diagonal."""

HW_GRID = (0.01, 0.05, 0.19, 0.206, 0.5, 1.0, 1.9, 2.1, 2.75, 2.82, 2.84, 3.0)
"""Step sizes in units of 1/spectral radius. Limits in between: 2 (Euler, real), 0.198 (Euler,
shifted), 2.785 (RK4, real), 2*sqrt(2) = 2.828 (RK4, imaginary)."""

_NETS = {
    "mlp": ("K1", "b1", "Y0"),
    "resnet": ("K1", "b1", "Y0"),
    "resnet2": ("K1", "b1", "K2", "b2", "Y0"),
    "residual": ("K1", "b1", "K2", "Y0"),
}


def _order(name: str, what: str) -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        order = float(values[f"order/{name}"])
        return Decision(abs(order - 1) <= 0.05, f"order {order:.4f}")

    return Claim(
        f"order 1: {name}",
        f"{what} with order 1 (± 0.05) in the step size",
        "the talk, Deep Residual Neural Networks: ResNet is forward Euler",
        (f"order/{name}",),
        check,
    )


def _taylor(net: str) -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        E1 = np.asarray(values[f"taylor/{net}"], dtype=float)
        # Only steps whose E1 stands well above the rounding of a loss of size 1; in single
        # precision those are large steps, where the slope has not settled as closely.
        floor = 200 * float(np.finfo(options.dtype).eps)
        tolerance = 0.1 if options.dtype == "float64" else 0.3
        usable = E1[floor < E1][-3:]
        if len(usable) < 2:
            return Decision(False, "no two remainders above rounding")
        slope = float(np.log2(usable[0] / usable[-1]) / (len(usable) - 1))
        return Decision(abs(slope - 2) <= tolerance, f"slope {slope:.3f}")

    return Claim(
        f"taylor: {net}",
        f"the Taylor remainder of the gradient of {net} falls with slope 2 (± 0.1, float32 ± 0.3)",
        "the talk, Gradient Test",
        (f"taylor/{net}",),
        check,
    )


def _forward_mode(values: Arrays, options: Any) -> Decision:
    worst = 0.0
    for net, weights in _NETS.items():
        forward, dot = (float(values[f"gradient/{net}/{way}"]) for way in ("forward", "dot"))
        # Directions have norm 1 in each block, so the sum of the blocks' norms is the scale.
        scale = sum(float(np.linalg.norm(values[f"gradient/{net}/{w}"])) for w in weights)
        worst = max(worst, abs(forward - dot) / scale)
    bound = 100 * float(np.finfo(options.dtype).eps)
    return Decision(worst <= bound, f"max |forward - reverse| / |g| = {worst:.1e}")


def _euler_antisymmetric(values: Arrays, options: Any) -> Decision:
    growth = np.asarray(values["growth/forward_euler"], dtype=float)[1]
    exact = np.sqrt(1 + np.array(HW_GRID) ** 2)
    error = float(np.max(np.abs(growth / exact - 1)))
    bound = 1e4 * float(np.finfo(options.dtype).eps)
    holds = bool((growth > 1).all()) and error <= bound
    return Decision(holds, f"min growth {growth.min():.6f}, off sqrt(1 + h²w²) by {error:.1e}")


def _euler_shifted(values: Arrays, options: Any) -> Decision:
    growth = np.asarray(values["growth/forward_euler"], dtype=float)[2]
    limit = 2 * SHIFT / (SHIFT**2 + 1)
    stable = np.array(HW_GRID) < limit
    holds = bool((growth[stable] < 1).all() and (growth[~stable] > 1).all())
    last = max(np.array(HW_GRID)[growth < 1], default=0)
    first = min(np.array(HW_GRID)[growth > 1], default=np.inf)
    return Decision(
        holds, f"stable up to h = {last:g}, unstable from {first:g} (limit {limit:.4g})"
    )


def _euler_symmetric(values: Arrays, options: Any) -> Decision:
    growth = np.asarray(values["growth/forward_euler"], dtype=float)[0]
    stable = np.array(HW_GRID) < 2
    holds = bool((growth[stable] < 1).all() and (growth[~stable] > 1).all())
    return Decision(holds, f"stable up to h = {max(np.array(HW_GRID)[growth < 1], default=0):g}")


def _rk4_antisymmetric(values: Arrays, options: Any) -> Decision:
    growth = np.asarray(values["growth/rk4"], dtype=float)[1]
    hw = np.array(HW_GRID)
    stable = hw < np.sqrt(8)
    # Below h w = 0.1 the factor 1 - (hw)^6/144 may round to 1.
    slack = 10 * float(np.finfo(options.dtype).eps)
    holds = bool((growth[stable] <= 1 + slack).all() and (growth[~stable] > 1).all())
    at = int(np.argmin(np.abs(hw - 2.84)))
    return Decision(holds, f"factor {growth[at - 1]:.4f} at 2.82, {growth[at]:.4f} at 2.84")


def _energy(values: Arrays, options: Any) -> Decision:
    euler = np.asarray(values["energy/forward_euler"], dtype=float)
    rk4 = np.asarray(values["energy/rk4"], dtype=float)
    # The slightest growth, at h w = 0.01, must still be seen: it is of size h^2 N / 2 and above u.
    holds = bool((euler[1] > 1).all() and (np.abs(rk4[1] - 1) < 1e-2).all() and (rk4[0] < 1).all())
    return Decision(
        holds,
        f"antisymmetric at h w = 0.5: Euler {euler[1, -1]:.3f}, RK4 off by {rk4[1, -1] - 1:.1e}",
    )


def _fixed_point(values: Arrays, options: Any) -> Decision:
    error = float(values["inverse/fixed_point/error"])
    contraction = float(values["inverse/contraction"])
    bound = 1e3 * float(np.finfo(options.dtype).eps)
    return Decision(
        contraction < 1 and error <= bound, f"error {error:.1e}, h Lipschitz <= {contraction:.3f}"
    )


def claims(options: Any) -> list[Claim]:
    """Every claim of the study; see each one's statement."""
    talk, table = "the talk, Deep Residual Neural Networks", "Haber & Ruthotto 2017, section 3"
    gradients = tuple(
        f"gradient/{net}/{w}" for net, ws in _NETS.items() for w in (*ws, "forward", "dot")
    )
    return [
        _order("output", "The output of the residual network converges to that of the ODE's flow"),
        _order(
            "gradient",
            "Its gradient, discretised then differentiated, converges to that of the flow",
        ),
        _order(
            "adjoint",
            "Its gradient, differentiated then discretised, converges to that of the flow",
        ),
        _order("negative_step", "What running it backward with step -h misses the input by falls"),
        *(_taylor(net) for net in _NETS),
        Claim(
            "forward mode",
            "forward sensitivities and reverse mode give the same g.d to 100 eps of |g|",
            "chain rule",
            gradients,
            _forward_mode,
        ),
        Claim(
            "Euler, antisymmetric",
            "forward Euler grows by sqrt(1 + h²w²) > 1 a step for every h when K is antisymmetric",
            table,
            ("growth/forward_euler",),
            _euler_antisymmetric,
        ),
        Claim(
            "Euler, shifted",
            "with K - gamma I it is stable for h < 2 gamma / (gamma² + w²) and unstable above",
            table,
            ("growth/forward_euler",),
            _euler_shifted,
        ),
        Claim(
            "Euler, symmetric",
            "with K symmetric negative definite it is stable for h |lambda| < 2, unstable above",
            table,
            ("growth/forward_euler",),
            _euler_symmetric,
        ),
        Claim(
            "RK4, antisymmetric",
            "RK4 is stable for h w < 2 sqrt(2) = 2.828 and unstable above",
            table,
            ("growth/rk4",),
            _rk4_antisymmetric,
        ),
        Claim(
            "energy",
            "for Y' = tanh(KY), K antisymmetric, Euler raises sum log cosh(KY) at every h w <= 0.5 "
            "and RK4 keeps it to 1 %; with K negative definite it decays",
            table,
            ("energy/forward_euler", "energy/rk4"),
            _energy,
        ),
        Claim(
            "inverse",
            "a residual block with h Lipschitz < 1 is inverted by fixed-point iteration to 1e3 eps",
            talk,
            ("inverse/fixed_point/error", "inverse/contraction"),
            _fixed_point,
        ),
    ]
