"""The study `training` in PyTorch: ADAM from one start with six gradients, and these compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from ...studies._training_quantities import (
    ADAM,
    PARTED,
    REFERENCE_SUBSTEPS,
    THRESHOLDS,
    TOLERANCES,
    VARIANTS,
    WAYS,
    agreed,
    trained,
)
from ...studies.training import TrainingOptions
from ..base import Unavailable
from .adjoint import Fit, Gradient, Method, continuous_gradient, discrete_gradient
from .compiled import Backend
from .controllers import DIFFEQ_2019
from .integrators import integrate, rk4
from .neural_ode import right_hand_side, sum_of_squares

Inputs = dict[str, Tensor]
GradientOf = Callable[[Tensor], Gradient]

METHODS: dict[str, Method] = {
    "backsolve": "backsolve",
    "reset": "reset",
    "interpolating": "interpolation",
}


class Adam:
    """Flux's ADAM, written out: theta - eta mhat / (sqrt(vhat) + epsilon).

    m and v are the running means of g and g^2, mhat and vhat their bias-corrected values; epsilon
    stands outside the root. `torch.optim.Adam(lr=eta)` does the same in another order.
    """

    def __init__(self, theta: Tensor) -> None:
        self.m, self.v = torch.zeros_like(theta), torch.zeros_like(theta)
        self.power1, self.power2 = ADAM["beta1"], ADAM["beta2"]

    def update(self, theta: Tensor, g: Tensor) -> Tensor:
        """The next weights."""
        beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * (g * g)
        mhat, vhat = self.m / (1 - self.power1), self.v / (1 - self.power2)
        self.power1, self.power2 = self.power1 * beta1, self.power2 * beta2
        return theta - ADAM["eta"] * mhat / (vhat.sqrt() + ADAM["epsilon"])


@dataclass
class History:
    """One training run: `losses` has an entry for each update that was made, and the first."""

    theta: Tensor
    losses: list[Tensor] = field(default_factory=list)
    back: list[Tensor] = field(default_factory=list)
    completed: int = 0


def train(gradient: GradientOf, theta: Tensor, iterations: int) -> History:
    """`iterations` ADAM updates; a solve that breaks down ends the run and is an outcome."""
    run, adam = History(theta), Adam(theta)
    for k in range(iterations + 1):
        found = gradient(theta)
        if not torch.isfinite(found.loss):
            break
        run.losses.append(found.loss.detach())
        if not torch.isfinite(found.theta).all():
            break
        if found.back is not None:
            run.back.append(found.back.detach())
        if k < iterations:
            theta = adam.update(theta, found.theta.detach())
            run.theta = theta
            run.completed += 1
    return run


def fit(inputs: Inputs, grid: str = "data", backend: Backend = "auto") -> Fit:
    """Sum of squares against the 30 data, observed at the `"data"` times or on the `"rk4"` grid."""
    data = inputs["data"].T
    if grid == "data":
        times = inputs["times"].tolist()
    else:
        times = [j * float(inputs["h"][0]) for j in range(data.shape[0])]
    return Fit(right_hand_side, inputs["u0"], times, sum_of_squares(data), backend)


def gradient_of(variant: str, inputs: Inputs, backend: Backend = "auto") -> GradientOf:
    """theta -> loss and gradient of one of the study's variants."""
    if variant == "rk4":
        published = fit(inputs, "rk4", backend)
        return lambda theta: discrete_gradient(published, theta)
    problem = fit(inputs)
    if variant == "rk4_aligned":
        return lambda theta: discrete_gradient(problem, theta)
    if variant == "reference":
        return lambda theta: discrete_gradient(problem, theta, substeps=REFERENCE_SUBSTEPS)
    rtol, atol = TOLERANCES[variant]
    method = METHODS[variant.split("/")[0]]
    return lambda theta: continuous_gradient(
        problem, theta, method, rtol, atol, convention=DIFFEQ_2019
    )


