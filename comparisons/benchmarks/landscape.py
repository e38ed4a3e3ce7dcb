"""A 101 x 101 loss surface as one batched computation against a loop over theta.

    python comparisons/benchmarks/landscape.py [--layers 100] [--grid 101] [--rounds 3]

Agreement is checked before any time is printed. Rounds of the three are interleaved; the ratios are
of medians, with the range over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from numdl_bridge.engines.torch.landscape import grid, loss, surfaces, target
from numdl_bridge.engines.torch.threads import intraop_threads
from numdl_bridge.studies.landscape import STUDY


def loop(theta: torch.Tensor, Y0: torch.Tensor, C: torch.Tensor, n: int) -> torch.Tensor:
    """The surface point by point, as a user would write it."""
    with torch.no_grad():
        return torch.stack([loss(t, Y0, C, n) for t in theta.T])


def with_threads(number: int, call: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Seconds and result with so many threads."""
    with intraop_threads(number):
        start = time.perf_counter()
        result = call()
        return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--grid", type=int, default=101)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    n = arguments.layers

    options = STUDY.configure("quick", seeds=1, grid=arguments.grid)
    inputs = {k: torch.from_numpy(v) for k, v in STUDY.inputs(options).items()}
    Y0, theta = inputs["Y0"], grid(inputs["axis"])
    C = target(Y0)
    variants = {
        "loop over theta, 1 thread": (1, lambda: loop(theta, Y0[..., 0], C[..., 0], n)),
        "batched, 1 thread": (1, lambda: surfaces(theta, Y0, C, n)[:, 0]),
        "batched, 2 threads": (2, lambda: surfaces(theta, Y0, C, n)[:, 0]),
    }
    reference, *others = (with_threads(*v)[1] for v in variants.values())
    for name, other in zip(list(variants)[1:], others, strict=True):
        difference = float((other - reference).norm() / reference.norm())
        if not difference < 1e-12:
            raise SystemExit(f"{name} disagrees with the loop: {difference:.1e}, no times printed")
        print(f"{name}: agrees with the loop to {difference:.1e}")

    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.rounds):
        for name, variant in variants.items():
            seconds[name].append(with_threads(*variant)[0])
    for name, samples in seconds.items():
        print(f"{name}: median {statistics.median(samples):.3f} s, least {min(samples):.3f} s")
    slow, one, two = seconds.values()
    for name, above, below in (("loop / batched", slow, one), ("1 / 2 threads", one, two)):
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        middle = statistics.median(above) / statistics.median(below)
        print(f"{name}: {middle:.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
