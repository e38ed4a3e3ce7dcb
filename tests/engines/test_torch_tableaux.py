"""Every pair has the orders that it states: solution, error estimate, dense output."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from numdl_bridge.engines.torch.adaptive import adaptive
from numdl_bridge.engines.torch.tableaux import (
    DORMAND_PRINCE,
    DORMAND_PRINCE_SHAMPINE,
    TABLEAUX,
    TSITOURAS,
)

ALL = pytest.mark.parametrize("tableau", TABLEAUX.values(), ids=lambda t: t.name)
Y0 = torch.tensor([0.2, 0.5], dtype=torch.float64)


def trees(order, largest=None):
    """Rooted trees with so many nodes, each the sorted tuple of its branches."""
    if order == 1:
        return [()]

    def forests(nodes, bound):
        if nodes == 0:
            return [()]
        return [
            (tree, *rest)
            for size in range(1, nodes + 1)
            for tree in trees(size)
            if (size, tree) <= bound
            for rest in forests(nodes - size, (size, tree))
        ]

    return forests(order - 1, (order, ()))


def size(tree):
    return 1 + sum(size(branch) for branch in tree)


def density(tree):
    """gamma(t) of Hairer, Norsett & Wanner I, II.2."""
    return size(tree) * math.prod(density(branch) for branch in tree)


def weights(tree, a):
    """phi_i(t): the elementary weight of every stage."""
    phi = np.ones(len(a))
    for branch in tree:
        phi = phi * (a @ weights(branch, a))
    return phi


def defects(tableau, b, order, x=1.0):
    """sum_i b_i phi_i(t) - x^order / gamma(t) for all trees of this order."""
    a = np.zeros((tableau.stages, tableau.stages))
    for i, row in enumerate(tableau.a, start=1):
        a[i, : len(row)] = row
    return np.array([b @ weights(t, a) - x**order / density(t) for t in trees(order)])


def test_there_are_as_many_trees_as_there_should_be():
    assert [len(trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]


@ALL
def test_order_conditions_of_the_solution(tableau):
    b = np.array(tableau.b)
    for order in range(1, tableau.order + 1):
        assert np.abs(defects(tableau, b, order)).max() < 3e-14
    assert np.abs(defects(tableau, b, tableau.order + 1)).max() > 1e-5


@ALL
def test_the_error_estimate_is_of_one_order_less(tableau):
    embedded = np.array(tableau.b) - np.array(tableau.error)
    for order in range(1, tableau.order):
        assert np.abs(defects(tableau, embedded, order)).max() < 3e-14
    assert np.abs(defects(tableau, embedded, tableau.order)).max() > 1e-5


@ALL
@pytest.mark.parametrize("x", [0.25, 0.5, 0.9])
def test_order_conditions_of_the_dense_output(tableau, x):
    b = tableau.interpolant(x)
    # torchdiffeq prints its midpoint weights to 10 digits.
    bound = 1e-9 if "shampine" in tableau.name else 1e-13
    for order in range(1, tableau.dense_order + 1):
        assert np.abs(defects(tableau, b, order, x)).max() < bound
    assert np.abs(defects(tableau, b, tableau.dense_order + 1, x)).max() > 1e-6


@ALL
def test_observed_order_of_solution_and_dense_output(tableau):
    def logistic(t, y, theta=None):
        return y * (1 - y) * math.cos(3 * t)

    def exact(t):
        t = torch.as_tensor(t, dtype=torch.float64)[:, None]
        return Y0 / (Y0 + (1 - Y0) * torch.exp(-torch.sin(3 * t) / 3))

    def errors(times):
        for n in (12, 24):
            grid = np.linspace(0, 2, n + 1)
            s = adaptive(logistic, Y0, times, tableau=tableau, replay=grid)
            yield float((s.states - exact(times)).abs().max())

    coarse, fine = errors(np.array([0.0, 2.0]))
    assert math.log2(coarse / fine) > tableau.order - 0.5
    coarse, fine = errors(np.linspace(0, 2, 203))
    assert math.log2(coarse / fine) > tableau.dense_order - 0.3


@ALL
def test_nodes_are_row_sums_and_dense_output_meets_the_ends(tableau):
    for row, c in zip(tableau.a, tableau.c[1:], strict=True):
        assert math.fsum(row) == pytest.approx(c, abs=1e-14)
    assert math.fsum(tableau.error) == pytest.approx(0, abs=1e-15)
    assert tableau.interpolant(0.0) == pytest.approx(np.zeros(tableau.stages))
    assert tableau.interpolant(1.0) == pytest.approx(np.array(tableau.b), abs=1e-13)
    # A derivative of one at the start belongs to the first stage alone.
    slope = tableau.interpolant(1e-7) / 1e-7
    assert slope == pytest.approx(np.eye(tableau.stages)[0], abs=1e-5)


def test_shampine_weights_are_minus_two_thirds_of_the_classic_ones():
    ratio = -1.5 * np.array(DORMAND_PRINCE_SHAMPINE.error)
    assert ratio == pytest.approx(np.array(DORMAND_PRINCE.error), rel=1e-15)


def test_agrees_with_torchdiffeqs_coefficients():
    from torchdiffeq._impl import dopri5

    theirs = dopri5._DORMAND_PRINCE_SHAMPINE_TABLEAU
    ours = DORMAND_PRINCE_SHAMPINE
    assert np.array(ours.error) == pytest.approx(theirs.c_error.numpy(), abs=1e-16)
    for row, other in zip(ours.a, theirs.beta, strict=True):
        assert np.array(row) == pytest.approx(other.numpy(), abs=1e-15)


def test_tsitouras_advances_with_the_fifth_order_row():
    # With the embedded row, as torchdiffeq's master has it, the error at 10 steps is 100 times it.
    embedded = np.array(TSITOURAS.b) - np.array(TSITOURAS.error)
    assert embedded[-1] == pytest.approx(-1 / 66)
    assert TSITOURAS.b[-1] == 0.0
