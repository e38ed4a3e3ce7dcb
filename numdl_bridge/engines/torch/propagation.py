"""The study `propagation` in PyTorch: four networks, the flow behind one, stability, inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from ...studies.propagation import (
    ARCHITECTURES,
    FLOW_WEIGHTS,
    N_ENERGY,
    PropagationOptions,
    levels,
)
from .integrators import advance, forward_euler, rk4

Inputs = dict[str, Tensor]


def network(name: str, w: Inputs) -> Tensor:
    """Y_N of the network `name`, features x samples; see `studies.propagation.ARCHITECTURES`."""
    Y, depth = w["Y0"], w["K1"].shape[0]
    h = 1.0 / depth
    for j in range(depth):
        Z = torch.tanh(w["K1"][j] @ Y + w["b1"][j][:, None])
        if name == "mlp":
            Y = Z
        elif name == "resnet":
            Y = Y + Z
        elif name == "resnet2":
            Y = Y + torch.tanh(w["K2"][j] @ Z + w["b2"][j][:, None])
        else:
            Y = Y + h * (w["K2"][j] @ Z)
    return Y


def loss(Y: Tensor, C: Tensor) -> Tensor:
    """|Y - C|_F^2 / (2 samples)."""
    return ((Y - C) ** 2).sum() / (2 * C.shape[1])


def _at(t: float, Theta: Tensor) -> Tensor:
    """theta(t) = Theta_0 + t Theta_1 + t^2 Theta_2, by Horner."""
    return (Theta[2] * t + Theta[1]) * t + Theta[0]


def flow_field(w: Inputs) -> Callable[[float, Tensor], Tensor]:
    """f(t, Y) = K2(t) tanh(K1(t) Y + b(t)): the ODE whose forward Euler is `residual`."""

    def f(t: float, Y: Tensor) -> Tensor:
        K1, b, K2 = (_at(t, w[f"Theta_{name}"]) for name in ("K1", "b", "K2"))
        return K2 @ torch.tanh(K1 @ Y + b[:, None])

    return f


def flow(step: Any, w: Inputs, n_steps: int) -> Tensor:
    """Y(1) by `n_steps` steps of a scheme."""
    return advance(step, flow_field(w), w["Y0"], 0.0, 1.0 / n_steps, n_steps)


def flow_gradient(step: Any, inputs: Inputs, n_steps: int) -> tuple[Tensor, Tensor]:
    """(Y(1), gradient of the loss in FLOW_WEIGHTS as one vector), through the steps in reverse."""
    weights = {name: inputs[name].detach().requires_grad_() for name in FLOW_WEIGHTS}
    Y = flow(step, weights, n_steps)
    parts = torch.autograd.grad(loss(Y, inputs["C"]), list(weights.values()))
    return Y.detach(), torch.cat([part.reshape(-1) for part in parts])


def adjoint_gradient(inputs: Inputs, n_steps: int) -> Tensor:
    """Optimise-then-discretise: the adjoint ODE, discretised by Euler running from t = 1 to 0.

    A' = -(df/dY)^T A, A(1) = dL/dY; the gradient is A(0) for Y0 and the integral of
    (df/dtheta)^T A otherwise, by the same Euler rule. Both evaluate at (t_{j+1}, Y_{j+1}), where
    the discrete adjoint has (t_j, Y_j): to first order the same, but the gradient of no function.
    """
    h = 1.0 / n_steps
    with torch.no_grad():
        f, states = flow_field(inputs), [inputs["Y0"]]
        for j in range(n_steps):
            states.append(forward_euler(f, j * h, states[-1], h))
        A = (states[-1] - inputs["C"]) / inputs["C"].shape[1]
    total = {name: torch.zeros_like(inputs[name]) for name in FLOW_WEIGHTS[:-1]}
    for j in range(n_steps, 0, -1):
        w = {name: inputs[name].detach().requires_grad_() for name in total}
        Y = states[j].requires_grad_()
        back, *parts = torch.autograd.grad(flow_field(w)(j * h, Y), [Y, *w.values()], A)
        for name, part in zip(total, parts):
            total[name] += h * part
        A = A + h * back
    return torch.cat([part.reshape(-1) for part in (*total.values(), A)])


def _relative(x: Tensor, exact: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x - exact) / torch.linalg.vector_norm(exact)


def _networks(inputs: Inputs) -> dict[str, Any]:
    """Outputs, losses, gradients by reverse and forward mode, Taylor remainders."""
    found: dict[str, Any] = {}
    for name, names in ARCHITECTURES.items():
        w = {key: inputs[key] for key in names}
        d = {key: inputs[f"d{key}"] for key in names}

        def objective(w: Inputs, name: str = name) -> Tensor:
            return loss(network(name, w), inputs["C"])

        g = grad(objective)(w)
        value, forward = jvp(objective, (w,), (d,))  # type: ignore[misc]
        dot = torch.stack([(g[key] * d[key]).sum() for key in names]).sum()
        found[f"output/{name}"] = network(name, w)
        found[f"loss/{name}"] = value
        found |= {f"gradient/{name}/{key}": g[key] for key in names}
        found[f"gradient/{name}/forward"], found[f"gradient/{name}/dot"] = forward, dot

        def moved(h: Tensor, w: Inputs = w, d: Inputs = d, f: Any = objective) -> Tensor:
            return f({key: w[key] + h * d[key] for key in w})

        h = inputs["taylor_h"]
        found[f"taylor/{name}"] = (vmap(moved)(h) - value - h * dot).abs()
    return found


def _refinement(inputs: Inputs, options: PropagationOptions) -> dict[str, Any]:
    """Forward Euler against the flow: outputs and gradients in two ways, and run backward."""
    Y, g = flow_gradient(rk4, inputs, options.n_reference)
    outputs, gradients, adjoints, backward = [], [], [], []
    for n in levels(options):
        Y_n, g_n = flow_gradient(forward_euler, inputs, n)
        outputs.append(Y_n)
        gradients.append(g_n)
        adjoints.append(adjoint_gradient(inputs, n))
        f = flow_field(inputs)
        backward.append(advance(forward_euler, f, Y_n, 1.0, -1.0 / n, n))
    errors = {
        "output": [_relative(x, Y) for x in outputs],
        "gradient": [_relative(x, g) for x in gradients],
        "adjoint": [_relative(x, g) for x in adjoints],
        "negative_step": [_relative(x, inputs["Y0"]) for x in backward],
    }
    found: dict[str, Any] = {"output/flow": Y, "gradient/flow": g}
    found["output/euler"] = torch.stack(outputs)
    found["gradient/euler"] = torch.stack(gradients)
    found["gradient/euler/adjoint"] = torch.stack(adjoints)
    for name, values in errors.items():
        found[f"error/{name}"] = torch.stack(values)
        found[f"order/{name}"] = torch.log2(values[-2] / values[-1])
    return found


def _stability(inputs: Inputs, options: PropagationOptions) -> dict[str, Any]:
    """Linear growth per step and the nonlinear energy, kinds of K and step sizes in one batch."""
    K, hw, Y0 = inputs["K_stability"][:, None], inputs["hw"][:, None, None], inputs["Y0"]
    identity = torch.eye(K.shape[-1], dtype=K.dtype, device=K.device)
    h = hw[:N_ENERGY]
    found = {}
    for name, step in (("forward_euler", forward_euler), ("rk4", rk4)):
        # A linear step applied to the identity is its amplification matrix; t is irrelevant.
        R = step(lambda t, Y: K @ Y, 0.0, identity, hw)
        found[f"growth/{name}"] = torch.linalg.eigvals(R).abs().amax(-1)
        Y = advance(step, lambda t, Y: torch.tanh(K @ Y), Y0, 0.0, h, options.n_energy_steps)
        found[f"energy/{name}"] = _energy(K @ Y) / _energy(K @ Y0)
    return found


def _energy(Z: Tensor) -> Tensor:
    """The sum over features and samples of log cosh, without overflow."""
    a = Z.abs()
    return (a + torch.log1p(torch.exp(-2 * a)) - torch.log(a.new_tensor(2.0))).sum((-2, -1))


def _inverses(inputs: Inputs, options: PropagationOptions) -> dict[str, Any]:
    """Each block of `residual`, last first, inverted by X <- Y - h K2 tanh(K1 X + b1)."""
    K1, b1, K2 = inputs["K1"], inputs["b1"], inputs["K2"]
    h = 1.0 / options.n_layers
    Y = network("residual", inputs)
    for j in range(options.n_layers - 1, -1, -1):
        X = Y
        for _ in range(options.n_fixed_point):
            X = Y - h * (K2[j] @ torch.tanh(K1[j] @ X + b1[j][:, None]))
        Y = X
    bounds = torch.linalg.matrix_norm(K1) * torch.linalg.matrix_norm(K2)
    return {
        "inverse/fixed_point": Y,
        "inverse/fixed_point/error": _relative(Y, inputs["Y0"]),
        "inverse/contraction": h * bounds.max(),
    }


def answer(inputs: Inputs, options: PropagationOptions) -> dict[str, Any]:
    """Every quantity of the study."""
    return {
        **_networks(inputs),
        **_refinement(inputs, options),
        **_stability(inputs, options),
        **_inverses(inputs, options),
    }


def tasks(inputs: Inputs, options: PropagationOptions) -> dict[str, Callable[[], object]]:
    """A forward pass, its reverse-mode gradient, and the gradient through the finest Euler."""
    names = ARCHITECTURES["residual"]

    def gradient() -> object:
        w = {name: inputs[name].detach().requires_grad_() for name in names}
        return torch.autograd.grad(loss(network("residual", w), inputs["C"]), list(w.values()))

    return {
        "forward/residual": lambda: network("residual", inputs),
        "gradient/residual": gradient,
        "gradient/euler": lambda: flow_gradient(forward_euler, inputs, levels(options)[-1]),
        "gradient/euler/adjoint": lambda: adjoint_gradient(inputs, levels(options)[-1]),
        "inverse/fixed_point": lambda: _inverses(inputs, options),
    }
