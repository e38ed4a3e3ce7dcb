"""Explicit Runge-Kutta pairs: Dormand-Prince 5(4), Tsitouras 5(4), Bogacki-Shampine 3(2).

A pair is data: nodes, stages, the weights that advance, the weights of the error estimate, and the
polynomials of its dense output. Two libraries that both say "dopri5" need not mean the same pair:

- torchdiffeq and diffrax estimate the error with Shampine's embedded weights, OrdinaryDiffEq's
  `DP5` with the classic ones; every weight of the first is 2/3 of the second (sign apart).
- The continuous extensions differ too: Shampine's midpoint quartic against Hairer's `contd5`.

All three pairs are FSAL (first same as last): the last stage is the derivative at the end of the
step and becomes the first stage of the next one.

Sources: Dormand & Prince 1980; Shampine, Math. Comp. 46, 1986; Tsitouras, Comput. Math. Appl. 62,
2011; Bogacki & Shampine 1989; Hairer, Norsett & Wanner I, II.4-II.6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit FSAL Runge-Kutta pair with `s` stages.

    **Arguments:**

    - `name`, `order`: order of the solution that is advanced; the estimate's is one less.
    - `c`: the `s` nodes; `a`: rows of the stages 2..s, the last of them being the weights `b`.
    - `error`: weights of y - yhat, so that the local error estimate is h times their sum over k.
    - `dense`: per stage, the coefficients p_1, p_2, ... of b_i(x) = p_1 x + p_2 x^2 + ...; the
      solution at t + x h is y + h sum_i b_i(x) k_i for 0 <= x <= 1.
    - `dense_order`: order of that interpolant.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: Rows
    error: tuple[float, ...]
    dense: Rows
    dense_order: int

    @property
    def stages(self) -> int:
        return len(self.c)

    @property
    def b(self) -> tuple[float, ...]:
        """The weights that advance the solution, one a stage (the last is zero: FSAL)."""
        return (*self.a[-1], 0.0)

    def interpolant(self, x: np.ndarray | float) -> np.ndarray:
        """b_i(x), shape `(*x.shape, s)`, float64."""
        x = np.asarray(x, dtype=np.float64)[..., None]
        powers = np.asarray(self.dense)
        total = np.zeros(np.broadcast_shapes(x.shape, (self.stages,)))
        for column in powers.T[::-1]:
            total = (total + column) * x
        return total


def _floats(*numbers: str) -> tuple[float, ...]:
    return tuple(float(Fraction(n)) for n in numbers)


def _unit(i: int, s: int) -> np.ndarray:
    return np.eye(s)[i]


def _rows(*columns: np.ndarray) -> Rows:
    return tuple(tuple(float(v) for v in row) for row in np.stack(columns, axis=-1))


def _hermite(b: np.ndarray) -> Rows:
    """Cubic through both ends with both slopes: order 3, needs only the first and last stage."""
    s = len(b)
    first, last = _unit(0, s), _unit(s - 1, s)
    return _rows(first, 3 * b - 2 * first - last, first + last - 2 * b)


def _midpoint_quartic(b: np.ndarray, mid: np.ndarray) -> Rows:
    """Quartic through both ends and the midpoint value y + h sum mid_i k_i, with both end slopes.

    torchdiffeq's interpolant (`_impl/interp.py`), its coefficients written as weights of k.
    """
    s = len(b)
    first, last = _unit(0, s), _unit(s - 1, s)
    return _rows(
        first,
        last - 4 * first - 5 * b + 16 * mid,
        5 * first - 3 * last + 14 * b - 32 * mid,
        2 * (last - first) - 8 * b + 16 * mid,
    )


def _contd5(b: np.ndarray, d: np.ndarray) -> Rows:
    """Hairer's `contd5` of the code DOPRI5, expanded in powers of x; order 4."""
    s = len(b)
    first, last = _unit(0, s), _unit(s - 1, s)
    return _rows(first, 3 * b - 2 * first - last + d, first + last - 2 * b - 2 * d, d)


