"""Case 1 in PyTorch: round trips of all seeds, amplitudes and horizons in one batched computation.

The networks stand in `_reversible_nets`, what needs no network in `_reversibility_side`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint

from ...studies._reversibility_quantities import PRECISIONS, RK4_STEPS, adaptive_tolerance
from ._reversibility_side import linear, structure
from ._reversible_nets import (
    at_node,
    layer,
    logistic_loss,
    nodes_first,
    recomputed_rk4,
    recomputed_verlet,
    rk4_backward,
    rk4_forward,
    verlet_backward,
    verlet_forward,
)

TRAINED_HORIZON = 4.0


def answer(inputs: dict[str, Tensor], options: Any) -> dict[str, Any]:
    out = {**reference(inputs, options), **round_trips(inputs, options)}
    out |= {**linear(inputs, options.sample), **structure(inputs)}
    return out | (trained(inputs) if options.trained else {})


def padded(Y0: Tensor) -> Tensor:
    """The data in rows 1-2, zeros in rows 3-4."""
    return torch.cat([Y0, torch.zeros_like(Y0)])


# --- the reference case: one network of each kind, a few points ----------------------------------


class Reference:
    """First seed, one amplitude and horizon: weights as leaves, in the layout of the inputs."""

    def __init__(self, inputs: dict[str, Tensor], options: Any, points: int) -> None:
        a, T = options.reference_amplitude, options.reference_horizon
        self.weights = {
            net: (a * inputs[f"K_{net}"][..., 0], a * inputs[f"b_{net}"][..., 0])
            for net in ("rk4", "verlet")
        }
        self.directions = {n: (inputs[f"dK_{n}"], inputs[f"db_{n}"]) for n in ("rk4", "verlet")}
        self.heads = {net: (inputs[f"W_{net}"], inputs["mu"]) for net in ("rk4", "verlet")}
        self.Y0, self.C = inputs["Y0"][:, :points], inputs["C"][:points]
        self.T = T
        self.steps = inputs["K_rk4"].shape[2] - 1
        self.tau = T / self.steps
        self.h = T / inputs["K_verlet"].shape[2]

    def forward(self, net: str, K: Tensor, b: Tensor) -> Tensor:
        """Y (4 x n), or Y over Z (2 x n)."""
        K, b = nodes_first(K, b)
        if net == "rk4":
            return rk4_forward(K, b, padded(self.Y0), self.tau, self.steps)
        return torch.cat(verlet_forward(K, b, self.h, self.Y0[:1], self.Y0[1:]))

    def backward(self, net: str, Y: Tensor) -> Tensor:
        K, b = nodes_first(*self.weights[net])
        if net == "rk4":
            return rk4_backward(K, b, Y, self.tau, self.steps)
        return torch.cat(verlet_backward(K, b, self.h, Y[:1], Y[1:]))

    def loss_of(self, net: str, Y: Tensor) -> Tensor:
        return logistic_loss(*self.heads[net], Y, self.C)

    def loss(self, net: str, K: Tensor, b: Tensor) -> Tensor:
        return self.loss_of(net, self.forward(net, K, b))

    def gradient(self, net: str) -> tuple[Tensor, Tensor, Tensor]:
        """The loss and its derivatives by K and b: reverse mode, states stored."""
        leaves = [w.clone().requires_grad_(True) for w in self.weights[net]]
        value = self.loss(net, *leaves)
        by_K, by_b = torch.autograd.grad(value, leaves)
        return value.detach(), by_K, by_b

    def recomputed(self, net: str, Y: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives by K and b from the output alone, states recovered backward."""
        K, b = nodes_first(*self.weights[net])
        seed = torch.func.grad(partial(self.loss_of, net))(Y)
        if net == "rk4":
            by_K, by_b = recomputed_rk4(K, b, self.tau, Y, seed)
        else:
            pair, seeds = (Y[:1], Y[1:]), (seed[:1], seed[1:])
            by_K, by_b = recomputed_verlet(K, b, self.h, pair, seeds)
        return by_K.movedim((-2, -1), (0, 1)), by_b.movedim(-1, 0)


