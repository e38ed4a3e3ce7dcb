"""What `training` asks: fixtures, the published losses, claims that can fail."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies._training_claims import published_losses
from numdl_bridge.studies._training_quantities import AGREED, VARIANTS, agreed, trained
from numdl_bridge.studies.training import STUDY


def test_the_inputs_are_the_published_ones():
    inputs = STUDY.inputs(STUDY.configure())
    assert inputs["theta0"][:2] == pytest.approx([0.8673472, -0.9017438], abs=1e-7)
    assert np.linalg.norm(inputs["theta0"]) == pytest.approx(16.160623, abs=1e-6)
    np.testing.assert_array_equal(inputs["iterates"][0], inputs["theta0"])
    assert inputs["h"][0] == 0.05
    assert inputs["data"][:, 0] == pytest.approx([2, 0])
    # ADAM's first update moves every entry with a gradient above 1e-8 by 0.1.
    step = np.abs(inputs["iterates"][1] - inputs["theta0"])
    assert np.median(step) == pytest.approx(0.1, abs=1e-6)
    assert step.max() < 0.1 + 1e-12


def test_published_columns_are_told_apart():
    first = {v: published_losses(v)[[0, 1, 300]].tolist() for v in AGREED if v != "rk4_aligned"}
    assert first["rk4"] == [1733.789, 1404.427, 0.446]
    assert first["backsolve/1e-7"] == [1823.64, 1564.939, 142.041]
    assert published_losses("backsolve/1e-2")[[0, 1, 300]].tolist() == [1823.809, 1412.796, 145.255]


def test_only_the_stretch_that_can_agree_is_compared():
    quantities = {q.name: q for q in STUDY.quantities(STUDY.configure())}
    assert not quantities["loss/rk4"].compared
    assert quantities["loss/rk4/agreed"].compared
    assert agreed("rk4", STUDY.configure(iterations=20)) == 20
    assert agreed("rk4", STUDY.configure()) == 140
    assert agreed("rk4", STUDY.configure(dtype="float32")) == 0


def test_the_slowest_variant_is_trained_on_demand():
    assert set(VARIANTS) - set(trained(STUDY.configure())) == {"interpolating/1e-7"}
    assert set(trained(STUDY.configure("full"))) == set(VARIANTS)


def test_names_are_unique_and_claims_need_nothing_else():
    for size in ("quick", "default", "full"):
        options = STUDY.configure(size)
        names = [q.name for q in STUDY.quantities(options)]
        assert len(names) == len(set(names))
        for claim in STUDY.claims(options):
            assert set(claim.needs) <= set(names), claim.name


def test_claims_can_fail():
    options = STUDY.configure()
    claims = {c.name: c for c in STUDY.claims(options)}
    exact = {"loss/rk4": published_losses("rk4").copy()}
    stretch = claims["published losses: rk4"]
    assert stretch.check(exact, options).holds
    exact["loss/rk4"][137] += 2e-3
    assert not stretch.check(exact, options).holds
    assert claims["trains: rk4"].check(exact, options).holds
    assert not claims["trains: rk4"].check({"loss/rk4": np.full(301, 3.5)}, options).holds
    failing = claims["does not train: backsolve/1e-7"]
    values = {"loss/backsolve/1e-7": published_losses("backsolve/1e-7")}
    values["completed/backsolve/1e-7"] = np.array(300)
    assert failing.check(values, options).holds
    values["loss/backsolve/1e-7"] = published_losses("rk4")
    assert not failing.check(values, options).holds


def test_negative_iterations_are_refused():
    with pytest.raises(BadInputError):
        STUDY.configure(iterations=-1)