def first_below(losses: Tensor, thresholds: tuple[float, ...] = THRESHOLDS) -> Tensor:
    """First index with a loss below each threshold, -1 for never."""
    below = losses[:, None] < torch.tensor(thresholds, dtype=losses.dtype, device=losses.device)
    return torch.where(below.any(0), below.int().argmax(0), -1)


def ensemble_losses(inputs: Inputs, iterations: int) -> Tensor:
    """RK4 losses of every perturbed start, shape (starts, iterations + 1), in one batch.

    A single start needs none and takes the compiled steps.
    """
    if len(inputs["perturbed"]) == 1:
        gradient = gradient_of("rk4", inputs, "script")
        return torch.stack(train(gradient, inputs["perturbed"][0], iterations).losses)[None]
    h, data = float(inputs["h"][0]), inputs["data"].T
    times = [j * h for j in range(data.shape[0])]

    def loss(theta: Tensor) -> Tensor:
        states = integrate(rk4, lambda t, u: right_hand_side(t, u, theta), inputs["u0"], times)
        return sum_of_squares(data)(states)

    both = vmap(grad_and_value(loss))
    theta = inputs["perturbed"]
    adam, losses = Adam(theta), []
    for k in range(iterations + 1):
        g, value = both(theta)
        losses.append(value)
        if k < iterations:
            theta = adam.update(theta, g)
    return torch.stack(losses, dim=1)


def _compared(inputs: Inputs) -> dict[str, Any]:
    """Gradients at the iterates of the un-reset run, each against the reference."""
    at = inputs["iterates"]
    reference = torch.stack([gradient_of("reference", inputs)(theta).theta for theta in at])
    found: dict[str, Any] = {"gradient/reference": reference}
    for way in WAYS:
        gradient = gradient_of(way, inputs)
        G = torch.stack([gradient(theta).theta for theta in at])
        found[f"gradient/{way}"] = G
        found[f"cosine/{way}"] = torch.cosine_similarity(G, reference, dim=1, eps=0.0)
        off = torch.linalg.vector_norm(G - reference, dim=1)
        found[f"error/{way}"] = off / torch.linalg.vector_norm(reference, dim=1)
    return found


def answer(inputs: Inputs, options: TrainingOptions) -> dict[str, Any]:
    """Every quantity of the study."""
    found: dict[str, Any] = {}
    for variant in trained(options):
        # The run that is published digit by digit takes PyTorch's own operations.
        gradient = gradient_of(variant, inputs, "script" if variant == "rk4" else "auto")
        run = train(gradient, inputs["theta0"], options.iterations)
        losses = torch.stack(run.losses)
        found[f"loss/{variant}"] = losses
        if variant in ("rk4", "rk4_aligned", "backsolve/1e-7"):
            found[f"loss/{variant}/agreed"] = losses[: agreed(variant, options) + 1]
        found[f"theta/{variant}"] = run.theta
        found[f"completed/{variant}"] = run.completed
        found[f"first_below/{variant}"] = first_below(losses)
        if variant.startswith("backsolve"):
            lost = Unavailable("the first backward solve broke down")
            found[f"inverse/{variant}"] = torch.stack(run.back) if run.back else lost
    found |= _compared(inputs)
    ensemble = ensemble_losses(inputs, options.iterations)
    both = min(ensemble.shape[1], len(found["loss/rk4"]))
    parted = (ensemble[0, :both] - found["loss/rk4"][:both]).abs() > PARTED
    found["parting/rk4"] = int(parted.int().argmax()) if parted.any() else -1
    found["ensemble/final"] = ensemble[:, -1]
    found["ensemble/first_below_10"] = torch.stack(
        [first_below(row, (10.0,))[0] for row in ensemble]
    )
    return found


def tasks(inputs: Inputs, options: TrainingOptions) -> dict[str, Callable[[], object]]:
    """One gradient of each variant at the talk's initial weights."""

    def task(variant: str) -> Callable[[], object]:
        gradient, theta = gradient_of(variant, inputs), inputs["theta0"]
        return lambda: gradient(theta).theta

    return {f"gradient/{variant}": task(variant) for variant in VARIANTS}
