"""One figure a study, drawn from the arrays of its quantities; SVG, the same bytes every time.

Needs matplotlib (`pip install numdl-bridge[report]`). A study without a drawing here, or a result
without the arrays that it needs, has no figure.
"""

from __future__ import annotations

import io
from typing import Any

from ...errors import UnknownNameError
from ...runs.results import StudyResult
from .dynamics import oscillator, propagation, reversibility
from .gradients import gradient_test, training
from .style import COLOURS, Draw
from .surfaces import classification, conditioning, landscape

DRAWINGS: dict[str, Draw] = {
    "gradient_test": gradient_test,
    "training": training,
    "landscape": landscape,
    "conditioning": conditioning,
    "oscillator": oscillator,
    "reversibility": reversibility,
    "propagation": propagation,
    "classification": classification,
}


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
        "legend.fontsize": 7,
    }
    with rc_context(style):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        try:
            draw(figure, result, values)
        except (KeyError, UnknownNameError):
            return None
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


__all__ = ["COLOURS", "DRAWINGS", "svg"]
