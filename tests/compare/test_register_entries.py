"""The entries of the package's register against what PyTorch really answers, and against spoilt
copies of those answers."""

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
