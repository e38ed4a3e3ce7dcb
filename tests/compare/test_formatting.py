"""How numbers are printed."""

import numpy as np
import pytest

from numdl_bridge.compare import formatting as form
from numdl_bridge.studies.contract import Term


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (form.number, 1733.789186, "1733.79"),
        (form.number, 2.25e-16, "2.25e-16"),
        (form.number, np.int64(29), "29"),
        (form.number, -0.0, "-0"),
        (form.number, float("nan"), "nan"),
        (form.number, None, "–"),
        (form.size, 2.26e-16, "2.3e-16"),
        (form.size, 1e-12, "1.0e-12"),
        (form.size, 0.5, "0.5"),
        (form.size, 0.0123, "0.012"),
        (form.size, 99.9, "1.0e2"),
        (form.size, 0.0, "0"),
        (form.size, float("inf"), "inf"),
        (form.size, None, "–"),
        (form.digits, 15.9546, "15.9"),
        (form.digits, 0.99, "0.9"),
        (form.digits, None, "–"),
        (form.ulps, 0, "0"),
        (form.ulps, 3.0, "3"),
        (form.ulps, 675540.5, "675540.5"),
        (form.ulps, 2**64 - 1, "1.8e19"),
        (form.ulps, None, "–"),
        (form.cosine, 1.0, "1.0000"),
        (form.cosine, 1 - 2e-9, "1 - 2.0e-9"),
        (form.cosine, 0.2173, "0.2173"),
        (form.cosine, -1.0, "-1.0000"),
        (form.cosine, None, "–"),
        (form.seconds, 1.7e-3, "1.70 ms"),
        (form.seconds, 97.9, "97.9 s"),
        (form.seconds, 123.4, "123 s"),
        (form.seconds, 2.5e-7, "250 ns"),
        (form.seconds, 0.0, "0 ns"),
        (form.seconds, None, "–"),
        (form.memory, 2**30, "1.00 GiB"),
        (form.memory, 500, "500 B"),
        (form.memory, 3 * 2**19, "1.50 MiB"),
        (form.memory, None, "–"),
        (form.ratio, 3.412, "3.41"),
        (form.ratio, None, "–"),
        (form.value, np.array(1733.789186), "1733.789186"),
        (form.value, np.array([3.0, 4.0]), "norm 5 [2]"),
        (form.value, np.array([3.0, np.nan]), "norm 3 [2], 1 not finite"),
        (form.value, np.array("dopri5"), "dopri5"),
        (form.value, np.array([1e200, 1e200]), "norm 1.414213562e200 [2]"),
    ],
)
def test_by_heart(function, value, text):
    assert function(value) == text


def test_with_an_interval():
    assert form.ratio(3.412, 3.35, 3.524) == "3.41 [3.35, 3.52]"


def test_terms():
    parts = (Term("rounding", 1.2e-14, ""), Term("solver", 1e-7, ""))
    assert form.terms(parts) == "rounding 1.2e-14 + solver 1.0e-7"
    assert form.terms(()) == "–"


@pytest.mark.parametrize("exponent", range(-9, 3))
def test_seconds_keep_three_digits(exponent):
    number, unit = form.seconds(1.2345 * 10.0**exponent).split()
    factor = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert float(number) * factor == pytest.approx(1.2345 * 10.0**exponent, rel=5e-3)
