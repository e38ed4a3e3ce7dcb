"""Comparisons of stub observations: pairs, reasons, claims, re-scoring, JSON."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import stubs
from hypothesis import given
from hypothesis import strategies as st

from numdl_bridge.compare import (
    SEVERITY,
    Comparison,
    Known,
    Register,
    check_overrides,
    compare_study,
)
from numdl_bridge.errors import BadInputError, UnknownNameError
from numdl_bridge.studies.contract import Claim, Decision, Published, Term
from numdl_bridge.studies.observation import Unavailable


def compare(scale=1.0, overrides=None, register=None, absent=None, **engines) -> Comparison:
    study, options, observations = stubs.observations(**engines)
    return compare_study(
        study, options, observations, scale, overrides, register=register, absent=absent
    )


def find(comparison, quantity, pair, against=None):
    (found,) = [
        d
        for d in comparison.differences
        if (d.quantity, d.pair, d.against) == (quantity, pair, against or quantity)
    ]
    return found


def off_by(relative):
    return lambda value: value * (1 + relative)


def test_engines_that_agree():
    comparison = compare()
    assert comparison.ok
    assert {d.verdict for d in comparison.differences} == {"agree"}
    assert all(c.holds for c in comparison.claims)
    assert comparison.counts()["agree"] == len(comparison.differences) == 15
    assert comparison.worst() is not None


def test_pairs_come_in_a_fixed_order_whatever_the_order_of_the_observations():
    study, options, observations = stubs.observations()
    backwards = dict(reversed(observations.items()))
    one = compare_study(study, options, observations)
    assert one == compare_study(study, options, backwards)
    assert [d.pair for d in one.differences if d.quantity == "y"] == [
        "torch–referee",
        "julia–referee",
        "torch–julia",
    ]
    assert [(d.pair, d.against) for d in one.differences if d.quantity == "gradient/other"] == [
        ("julia–torch", "gradient"),
        ("julia–julia", "gradient"),
        ("julia–referee", "gradient"),
    ]
    assert not [d for d in one.differences if d.quantity == "chaos"]


def test_a_wrong_engine_disagrees_with_both_others_and_they_do_not():
    comparison = compare(torch={"spoil": {"y": off_by(1e-6)}}, julia=None, referee=None)
    verdicts = {d.pair: d.verdict for d in comparison.differences if d.quantity == "y"}
    assert verdicts == {
        "torch–referee": "disagree",
        "julia–referee": "agree",
        "torch–julia": "disagree",
    }
    assert not comparison.ok
    assert comparison.worst().quantity == "y"
    assert find(comparison, "y", "torch–referee").relative == pytest.approx(1e-6, rel=1e-5)


def test_a_further_opinion_that_is_wrong_is_found_out_in_its_own_engine():
    comparison = compare(
        torch=None, julia={"spoil": {"gradient/other": off_by(1e-6)}}, referee=None
    )
    assert find(comparison, "gradient/other", "julia–julia", "gradient").verdict == "disagree"
    assert find(comparison, "gradient", "torch–julia").verdict == "agree"


def test_the_terms_of_the_quantity_and_the_referee_s_rounding_make_the_budget():
    comparison = compare(
        torch={"spoil": {"gradient": off_by(1.5e-9)}}, referee={"rounding": {"gradient": 1e-9}}
    )
    found = find(comparison, "gradient", "torch–referee")
    assert found.verdict == "agree within budget"
    assert [t.name for t in found.terms] == ["solver", "rounding in torch"]
    assert comparison.ok
    beyond = compare(
        torch={"spoil": {"gradient": off_by(3e-9)}}, referee={"rounding": {"gradient": 1e-9}}
    )
    assert find(beyond, "gradient", "torch–referee").verdict == "disagree"


def test_a_bound_on_rounding_of_the_size_of_a_mistake_excuses_none():
    """Balls in working precision widen: 14 (1400 %) was such a bound, and passed a flipped sign."""
    wide = {"rounding": {"gradient": 14.0}}
    comparison = compare(torch={"spoil": {"gradient": lambda g: -g}}, referee=wide)
    found = find(comparison, "gradient", "torch–referee")
    assert found.verdict == "disagree"
    assert [t.name for t in found.terms] == ["solver"]


def test_the_truth_has_a_tolerance_of_its_own():
    """Two emulations of one solver agree to rounding, and with the truth to the tolerance."""
    study, options, observations = stubs.observations(
        torch=None, julia={"spoil": {"gradient/other": off_by(1e-4)}}, referee=None
    )
    plain = study.quantities(options)
    loose = [
        replace(q, beside=Term("solver", 1e-3, "solver tolerance"))
        if q.name == "gradient/other"
        else q
        for q in plain
    ]
    comparison = compare_study(replace(study, quantities=lambda o: loose), options, observations)
    found = find(comparison, "gradient/other", "julia–referee", "gradient")
    assert found.verdict == "agree"
    assert found.tolerance == "solver tolerance"
    before = compare_study(study, options, observations)
    assert find(before, "gradient/other", "julia–referee", "gradient").verdict == "disagree"


def test_a_claim_is_not_checked_for_who_answers_with_its_formula():
    study, options, observations = stubs.observations(torch=None, julia=None, referee=None)
    only = [replace(c, engines=("torch",)) for c in study.claims(options)]
    found = compare_study(replace(study, claims=lambda o: only), options, observations).claims
    assert {c.engine for c in found if c.holds} == {"torch"}
    assert all("is the formula itself" in c.reason for c in found if c.engine != "torch")


@pytest.mark.parametrize("absent", [None, {"julia": "no Julia was found"}])
def test_engines_that_are_not_there(absent):
    comparison = compare(torch=None, referee=None, absent=absent)
    found = find(comparison, "y", "torch–julia")
    assert found.verdict == "unavailable"
    assert ("no Julia was found" if absent else "not part of this run") in found.reason
    assert comparison.absent == (absent or {})
    assert comparison.ok


def test_what_an_engine_cannot_give_has_its_reason():
    comparison = compare(torch={"spoil": {"y": Unavailable("no such solver")}}, referee=None)
    found = find(comparison, "y", "torch–referee")
    assert (found.verdict, found.reason) == ("unavailable", "torch: no such solver")


def test_an_old_observation_without_a_quantity_is_unavailable():
    study, options, observations = stubs.observations()
    del observations["torch"].values["y"]
    found = find(compare_study(study, options, observations), "y", "torch–referee")
    assert (found.verdict, found.reason) == ("unavailable", "torch: returned no 'y'")


def test_other_inputs_disagree_and_are_named_as_such():
    study, options, observations = stubs.observations()
    observations["julia"] = replace(observations["julia"], input_hash="0" * 64)
    comparison = compare_study(study, options, observations)
    assert find(comparison, "y", "torch–referee").verdict == "agree"
    for pair in ("julia–referee", "torch–julia"):
        found = find(comparison, "y", pair)
        assert found.verdict == "disagree"
        assert "different inputs" in found.reason
        assert "000000000000" in found.reason
        assert found.relative == 0  # nothing that was computed is lost
    assert not comparison.ok


def test_other_options_disagree_and_are_named_as_such():
    study, options, observations = stubs.observations()
    observations["julia"].options["seed"] = 1
    found = find(compare_study(study, options, observations), "y", "torch–julia")
    assert found.verdict == "disagree"
    assert "other options" in found.reason


def test_an_observation_of_another_study_is_refused():
    study, options, observations = stubs.observations()
    with pytest.raises(BadInputError, match="given as one of 'stub' by 'julia'"):
        compare_study(study, options, {"julia": observations["torch"]})


KNOWN = Known(
    id="stub-y",
    study="stub",
    quantities=("y",),
    engines=("torch", "*"),
    cause="torch rounds to single",
    source="a test",
    share=1e-6,
)


def test_the_register_explains_what_it_knows_and_no_more():
    spoilt = {"torch": {"spoil": {"y": off_by(5e-7)}}, "julia": None, "referee": None}
    comparison = compare(**spoilt, register=Register((KNOWN,)))
    found = find(comparison, "y", "torch–julia")
    assert (found.verdict, found.cause, found.reason) == ("explained", "stub-y", KNOWN.cause)
    assert comparison.ok
    worse = compare(torch={"spoil": {"y": off_by(5e-6)}}, register=Register((KNOWN,)), referee=None)
    found = find(worse, "y", "torch–referee")
    assert found.verdict == "disagree"
    assert found.cause is None
    assert "register entry 'stub-y'" in found.reason


def test_the_register_is_not_asked_about_other_inputs():
    study, options, observations = stubs.observations(
        torch={"spoil": {"y": off_by(5e-7)}, "input_hash": "f" * 64}, julia=None
    )
    comparison = compare_study(study, options, observations, register=Register((KNOWN,)))
    assert find(comparison, "y", "torch–julia").verdict == "disagree"


@given(gap=st.floats(1e-16, 1e-3), scale=st.floats(1e-6, 1e6), more=st.floats(1, 1e6))
def test_rescoring_by_more_is_never_graver(gap, scale, more):
    spoilt = {"torch": {"spoil": {"y": off_by(gap), "gradient": off_by(gap)}}, "referee": None}
    strict, loose = compare(scale, **spoilt), compare(scale * more, **spoilt)
    for a, b in zip(strict.differences, loose.differences):
        assert SEVERITY[b.verdict] <= SEVERITY[a.verdict]
        assert (a.relative, a.ulps) == (b.relative, b.ulps)


def test_rescoring_scales_tolerance_and_budget():
    spoilt = {"torch": {"spoil": {"gradient": off_by(1.5e-9)}}, "referee": None}
    assert not compare(**spoilt).ok
    scaled = compare(2.0, **spoilt)
    found = find(scaled, "gradient", "torch–referee")
    assert (found.verdict, found.rtol, found.budget) == ("agree within budget", 2e-12, 2e-9)
    assert "times 2" in found.tolerance
    chosen = compare(overrides={"stub/grad*": 1e-8}, **spoilt)
    assert find(chosen, "gradient", "torch–referee").verdict == "agree"
    assert find(chosen, "y", "torch–referee").rtol == 1e-12


def test_a_pattern_that_names_nothing_is_refused():
    studies = [(stubs.STUDY, stubs.STUDY.configure())]
    check_overrides(studies, {"grad*": 1e-8, "stub/*": 1e-3, "y": 1})
    with pytest.raises(UnknownNameError, match=r"'gradiant'.*stub/gradient"):
        check_overrides(studies, {"gradiant": 1e-8})


def with_claims(*claims):
    return replace(stubs.STUDY, claims=lambda options: claims)


def claim(check, needs=("y",)):
    return Claim("c", "A statement.", "a slide", needs, check)


def test_claims_are_checked_for_each_engine():
    _, options, observations = stubs.observations(
        torch={"spoil": {"y": lambda v: v * 0}}, referee=None
    )
    nonzero = claim(lambda v, o: Decision(np.any(v["y"] != 0), f"{o.samples} samples"))
    comparison = compare_study(with_claims(nonzero), options, observations)
    assert [(c.engine, c.holds, c.figure) for c in comparison.claims] == [
        ("torch", False, "4 samples"),
        ("referee", True, "4 samples"),
    ]
    assert [c.engine for c in comparison.failed_claims] == ["torch"]
    assert not comparison.ok


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda v, o: 1 / 0, "ZeroDivisionError"),
        (lambda v, o: v["nothing"], "KeyError: 'nothing'"),
        (lambda v, o: True, "expected a Decision"),
    ],
)
def test_a_check_that_fails_is_reported_and_no_pass(check, said):
    _, options, observations = stubs.observations(torch=None)
    comparison = compare_study(with_claims(claim(check)), options, observations)
    (found,) = comparison.claims
    assert (found.holds, found.raised) == (None, True)
    assert said in found.reason
    assert not comparison.ok


def test_a_claim_that_lacks_a_quantity_is_not_checked():
    _, options, observations = stubs.observations(torch={"spoil": {"y": Unavailable("no y")}})
    study = with_claims(
        claim(lambda v, o: 1 / 0, ("steps", "y", "z")), claim(lambda v, o: 1 / 0, ("z",))
    )
    comparison = compare_study(study, options, observations)
    assert [c.reason for c in comparison.claims] == [
        "needs 'y' (no y), and 1 more",
        "needs 'z' (torch does not return it)",
    ]
    assert all(c.holds is None for c in comparison.claims)
    assert comparison.ok


def test_published_figures_stand_beside_ours():
    _, options, observations = stubs.observations(torch=None)
    study = replace(
        stubs.STUDY,
        published=lambda options: (
            Published("steps", 30.0, "a table", lambda v: float(v["steps"])),
            Published("none", 1.0, "a table", lambda v: None),
            Published("broken", 1.0, "a table", lambda v: v["nothing"]),
            Published("nan", 1.0, "a table", lambda v: float("nan")),
        ),
    )
    steps, none, broken, nan = compare_study(study, options, observations).published
    assert (steps.ours, steps.figure) == (29.0, 30.0)
    assert steps.relative == pytest.approx(1 / 30)
    assert none.ours is None
    assert broken.reason == "KeyError: 'nothing'"
    assert nan.reason == "torch returned nan"


def test_a_further_opinion_of_nothing_is_a_defect_of_the_study():
    _, options, observations = stubs.observations()
    quantities = stubs.quantities(options)
    broken = replace(quantities[2], compare_with="nothing")
    study = replace(stubs.STUDY, quantities=lambda options: (*quantities[:2], broken))
    with pytest.raises(BadInputError, match="compared with 'nothing'"):
        compare_study(study, options, observations)


@pytest.mark.parametrize(
    "spoil", [None, lambda v: v * np.nan, lambda v: v[:2], off_by(1e-3), lambda v: v * np.inf]
)
def test_a_comparison_survives_json(spoil):
    engines = {"torch": {"spoil": {"y": spoil}} if spoil else None, "referee": None}
    comparison = compare(2.0, {"y": 1e-9}, **engines)
    assert Comparison.from_plain(comparison.to_plain()) == comparison
    text = msgspec.json.encode(comparison)
    assert Comparison.from_plain(msgspec.json.decode(text)) == comparison
    assert msgspec.json.decode(text, type=Comparison) == comparison


def test_a_stored_comparison_that_does_not_read():
    with pytest.raises(BadInputError, match="stored comparison"):
        Comparison.from_plain({"study": 1})


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    code = (
        "import sys, numdl_bridge.compare, numdl_bridge.compare.tables;"
        "print([m for m in ('torch', 'pandas', 'scipy', 'juliacall', 'flint') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
