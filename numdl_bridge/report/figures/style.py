"""What the drawings share: colours, types, the legend beside the axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...runs.results import StudyResult

Values = dict[str, np.ndarray]
Draw = Callable[[Any, StudyResult, Values], None]

COLOURS = ["#1f5fa8", "#c8501e", "#2a8a57", "#8a4fb0", "#7a6a00", "#b03060", "#4a4a4a"]


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def legend_beside(figure: Any, axes: Any) -> None:
    """The legend right of the axes, where it covers no curve."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
