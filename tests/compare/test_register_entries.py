"""The entries of the package's register against what PyTorch really answers, and against spoilt
copies of those answers."""

from dataclasses import replace

import numpy as np
import pytest

from numdl_bridge.compare import compare_study, default_register
from numdl_bridge.engines.referee import RefereeEngine
from numdl_bridge.engines.torch import TorchEngine
from numdl_bridge.studies import get_study
from numdl_bridge.studies.contract import check_finite


@pytest.fixture(scope="module", params=["float64", "float32"])
def kinks(request):
    study = get_study("subgradient")
    options = study.configure(dtype=request.param)
    inputs = study.inputs(options)
    check_finite(study.name, inputs)
    engines = (TorchEngine(), RefereeEngine())
    return study, options, {e.name: e.observe(study, options, inputs) for e in engines}


def test_every_difference_at_a_kink_has_its_cause(kinks):
    comparison = compare_study(*kinks)
    assert comparison.disagreements == ()
    causes = {d.cause for d in comparison.by_verdict("explained")}
    assert {"torch-clamp-min-at-bound", "norm-by-hand-at-zero", "torch-fmax-tie"} <= causes
    assert all(default_register().get(cause) for cause in causes)


def test_no_entry_about_these_engines_is_stale(kinks):
    assert default_register().stale(compare_study(*kinks).differences) == ()


@pytest.mark.parametrize("spoil", [np.nan, np.inf, 0.25, -0.0])
def test_no_entry_explains_an_answer_that_pytorch_does_not_give(kinks, spoil):
    study, options, observations = kinks
    explained = {d.quantity for d in compare_study(*kinks).by_verdict("explained")}
    for quantity in explained:
        value = observations["torch"].values[quantity]
        if str(float(value.flat[0])) == str(spoil):  # that is what it did answer
            continue
        other = value.copy()
        other.flat[0] = spoil
        observations["torch"].values[quantity] = other
        found = compare_study(study, options, observations)
        observations["torch"].values[quantity] = value
        verdicts = {
            d.verdict
            for d in found.differences
            if d.quantity == quantity and d.verdict != "unavailable"
        }
        assert "explained" not in verdicts, quantity
        assert "disagree" in verdicts, quantity


def as_read_in_the_rules():
    """What the rules of Julia's packages say, as far as the register speaks of them."""
    signs = np.array([[0.0, -0.0]] * 2)
    second = np.zeros((2, 2, 4))
    second[:, 1] = 1.0
    return {
        "talk/tracker": np.array(1.0),
        "subgradient/abs": signs,
        "subgradient/abs/tracker": np.ones((2, 2)),
        "subgradient/abs/forwarddiff": np.array([[1.0, -1.0]] * 2),
        "subgradient/relu": np.zeros((2, 2)),
        "subgradient/relu/tracker": np.ones((2, 2)),
        "subgradient/relu/forwarddiff": np.ones((2, 2)),
        "subgradient/clamp": np.ones((2, 2)),
        "subgradient/sqrt": np.array([[np.inf, -np.inf]] * 2),
        "subgradient/sqrt_square": np.full((2, 2), np.nan),
        "subgradient/max": second,
        "subgradient/max/tracker": second,
        "subgradient/min": 1 - second,
        "subgradient/min/reversediff": 1 - second,
    }


def with_julia(kinks, values):
    study, options, observations = kinks
    torch = observations["torch"]
    julia = replace(torch, engine="julia", values=values, provenance={"Zygote.jl": "0.7.12"})
    return compare_study(study, options, {**observations, "julia": julia})


def test_what_julia_s_rules_say_is_explained_against_everybody(kinks):
    comparison = with_julia(kinks, as_read_in_the_rules())
    wrong = [d for d in comparison.disagreements if "julia" in (d.left, d.right)]
    assert [(d.quantity, d.pair, d.reason) for d in wrong] == []
    causes = {d.cause for d in comparison.by_verdict("explained")}
    assert {
        "tracker-abs-at-zero",
        "forwarddiff-abs-at-zero",
        "zygote-abs-at-negative-zero",
        "julia-relu-at-zero",
        "julia-max-tie",
        "julia-min-tie",
    } <= causes


@pytest.mark.parametrize("quantity", as_read_in_the_rules())
def test_another_answer_of_julia_s_is_not_explained(kinks, quantity):
    spoilt = as_read_in_the_rules()
    spoilt[quantity] = np.where(np.isfinite(spoilt[quantity]), 0.25, 1.0)
    found = [d for d in with_julia(kinks, spoilt).differences if d.quantity == quantity]
    against_others = [d.verdict for d in found if d.verdict != "unavailable" and d.left != d.right]
    assert "explained" not in [d.verdict for d in found if d.left == "julia" or d.right == "julia"]
    assert "disagree" in against_others
