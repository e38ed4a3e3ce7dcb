"""Network architecture and optimisation, in PyTorch: whole surfaces in one batched computation."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch.autograd.functional import hessian
from torch.func import grad, jvp

from ...studies.landscape import (
    BASIN,
    OPTIMISED,
    SAMPLED,
    STABLE,
    TRUE_LAYERS,
    TRUE_THETA,
    UNSTABLE,
    LandscapeOptions,
    T,
)
from .lockstep import minimize_all
from .threads import intraop_threads

CHUNK = 50_000
"""Elements of one channel worked on at a time: few enough for the caches, and enough that threads
seldom meet at the interpreter's lock, which they hold between two operations (with 10,000, two
threads were slower than one)."""


def layer_matrix(theta: torch.Tensor) -> torch.Tensor:
    """K(theta), circulant with zero row sums: `(batch, 3, 3)` for `theta` `(2, batch)`."""
    t1, t2 = theta
    t0 = -t1 - t2
    return torch.stack([t0, t1, t2, t2, t0, t1, t1, t2, t0], -1).unflatten(-1, (3, 3))


def forward(theta: torch.Tensor, Y: torch.Tensor, n: int) -> torch.Tensor:
    """Y_N(theta) by n steps of Y + h tanh(K(theta) Y), differentiable.

    `theta` `(2,)` or `(2, batch)`; `Y` `(3, samples)`. Returns `(3, samples)` or, with a batch
    of weights, `(batch, 3, samples)`: torch's batched products want the batch first.
    """
    K, h = layer_matrix(theta), T / n
    Y = Y.expand(*K.shape[:-2], *Y.shape)
    for _ in range(n):
        Y = torch.add(Y, torch.tanh(K @ Y), alpha=h)
    return Y


def target(Y0: torch.Tensor) -> torch.Tensor:
    """C = Y_200(1, 1), for `Y0` `(3, samples)` or `(3, samples, sets)`."""
    wide = Y0.reshape(3, -1)
    return forward(Y0.new_tensor(TRUE_THETA), wide, TRUE_LAYERS).reshape(Y0.shape)


def loss(theta: torch.Tensor, Y0: torch.Tensor, C: torch.Tensor, n: int) -> torch.Tensor:
    """Phi_n(theta) = 1/2 ||Y_n(theta) - C||_F^2: `(batch,)` for `theta` `(2, batch)`."""
    return (forward(theta, Y0, n) - C).square().sum((-2, -1)) / 2


def surfaces(
    theta: torch.Tensor, Y0: torch.Tensor, C: torch.Tensor, n: int, threads: int = 0
) -> torch.Tensor:
    """Phi_n at every theta `(2, points)` for every set of data `(3, samples, sets)`.

    Returns `(points, sets)`. One batched computation over all pairs (point, set): contiguous
    `(channel, sample, pair)` arrays, operations in place, in chunks that fit into the cache.
    Chunks are shared between `threads` threads, `torch.get_num_threads()` unless given; the values
    do not depend on how many.

    tanh(z) = 2 (sigmoid(2 z) - 1/2) is used because torch's float64 sigmoid is several times
    faster than its tanh. Its absolute error of one unit roundoff, times h, is no more than what
    rounding Y + h tanh(z) costs anyway.
    """
    points, sets = theta.shape[1], Y0.shape[2]
    samples, h = Y0.shape[1], T / n
    out = Y0.new_empty(points * sets)

    def work(first: int, last: int) -> None:
        pair = torch.arange(first, last, device=Y0.device)
        point, which = pair % points, pair // points
        t1, t2 = 2 * theta[0, point], 2 * theta[1, point]
        Y = Y0[:, :, which].contiguous()
        Z = torch.empty_like(Y)
        # Rows y1 - y3, y2 - y1, y3 - y2, y1 - y3: differences to the next row from row 1 on, and
        # to the previous one, with the other sign, from row 0 on, without moving any data.
        D = Y.new_empty(4, samples, last - first)
        for _ in range(n):
            torch.sub(Y[1:], Y[:-1], out=D[1:3])
            torch.sub(Y[0], Y[2], out=D[3])
            D[0].copy_(D[3])
            torch.mul(D[1:], t1, out=Z).addcmul_(D[:3], t2, value=-1)
            Y.add_(Z.sigmoid_().sub_(0.5), alpha=2 * h)
        out[first:last] = Y.sub_(C[:, :, which]).square_().sum((0, 1)) / 2

    total, step = points * sets, max(1, CHUNK // samples)
    if Y0.device.type != "cpu":
        step *= 1000  # an accelerator wants long operations; its memory holds them
    workers = threads or torch.get_num_threads()
    # One torch thread in each: chunks are shared out, operations are not split again.
    with torch.no_grad(), intraop_threads(1), ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda a: work(a, min(a + step, total)), range(0, total, step)))
    return out.reshape(sets, points).T


def grid(axis: torch.Tensor) -> torch.Tensor:
    """The points `(2, m * m)` of the grid, theta_2 running fastest."""
    return torch.cartesian_prod(axis, axis).T.contiguous()


def count_minima(surface: torch.Tensor) -> torch.Tensor:
    """Strict local minima of `(m, m, ...)` grids: below all of up to eight neighbours."""
    m = surface.shape[0]
    padded = surface.new_full((m + 2, m + 2, *surface.shape[2:]), torch.inf)
    padded[1:-1, 1:-1] = surface
    lowest = torch.ones_like(surface, dtype=torch.bool)
    for i in (0, 1, 2):
        for j in (0, 1, 2):
            if (i, j) != (1, 1):
                lowest &= surface < padded[i : i + m, j : j + m]
    return lowest.sum((0, 1))


def optimise(Y0: torch.Tensor, C: torch.Tensor, starts: torch.Tensor, n: int) -> torch.Tensor:
    """Where SciPy's L-BFGS ends from each start `(2, starts)`, all starts in one batch.

    The objective is Phi divided by its value at the start: Phi_100 is of size 1e-5, below the
    absolute tolerances that the library stops at.
    """
    eps = torch.finfo(Y0.dtype).eps
    unit = loss(starts, Y0, C, n).clamp_min(torch.finfo(Y0.dtype).tiny)

    def value_and_gradient(x: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta = torch.from_numpy(x).to(Y0).requires_grad_()
        value = loss(theta, Y0, C, n) / unit[torch.from_numpy(who)]
        (gradient,) = torch.autograd.grad(value.sum(), theta)
        return value.detach().double().cpu().numpy(), gradient.double().cpu().numpy()

    found = minimize_all(
        value_and_gradient,
        starts.double().cpu().numpy(),
        method="L-BFGS-B",
        options={"gtol": eps**0.5, "ftol": 4 * eps, "maxiter": 200},
    )
    return torch.from_numpy(np.stack([r.x for r in found], -1)).to(Y0)


def _gradient(theta: torch.Tensor, Y0: torch.Tensor, C: torch.Tensor, n: int) -> torch.Tensor:
    return grad(lambda t: loss(t, Y0, C, n).sum())(theta)


def _forward_gradient(
    theta: torch.Tensor, Y0: torch.Tensor, C: torch.Tensor, n: int
) -> torch.Tensor:
    """Both columns of dPhi/dtheta by forward mode, for all points at once."""
    unit = torch.eye(2, dtype=theta.dtype, device=theta.device)
    rows = [
        jvp(lambda t: loss(t, Y0, C, n), (theta,), (e[:, None].expand_as(theta),))[1] for e in unit
    ]
    return torch.stack(rows)


def answer(inputs: dict[str, torch.Tensor], options: LandscapeOptions) -> dict[str, torch.Tensor]:
    Y0, Y0_test, theta = inputs["Y0"], inputs["Y0_test"], inputs["theta"]
    first, axis = Y0[:, :, 0], inputs["axis"]
    data = torch.cat([Y0, Y0_test], -1)
    C = target(data)
    C1, m, seeds = C[:, :, 0], len(axis), Y0.shape[2]
    truth = Y0.new_tensor(TRUE_THETA)
    values = {
        "target": C1,
        "hessian": hessian(lambda t: loss(t, first, C1, TRUE_LAYERS), truth),
    }
    for n in SAMPLED:
        values[f"loss/N={n}"] = loss(theta, first, C1, n)
        values[f"gradient/N={n}"] = _gradient(theta, first, C1, n)
        values[f"gradient/N={n}/forward"] = _forward_gradient(theta, first, C1, n)
    points = grid(axis)
    # Only the values are wanted here, and they do not depend on threads; `tasks` are timed on as
    # many as were asked for.
    threads = max(torch.get_num_threads(), min(2, os.cpu_count() or 1))
    for n in (UNSTABLE, STABLE):
        Phi = surfaces(points, data, C, n, threads)
        train, test = Phi[:, :seeds], Phi[:, seeds:]
        surface = train.reshape(m, m, seeds)
        values[f"surface/N={n}"] = surface[:, :, 0]
        values[f"truth/N={n}"] = surfaces(truth[:, None], Y0, C[:, :, :seeds], n)[0]
        values[f"minima/N={n}"] = count_minima(surface)
        values[f"argmin/N={n}"] = points[:, train.argmin(0)]
        values[f"difference/N={n}/absolute"] = (train - test).abs().amax(0)
        values[f"difference/N={n}/relative"] = (train - test).norm(dim=0) / train.norm(dim=0)
    for n in OPTIMISED:
        end = optimise(first, C1, inputs["starts"], n)
        values[f"optimum/N={n}"] = end
        values[f"success/N={n}"] = ((end - truth[:, None]).norm(dim=0) < BASIN).sum()
    return values


def tasks(
    inputs: dict[str, torch.Tensor], options: LandscapeOptions
) -> dict[str, Callable[[], object]]:
    """One seed's surface, and the gradients at the sample points."""
    Y0 = inputs["Y0"][:, :, :1].contiguous()
    C, points, theta = target(Y0), grid(inputs["axis"]), inputs["theta"]
    named: dict[str, Callable[[], object]] = {
        f"landscape/N={n}": partial(surfaces, points, Y0, C, n) for n in (UNSTABLE, STABLE)
    }
    named[f"gradient/N={STABLE}"] = lambda: _gradient(theta, Y0[:, :, 0], C[:, :, 0], STABLE)
    return named
