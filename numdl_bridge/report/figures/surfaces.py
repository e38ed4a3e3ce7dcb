"""Figures of `landscape`, `conditioning` and `classification`."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ...runs.results import StudyResult
from ...studies._conditioning_quantities import EPS_HALF, EPS_SINGLE
from .style import Values, colour


def strict_minima(surface: np.ndarray) -> np.ndarray:
    """Indices `(2, minima)` of grid points below all of their up to eight neighbours."""
    padded = np.pad(surface, 1, constant_values=np.inf)
    rows, columns = surface.shape
    lowest = np.ones(surface.shape, dtype=bool)
    for i, j in product((0, 1, 2), repeat=2):
        if (i, j) != (1, 1):
            lowest &= surface < padded[i : i + rows, j : j + columns]
    return np.array(np.nonzero(lowest))


def landscape(figure: Any, result: StudyResult, values: Values) -> None:
    """Loss surfaces with their strict local minima, the vertical axis θ1 as in the talk.

    Below them, where the test surface is among the quantities, |train - test|.
    """
    names = [k for k in values if k.startswith("surface/") and k.count("/") == 1]
    if not names:
        raise KeyError("surface")
    tests = [k for k in names if f"{k}/test" in values]
    if tests:
        figure.set_size_inches(7.6, 6.4)
    panels = figure.subplots(2 if tests else 1, len(names), squeeze=False)
    for column, name in enumerate(names):
        surface = np.asarray(values[name], dtype=float)
        layers = name.partition("/")[2].replace("=", " = ")
        _surface(figure, panels[0][column], surface, f"training loss Φ, {layers}", minima=True)
        if tests and name in tests:
            gap = np.abs(surface - values[f"{name}/test"])
            _surface(figure, panels[1][column], gap, f"|train − test|, {layers}")
        elif tests:
            panels[1][column].set_axis_off()


def _surface(figure: Any, axes: Any, surface: np.ndarray, title: str, minima: bool = False) -> None:
    from matplotlib.colors import LogNorm, Normalize

    # Every value has its colour, nothing is cut off. A rough surface shows on a linear scale; the
    # one valley of a smooth surface, whose floor is 1e-4 of its rim, on a logarithmic one.
    low, high = float(surface.min()), float(surface.max())
    where = strict_minima(surface)
    valley = minima and where.shape[1] == 1 and low > 0
    norm = LogNorm(low, high) if valley else Normalize(low, high)
    drawn = axes.imshow(surface, norm=norm, origin="lower", extent=(0.2, 2.0, 0.2, 2.0))
    figure.colorbar(drawn, ax=axes, shrink=0.85)
    if minima:
        ticks = np.linspace(0.2, 2.0, surface.shape[0])
        axes.plot(ticks[where[1]], ticks[where[0]], ".", ms=4, mew=0, color="#ff3020")
        plural = "minimum" if where.shape[1] == 1 else "minima"
        title += f"\n{where.shape[1]} strict local {plural} (dots)"
    axes.set_title(title, fontsize=8)
    axes.set(xlabel="θ2", ylabel="θ1")


def conditioning(figure: Any, result: StudyResult, values: Values) -> None:
    """Condition numbers of all draws by width, their medians, and where precisions end."""
    axes = figure.subplots()
    names = [k for k in values if k.startswith("rcond/m=")]
    if not names:
        raise KeyError("rcond")
    bins = np.linspace(2, 10, 65)
    for number, name in enumerate(names):
        with np.errstate(divide="ignore"):
            condition = -np.log10(np.asarray(values[name], dtype=float).ravel())
        label = name.partition("/")[2].replace("=", " = ")
        axes.hist(condition, bins, histtype="step", lw=1.4, color=colour(number), label=label)
        median = float(np.median(condition))
        axes.axvline(median, color=colour(number), lw=1, ls="--")
    axes.plot([], [], "--", lw=1, color="black", label="medians")
    for eps, name in ((EPS_HALF, "half"), (EPS_SINGLE, "single")):
        place = -np.log10(eps)
        axes.axvline(place, color="black", lw=0.8, ls=":")
        axes.text(
            place, 1.0, f" 1/ε {name}", transform=axes.get_xaxis_transform(), va="top", fontsize=8
        )
    axes.set(xlabel="log10 cond(J)", ylabel="draws")
    axes.legend(loc="center right")


def classification(figure: Any, result: StudyResult, values: Values) -> None:
    """Objective by outer iteration."""
    axes = figure.subplots()
    shown = {"newton": "Newton-CG, coupled", "varpro": "VarPro"}
    for name, label in shown.items():
        history = np.ravel(np.asarray(values[f"{name}/history"], dtype=float))
        axes.semilogy(np.arange(history.size), history, "o-", ms=2.5, lw=1.2, label=label)
    axes.set(xlabel="outer iteration", ylabel="objective")
    axes.legend()
