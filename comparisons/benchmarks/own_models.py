"""What comparing a user's own model costs beside the two computations: needs a ready Julia.

    python comparisons/benchmarks/own_models.py [--rounds 5]

A function, an ODE and a module, each compared repeatedly with Julia warm; the first comparison, in
which both sides compile, is shown apart. Agreement is checked before any time is printed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch

import numdl_bridge as nb
from numdl_bridge.models.result import ModelResult


def function(width: int) -> Callable[[], ModelResult]:
    """Two dense layers' worth of matrix products, differentiated by both factors."""
    rng = np.random.default_rng(0)
    at = {"A": rng.standard_normal((width, width)) / width, "B": rng.standard_normal((width, 100))}
    return lambda: nb.compare_gradients(
        torch=lambda A, B: (A @ (A @ B).tanh()).square().sum(),
        julia="(; A, B) -> sum(abs2, A * tanh.(A * B))",
        at=at,
        julia_mode="live",
    )


def ode(width: int) -> Callable[[], ModelResult]:
    """A dense nonlinear system, integrated and differentiated at the same steps."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((width, width)) / width**0.5
    return lambda: nb.compare_ode(
        torch=lambda t, u, theta: (theta @ u).tanh(),
        julia="(u, p, t) -> tanh.(p * u)",
        u0=rng.standard_normal(width),
        tspan=(0.0, 1.0),
        theta=theta,
        julia_mode="live",
    )


def module(width: int, batch: int = 1500) -> Callable[[], ModelResult]:
    """A dense network with three hidden layers."""
    torch.manual_seed(0)
    layers = [part for _ in range(3) for part in (torch.nn.Linear(width, width), torch.nn.Tanh())]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10)).double()
    x = torch.randn(batch, width, dtype=torch.float64)
    return lambda: nb.compare_module(network, x, julia_mode="live")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = {
        "compare_gradients": function(options.width),
        "compare_ode": ode(options.width // 10),
        "compare_module": module(options.width),
    }
    head = ("first s", "torch s", "julia s", "total s")
    print(" " * 20 + "".join(f"{h:>9}" for h in head) + "  total / (torch + julia)")
    for name, compare in made.items():
        first = compare()
        first.assert_agree()
        rounds = [compare().seconds for _ in range(options.rounds)]
        torch_s, julia_s, total = (
            statistics.median(r[part] for r in rounds) for part in ("torch", "julia", "total")
        )
        ratios = [r["total"] / (r["torch"] + r["julia"]) for r in rounds]
        print(
            f"{name:20}{first.seconds['total']:9.2f}{torch_s:9.3f}{julia_s:9.3f}{total:9.3f}"
            f"{statistics.median(ratios):10.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
