"""The Julia source in 256-bit arithmetic against the proven digits: each checks the other.

What Julia runs is the package's own `discrete_gradient` with the study's own network, on BigFloats;
a number comes back as the sum of five doubles.
"""

from __future__ import annotations

import flint
import numpy as np
import pytest

from numdl_bridge.engines.referee.integrators import RK4, grid_of, misfit_gradient
from numdl_bridge.engines.referee.networks import NeuralODE
from numdl_bridge.engines.referee.number import Ball
from numdl_bridge.studies import get_study

pytestmark = pytest.mark.julia

PARTS = 5

SOURCE = f"""
using NumDLBridge

function parts(x)
    out = Float64[]
    for _ in 1:{PARTS}
        push!(out, Float64(x))
        x -= out[end]
    end
    return out
end

function proven(; theta, u0, times, data)
    setprecision(BigFloat, 256) do
        loss(states) = sum((states .- data) .^ 2)
        fit = NumDLBridge.Fit(NumDLBridge.neural_ode, big.(u0), big.(times), loss)
        g = NumDLBridge.discrete_gradient(fit, big.(theta))
        reduce(hcat, parts.([g.loss; g.theta]))
    end
end
"""


def test_256_bits_of_julia_agree_with_the_referee_to_60_digits(julia):
    study = get_study("gradient_test")
    inputs = study.inputs(study.configure())
    sent = {
        "theta": inputs["theta"][:, 0],
        "u0": inputs["u0"],
        "times": inputs["times_published"],
        "data": inputs["data"],
    }
    reply = julia.worker.call(
        "own_gradient",
        {f"constants/{k}": v for k, v in sent.items()}
        | {
            "cotangent": np.zeros((PARTS, 253)),
            "at/none": np.zeros(1),
            "tangent/none": np.zeros(1),
        },
        {
            "source": SOURCE.replace("; theta", "; none, theta"),
            "name": "proven",
            "at": ["none"],
            "constants": list(sent),
            "packages": [],
        },
    )
    theirs = reply.arrays["value"]
    assert theirs.shape == (PARTS, 253)
    field = Ball(384)
    with field.working():
        w = {k: field.array(v) for k, v in sent.items()}
        f = NeuralODE(w["theta"])
        loss, gradient = misfit_gradient(RK4, f, w["u0"], grid_of(w["times"]), w["data"])
        size = max(abs(float(g.mid())) for g in gradient)
        for column, ours in enumerate([loss, *gradient]):
            julias = sum((flint.arb(float(p)) for p in theirs[:, column]), flint.arb(0))
            assert float(abs(julias - ours).upper()) < 1e-60 * max(size, abs(float(ours.mid())))
