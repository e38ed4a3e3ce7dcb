"""The register of known differences: what it explains, what it refuses, what it checks."""

import numpy as np
import pytest

from numdl_bridge.compare.budget import Side, Tolerance
from numdl_bridge.compare.difference import differ
from numdl_bridge.compare.register import (
    Expected,
    Known,
    Register,
    default_register,
    read_register,
)
from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.contract import Quantity
from numdl_bridge.studies.observation import Observation

PROVENANCE = {
    "torch": {"torch": "2.13.0+cpu"},
    "julia": {"Zygote.jl": "0.7.12", "Tracker.jl": "0.2.38"},
    "referee": {},
}


def case(x, y, left="torch", right="julia", quantity="abs", against="abs"):
    """A disagreement of two values and its two sides."""
    sides = [
        Side(e, q, Observation("kinks", e, {}, "", {q: np.asarray(v)}, provenance=PROVENANCE[e]))
        for e, q, v in ((left, quantity, x), (right, against, y))
    ]
    asked = Quantity(quantity, "gradient", 0.0, "a test")
    return differ("kinks", asked, *sides, Tolerance(0, 0, "")), *sides


def entry(**changes):
    base = {
        "id": "kink",
        "study": "kinks",
        "quantities": ("relu", "abs*"),
        "engines": ("torch", "julia"),
        "cause": "they choose different subgradients",
        "source": "a file",
        "share": 1.0,
    }
    return Known(**{**base, **changes})


JULIA_ONE = Expected(engine="julia", value=[1.0, 1.0])
TORCH_ZERO = Expected(engine="torch", value=[0.0, -0.0])


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({}, None),
        ({"engines": ("julia", "torch")}, None),
        ({"engines": ("*", "julia")}, None),
        ({"engines": ("torch", "referee")}, ""),
        ({"study": "kink?"}, None),
        ({"study": "other"}, ""),
        ({"quantities": ("relu", "max")}, ""),
        ({"when": {"julia/Zygote.jl": ">=0.7.11"}}, None),
        ({"when": {"julia/Zygote.jl": "<0.7.11"}}, ""),
        ({"when": {"julia/Enzyme.jl": ">=0"}}, ""),
        ({"share": 0.5}, "accounts for a relative difference of 0.5, not 1"),
        ({"share": None, "expected": (JULIA_ONE,)}, "no expected value for 'abs' of torch"),
        ({"share": None, "expected": (JULIA_ONE, TORCH_ZERO)}, None),
        ({"expected": (Expected(engine="julia", value=[0.0, 0.0]),)}, "not [1., 1.]"),
        ({"expected": (Expected(engine="torch", value=[0.0, 0.0]),)}, "torch to return"),
        ({"expected": (Expected(engine="julia", value=[1.0] * 3),)}, "julia to return"),
        ({"expected": (Expected(engine="julia", value=[[1.0], [1.0]]),)}, "julia to return"),
        ({"share": None, "expected": (Expected(engine="jul*", value=1.0), TORCH_ZERO)}, None),
        ({"share": None, "expected": (Expected(engine="*", value=1.0),)}, "torch to return 1.0"),
        (
            {"expected": (Expected(engine="julia", value=[0, 0]), JULIA_ONE)},
            None,
        ),
        (
            {"expected": (Expected(engine="julia", value=[1, 1.1], rtol=0.1),)},
            None,
        ),
        (
            {"expected": (Expected(engine="julia", value=[1, 1.1], rtol=0.01),)},
            "julia to return",
        ),
        (
            {
                "expected": (
                    Expected(engine="julia", value=[1, 1], when={"julia/Zygote.jl": "<0.7"}),
                )
            },
            "expects nothing for julia/Zygote.jl is 0.7.12",
        ),
        (
            {"share": None, "expected": (Expected(engine="referee", value=[1, 1]),)},
            "no expected value for 'abs' of torch",
        ),
        (
            {"expected": (Expected(engine="julia", quantity="relu", value=[9, 9]), JULIA_ONE)},
            None,
        ),
    ],
)
def test_what_an_entry_explains(changes, objection):
    found, objections = Register((entry(**changes),)).explain(*case([0.0, -0.0], [1.0, 1.0]))
    if objection is None:
        assert found is not None
        assert objections == ()
    else:
        assert found is None
        assert objection in "".join(objections)
        assert bool(objections) == bool(objection)


