"""Inputs, options and claims of the reversibility study."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.contract import check_finite, input_hash
from numdl_bridge.studies.reversibility import STUDY, ellipses


def test_ellipses_touch_and_carry_their_labels():
    Y0, label = ellipses(np.random.default_rng(0), 1000)
    radius = np.hypot(Y0[0], Y0[1] / 0.4)
    assert np.array_equal(radius < 1, label == 1)
    assert radius.max() < 2
    assert label.sum() == 500
    assert radius[label == 1].mean() == pytest.approx(0.5, abs=0.05)
    angle = np.arctan2(Y0[1] / 0.4, Y0[0])
    counts = np.histogram(angle, bins=8, range=(-np.pi, np.pi))[0]
    assert counts.min() > 85  # uniform: 125 each, standard deviation 10


def test_shapes_are_those_of_the_docstring():
    inputs = STUDY.inputs(STUDY.configure("quick"))
    check_finite("reversibility", inputs)
    assert inputs["K_rk4"].shape == (4, 4, 17, 5)
    assert inputs["b_verlet"].shape == (1, 32, 5)
    assert inputs["trained/K_rk4"].shape == (4, 4, 17, 4)
    assert inputs["trained/mu_verlet"].shape == (4,)
    assert input_hash(inputs) == input_hash(STUDY.inputs(STUDY.configure("quick")))


def test_the_first_networks_do_not_depend_on_how_many_follow():
    few, many = (STUDY.inputs(STUDY.configure("quick", seeds=s)) for s in (2, 3))
    assert np.array_equal(few["K_rk4"], many["K_rk4"][..., :2])
    assert np.array_equal(few["Y0"], many["Y0"])


def test_without_trained_networks_there_are_no_inputs_or_quantities_of_them():
    options = STUDY.configure("quick", trained=False)
    assert not [name for name in STUDY.inputs(options) if name.startswith("trained/")]
    assert not [q for q in STUDY.quantities(options) if q.name.startswith("trained/")]


@pytest.mark.parametrize(
    "settings",
    [
        {"points": 7},
        {"seeds": 0},
        {"amplitudes": ()},
        {"amplitudes": (0.0,)},
        {"horizons": (1.0, -4.0)},
        {"refined": (3.0,)},
        {"sample": 501},
        {"reference_horizon": 0.0},
    ],
)
def test_bad_options_are_one_message(settings):
    with pytest.raises(BadInputError, match="What to do"):
        STUDY.inputs(STUDY.configure(**settings))


def test_claims_can_fail():
    options = STUDY.configure("quick")
    claims = {c.name: c for c in STUDY.claims(options)}
    shape = (len(options.amplitudes), len(options.horizons))
    same = {name: np.full(shape, 1e-2) for claim in claims.values() for name in claim.needs}
    for name in (
        "Verlet inverts in float64",
        "Verlet inverts in float32",
        "RK4 does not invert",
        "RK4's round trip converges",
    ):
        assert not claims[name].check(same, options).holds, name
    tiny = {name: np.full(shape, 1e-9) for name in same}
    assert not claims["the padding comes back non-zero"].check(tiny, options).holds
    identity = {"jacobian": np.eye(6), "structure/volume_defect": np.zeros(2)}
    identity["structure/symplectic_defect"] = np.zeros(2)
    slide = claims["the slide's system is not canonically Hamiltonian"]
    assert not slide.check(identity, options).holds
    flat = {"hamiltonian/drift/two_line": np.array([0.4, 0.1, 0.025])}
    assert not claims["energy of two_line"].check(flat, options).holds