def reference(inputs: dict[str, Tensor], options: Any) -> dict[str, Tensor]:
    case = Reference(inputs, options, options.sample)
    out: dict[str, Tensor] = {}
    for net in ("rk4", "verlet"):
        Y = case.forward(net, *case.weights[net])
        out[f"solution/{net}"] = Y
        out[f"inverse/{net}"] = case.backward(net, Y)
        loss, by_K, by_b = case.gradient(net)
        out[f"loss/{net}"] = loss
        out[f"gradient/{net}/K"], out[f"gradient/{net}/b"] = by_K, by_b
        along = torch.func.jvp(partial(case.loss, net), case.weights[net], case.directions[net])
        out[f"gradient/{net}/directional"] = along[1]
        out[f"gradient/{net}/K/recomputed"], by_b = case.recomputed(net, Y)
        if net == "verlet":
            out["gradient/verlet/b/recomputed"] = by_b
    return out | _torchdiffeq(case, options)


def _torchdiffeq(case: Reference, options: Any) -> dict[str, Tensor]:
    """The same ODE there and back by torchdiffeq: its `rk4`, and its adaptive solver."""
    K, b = nodes_first(*case.weights["rk4"])

    def f(t: Tensor, Y: Tensor) -> Tensor:
        s = float(t) / case.tau
        return layer(at_node(K, s), at_node(b, s), Y)

    X = padded(case.Y0)
    grid = torch.arange(case.steps + 1, dtype=torch.float64, device=X.device) * case.tau
    ends = grid[[0, -1]]

    def there_and_back(**how: Any) -> Tensor:
        return odeint(f, odeint(f, X, ends, **how)[-1], ends.flip(0), **how)[-1]

    tolerance = adaptive_tolerance(options)
    return {
        "inverse/rk4/torchdiffeq": there_and_back(method="rk4", options={"step_size": case.tau}),
        "inverse/dopri5": there_and_back(method="dopri5", rtol=tolerance, atol=tolerance),
    }


# --- all seeds, amplitudes and horizons ----------------------------------------------------------


def relative_error(found: Tensor, X: Tensor) -> Tensor:
    """||found - X||_F/||X||_F over the last two axes, in double precision."""
    off = (found.double() - X.double()).square().sum((-1, -2)).sqrt()
    return off / X.double().square().sum().sqrt()


def median(errors: Tensor) -> Tensor:
    """Over the last axis, the seeds; the mean of the middle two where their number is even."""
    ordered = errors.sort(-1).values
    n = errors.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2