def test_nan_needs_an_expected_value_a_share_is_no_excuse():
    nan = (
        Expected(engine="julia", value=[float("nan"), 1.0]),
        Expected(engine="torch", value=[0, 1]),
    )
    spoilt = case([0.0, 1.0], [np.nan, 1.0])
    assert Register((entry(share=1e9),)).explain(*spoilt)[0] is None
    assert Register((entry(share=None, expected=nan),)).explain(*spoilt)[0] is not None
    met_no_more = case([0.0, 1.0], [1.0, 1.0])
    assert Register((entry(share=None, expected=nan),)).explain(*met_no_more)[0] is None


def test_another_shape_is_never_explained():
    found, objections = Register((entry(share=1e9),)).explain(*case([0.0], [1.0, 1.0]))
    assert found is None
    assert "shape" in objections[0]


def test_two_quantities_of_one_engine_are_told_apart_by_their_names():
    known = entry(
        engines=("julia", "julia"),
        share=None,
        expected=(
            Expected(engine="julia", quantity="abs/tracker", value=1.0),
            Expected(engine="julia", quantity="abs", value=0.0),
        ),
    )
    pair = {"left": "julia", "right": "julia", "quantity": "abs/tracker", "against": "abs"}
    assert Register((known,)).explain(*case(1.0, 0.0, **pair))[0] is known
    assert Register((known,)).explain(*case(0.0, 1.0, **pair))[0] is None


def test_the_first_entry_that_is_met_counts():
    wrong = entry(id="wrong", expected=(Expected(engine="julia", value=[7.0, 7.0]),))
    found, _ = Register((wrong, entry())).explain(*case([0.0, 0.0], [1.0, 1.0]))
    assert found.id == "kink"


def test_stale_entries_were_asked_and_did_not_answer():
    from dataclasses import replace

    disagreement, *_ = case([0.0, 0.0], [1.0, 1.0])
    used = replace(disagreement, verdict="explained", cause="kink")
    idle = entry(id="idle")
    elsewhere = entry(id="elsewhere", study="other")
    register = Register((entry(), idle, elsewhere))
    assert register.stale([used]) == (idle,)
    assert [k.id for k in register.stale([replace(used, cause=None)])] == ["kink", "idle"]
    assert register.stale([replace(used, verdict="unavailable")]) == ()


TEXT = """
[[known]]
id = "sqrt"
study = "subgradient"
quantities = ["sqrt"]
engines = ["torch", "julia"]
cause = "a rule"
source = "a file"
[known.when]
"julia/Zygote.jl" = ">=0.7,<0.8"
[[known.expected]]
engine = "torch"
value = [inf, -inf, nan, -0.0]
"""


def test_reads_special_values(tmp_path):
    path = tmp_path / "register.toml"
    path.write_text(TEXT)
    (known,) = read_register(path).known
    assert known.when == {"julia/Zygote.jl": ">=0.7,<0.8"}
    (expected,) = known.expected
    assert expected.met_by(np.array([np.inf, -np.inf, np.nan, -0.0]))
    assert not expected.met_by(np.array([np.inf, -np.inf, np.nan, 0.0]))
    assert not expected.met_by(np.array(["inf"]))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "a file"', "", "source"),
        ('source = "a file"', 'source = " "', "no source"),
        ('cause = "a rule"', 'cause = ""', "no cause"),
        ('"julia/Zygote.jl" = ">=0.7,<0.8"', '"julia/Zygote.jl" = "new"', "condition"),
        ("[[known.expected]]", "[[known.expectd]]", "expectd"),
        ('["torch", "julia"]', '["torch"]', "engines"),
        ('cause = "a rule"', 'cause = "a rule"\nshare = -1.0', "share -1.0"),
        ('cause = "a rule"', 'cause = "a rule"\nshare = inf', "share inf"),
        ('id = "sqrt"', "id = ", "register.toml"),
        (TEXT, TEXT + TEXT, "twice"),
        (TEXT[TEXT.index("[known.when]") :], "", "explain anything"),
    ],
)
def test_a_register_that_is_wrong_says_where(tmp_path, old, new, said):
    path = tmp_path / "register.toml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(BadInputError, match=said):
        read_register(path)


def test_a_register_that_is_not_there(tmp_path):
    with pytest.raises(BadInputError, match=r"none\.toml"):
        read_register(tmp_path / "none.toml")


def test_a_user_s_register_is_asked_first_and_may_not_reuse_a_name():
    ours, theirs = Register((entry(),)), Register((entry(id="mine"),))
    assert [k.id for k in (ours + theirs).known] == ["mine", "kink"]
    with pytest.raises(BadInputError, match="twice"):
        ours + ours


def test_the_register_of_the_package_loads_and_every_entry_has_a_source():
    assert all(known.source and known.cause for known in default_register().known)
