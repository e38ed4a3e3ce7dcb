"""Figures of `gradient_test` and `training`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...resources import published
from ...runs.results import StudyResult
from ...studies._training_claims import PUBLISHED, published_losses
from ...studies._training_quantities import asked
from ...studies._training_results import losses, variants
from .style import Values, colour, legend_beside

_REMAINDERS = ("rk4", "backsolve/1e-7", "backsolve/1e-2", "interpolation/1e-7")


def gradient_test(figure: Any, result: StudyResult, values: Values) -> None:
    """Taylor remainders over h at each iterate, the published ones where there are any."""
    iterates = [
        k
        for k in getattr(result.options, "iterates", ())
        if any(f"E1/{name}/{k}" in values for name in _REMAINDERS)
    ]
    if not iterates:
        raise KeyError("E1")
    panels = np.atleast_1d(figure.subplots(1, len(iterates), sharey=True))
    for axes, k in zip(panels, iterates, strict=True):
        for number, name in enumerate(_REMAINDERS):
            remainder = values.get(f"E1/{name}/{k}")
            if remainder is None:
                continue
            h = 0.5 ** np.arange(1, remainder.size + 1)
            label = name.replace("/", " ")
            axes.loglog(h, np.abs(remainder), "o-", ms=2, lw=1, color=colour(number), label=label)
        if k == 0:
            _published_remainders(axes)
        h = 0.5 ** np.array([1.0, 20.0])
        axes.loglog(h, 40 * h, "k:", lw=1, label="slope 1")
        axes.loglog(h, 2e4 * h**2, "k--", lw=0.8, label="slope 2")
        axes.set(xlabel="h", title=f"iterate {k}", ylim=(1e-10, 1e5))
    panels[0].set_ylabel("E1(h) = |J(θ + h d) − J(θ) − h g·d|")
    legend_beside(figure, panels[0])


def _published_remainders(axes: Any) -> None:
    table = published("gradient_test")
    for number, variant in enumerate(dict.fromkeys(table["variant"])):
        rows = table[table["variant"] == variant]
        label = "published" if number == 0 else None
        axes.loglog(rows["h"], rows["E1"], "x", ms=4, mew=0.8, color="black", label=label, zorder=3)


def training(figure: Any, result: StudyResult, values: Values) -> None:
    """Loss by iteration of every variant, up to where it broke down, and the published ones."""
    found = dict.fromkeys(variants(values), (values, ""))
    for engine, observation in result.observations.items():
        for name in variants(observation.values):
            found.setdefault(name, (observation.values, f" ({engine})"))
    if not found:
        raise KeyError("loss")
    axes = figure.subplots()
    options: Any = result.options
    last = options.iterations
    for number, (name, (whose, by)) in enumerate(found.items()):
        run = losses(whose, name)
        dashes = "-" if number < 7 else "--"
        label = f"{name}{by}"
        if run.size <= asked(name, options):
            # What comes after was never computed: the curve ends, and a mark says that it does.
            label += f", broke down at {run.size - 1}"
            axes.semilogy(
                run.size - 1, run[-1], "X", ms=8, mec="black", color=colour(number), zorder=4
            )
        axes.semilogy(np.arange(run.size), run, dashes, lw=1.2, color=colour(number), label=label)
        if name in PUBLISHED:
            step = max(1, last // 30)
            printed = published_losses(name)[: last + 1]
            look = {"ms": 3, "mew": 0.8, "mfc": "none", "color": colour(number)}
            at = np.arange(0, printed.size, step)
            axes.semilogy(at, printed[::step], "o", **look, label=f"{name}, published")
    axes.set(xlabel="iteration", ylabel="loss")
    legend_beside(figure, axes)
