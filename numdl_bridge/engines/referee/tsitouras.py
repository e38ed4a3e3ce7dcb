"""Tsitouras' pair of order 5(4) on a prescribed sequence of steps, in any number type.

The coefficients are the doubles nearest to the published decimals, taken exactly: what the other
engines hold. Source: Tsitouras, Comput. Math. Appl. 62, 2011, tables 1 and 2.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .number import Field

A = (
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (
        5.86145544294642,
        -12.92096931784711,
        8.159367898576159,
        -0.071584973281401,
        -0.028269050394068383,
    ),
    (
        0.09646076681806523,
        0.01,
        0.4798896504144996,
        1.379008574103742,
        -3.290069515436081,
        2.324710524099774,
    ),
)
"""Stages 2 .. 7; the last row is the solution's weights (first same as last)."""

DENSE = (
    (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
    (0.0, 0.13169999999999998, -0.2234, 0.1017),
    (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
    (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
    (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
    (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
    (0.0, 1.5, -4.0, 2.5),
)
"""Per stage the coefficients of b_i(x) = p_1 x + ... + p_4 x^4; y(t + x h) = y + h sum b_i k_i."""


def replay(
    f: Any, y0: np.ndarray, grid: np.ndarray, times: np.ndarray, field: Field
) -> list[np.ndarray]:
    """States at `times` (increasing) of an autonomous f, stepped along `grid`.

    Both arrays are of the field's numbers, from the same first to the same last time.
    """
    rows = [[field.number(a) for a in row] for row in A]
    dense = [[field.number(p) for p in row] for row in DENSE]
    y, k1 = y0, f.value(grid[0], y0)
    states, i = [y0], 1
    for t0, t1 in pairwise(grid):
        h, k, state = t1 - t0, [k1], y
        for row in rows:
            state = y + h * sum(a * stage for a, stage in zip(row, k))
            k.append(f.value(t1, state))
        while i < len(times) and not times[i] > t1:
            x = (times[i] - t0) / h
            weights = [(((p[3] * x + p[2]) * x + p[1]) * x + p[0]) * x for p in dense]
            inside = times[i] < t1
            states.append(y + h * sum(b * s for b, s in zip(weights, k)) if inside else state)
            i += 1
        y, k1 = state, k[-1]
    return states
