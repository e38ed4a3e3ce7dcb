"""Figures of `propagation`, `reversibility` and `oscillator`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runs.results import StudyResult
from ...studies._oscillator_results import CAP, NAMES
from .style import Values, colour, legend_beside

_SHORT = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_DASHES = {"float64": "-", "float32": "--", "float16": "-.", "bfloat16": ":"}


def propagation(figure: Any, result: StudyResult, values: Values) -> None:
    """The ResNet against its ODE: output and gradients, and a guide below all of them."""
    axes = figure.subplots()
    shown = {
        "output": "output",
        "gradient": "gradient: discretise, then optimise",
        "adjoint": "gradient: optimise, then discretise",
        "negative_step": "input recovered with step −h",
    }
    first, N = [], np.array([])
    for name, label in shown.items():
        error = values[f"error/{name}"]
        N = getattr(result.options, "n_min", 1) * 2.0 ** np.arange(error.size)
        axes.loglog(N, error, "o-", ms=3, lw=1, label=label)
        first.append(error[0])
    axes.loglog(N, 0.5 * min(first) * N[0] / N, "k:", lw=1, label="order 1")
    axes.set(xlabel="layers N", ylabel="relative error against the ODE's flow")
    axes.set_xticks(N, [f"{n:g}" for n in N])
    axes.minorticks_off()
    axes.legend()


def reversibility(figure: Any, result: StudyResult, values: Values) -> None:
    """Round trip errors against the final time, for the amplitude of the reference case."""
    options: Any = result.options
    horizons = np.asarray(getattr(options, "horizons", ()))
    amplitudes = list(getattr(options, "amplitudes", ()))
    if not horizons.size or not amplitudes:
        raise KeyError("horizons")
    wanted = getattr(options, "reference_amplitude", 1.0)
    place = amplitudes.index(wanted) if wanted in amplitudes else len(amplitudes) // 2
    axes = figure.subplots()
    drawn = 0
    for number, steps in enumerate((16, 32, 64)):
        times = horizons if steps == 16 else np.asarray(options.refined)
        for precision in ("float64", "float32"):
            error = values.get(f"roundtrip/rk4/{steps}/{precision}")
            if error is None:
                continue
            double = precision == "float64"
            # The same curve twice: the wide one shows below the dashes of the narrow one.
            look: dict[str, Any] = {
                "lw": 1.2 if double else 3,
                "alpha": 1 if double else 0.4,
                "ms": 3,
            }
            label = f"RK4, {steps} steps, {_SHORT[precision]}"
            line = "o-" if double else "--"
            axes.loglog(times, error[place], line, color=colour(number), label=label, **look)
            drawn += 1
    for precision, dashes in _DASHES.items():
        error = values.get(f"roundtrip/verlet/{precision}")
        if error is not None:
            label = f"Verlet, 32 steps, {_SHORT[precision]}"
            look = {"marker": "s", "ms": 3, "lw": 1.2, "color": colour(3)}
            axes.loglog(horizons, error[place], dashes, label=label, **look)
            drawn += 1
    if not drawn:
        raise KeyError("roundtrip")
    axes.set_title(f"random weights of amplitude {amplitudes[place]:g}", fontsize=9)
    axes.set(xlabel="final time T", ylabel="relative error of the recovered input")
    axes.set_xticks(horizons, [f"{t:g}" for t in horizons])
    axes.minorticks_off()
    legend_beside(figure, axes)


def oscillator(figure: Any, result: StudyResult, values: Values) -> None:
    """Energy error against cost, and over time at the budget whose states are kept."""
    options: Any = result.options
    budgets = np.asarray(options.budgets)
    names = [k.rpartition("/")[2] for k in values if k.startswith("energy/error/")]
    if not names:
        raise KeyError("energy/error")
    left, right = figure.subplots(1, 2)
    record = list(budgets).index(options.record)
    for number, name in enumerate(names):
        look: dict[str, Any] = {"color": colour(number), "lw": 1}
        error = np.asarray(values[f"energy/error/{name}"], dtype=float)
        left.loglog(budgets, error, "-", label=NAMES.get(name, name), **look)
        for capped, face in ((error >= CAP, "white"), (error < CAP, colour(number))):
            marks: dict[str, Any] = {
                "ls": "",
                "marker": "o",
                "ms": 4,
                "mfc": face,
                "color": colour(number),
            }
            left.loglog(budgets[capped], error[capped], **marks, zorder=3)
        growth = values.get(f"energy/growth/{name}")
        if growth is not None:
            periods = np.arange(1, growth.shape[1] + 1)
            over = np.asarray(growth[record], dtype=float)
            right.loglog(periods, over, **look)
            if (over >= CAP).any():
                end = int((over >= CAP).argmax())
                right.loglog(periods[end], CAP, "o", ms=4, mfc="white", color=colour(number))
    for axes in (left, right):
        axes.axhline(CAP, color="black", lw=0.5, ls=":")
        axes.set_ylim(1e-5, 2 * CAP)
    left.set_title(f"{options.periods} periods; open circle: {CAP:g} or more", fontsize=8)
    left.set(xlabel="evaluations a period", ylabel="max |ΔE| / E")
    left.set_xticks(budgets, [str(b) for b in budgets], fontsize=7)
    left.minorticks_off()
    right.set_title(f"{options.record} evaluations a period", fontsize=8)
    right.set(xlabel="periods")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
