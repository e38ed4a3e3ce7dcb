"""The adaptive loop under each library's conventions, and what it does when a solve goes wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchdiffeq import odeint

from numdl_bridge.engines.torch.adaptive import adaptive
from numdl_bridge.engines.torch.controllers import (
    DIFFEQ_2019,
    ORDINARYDIFFEQ,
    TORCHDIFFEQ,
    Memory,
    fast_power,
    with_dp5_exponents,
)
from numdl_bridge.engines.torch.iterates import talk_fit
from numdl_bridge.engines.torch.tableaux import (
    BOGACKI_SHAMPINE,
    BOGACKI_SHAMPINE_MIDPOINT,
    DORMAND_PRINCE,
    DORMAND_PRINCE_SHAMPINE,
)
from numdl_bridge.errors import BadInputError

Y0 = torch.tensor([2.0, 0.0], dtype=torch.float64)
CONVENTIONS = pytest.mark.parametrize(
    "convention", [TORCHDIFFEQ, ORDINARYDIFFEQ, DIFFEQ_2019], ids=lambda c: c.name
)


def van_der_pol(t, y, theta=None):
    return torch.stack([y[1], 5.0 * (1 - y[0] ** 2) * y[1] - y[0] + math.sin(float(t))])


class Recorded(torch.nn.Module):
    """A right-hand side that writes down what torchdiffeq does with it."""

    def __init__(self):
        super().__init__()
        self.accepted, self.rejected, self.evaluations = [], [], 0

    def forward(self, t, y):
        self.evaluations += 1
        return van_der_pol(t, y)

    def callback_accept_step(self, t0, y0, dt):
        self.accepted.append((float(t0), float(dt)))

    def callback_reject_step(self, t0, y0, dt):
        self.rejected.append((float(t0), float(dt)))


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(
    ("method", "tableau"),
    [("dopri5", DORMAND_PRINCE_SHAMPINE), ("bosh3", BOGACKI_SHAMPINE_MIDPOINT)],
)
def test_takes_torchdiffeqs_steps(method, tableau, rtol):
    if method == "bosh3" and rtol < 1e-6:
        pytest.skip("thousands of steps")
    times = torch.linspace(0, 3, 7, dtype=torch.float64)
    theirs = Recorded()
    states = odeint(theirs, Y0, times, rtol=rtol, atol=rtol / 100, method=method)
    ours = adaptive(
        van_der_pol, Y0, times, rtol=rtol, atol=rtol / 100, tableau=tableau, convention=TORCHDIFFEQ
    )
    steps = ours.steps
    accepted = [(t, h) for t, h, ok in zip(steps.t, steps.h, steps.accepted) if ok]
    rejected = [(t, h) for t, h, ok in zip(steps.t, steps.h, steps.accepted) if not ok]
    # An error estimate below rounding may make steps differ in the last digits, not in number.
    assert np.array(accepted) == pytest.approx(np.array(theirs.accepted), rel=1e-6)
    assert len(rejected) == len(theirs.rejected)
    assert ours.evaluations == theirs.evaluations
    assert ours.states.numpy() == pytest.approx(states.numpy(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("rtol", "atol", "evaluations", "accepted"), [(1e-7, 1e-9, 207, 34), (1e-2, 1e-2, 45, 7)]
)
@pytest.mark.parametrize("convention", [DIFFEQ_2019, ORDINARYDIFFEQ], ids=lambda c: c.name)
def test_forward_counts_of_the_talks_neural_ode(rtol, atol, evaluations, accepted, convention):
    fit, theta = talk_fit()
    s = adaptive(fit.f, fit.y0, fit.times, theta, rtol=rtol, atol=atol, convention=convention)
    assert (s.evaluations, len(s.steps.accepted_sizes), s.steps.rejected) == (
        evaluations,
        accepted,
        0,
    )


def test_the_first_step_may_grow_ten_thousandfold_only_today():
    today, then = (Memory(c.controller, 5) for c in (ORDINARYDIFFEQ, DIFFEQ_2019))
    assert today.propose(0.0, True) == pytest.approx(1e4)
    assert then.propose(0.0, True) == pytest.approx(10)
    assert today.propose(0.0, True) == pytest.approx(10)


def test_controller_formulas():
    memory = Memory(DIFFEQ_2019.controller, 5)
    assert memory.propose(0.5, True) == pytest.approx(
        0.9 / (0.5 ** (7 / 50) / 1e-4 ** (2 / 25)), rel=1e-14
    )
    assert memory.propose(0.2, True) == pytest.approx(
        0.9 / (0.2 ** (7 / 50) / 0.5 ** (2 / 25)), rel=1e-14
    )
    assert memory.propose(3.0, False) == pytest.approx(0.9 / 3.0 ** (7 / 50), rel=1e-14)
    integral = Memory(TORCHDIFFEQ.controller, 5)
    assert integral.propose(0.99, True) == 1.0
    assert integral.propose(2.0, False) == pytest.approx(0.9 / 2.0**0.2, rel=1e-14)
    assert integral.propose(1e9, False) == pytest.approx(0.2)
    assert math.isnan(integral.propose(math.nan, False))
    hairer = Memory(with_dp5_exponents(DIFFEQ_2019).controller, 5)
    assert (hairer.beta1, hairer.beta2) == (pytest.approx(0.17), 0.04)


@given(st.floats(1e-12, 1e12), st.floats(0.01, 1.0))
def test_fast_power_is_good_to_three_digits(x, y):
    assert fast_power(x, y) == pytest.approx(x**y, rel=2e-3)


def test_fast_power_is_not_exact_and_has_its_fixed_points():
    assert fast_power(0.0, 0.14) == 0.0
    assert fast_power(1.0, 0.14) == 1.0
    assert fast_power(0.3, 0.14) != pytest.approx(0.3**0.14, rel=1e-6)


@CONVENTIONS
@pytest.mark.parametrize(
    "tableau", [DORMAND_PRINCE, BOGACKI_SHAMPINE], ids=["dormand-prince", "bogacki-shampine"]
)
def test_meets_its_tolerance_in_both_directions(convention, tableau):
    def decay(t, y, theta=None):
        return -y + math.sin(float(t))

    def exact(t):
        return 1.5 * math.exp(-t) + (math.sin(t) - math.cos(t)) / 2

    start = torch.tensor([1.0], dtype=torch.float64)
    times = np.linspace(0, 2, 9)
    s = adaptive(decay, start, times, rtol=1e-7, atol=1e-7, tableau=tableau, convention=convention)
    truth = np.array([[exact(t)] for t in times])
    assert s.states.numpy() == pytest.approx(truth, abs=2e-6)
    back = adaptive(
        decay, s.states[-1], times[::-1], rtol=1e-7, atol=1e-7, tableau=tableau,
        convention=convention,
    )  # fmt: skip
    assert back.states.numpy() == pytest.approx(truth[::-1], abs=2e-5)


def test_end_of_interval_and_stops():
    stops = [0.7, 1.3]
    clipped = adaptive(van_der_pol, Y0, [0.0, 2.0], convention=ORDINARYDIFFEQ, stops=stops)
    assert clipped.steps.grid[-1] == 2.0
    assert set(stops) <= set(clipped.steps.grid)
    beyond = adaptive(van_der_pol, Y0, [0.0, 2.0], convention=TORCHDIFFEQ)
    assert beyond.steps.grid[-1] > 2.0
    assert beyond.steps.grid[-2] < 2.0


def test_a_jump_costs_one_evaluation_and_moves_the_state():
    def still(t, y, theta=None):
        return 0 * y + 1.0

    seen = []

    def jump(i, y):
        seen.append(i)
        return y + 10 * (i + 1)

    start = torch.zeros(1, dtype=torch.float64)
    s = adaptive(still, start, [0.0, 3.0], stops=[1.0, 2.0], at_stop=jump)
    assert seen == [0, 1]
    assert float(s.states[-1]) == pytest.approx(33.0, abs=1e-12)
    plain = adaptive(still, start, [0.0, 3.0], stops=[1.0, 2.0])
    assert s.evaluations == plain.evaluations + 2


@CONVENTIONS
def test_replay_repeats_a_solve_to_the_last_bit(convention):
    times = np.linspace(0, 2, 5)
    s = adaptive(van_der_pol, Y0, times, convention=convention)
    again = adaptive(van_der_pol, Y0, times, replay=s.steps.grid)
    # The last step of a clipped solve is t_end - t in both; sizes in between are differences.
    assert again.steps.grid == s.steps.grid
    assert again.states.numpy() == pytest.approx(s.states.numpy(), rel=1e-12, abs=1e-13)
    third = adaptive(van_der_pol, Y0, times, replay=s.steps.grid)
    assert torch.equal(again.states, third.states)


def test_dense_output_is_the_interpolated_solution():
    times = np.linspace(0, 2, 41)
    s = adaptive(van_der_pol, Y0, times, dense=True)
    assert s.dense is not None
    assert s.dense(times).numpy() == pytest.approx(s.states.numpy(), rel=1e-13, abs=1e-14)


@CONVENTIONS
def test_blow_up_is_an_outcome(convention):
    start = torch.ones(1, dtype=torch.float64)
    s = adaptive(lambda t, y, p: y * y, start, [0.0, 0.5, 2.0], convention=convention)
    assert not s.ok
    assert "t = 1" in s.outcome
    assert float(s.states[1]) == pytest.approx(2.0, rel=1e-5)
    assert torch.isnan(s.states[2]).all()


@CONVENTIONS
def test_nan_and_too_many_steps_are_outcomes(convention):
    def broken(t, y, theta=None):
        return y if float(t) < 0.5 else y * math.nan

    start = torch.ones(1, dtype=torch.float64)
    assert not adaptive(broken, start, [0.0, 1.0], convention=convention).ok
    s = adaptive(van_der_pol, Y0, [0.0, 5.0], convention=convention, max_steps=3)
    assert "3 steps did not reach t = 5" in s.outcome


def test_what_makes_no_sense_is_refused():
    with pytest.raises(BadInputError, match="tolerances"):
        adaptive(van_der_pol, Y0, [0.0, 1.0], rtol=0.0, atol=0.0)
    for times in ([0.0, 0.0], [0.0, 2.0, 1.0], [0.0, math.inf], []):
        with pytest.raises(BadInputError, match="times"):
            adaptive(van_der_pol, Y0, times)


def test_norms_over_parts_and_over_everything_differ():
    parts = replace(DIFFEQ_2019, norm="largest part")

    def quiet(t, y, theta=None):
        return torch.cat([van_der_pol(t, y[:2]), 0 * y[2:]])

    start = torch.cat([Y0, torch.zeros(98, dtype=torch.float64)])
    counts = [
        len(adaptive(quiet, start, [0.0, 2.0], convention=c, parts=(2, 98)).steps.h)
        for c in (DIFFEQ_2019, parts)
    ]
    # 98 components that do nothing dilute an RMS over everything by 7: longer steps.
    assert counts[0] < counts[1]


def test_float32_states_stay_float32():
    s = adaptive(
        lambda t, y, p: -y, torch.ones(3, dtype=torch.float32), [0.0, 1.0], rtol=1e-4, atol=1e-4
    )
    assert s.states.dtype == torch.float32
    assert s.states[-1].numpy() == pytest.approx(math.exp(-1), rel=1e-4)
