"""What Case 1 says without a network: the linear test equation, one step, one Hamiltonian."""

from __future__ import annotations

import torch
from torch import Tensor

from ...studies._reversibility_quantities import (
    DRIFT_END,
    DRIFT_STEPS,
    LINEAR_STEPS,
    ROUNDOFF_STEPS,
)
from . import integrators as ti


def linear(inputs: dict[str, Tensor], sample: int) -> dict[str, Tensor]:
    """RK4 forward and back on y' = lambda y."""
    z = inputs["z"]
    one = torch.ones_like(z)

    def there_and_back(f: ti.RightHandSide, y: Tensor, h: float, steps: int) -> Tensor:
        end = ti.advance(ti.rk4, f, y, 0.0, h, steps)
        return ti.advance(ti.rk4, f, end, steps * h, -h, steps)

    real = there_and_back(lambda t, y: z * y, one, 1.0, 1)
    # i z as a rotation of the plane.
    plane = torch.stack([one, torch.zeros_like(z)])
    imaginary = there_and_back(lambda t, y: torch.stack([-z * y[1], z * y[0]]), plane, 1.0, 1)
    single = one[0]
    errors = [
        (there_and_back(lambda t, y: 10.0 * y, single, 1.0 / n, n) - 1).abs() for n in LINEAR_STEPS
    ]
    Q, rates = inputs["rotation"], inputs["rates"]
    decay = torch.stack([-rates, -torch.ones_like(rates)], dim=-1)
    A = Q @ torch.diag_embed(decay) @ Q.T
    # Many starts, because a single one may lose all its digits, or by luck none.
    start = inputs["Y0"][:, :sample].expand(len(rates), 2, sample)
    back = there_and_back(lambda t, y: A @ y, start, 1.0 / ROUNDOFF_STEPS, ROUNDOFF_STEPS)
    return {
        "linear/factor/real": real,
        "linear/factor/imaginary": imaginary[0],
        "linear/roundtrip": torch.stack(errors),
        "linear/roundoff": (back - start).square().sum((-1, -2)).sqrt() / start[0].norm(),
    }


def slide_step(x: Tensor, K: Tensor, b: Tensor, h: float) -> Tensor:
    """The slide's two lines on x = (Y, Z), one sample."""
    Y, Z = x.chunk(2)
    Y = Y + h * torch.tanh(K @ Z + b)
    return torch.cat([Y, Z - h * torch.tanh(K.T @ Y + b)])


def canonical_step(x: Tensor, K: Tensor, b: Tensor, h: float) -> Tensor:
    """The same with the gradients of sum(log cosh(K . + b)), which are K^T tanh(K . + b)."""
    Y, Z = x.chunk(2)
    Y = Y + h * (K.T @ torch.tanh(K @ Z + b))
    return torch.cat([Y, Z - h * (K.T @ torch.tanh(K @ Y + b))])


def structure(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Jacobians of one step, what they preserve, and the drift of a Hamiltonian."""
    x, K, b = inputs["x_step"], inputs["K_step"], inputs["b_step"]
    d = len(b)
    out, volume, form = {}, [], []
    Omega = torch.zeros(2 * d, 2 * d, dtype=x.dtype, device=x.device)
    Omega[:d, d:], Omega[d:, :d] = torch.eye(d), -torch.eye(d)
    for name, step in (("slide", slide_step), ("canonical", canonical_step)):
        J = torch.func.jacrev(step)(x, K, b, 0.5)
        out[f"jacobian/step/{name}"] = J
        volume.append((torch.linalg.det(J) - 1).abs())
        form.append((J.T @ Omega @ J - Omega).square().sum().sqrt())
    out["structure/volume_defect"] = torch.stack(volume)
    out["structure/symplectic_defect"] = torch.stack(form)
    for name, method in (("two_line", ti.symplectic_euler), ("stormer_verlet", ti.verlet)):
        drifts = [drift(method, inputs, h) for h in DRIFT_STEPS]
        out[f"hamiltonian/drift/{name}"] = torch.stack(drifts)
    return out


def log_cosh(x: Tensor) -> Tensor:
    """log(cosh(x)) without overflow."""
    return x.abs() + torch.log1p(torch.exp(-2 * x.abs())) - torch.log(torch.full_like(x, 2.0))


def drift(method: ti.Step, inputs: dict[str, Tensor], h: float) -> Tensor:
    """max |H - H(0)| to T = 64 for H = [log cosh(k Z + beta) + log cosh(k Y + beta)]/k."""
    k, beta, start = inputs["k"], inputs["beta"], inputs["x0"]

    def hamiltonian(Y: Tensor, Z: Tensor) -> Tensor:
        return (log_cosh(k * Z + beta) + log_cosh(k * Y + beta)) / k

    system = (
        lambda t, Z: torch.tanh(k * Z + beta),
        lambda t, Y: -torch.tanh(k * Y + beta),
    )
    times = [j * h for j in range(round(DRIFT_END / h) + 1)]
    H = hamiltonian(*ti.integrate(method, system, (start[0], start[1]), times))
    return (H - H[0]).abs().amax()
