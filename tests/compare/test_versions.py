"""Conditions on versions, table-driven."""

import pytest

from numdl_bridge.compare.versions import check_condition, release, satisfies, unmet
from numdl_bridge.errors import BadInputError


@pytest.mark.parametrize(
    ("version", "condition", "holds"),
    [
        ("1.14.0", ">=1.14,<1.15.1", True),
        ("1.15.0", ">=1.14,<1.15.1", True),
        ("1.15.1", ">=1.14,<1.15.1", False),
        ("1.9.9", ">=1.14", False),
        ("0.7.10", "<0.7.11", True),
        ("0.7.9", "<0.7.11", True),
        ("2.13.0+cpu", "==2.13", True),
        ("2.13.0", "!=2.13.0", False),
        ("v1.10.2", ">1.10.1", True),
        ("1.10.2-rc1", "<=1.10.2", True),
        ("2", "< 2.0.1 , >= 2", True),
    ],
)
def test_satisfies(version, condition, holds):
    assert satisfies(version, condition) == holds


@pytest.mark.parametrize("condition", ["", "1.2", "~=1.2", ">=1.2,", ">=one"])
def test_conditions_that_do_not_read(condition):
    with pytest.raises(BadInputError, match="condition"):
        check_condition(condition)


def test_a_version_without_numbers_is_refused():
    with pytest.raises(BadInputError, match="version"):
        release("unknown")


PROVENANCE = {"julia": {"julia": "1.10.2", "Zygote.jl": "0.7.12", "blas": {"threads": 1}}}


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({}, None),
        ({"julia/Zygote.jl": ">=0.7.11"}, None),
        ({"julia/Zygote.jl": "<0.7.11"}, "julia/Zygote.jl is 0.7.12"),
        ({"julia/julia": "==1.10.2", "julia/Zygote.jl": "<0.7"}, "Zygote.jl is 0.7.12"),
        ({"julia/Tracker.jl": ">=0"}, "Tracker.jl is not known"),
        ({"torch/torch": ">=2"}, "torch/torch is not known"),
        ({"julia/blas": ">=2"}, "julia/blas is not known"),
    ],
)
def test_unmet(when, said):
    found = unmet(when, PROVENANCE)
    assert found is None if said is None else said in found
