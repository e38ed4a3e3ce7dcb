"""Each integrator has the order that its name promises, and goes through AD, vmap and dtypes."""

from __future__ import annotations

import math

import pytest
import torch

from numdl_bridge.engines.torch import integrators as ti
from numdl_bridge.errors import BadInputError


def logistic(t, y):
    return y * (1 - y) * math.cos(t)


def logistic_exact(t, y0):
    return y0 / (y0 + (1 - y0) * math.exp(-math.sin(t)))


def order(errors):
    return math.log2(errors[0] / errors[1])


def pendulum(t, q):
    return -torch.sin(q)


def velocity(t, p):
    return p + p**3 / 10  # not linear, so that no order is gained by chance


@pytest.mark.parametrize(("step", "expected"), [("forward_euler", 1), ("rk2", 2), ("rk4", 4)])
def test_order_of_explicit_steps(step, expected):
    y0 = torch.tensor([0.2, 0.5], dtype=torch.float64)
    exact = logistic_exact(2.0, y0)
    errors = []
    for n in (80, 160):
        y = ti.final_state(getattr(ti, step), logistic, y0, ti.uniform_times(0.0, 2.0, n))
        errors.append((y - exact).norm().item())
    assert order(errors) == pytest.approx(expected, abs=0.1)


def separable_truth(y0):
    def f(t, y):
        return torch.stack([velocity(t, y[1]), pendulum(t, y[0])])

    return ti.final_state(ti.rk4, f, torch.stack(y0), ti.uniform_times(0.0, 3.0, 3000))


