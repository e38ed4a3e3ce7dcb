"""Differences in words."""

import pytest
import stubs

from numdl_bridge.compare import Known, Register, compare_study, explain
from numdl_bridge.studies.observation import Unavailable


def text(register=None, **engines):
    study, options, observations = stubs.observations(**engines)
    comparison = compare_study(study, options, observations, register=register)
    return explain(comparison.worst() or comparison.differences[0], register)


def spoilt(factor, quantity="gradient", **extra):
    return {"spoil": {quantity: lambda v: v * factor}, **extra}


KNOWN = Known(
    id="known",
    study="stub",
    quantities=("*",),
    engines=("*", "*"),
    cause="a cause",
    source="a file",
    share=2.0,
    advice="use the other one",
)


@pytest.mark.parametrize(
    ("engines", "register", "parts"),
    [
        (
            {"torch": spoilt(1 + 1e-10), "referee": None},
            None,
            ["stub/gradient, torch–referee: agree within budget", "solver: 1.0e-9 (by design)",
             "Allowed:  rtol 1.0e-12, atol 0 (4 u)", "9.9 digits", "Nothing"],
        ),
        (
            {"torch": spoilt(1.1), "referee": None},
            None,
            ["disagree", "relative 0.091", "Furthest: torch 3.3", "at [0]",
             "Look at torch: the referee's value is proven"],
        ),
        (
            {"torch": spoilt(1.1), "julia": None},
            None,
            ["gradient/other against gradient, julia–torch: disagree", "Find out which side"],
        ),
        (
            {"torch": spoilt(1.1), "referee": None},
            Register((KNOWN,)),
            ["explained", "Why:      a cause.", "Source:   a file", "use the other one"],
        ),
        (
            {"torch": spoilt(float("nan"), "y"), "referee": None},
            None,
            ["stub/y", "NaN on one side only in 4 of 4 entries", "torch nan"],
        ),
        (
            {"torch": spoilt(2, "steps"), "julia": None},
            None,
            ["stub/steps", "torch 58, julia 29", "equality to the last bit"],
        ),
        (
            {"torch": {"input_hash": "f" * 64}, "referee": None},
            None,
            ["different inputs", "did not answer the same question"],
        ),
        (
            {"torch": {"spoil": {"y": Unavailable("no y")}}},
            None,
            ["stub/y, torch–referee: unavailable", "torch: no y", "numdl doctor"],
        ),
    ],
)  # fmt: skip
def test_says(engines, register, parts):
    found = text(register, **engines)
    for part in parts:
        assert part in found
    assert found.splitlines()[-1].startswith("  To do:")


def test_what_a_further_opinion_is_compared_with_is_named():
    engines = {"julia": spoilt(1.1, "gradient/other")}
    assert "stub/gradient/other against gradient, julia–julia" in text(**engines)
