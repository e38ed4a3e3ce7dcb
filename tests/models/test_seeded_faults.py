"""A fault in one side is found at the right layer or term, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from eight import LOTKA_VOLTERRA, MODULES, ResidualCNN, drawn, lotka_volterra, seeded
from torch import nn

from numdl_bridge.models import ode
from numdl_bridge.models.mirror import Mirror, mirror

SHAPE = MODULES["residual cnn"][1]


class Square(nn.Module):
    """Two square layers: a transposed weight keeps every shape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.second(torch.tanh(self.first(x)))) + x


def with_weight(twin: Mirror, name: str, change) -> Mirror:
    return replace(twin, weights={**twin.weights, name: change(twin.weights[name])})


FAULTS = {
    "flipped kernel": (
        ResidualCNN,
        SHAPE,
        lambda twin: with_weight(twin, "conv2.weight", lambda w: np.flip(w, (0, 1)).copy()),
        "step/conv2",
        "flipped",
    ),
    "transposed weight": (
        Square,
        (5, 4),
        lambda twin: with_weight(twin, "second.weight", lambda w: w.T.copy()),
        "step/second",
        "transposed",
    ),
    "wrong sign": (
        Square,
        (5, 4),
        lambda twin: replace(twin, source=twin.source.replace(".+ x", ".- x")),
        "step/add_",
        "sign",
    ),
    "dropped bias": (
        Square,
        (5, 4),
        lambda twin: with_weight(twin, "first.bias", np.zeros_like),
        "step/first",
        "bias",
    ),
    "single precision": (
        Square,
        (5, 4),
        lambda twin: with_weight(
            twin, "first.weight", lambda w: w.astype(np.float32).astype(np.float64)
        ),
        "step/first",
        "float32",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_module_is_named_at_its_layer(bridge, fault) -> None:
    build, shape, plant, where, named = FAULTS[fault]
    module, x = seeded(build, torch.float64), drawn(*shape)
    result = bridge.compare_module(module, x, twin=plant(mirror(module, x)))
    assert result.first_disagreement.quantity == where
    assert result.diagnosis.startswith(where.removeprefix("step/"))
    assert named in result.diagnosis
    with pytest.raises(AssertionError, match="Likely cause"):
        result.assert_agree()


@pytest.mark.parametrize(
    ("julia", "named"),
    [("-sum(abs2, tanh.(A * theta))", "sign"), ("sum(abs2, tanh.(A * theta)) / 4", "0.25 times")],
)
def test_a_fault_in_a_function_is_named(bridge, julia, named) -> None:
    result = bridge.compare_gradients(
        lambda theta, A: (A @ theta).tanh().square().sum(),
        f"(; theta, A) -> {julia}",
        {"theta": drawn(3)},
        {"A": drawn(4, 3)},
    )
    assert result.first_disagreement.quantity == "value"
    assert named in result.diagnosis


def test_a_looser_tolerance_is_named_by_the_steps_that_it_takes(bridge, monkeypatch) -> None:
    honest = ode.question

    def loosened(*arguments):
        asked = honest(*arguments)
        looser = {"rtol": asked.arguments["rtol"] * 10, "atol": asked.arguments["atol"] * 10}
        return replace(asked, arguments={**asked.arguments, **looser})

    monkeypatch.setattr(ode, "question", loosened)
    result = bridge.compare_ode(
        lotka_volterra, LOTKA_VOLTERRA, [1.0, 1.0], (0.0, 3.0), [1.5, 1.0, 3.0, 1.0], mode="native"
    )
    assert "1e-06" in result.diagnosis
