"""Seconds for a gradient of the talk's neural ODE: ours against torchdiffeq, one thread.

    python comparisons/benchmarks/gradients.py [--rounds 15]

Agreement is checked before any time is printed; the rounds of all entries are interleaved, so that
a drift of the machine's speed hits all alike. torchode and diffrax take part where they are
installed. The first call, compilation included, is a row of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from numdl_bridge.engines.torch.adjoint import Fit, continuous_gradient, discrete_gradient
from numdl_bridge.engines.torch.controllers import DIFFEQ_2019
from numdl_bridge.engines.torch.gradient_test import native_gradient
from numdl_bridge.engines.torch.iterates import talk_fit

RTOL, ATOL = 1e-7, 1e-9
Call = Callable[[], Tensor]


def entries(fit: Fit, theta: Tensor) -> dict[str, tuple[dict[str, Call], float]]:
    """By group: the entries, the first of them the one to beat, and how far they may differ."""
    eager = Fit(fit.f, fit.y0, fit.times, fit.loss, "eager")
    discrete: dict[str, Call] = {
        "torchdiffeq rk4 + backward": lambda: native_gradient(
            fit, theta, RTOL, ATOL, "rk4", adjoint=False
        )[1],
        "numdl rk4, compiled": lambda: discrete_gradient(fit, theta).theta,
        "numdl rk4, eager": lambda: discrete_gradient(eager, theta).theta,
    }
    adaptive: dict[str, Call] = {
        "torchdiffeq odeint_adjoint, dopri5": lambda: native_gradient(fit, theta, RTOL, ATOL)[1],
    }
    for method in ("backsolve", "reset", "interpolation", "checkpoints"):
        adaptive[f"numdl {method}, Tsit5"] = lambda m=method: (
            continuous_gradient(fit, theta, m, RTOL, ATOL, convention=DIFFEQ_2019).theta
        )
    if find_spec("torchode"):
        adaptive["torchode dopri5 + backward"] = lambda: by_torchode(fit, theta)
    if find_spec("diffrax"):
        adaptive["diffrax Tsit5, backsolve"] = by_diffrax(fit, theta)
    # torchdiffeq's "rk4" is the 3/8 rule, of the same order and step: its gradient differs by the
    # discretisation, 1e-3 here.
    return {"discrete": (discrete, 1e-2), "adaptive": (adaptive, 1e-5)}


def by_torchode(fit: Fit, theta: Tensor) -> Tensor:
    import torchode

    p = theta.clone().requires_grad_(True)

    def f(t: Tensor, y: Tensor) -> Tensor:
        return fit.f(0.0, y[0], p)[None]

    term = torchode.ODETerm(f)
    control = torchode.IntegralController(atol=ATOL, rtol=RTOL, term=term)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), control)
    times = torch.tensor(fit.times, dtype=theta.dtype)[None]
    found = solver.solve(torchode.InitialValueProblem(y0=fit.y0[None], t_eval=times))
    return torch.autograd.grad(fit.loss(found.ys[0]), p)[0]


def by_diffrax(fit: Fit, theta: Tensor) -> Call:
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    times, y0, p0 = (jnp.asarray(np.asarray(x)) for x in (fit.times, fit.y0, theta))
    data = jnp.asarray(np.asarray(talk_data()))

    def f(t, u, p):
        w1, b1, w2, b2 = p[:100].reshape(2, 50).T, p[100:150], p[150:250].reshape(50, 2).T, p[250:]
        return w2 @ jnp.tanh(w1 @ u**3 + b1) + b2

    def loss(p):
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(f), diffrax.Tsit5(), times[0], times[-1], None, y0, p,
            saveat=diffrax.SaveAt(ts=times), adjoint=diffrax.BacksolveAdjoint(),
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        )  # fmt: skip
        return ((found.ys - data) ** 2).sum()

    gradient = jax.jit(jax.grad(loss))
    return lambda: torch.tensor(np.asarray(gradient(p0).block_until_ready()))


def talk_data() -> np.ndarray:
    from numdl_bridge import resources

    return resources.published("neural_ode_data")[:, 1:]


def measure(group: dict[str, Call], bound: float, rounds: int) -> bool:
    """Print one group; False where its entries do not agree (and then no time is printed)."""
    results, first = {}, {}
    for name, call in group.items():
        start = time.perf_counter()
        results[name] = call()
        first[name] = time.perf_counter() - start
    (base, reference), *others = results.items()
    for name, g in others:
        off = float((g - reference).norm() / reference.norm())
        print(f"  {name}: differs from {base} by {off:.1e}")
        if not off <= bound:
            print(f"  more than {bound:g}: no times are printed")
            return False
    seconds: dict[str, list[float]] = {name: [] for name in group}
    for _ in range(rounds):
        for name, call in group.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    least = min(seconds[base])
    print(f"  {'':36} {'first s':>8} {'min ms':>9} {'median ms':>10} {'speed':>7}")
    for name, took in seconds.items():
        print(
            f"  {name:36} {first[name]:8.2f} {1e3 * min(took):9.2f} "
            f"{1e3 * statistics.median(took):10.2f} {least / min(took):6.1f}x"
        )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    fit, theta = talk_fit()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread, {rounds} rounds")
    fine = True
    for name, (group, bound) in entries(fit, theta).items():
        print(f"\n{name}: 30 output times, 2-50-2 network, 252 parameters")
        fine &= measure(group, bound, rounds)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
