"""The classification study's data and claims."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies import _classification_data as data
from numdl_bridge.studies._classification_claims import slope
from numdl_bridge.studies.classification import STUDY


def test_peaks_has_the_known_extremes_edges_and_counts() -> None:
    _, z, classes = data.peaks_pixels()
    np.testing.assert_allclose([z.min(), z.max()], [-6.549719, 8.105393], atol=5e-7)
    edges = [-3.618697, -0.687674, 2.243348, 5.174371]
    np.testing.assert_allclose(data.peaks_edges(z), edges, atol=5e-7)
    assert np.bincount(classes).tolist() == [1829, 7968, 47557, 6384, 1798]


def test_classes_alternate_and_belong_to_their_points() -> None:
    Y, C = data.sample_peaks(50, np.random.default_rng(0))
    assert C.argmax(0).tolist() == [0, 1, 2, 3, 4] * 10
    pixels, z, _ = data.peaks_pixels()
    edges = data.peaks_edges(z)
    np.testing.assert_array_equal((data.peaks(*Y)[:, None] > edges).sum(1), C.argmax(0))
    assert np.isin(Y[0], pixels[0]).all()


def test_ellipses_touch_at_radius_one() -> None:
    Y, C = data.sample_ellipses(300, np.random.default_rng(0))
    radius = np.hypot(Y[0], Y[1] / 0.4)
    assert (radius[C[0] == 1] < 1).all()
    assert (radius[C[1] == 1] >= 1).all()
    assert radius.max() <= 2


def test_start_copies_the_second_layer_and_has_no_biases() -> None:
    x = data.start_weights(np.random.default_rng(0))
    _, number = data.resnet_shapes()
    assert number == 1104
    assert x.shape == (1149,)
    K = x[16 : 16 + 15 * 64].reshape(15, 64)
    assert (K[0] == K).all()
    assert (x[16 + 15 * 64 : number] == 0).all()


def test_slope_of_an_exact_power() -> None:
    h = 10.0 ** -np.arange(1.0, 11.0)
    assert slope(3 * h**2, 1, 4) == pytest.approx(2)


def base() -> dict[str, np.ndarray]:
    h = 10.0 ** -np.arange(1.0, 11.0)
    found = {
        f"remainder/{n}/{e}": h ** int(p)
        for n in ("resnet", "smooth relu")
        for e, p in (("E0", 1), ("E1", 2))
    }
    return found | {
        "remainder/varpro/E1": h**2,
        "remainder/varpro as published/E1": h,
        "adjoint test": np.array([1e-16, 2e-16, 1e-15]),
        "linear/error": np.array([0.43, 0.42]),
        "ellipses/linear/error": np.array(0.47),
        "ellipses/square/error": np.array(0.002),
        "newton/error": np.array([0.01, 0.03]),
        "newton/history": np.linspace(2.0, 0.5, 51),
        "varpro/history": np.linspace(1.0, 0.1, 16),
        "elm/sin/error": np.array([0.03, 0.04]),
        "elm/tanh/error": np.array([0.1, 0.1]),
        "elm/relu/error": np.array([0.12, 0.1]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        ("linear fails", {"linear/error": np.array([0.43, 0.39])}),
        ("the right feature", {"ellipses/square/error": np.array(0.02)}),
        ("derivatives", {"remainder/resnet/E1": 10.0 ** -np.arange(1.0, 11.0)}),
        ("adjoint", {"adjoint test": np.array([1e-16, 2e-12, 1e-16])}),
        ("adjoint", {"adjoint test": np.array([1e-16, np.nan, 1e-16])}),
        ("reduced gradient", {"remainder/varpro as published/E1": 100.0 ** -np.arange(1.0, 11.0)}),
        ("layers help", {"newton/error": np.array([0.11, 0.03])}),
        ("VarPro is faster", {"varpro/history": np.linspace(3.0, 1.9, 16)}),
        ("random features", {"elm/sin/error": np.array([0.11, 0.04])}),
    ],
)
def test_claims_hold_and_can_fail(claim: str, fault: dict[str, np.ndarray]) -> None:
    options = STUDY.configure()
    (check,) = (c.check for c in STUDY.claims(options) if c.name == claim)
    assert check(base(), options).holds
    assert not check(base() | fault, options).holds


def test_points_must_be_a_multiple_of_the_classes() -> None:
    with pytest.raises(BadInputError, match="points"):
        STUDY.configure(points=12)
