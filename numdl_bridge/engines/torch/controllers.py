"""Step size control: how the next step is chosen, and how the first one is.

Two programs with the same pair and the same tolerance take different steps because of what stands
here. The rules are data, `Controller`; what a solve has seen so far is `Memory`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

_F = np.float32


@dataclass(frozen=True)
class Controller:
    """An I or PI controller.

    With the scaled error e of a step (accepted when e <= 1), the error e_old of the accepted step
    before it, and exponents beta1, beta2 (beta2 = 0 is the I controller), the step is divided by

        q = (e^beta1 / e_old^beta2) / safety,   held between 1/largest and 1/smallest;

    after a rejection by q = min(1/smallest, e^beta1 / safety).

    **Arguments:**

    - `beta1`, `beta2`: functions of the pair's order (libraries scale them with it).
    - `safety`, `smallest`, `largest`: 0.9, 0.2 and 10 in both libraries.
    - `first_largest`: what stands for `largest` until a step has been accepted.
    - `never_shrinks`: an accepted step is never followed by a smaller one (torchdiffeq).
    - `least_old_error`: lower bound of e_old, and its value before the first accepted step.
    - `fast_powers`: powers by OrdinaryDiffEq's `fastpower`, single precision and good to three
      digits, instead of exactly.
    """

    beta1: Callable[[int], float]
    beta2: Callable[[int], float]
    safety: float = 0.9
    smallest: float = 0.2
    largest: float = 10.0
    first_largest: float = 10.0
    never_shrinks: bool = False
    least_old_error: float = 1e-4
    fast_powers: bool = False


class Memory:
    """A controller at work in one solve of a pair of the given order."""

    def __init__(self, rule: Controller, order: int) -> None:
        self.rule = rule
        self.beta1, self.beta2 = rule.beta1(order), rule.beta2(order)
        self.old_error = rule.least_old_error
        self.accepted_any = False
        self._power = fast_power if rule.fast_powers else _power

    def propose(self, error: float, accepted: bool) -> float:
        """The factor by which the step size changes after a step with this scaled error.

        NaN where `error` is NaN: the solver ends there with an outcome.
        """
        if math.isnan(error):
            return math.nan
        rule = self.rule
        largest = rule.largest if self.accepted_any else rule.first_largest
        if error == 0.0:
            q = 1 / largest
        else:
            now = self._power(error, self.beta1)
            if accepted or self.beta2 == 0.0:
                q = now / self._power(self.old_error, self.beta2) if self.beta2 else now
                q = min(max(q / rule.safety, 1 / largest), 1 / rule.smallest)
            else:
                q = min(1 / rule.smallest, now / rule.safety)
        if accepted:
            self.accepted_any = True
            self.old_error = max(error, rule.least_old_error)
            if rule.never_shrinks and error < 1.0:
                q = min(q, 1.0)
        return 1 / q


def _power(x: float, y: float) -> float:
    try:
        return float(x**y)
    except OverflowError:
        return math.inf


def fast_power(x: float, y: float) -> float:
    """x^y as OrdinaryDiffEq computes it in its controllers (`FastPower.fastpower`).

    2^(y log2 x) in single precision with Goldberg's rational approximation of the logarithm. Steps
    chosen with it differ from exact powers in the fourth digit; they equal Julia's up to the last
    bits of a Float32, because `exp2` of the two languages need not round alike.
    """
    if x == 0.0:
        return 0.0
    bits = int(np.asarray(_F(x)).view(np.uint32))
    exponent = (bits & 0x7F800000) >> 23
    if bits & 0x00400000:
        significand = (bits & 0x007FFFFF) | 0x3F000000
        exponent -= 0x7E
    else:
        significand = (bits & 0x007FFFFF) | 0x3F800000
        exponent -= 0x7F
    s = _F(np.uint32(significand).view(np.float32))
    # Fused multiply-adds: exact products in double, one rounding to single.
    quotient = _F(float(s) * float(_F(0.338953)) + float(_F(1.8596461))) / _F(s + _F(0.523692))
    logarithm = _F(float(_F(s - _F(1))) * float(quotient) + exponent)
    return float(np.exp2(_F(_F(y) * logarithm)))


InitialStep = Literal["ordinarydiffeq", "torchdiffeq"]


@dataclass(frozen=True)
class Convention:
    """Everything that a library decides beside the pair and the tolerances.

    **Arguments:**

    - `controller`: see `Controller`.
    - `initial_step`: whose reading of Hairer's starting step. The two agree unless the state or
      its derivative is almost zero, the derivative constant, or the interval short.
    - `first_step_within`: `"interval"` or `"first stop"`: what bounds the starting step
      (OrdinaryDiffEq only).
    - `overshoots`: torchdiffeq steps past the end and interpolates back; OrdinaryDiffEq shortens
      the last step, and every step before a stop, to end there exactly.
    - `snap`: a step that would end within this many units in the last place of a stop ends on it.
    - `norm`: `"rms"` over all components, or `"largest part"`, the largest of the RMS norms of the
      parts of the state (torchdiffeq for tuples).
    """

    name: str
    controller: Controller
    initial_step: InitialStep
    overshoots: bool = False
    first_step_within: Literal["interval", "first stop"] = "interval"
    snap: float = 10.0
    norm: Literal["rms", "largest part"] = "rms"


def _beta1(order: int) -> float:
    return 7 / (10 * order)


def _beta2(order: int) -> float:
    return 2 / (5 * order)


TORCHDIFFEQ = Convention(
    name="torchdiffeq",
    controller=Controller(
        beta1=lambda order: 1 / order, beta2=lambda order: 0.0, never_shrinks=True
    ),
    initial_step="torchdiffeq",
    overshoots=True,
    norm="largest part",
)
"""torchdiffeq 0.2.5 (`_impl/rk_common.py`, `_impl/misc.py`)."""

ORDINARYDIFFEQ = Convention(
    name="ordinarydiffeq",
    controller=Controller(beta1=_beta1, beta2=_beta2, first_largest=10_000.0, fast_powers=True),
    initial_step="ordinarydiffeq",
    first_step_within="first stop",
    snap=100.0,
)
"""OrdinaryDiffEq 7 (OrdinaryDiffEqCore 4: `integrators/controllers.jl`, `integrator_utils.jl`,
`initdt.jl`). Its `DP5` has exponents of its own: use `with_dp5_exponents`."""

DIFFEQ_2019 = Convention(
    name="diffeq-2019",
    controller=Controller(beta1=_beta1, beta2=_beta2),
    initial_step="ordinarydiffeq",
)
"""OrdinaryDiffEq of August 2019, with which the talk's figures were made."""


def with_dp5_exponents(convention: Convention) -> Convention:
    """The convention with the exponents 0.17 and 0.04 that OrdinaryDiffEq gives to `DP5`."""
    from dataclasses import replace

    rule = replace(
        convention.controller,
        beta1=lambda order: 1 / order - 0.03,
        beta2=lambda order: 0.04,
    )
    return replace(convention, controller=rule)
