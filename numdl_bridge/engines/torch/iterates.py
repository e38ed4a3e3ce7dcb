"""The weights at which the gradient test is repeated: the talk's own training path.

`python -m numdl_bridge.engines.torch.iterates` writes `training_iterates.csv`, `training_path.csv`
and `tsit5_grid.csv` in `comparisons/inputs`. They are inputs of studies, so every engine must get
the same bits; they cannot be drawn without an engine, so one run of this command is kept.

The path is that of the published run at tolerance 1e-7/1e-9: Adam(0.1) from the published weights,
driven by the gradient of the backsolve without reset and the solver's conventions of 2019. From
iterate 1 on that gradient is wrong; this is the point of repeating the test there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ... import resources
from .adjoint import Fit, continuous_gradient, solve
from .controllers import DIFFEQ_2019, ORDINARYDIFFEQ
from .neural_ode import right_hand_side, sum_of_squares

ITERATES = (1, 3)
PATH = (0, 1, 2, 3, 5, 10)


def talk_fit() -> tuple[Fit, Tensor]:
    """The talk's neural ODE with its published data, and its published initial weights."""
    table = torch.tensor(resources.published("neural_ode_data"))
    data = table[:, 1:]
    fit = Fit(right_hand_side, data[0].clone(), table[:, 0].tolist(), sum_of_squares(data))
    return fit, torch.tensor(resources.published("neural_ode_theta0"))


def training_path(n: int) -> list[Tensor]:
    """The weights after 0..n updates of Adam(0.1) by the un-reset backsolve gradient."""
    fit, theta0 = talk_fit()
    theta = theta0.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([theta], lr=0.1)
    path = [theta0]
    for _ in range(n):
        theta.grad = continuous_gradient(fit, theta.detach(), convention=DIFFEQ_2019).theta
        optimiser.step()
        path.append(theta.detach().clone())
    return path


def accepted_grid() -> list[float]:
    """Times of the accepted steps of Tsit5 with today's conventions at the initial weights."""
    fit, theta0 = talk_fit()
    return solve(fit, theta0, 1e-7, 1e-9, convention=ORDINARYDIFFEQ).steps.grid


def main() -> None:
    folder = resources.folder("inputs")
    path = training_path(max(PATH))
    columns = np.stack([path[k].numpy() for k in ITERATES], axis=1)
    text = "# weights after 1 and 3 updates of Adam(0.1), un-reset backsolve at 1e-7/1e-9, rules of"
    text += " 2019; layout as neural_ode_theta0; written by numdl_bridge.engines.torch.iterates"
    np.savetxt(folder / "training_iterates.csv", columns, "%.17g", ",", header=text, comments="")
    columns = np.stack([path[k].numpy() for k in PATH], axis=1)
    text = text.replace("after 1 and 3 updates", "after 0, 1, 2, 3, 5 and 10 updates")
    np.savetxt(folder / "training_path.csv", columns, "%.17g", ",", header=text, comments="")
    text = "# times of the accepted steps of Tsit5 (OrdinaryDiffEq 7) at 1e-7/1e-9, initial weights"
    np.savetxt(folder / "tsit5_grid.csv", accepted_grid(), "%.17g", header=text, comments="")
    print(f"wrote training_iterates.csv, training_path.csv and tsit5_grid.csv in {folder}")


if __name__ == "__main__":
    main()
