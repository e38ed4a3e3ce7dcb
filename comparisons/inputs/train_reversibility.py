"""Train the networks of `reversibility`'s second case and write their weights.

    python comparisons/inputs/train_reversibility.py > comparisons/inputs/reversibility_trained.csv

Four of each kind, from N(0, 1)/2 weights (seeds 0 to 3), by 200 iterations of L-BFGS in PyTorch on
the logistic loss of 500 points of the two ellipses plus 1e-4 times the mean square of K and b.
Nothing of it has to be repeatable to the last bit: the file, with six decimals, is the input.
"""

import numpy as np
import torch

from numdl_bridge.engines.torch import _reversible_nets as nets
from numdl_bridge.studies.reversibility import LAYERS, NODES, TRAINED, ellipses

T = 4.0


def main() -> None:
    Y0, C = (torch.tensor(a) for a in ellipses(np.random.default_rng(2019), 500))
    padded = torch.cat([Y0, torch.zeros_like(Y0)])

    def rk4(K, b):
        return nets.rk4_forward(*nets.nodes_first(K, b), padded, T / (NODES - 1), NODES - 1)

    def verlet(K, b):
        Y, Z = nets.verlet_forward(*nets.nodes_first(K, b), T / LAYERS, Y0[:1], Y0[1:])
        return torch.cat([Y, Z])

    columns = []
    for seed in range(TRAINED):
        found = []
        for forward, d, nodes in ((rk4, 4, NODES), (verlet, 1, LAYERS)):
            rng = np.random.default_rng(seed)
            features = 4 if forward is rk4 else 2
            shapes = [(d, d, nodes), (d, nodes), (1, features), ()]
            weights = [torch.tensor(rng.standard_normal(s) / 2).requires_grad_() for s in shapes]
            optimiser = torch.optim.LBFGS(weights, max_iter=200, line_search_fn="strong_wolfe")

            def closure(weights=weights, forward=forward, optimiser=optimiser):
                optimiser.zero_grad()
                K, b, W, mu = weights
                size = (K.square().mean() + b.square().mean()) * 1e-4
                loss = nets.logistic_loss(W, mu, forward(K, b), C) + size
                loss.backward()
                return loss

            optimiser.step(closure)
            found += [w.detach().numpy().ravel() for w in weights]
        columns.append(np.concatenate(found))
    print("# Weights of trained networks, one column a network, made by train_reversibility.py.")
    print("# Rows, each array in C order: RK4's K (4 x 4 x 17 nodes), b (4 x 17), W (1 x 4), mu;")
    print("# Verlet's K (1 x 1 x 32 layers), b (1 x 32), W (1 x 2), mu. T = 4.")
    for row in np.stack(columns, axis=-1):
        print(",".join(f"{value:.6f}" for value in row))


if __name__ == "__main__":
    main()
