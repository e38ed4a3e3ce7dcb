"""One figure a study, drawn from the arrays of its quantities; SVG, the same bytes every time.

Needs matplotlib (`pip install numdl-bridge[report]`). A study without a drawing here, or a result
without the arrays that it needs, has no figure.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UnknownNameError
from ..resources import published
from ..runs.results import StudyResult

Values = dict[str, np.ndarray]
Draw = Callable[[Any, StudyResult, Values], None]

COLOURS = ["#1f5fa8", "#c8501e", "#2a8a57", "#8a4fb0", "#7a6a00", "#b03060", "#4a4a4a"]


def svg(result: StudyResult) -> str | None:
    """The figure of a study as SVG text, or None where it has none."""
    draw = DRAWINGS.get(result.name)
    values = next((o.values for o in result.observations.values() if o.values), None)
    if draw is None or values is None:
        return None
    try:
        from cycler import cycler
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        return None
    # A fixed salt makes the ids in the file, and so the file, the same at every run.
    style: dict[Any, Any] = {
        "svg.hashsalt": "numdl",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "legend.frameon": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        try:
            draw(figure, result, values)
        except (KeyError, UnknownNameError):
            return None
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _gradient_test(figure: Any, result: StudyResult, values: Values) -> None:
    """Taylor remainders over h, with the published ones where there are any."""
    axes = figure.subplots()
    # The last part of a name is the training iterate; the talk's test is at the start, 0.
    found = {
        k.removesuffix("/0"): v
        for k, v in values.items()
        if k.startswith("E1/") and k.endswith("/0") and v.ndim == 1
    }
    if not found:
        raise KeyError("E1")
    for name, remainder in found.items():
        h = 0.5 ** np.arange(1, remainder.size + 1)
        axes.loglog(h, np.abs(remainder), "o-", ms=3, lw=1, label=name.partition("/")[2])
    table = published("gradient_test")
    for number, variant in enumerate(dict.fromkeys(table["variant"])):
        rows = table[table["variant"] == variant]
        label = "published" if number == 0 else None
        axes.loglog(rows["h"], rows["E1"], "x", ms=6, color="black", label=label, zorder=3)
    axes.set(xlabel="h", ylabel="E1(h) = |J(θ + h d) − J(θ) − h g·d|")
    axes.legend(fontsize=7)


def _training(figure: Any, result: StudyResult, values: Values) -> None:
    """Loss by iteration of every variant."""
    axes = figure.subplots()
    for name, loss in values.items():
        parts = name.split("/")
        if parts[0] == "loss" and parts[-1] not in ("agreed", "proven") and loss.ndim == 1:
            axes.semilogy(np.arange(loss.size), loss, lw=1.2, label="/".join(parts[1:]))
    table = published("training_loss")
    columns = [n for n in table.dtype.names or () if n.startswith("loss_")]
    last = max(v.size for k, v in values.items() if k.startswith("loss/") and v.ndim == 1)
    step = max(1, last // 30)
    for number, name in enumerate(columns):
        label = "published" if number == 0 else None
        x, y = table["iteration"][:last:step], table[name][:last:step]
        axes.semilogy(x, y, "x", ms=3, color="black", label=label)
    axes.set(xlabel="iteration", ylabel="loss")
    axes.legend(fontsize=7)


def _landscape(figure: Any, result: StudyResult, values: Values) -> None:
    """Loss surfaces, the vertical axis θ1 as in the talk."""
    names = [k for k in values if k.startswith("surface/")]
    if not names:
        raise KeyError("surface")
    for number, name in enumerate(names, 1):
        surface = np.squeeze(values[name])
        while surface.ndim > 2:
            surface = surface[..., 0]
        axes = figure.add_subplot(1, len(names), number)
        ticks = np.linspace(0.2, 2.0, surface.shape[0])
        height = np.log10(np.maximum(surface, 1e-16))
        # A single deep corner would take all colours: the outermost hundredths share theirs.
        low, high = (float(q) for q in np.quantile(height, [0.01, 0.99]))
        levels = np.linspace(low, max(high, low + 1e-3), 25)
        drawn = axes.contourf(ticks, ticks, height, levels, extend="both")
        figure.colorbar(drawn, ax=axes, label="log10 Φ")
        axes.set(xlabel="θ2", ylabel="θ1", title=name.partition("/")[2], aspect="equal")


def _conditioning(figure: Any, result: StudyResult, values: Values) -> None:
    """Condition numbers of all draws, by width."""
    axes = figure.subplots()
    names = [k for k in values if k.startswith("rcond/m=")]
    if not names:
        raise KeyError("rcond")
    bins = np.linspace(2, 10, 65)
    for name in names:
        with np.errstate(divide="ignore"):
            condition = -np.log10(values[name].ravel())
        axes.hist(condition, bins, histtype="step", lw=1.4, label=name.partition("/")[2])
    axes.set(xlabel="log10 cond(J)", ylabel="draws")
    axes.legend(fontsize=7)


def _oscillator(figure: Any, result: StudyResult, values: Values) -> None:
    """Energy error against cost."""
    axes = figure.subplots()
    budgets = np.asarray(getattr(result.options, "budgets", ()))
    for name, error in values.items():
        if name.startswith("energy/error/"):
            shown = np.asarray(error, dtype=float).reshape(budgets.size, -1).max(axis=1)
            axes.loglog(budgets, shown, "o-", ms=3, lw=1, label=name.rpartition("/")[2])
    axes.set(
        xlabel="evaluations per period", ylabel="max |ΔE| / E", ylim=(1e-6, 10), xticks=budgets
    )
    axes.set_xticks(budgets, [str(b) for b in budgets])
    axes.minorticks_off()
    axes.legend(fontsize=7)


def _reversibility(figure: Any, result: StudyResult, values: Values) -> None:
    """Round trip errors against the final time, for the middle amplitude."""
    axes = figure.subplots()
    horizons = np.asarray(getattr(result.options, "horizons", ()))
    for name, error in values.items():
        array = np.asarray(error, dtype=float)
        if name.startswith("roundtrip/") and not name.endswith("/max") and horizons.size:
            if horizons.size not in array.shape:
                continue
            by_time = np.moveaxis(array, array.shape.index(horizons.size), 0)
            line = by_time.reshape(horizons.size, -1)
            middle = line[:, line.shape[1] // 2]
            axes.loglog(horizons, middle, "o-", ms=3, lw=1, label=name.partition("/")[2])
    axes.set(xlabel="T", ylabel="relative error of the recovered input")
    axes.legend(fontsize=7)


def _propagation(figure: Any, result: StudyResult, values: Values) -> None:
    """The ResNet against its ODE: output and gradient."""
    axes = figure.subplots()
    for name in ("error/output", "error/gradient", "error/adjoint", "error/negative_step"):
        error = values[name]
        N = getattr(result.options, "n_min", 1) * 2.0 ** np.arange(error.size)
        axes.loglog(N, error, "o-", ms=3, lw=1, label=name.partition("/")[2])
    axes.loglog(N, 0.5 * error[0] * N[0] / N, "k:", lw=1, label="order 1")
    axes.set(xlabel="N", ylabel="relative error")
    axes.legend(fontsize=7)


def _classification(figure: Any, result: StudyResult, values: Values) -> None:
    """Objective by outer iteration."""
    axes = figure.subplots()
    for name in ("newton/history", "varpro/history"):
        history = np.atleast_2d(np.asarray(values[name], dtype=float))[0]
        axes.semilogy(np.arange(history.size), history, lw=1.2, label=name.split("/")[0])
    axes.set(xlabel="outer iteration", ylabel="objective")
    axes.legend(fontsize=7)


DRAWINGS: dict[str, Draw] = {
    "gradient_test": _gradient_test,
    "training": _training,
    "landscape": _landscape,
    "conditioning": _conditioning,
    "oscillator": _oscillator,
    "reversibility": _reversibility,
    "propagation": _propagation,
    "classification": _classification,
}