_DP_A = (
    _floats("1/5"),
    _floats("3/40", "9/40"),
    _floats("44/45", "-56/15", "32/9"),
    _floats("19372/6561", "-25360/2187", "64448/6561", "-212/729"),
    _floats("9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"),
    _floats("35/384", "0", "500/1113", "125/192", "-2187/6784", "11/84"),
)
_DP_B = np.array([*_DP_A[-1], 0.0])
_DP_D = np.array(
    _floats(
        "-12715105075/11282082432",
        "0",
        "87487479700/32700410799",
        "-10690763975/1880347072",
        "701980252875/199316789632",
        "-1453857185/822651844",
        "69997945/29380423",
    )
)
_DP_MID = np.array(
    _floats(
        "6025192743/60171106304",
        "0",
        "51252292925/130801643196",
        "-2691868925/90256659456",
        "187940372067/3189068634112",
        "-1776094331/39487288512",
        "11237099/470086768",
    )
)

DORMAND_PRINCE = Tableau(
    name="dormand-prince",
    order=5,
    c=_floats("0", "1/5", "3/10", "4/5", "8/9", "1", "1"),
    a=_DP_A,
    error=_floats("-71/57600", "0", "71/16695", "-71/1920", "17253/339200", "-22/525", "1/40"),
    dense=_contd5(_DP_B, _DP_D),
    dense_order=4,
)
"""`DP5` of OrdinaryDiffEq: classic error weights, Hairer's continuous extension."""

DORMAND_PRINCE_SHAMPINE = replace(
    DORMAND_PRINCE,
    name="dormand-prince-shampine",
    error=_floats(
        "71/86400",
        "0",
        "-142/50085",
        "71/2880",
        "-17253/508800",
        "44/1575",
        "-1/60",
    ),
    dense=_midpoint_quartic(_DP_B, _DP_MID),
)
"""`dopri5` of torchdiffeq and diffrax: -2/3 of the classic error weights, midpoint quartic."""

_TSIT_A = (
    (0.161,),
    (-0.008480655492356988544426874250230774675121177393430391537369, 0.335480655492356989),
    (2.897153057105493432130432594, -6.359448489975074843148159912, 4.362295432869581411017727318),
    (
        5.325864828439256604428877920,
        -11.74888356406282787774717033,
        7.495539342889836208304604784,
        -0.09249506636175524925650207933,
    ),
    (
        5.861455442946420028659251486,
        -12.92096931784710929170611868,
        8.159367898576158643180400794,
        -0.07158497328140099722453054252,
        -0.02826905039406838290900305721,
    ),
    (
        0.09646076681806522951816731316,
        0.01,
        0.4798896504144995747752495322,
        1.379008574103741893192274821,
        -3.290069515436080679901047585,
        2.324710524099773982415355918,
    ),
)

TSITOURAS = Tableau(
    name="tsitouras",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045096857298102862870, 1.0, 1.0),
    a=_TSIT_A,
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        0.015151515151515152,
    ),
    dense=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    dense_order=4,
)
"""`Tsit5` of OrdinaryDiffEq, advancing with the fifth-order row.

torchdiffeq's git master advances `tsit5` with the embedded fourth-order row instead (its weights
end in 1/66) and is then of order 4; the released wheel 0.2.5 has no `tsit5`.
"""

_BS_A = (_floats("1/2"), _floats("0", "3/4"), _floats("2/9", "1/3", "4/9"))

BOGACKI_SHAMPINE = Tableau(
    name="bogacki-shampine",
    order=3,
    c=_floats("0", "1/2", "3/4", "1"),
    a=_BS_A,
    error=_floats("5/72", "-1/12", "-1/9", "1/8"),
    dense=_hermite(np.array([*_BS_A[-1], 0.0])),
    dense_order=3,
)
"""`BS3` of OrdinaryDiffEq, and torchdiffeq's `bosh3` up to the sign of the error and the
interpolant (torchdiffeq's goes through y + h/2 k_2)."""

BOGACKI_SHAMPINE_MIDPOINT = replace(
    BOGACKI_SHAMPINE,
    name="bogacki-shampine-midpoint",
    dense=_midpoint_quartic(np.array([*_BS_A[-1], 0.0]), np.array([0.0, 0.5, 0.0, 0.0])),
    dense_order=1,
)
"""`bosh3` of torchdiffeq; its midpoint value y + h/2 k_2 is only of order 1, and so
is the interpolated solution (found by the order conditions; the step ends are of order 3)."""

TABLEAUX = {
    t.name: t
    for t in (
        DORMAND_PRINCE,
        DORMAND_PRINCE_SHAMPINE,
        TSITOURAS,
        BOGACKI_SHAMPINE,
        BOGACKI_SHAMPINE_MIDPOINT,
    )
}
