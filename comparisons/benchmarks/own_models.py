"""What comparing a user's own model costs beside the two computations: needs a ready Julia.

    python comparisons/benchmarks/own_models.py

One dense network, compared repeatedly with Julia warm; the first comparison compiles and is left
out. Agreement is checked before any time is printed.
"""

from __future__ import annotations

import argparse
import time

import torch

import numdl_bridge as nb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--batch", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n = options.width
    layers = [layer for _ in range(3) for layer in (torch.nn.Linear(n, n), torch.nn.Tanh())]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(n, 10)).double()
    x = torch.randn(options.batch, n, dtype=torch.float64)
    ratios = []
    for k in range(options.rounds + 1):
        start = time.perf_counter()
        result = nb.compare_module(module, x, julia_mode="live")
        total = time.perf_counter() - start
        result.assert_agree()
        if k == 0:
            continue
        call = result.seconds["torch"] + result.seconds["julia"]
        ratios.append(total / call)
        print(
            f"torch {result.seconds['torch']:.2f} s, julia with the bridge's call "
            f"{result.seconds['julia']:.2f} s, everything {total:.2f} s"
        )
    ratios.sort()
    print(f"everything / (torch + julia): {ratios[len(ratios) // 2]:.2f} (median)")


if __name__ == "__main__":
    main()