def scaled(
    inputs: dict[str, Tensor], net: str, amplitudes: tuple[float, ...], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Weights with axes (nodes, amplitudes, 1 for the horizons, seeds, ...)."""
    K, b = nodes_first(inputs[f"K_{net}"].to(dtype), inputs[f"b_{net}"].to(dtype))
    a = torch.tensor(amplitudes, dtype=dtype, device=K.device).reshape(-1, 1, 1, 1, 1)
    return a * K[:, None, None], a[..., 0] * b[:, None, None]


def over_horizons(horizons: tuple[float, ...], layers: int, like: Tensor) -> Tensor:
    """T/layers with axes (horizons, 1 for the seeds, 1, 1)."""
    T = torch.tensor(horizons, dtype=like.dtype, device=like.device)
    return (T / layers).reshape(-1, 1, 1, 1)


@torch.no_grad()
def rk4_round_trip(
    inputs: dict[str, Tensor],
    amplitudes: tuple[float, ...],
    horizons: tuple[float, ...],
    steps: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Errors of the recovered input, and norms of its padding, `(amplitudes, horizons, seeds)`."""
    K, b = scaled(inputs, "rk4", amplitudes, dtype)
    tau = over_horizons(horizons, len(K) - 1, K)
    X = padded(inputs["Y0"].to(dtype))
    found = rk4_backward(K, b, rk4_forward(K, b, X, tau, steps), tau, steps)
    padding = found[..., 2:, :].double().square().sum((-1, -2)).sqrt()
    return relative_error(found, X), padding / X.double().square().sum().sqrt()


@torch.no_grad()
def verlet_round_trip(inputs: dict[str, Tensor], options: Any, dtype: torch.dtype) -> Tensor:
    """Errors of the recovered input, `(amplitudes, horizons, seeds)`."""
    K, b = scaled(inputs, "verlet", options.amplitudes, dtype)
    h = over_horizons(options.horizons, len(K), K)
    X = inputs["Y0"].to(dtype)
    Y, Z = X[:1], X[1:]
    found = verlet_backward(K, b, h, *verlet_forward(K, b, h, Y, Z))
    return relative_error(torch.cat(found, dim=-2), X)


def round_trips(inputs: dict[str, Tensor], options: Any) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for steps in RK4_STEPS:
        horizons = options.horizons if steps == RK4_STEPS[0] else options.refined
        found = rk4_round_trip(inputs, options.amplitudes, horizons, steps, torch.float64)
        out[f"roundtrip/rk4/{steps}/float64"] = median(found[0])
        if steps == RK4_STEPS[0]:
            out["padding/rk4"] = median(found[1])
    single = rk4_round_trip(
        inputs, options.amplitudes, options.horizons, RK4_STEPS[0], torch.float32
    )
    out[f"roundtrip/rk4/{RK4_STEPS[0]}/float32"] = median(single[0])
    for precision in PRECISIONS:
        errors = verlet_round_trip(inputs, options, getattr(torch, precision))
        out[f"roundtrip/verlet/{precision}"] = median(errors)
        out[f"roundtrip/verlet/{precision}/max"] = errors.amax(-1)
    return out


# --- trained networks ----------------------------------------------------------------------------


@torch.no_grad()
def trained(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    C, data = inputs["trained/C"], inputs["trained/Y0"]
    for net in ("rk4", "verlet"):
        W, mu = inputs[f"trained/W_{net}"].movedim(-1, 0), inputs[f"trained/mu_{net}"]
        drawn = inputs[f"trained/K_{net}"], inputs[f"trained/b_{net}"]
        for precision in (*list(PRECISIONS)[:2], None):
            dtype = getattr(torch, precision) if precision else data.dtype
            K, b = nodes_first(*(w.to(dtype) for w in drawn))
            Y, X = _there_and_back(net, K, b, data.to(dtype))
            if precision:
                start = padded(data.to(dtype)) if net == "rk4" else data.to(dtype)
                out[f"trained/roundtrip/{net}/{precision}"] = relative_error(X, start)
            else:
                out[f"trained/loss/{net}"] = logistic_loss(W, mu, Y, C)
                right = ((W @ Y)[:, 0] + mu[:, None] > 0) == (C > 0.5)
                out[f"trained/accuracy/{net}"] = right.double().mean(-1)
    return out


def _there_and_back(net: str, K: Tensor, b: Tensor, Y0: Tensor) -> tuple[Tensor, Tensor]:
    """Output and recovered input of every trained network, `(networks, d, n)`."""
    if net == "rk4":
        steps = len(K) - 1
        tau = TRAINED_HORIZON / steps
        Y = rk4_forward(K, b, padded(Y0), tau, steps)
        return Y, rk4_backward(K, b, Y, tau, steps)
    h = TRAINED_HORIZON / len(K)
    pair = verlet_forward(K, b, h, Y0[:1], Y0[1:])
    return torch.cat(pair, dim=-2), torch.cat(verlet_backward(K, b, h, *pair), dim=-2)


# --- timings -------------------------------------------------------------------------------------


def tasks(inputs: dict[str, Tensor], options: Any) -> dict[str, Callable[[], object]]:
    """The reference networks on all points."""
    case = Reference(inputs, options, options.points)
    found: dict[str, Callable[[], object]] = {}
    for net in ("rk4", "verlet"):
        Y = case.forward(net, *case.weights[net])
        found[f"forward/{net}"] = partial(case.forward, net, *case.weights[net])
        found[f"inverse/{net}"] = partial(case.backward, net, Y)
        found[f"gradient/{net}"] = partial(case.gradient, net)
    Y = case.forward("verlet", *case.weights["verlet"])
    found["gradient/verlet/recomputed"] = partial(case.recomputed, "verlet", Y)
    return found
