"""PyTorch's answers at kinks, the exact rule beside them, and the register between the two."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from numdl_bridge.compare.comparison import compare_study
from numdl_bridge.compare.register import Register, default_register
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.referee.subgradient import minimum_norm
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.engines.torch.subgradient import SYNONYMS, functions, talk
from numdl_bridge.studies._subgradient_cases import CASES
from numdl_bridge.studies.subgradient import STUDY, TORCH_SYNONYMS, shape


@pytest.fixture(scope="module")
def observed():
    options = STUDY.configure()
    inputs = STUDY.inputs(options)
    engines = (TorchEngine(), RefereeEngine())
    return options, {e.name: e.observe(STUDY, options, inputs) for e in engines}


def test_the_talks_four_lines():
    assert talk().item() == 0.0
    assert talk(-2.0).item() == -1.0


def test_away_from_kinks_the_functions_are_what_their_names_say():
    x = torch.tensor([[0.3, -2.0], [-0.7, 1.5], [0.1, 0.2]], dtype=torch.float64)
    for name, f in functions(0.01).items():
        case = CASES[name]
        if case.pieces is None:
            continue
        arguments = {"vector": (x,), "binary": (x[0], x[1]), "elementwise": (x[0],)}[case.form]
        columns = torch.stack(arguments, 0)[0] if case.form != "binary" else torch.stack(arguments)
        expected = [case.value(np.atleast_1d(c)) for c in np.atleast_2d(columns.numpy()).T]
        np.testing.assert_allclose(f(*arguments).numpy(), expected, rtol=1e-15)
        for synonym in SYNONYMS.get(name, {}).values():
            assert torch.equal(synonym(*arguments), f(*arguments))


def test_synonyms_are_those_of_the_study():
    assert {k: set(v) for k, v in SYNONYMS.items()} == {
        k: set(v) for k, v in TORCH_SYNONYMS.items()
    }


def test_shapes_are_those_of_the_study(observed):
    for engine in observed[1].values():
        for name, value in engine.values.items():
            if name.startswith("subgradient/"):
                assert value.shape == shape(CASES[name.split("/")[1]]), name


@pytest.mark.parametrize(
    ("vertices", "expected"),
    [
        ([[-1], [1]], [0]),
        ([["1/100"], [1]], ["1/100"]),
        ([[1, 0], [0, 1]], ["1/2", "1/2"]),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], ["1/3", "1/3", "1/3"]),
        ([[1, 1], [1, -1], [3, 0]], [1, 0]),
        ([[0, 2], [1, 1], [2, 4]], [1, 1]),
        ([[1, 0], [1, 0], [0, 1]], ["1/2", "1/2"]),
    ],
)
def test_minimum_norm_point_of_a_hull(vertices, expected):
    exact = [[Fraction(e) for e in v] for v in vertices]
    assert minimum_norm(exact) == [Fraction(e) for e in expected]


def test_documented_values_of_the_rule(observed):
    rule = observed[1]["referee"].values
    assert rule["subgradient/abs"].tolist() == [[0, 0], [0, 0]]
    assert rule["subgradient/leaky_relu"].tolist() == [[0.01, 0.01]] * 2
    assert rule["subgradient/max"].tolist() == [[[0.5] * 4] * 2] * 2
    assert rule["subgradient/norm1"].T.tolist() == [[0, 0, 0], [0, 1, -1]]
    assert rule["clarke/max"].tolist() == [[[0.0] * 4] * 2, [[1.0] * 4] * 2]
    assert "not Lipschitz" in observed[1]["referee"].unavailable["subgradient/where_sqrt"]


def test_every_difference_from_the_rule_is_in_the_register(observed):
    options, observations = observed
    with_register = compare_study(STUDY, options, observations)
    assert not with_register.disagreements
    assert not with_register.failed_claims
    assert len(with_register.by_verdict("explained")) >= 15
    without = compare_study(STUDY, options, observations, register=Register())
    assert {d.quantity for d in without.disagreements} == {
        d.quantity for d in with_register.by_verdict("explained")
    }


def test_the_register_explains_nothing_else(observed):
    """Another answer than the one that is known to be PyTorch's is a disagreement."""
    options, observations = observed
    changed = dict(observations["torch"].values)
    changed["subgradient/clamp"] = np.full((2, 2), 0.5)
    torch_side = type(observations["torch"])(**{**vars(observations["torch"]), "values": changed})
    found = compare_study(STUDY, options, {**observations, "torch": torch_side})
    assert "subgradient/clamp" in {d.quantity for d in found.disagreements}


def test_entries_about_pytorch_are_all_used(observed):
    options, observations = observed
    differences = compare_study(STUDY, options, observations).differences
    stale = default_register().stale(differences)
    assert not [entry.id for entry in stale if entry.study == "subgradient"]


def test_single_precision_gives_the_same_answers():
    options = STUDY.configure(dtype="float32")
    inputs = STUDY.inputs(options)
    observations = {e.name: e.observe(STUDY, options, inputs) for e in (TorchEngine(),)}
    assert observations["torch"].values["subgradient/max"].dtype == np.float32
    assert not compare_study(STUDY, options, observations).disagreements