@pytest.mark.parametrize(("step", "expected"), [("symplectic_euler", 1), ("verlet", 2)])
def test_order_of_separable_steps(step, expected):
    y0 = (torch.tensor(1.2, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
    exact = separable_truth(y0)
    errors = []
    for n in (100, 200):
        y = ti.final_state(
            getattr(ti, step), (velocity, pendulum), y0, ti.uniform_times(0.0, 3.0, n)
        )
        assert len(y) == 2
        errors.append((torch.stack(y) - exact).norm().item())
    assert order(errors) == pytest.approx(expected, abs=0.1)


def test_order_of_leapfrog_in_its_positions():
    q0, p0 = torch.tensor(1.2, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    exact = separable_truth((q0, p0))[0]
    errors = []
    for n in (100, 200):
        h = 3.0 / n
        start = (q0, p0 - h / 2 * pendulum(0.0, q0))
        q, _ = ti.final_state(
            ti.leapfrog, (velocity, pendulum), start, ti.uniform_times(0.0, 3.0, n)
        )
        errors.append((q - exact).norm().item())
    assert order(errors) == pytest.approx(2, abs=0.1)


def test_leapfrog_is_the_two_step_form_and_verlet_its_positions():
    q0, p0, h = torch.tensor(1.2, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64), 0.1
    system = (lambda t, p: p, pendulum)
    times = ti.uniform_times(0.0, 10 * h, 10)
    start = (q0, p0 - h / 2 * pendulum(0.0, q0))
    q, _ = ti.integrate(ti.leapfrog, system, start, times)
    two_step = 2 * q[1:-1] - q[:-2] + h**2 * pendulum(0.0, q[1:-1])
    torch.testing.assert_close(q[2:], two_step, rtol=1e-14, atol=1e-14)
    by_verlet, _ = ti.integrate(ti.verlet, system, (q0, p0), times)
    torch.testing.assert_close(q, by_verlet, rtol=1e-14, atol=1e-14)


def test_amplification_of_rk4_on_the_oscillator():
    """|R(ih)|^2 = 1 - h^6/72 + h^8/576 for the classic scheme."""
    h = 0.4
    y = ti.rk4(
        lambda t, y: torch.stack([y[1], -y[0]]), 0.0, torch.eye(2, dtype=torch.float64)[0], h
    )
    assert (y @ y).item() == pytest.approx(1 - h**6 / 72 + h**8 / 576, rel=1e-15)


def test_verlet_costs_one_force_a_step():
    calls = []

    def force(t, q):
        calls.append(t)
        return -q

    y0 = (torch.ones(3), torch.zeros(3))
    ti.final_state(ti.verlet, (lambda t, p: p, force), y0, ti.uniform_times(0.0, 1.0, 10))
    assert len(calls) == 11


@pytest.mark.parametrize("step", ["symplectic_euler", "verlet", "leapfrog"])
def test_separable_steps_preserve_area(step):
    def one_step(z):
        return torch.stack(getattr(ti, step)((velocity, pendulum), 0.0, (z[0], z[1]), 0.3)[:2])

    jacobian = torch.func.jacrev(one_step)(torch.tensor([0.7, -0.4], dtype=torch.float64))
    assert torch.linalg.det(jacobian).item() == pytest.approx(1.0, rel=1e-14)


def test_undoing_symplectic_euler_is_exact_where_a_step_back_is_not():
    # Multiples of 1/4 that add up exactly in binary: the inverse is exact to the last bit.
    system = (lambda t, p: p, lambda t, q: -q)
    start = (torch.tensor(1.0), torch.tensor(0.5))
    there = ti.advance(ti.symplectic_euler, system, start, 0.0, 0.25, 4)
    assert ti.advance(ti.undo_symplectic_euler, system, there, 0.0, 0.25, 4) == start
    assert ti.advance(ti.symplectic_euler, system, there, 0.0, -0.25, 4) != start


def test_trajectory_has_the_shape_dtype_and_end_of_its_state():
    for dtype in (torch.float64, torch.float32, torch.float16):
        y0 = torch.full((2, 3), 0.5, dtype=dtype)
        times = ti.uniform_times(0.0, 1.0, 7)
        path = ti.integrate(ti.rk4, logistic, y0, times)
        assert path.shape == (8, 2, 3)
        assert path.dtype == dtype
        assert torch.equal(path[0], y0)
        assert torch.equal(path[-1], ti.final_state(ti.rk4, logistic, y0, times))


def test_gradient_is_the_sensitivity_of_the_exact_flow():
    y0 = torch.tensor(0.3, dtype=torch.float64)
    times = ti.uniform_times(0.0, 2.0, 200)
    gradient = torch.func.grad(lambda y: ti.final_state(ti.rk4, logistic, y, times))(y0)
    growth = math.exp(-math.sin(2.0))
    exact = growth / (0.3 + 0.7 * growth) ** 2
    assert gradient.item() == pytest.approx(exact, rel=1e-9)


def test_advance_is_the_same_in_equal_steps():
    y0 = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    grid = [0.5 + 0.125 * j for j in range(9)]  # exact in binary, so equal to the last bit
    assert torch.equal(
        ti.advance(ti.rk4, logistic, y0, 0.5, 0.125, 8), ti.final_state(ti.rk4, logistic, y0, grid)
    )
    q, p = ti.advance(ti.verlet, (velocity, pendulum), (y0, y0), 0.5, 0.125, 8)
    back = ti.advance(ti.verlet, (velocity, pendulum), (q, p), 1.5, -0.125, 8)
    torch.testing.assert_close(torch.stack(back), torch.stack([y0, y0]), rtol=1e-14, atol=1e-14)


def test_vmap_equals_the_loop():
    y0 = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    times = torch.linspace(0, 1, 6, dtype=torch.float64)
    batched = torch.func.vmap(lambda y: ti.integrate(ti.rk4, logistic, y, times))(y0)
    one_by_one = torch.stack([ti.integrate(ti.rk4, logistic, y, times) for y in y0])
    assert torch.equal(batched, one_by_one)


@pytest.mark.parametrize("times", [[], [0.0, float("nan")], [0.0, float("inf")]])
def test_bad_times_are_one_message(times):
    with pytest.raises(BadInputError, match="finite"):
        ti.integrate(ti.rk4, logistic, torch.ones(1), times)


@pytest.mark.parametrize("n", [0, -3, 2.5])
def test_bad_number_of_steps_is_one_message(n):
    with pytest.raises(BadInputError, match="positive integer"):
        ti.uniform_times(0.0, 1.0, n)
