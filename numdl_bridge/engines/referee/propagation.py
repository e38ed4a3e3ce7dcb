"""The study `propagation` in the referee: networks differentiated by hand, proven eigenvalues."""

from __future__ import annotations

from typing import Any

import flint
import numpy as np

from ...studies.propagation import (
    ARCHITECTURES,
    FLOW_WEIGHTS,
    N_ENERGY,
    PropagationOptions,
    levels,
)
from .integrators import RK4, ForwardEuler, Scheme, adjoint, grid, linearised_trajectory, trajectory
from .linalg import concatenate, dot, inner, norm
from .networks import LinearOrTanhField, ResidualField
from .number import Field, midpoint

Weights = dict[str, np.ndarray]


class Layers:
    """One of the four networks with its derivatives (see `studies.propagation.ARCHITECTURES`).

    With s1 = tanh(K1 Y + b1), s2 = tanh(K2 s1 + b2) a layer pulls V back through
    Q2 = V * (1 - s2^2) (`resnet2`) and Q1 = (dL/ds1) * (1 - s1^2) to K1^T Q1, plus V where it has a
    skip connection; the weights get Q1 Y^T, the row sums of Q1, and Q2 s1^T or h V s1^T.
    """

    def __init__(self, name: str, depth: int, h: Any) -> None:
        self.name, self.depth, self.h = name, depth, h

    def forward(self, w: Weights) -> list[tuple[np.ndarray, ...]]:
        """For each layer (Y_j, s1, s2, Y_{j+1}); s2 is s1 where there is no second activation."""
        Y = w["Y0"]
        kept: list[tuple[np.ndarray, ...]] = []
        for j in range(self.depth):
            s1 = s2 = np.tanh(dot(w["K1"][j], Y) + w["b1"][j][:, None])
            if self.name == "mlp":
                Z = s1
            elif self.name == "resnet":
                Z = Y + s1
            elif self.name == "resnet2":
                s2 = np.tanh(dot(w["K2"][j], s1) + w["b2"][j][:, None])
                Z = Y + s2
            else:
                Z = Y + self.h * dot(w["K2"][j], s1)
            kept.append((Y, s1, s2, Z))
            Y = Z
        return kept

    def gradient(self, w: Weights, kept: list[tuple[np.ndarray, ...]], V: np.ndarray) -> Weights:
        """The pullback of V = dL/dY_N to every weight and to Y0."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("K1", "b1", "K2", "b2")}
        for j in range(self.depth - 1, -1, -1):
            Y, s1, s2, _ = kept[j]
            inside = V
            if self.name == "resnet2":
                Q2 = V * (1 - s2 * s2)
                parts["K2"].append(dot(Q2, s1.T))
                parts["b2"].append(Q2.sum(axis=1))
                inside = dot(w["K2"][j].T, Q2)
            elif self.name == "residual":
                parts["K2"].append(self.h * dot(V, s1.T))
                inside = self.h * dot(w["K2"][j].T, V)
            Q1 = inside * (1 - s1 * s1)
            parts["K1"].append(dot(Q1, Y.T))
            parts["b1"].append(Q1.sum(axis=1))
            back = dot(w["K1"][j].T, Q1)
            V = back if self.name == "mlp" else V + back
        found = {name: np.stack(blocks[::-1]) for name, blocks in parts.items() if blocks}
        return {**found, "Y0": V}

    def directional(self, w: Weights, d: Weights, kept: list[tuple[np.ndarray, ...]]) -> np.ndarray:
        """dY_N in the direction d: forward sensitivities, layer by layer."""
        dY = d["Y0"]
        for j in range(self.depth):
            Y, s1, s2, _ = kept[j]
            dz = dot(d["K1"][j], Y) + dot(w["K1"][j], dY) + d["b1"][j][:, None]
            ds = (1 - s1 * s1) * dz
            if self.name == "mlp":
                dY = ds
            elif self.name == "resnet":
                dY = dY + ds
            elif self.name == "resnet2":
                dz2 = dot(d["K2"][j], s1) + dot(w["K2"][j], ds) + d["b2"][j][:, None]
                dY = dY + (1 - s2 * s2) * dz2
            else:
                dY = dY + self.h * (dot(d["K2"][j], s1) + dot(w["K2"][j], ds))
        return dY


def _networks(w: Weights, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {}
    depth, samples = w["K1"].shape[0], w["C"].shape[1]
    for name, names in ARCHITECTURES.items():
        net = Layers(name, depth, field.number(1) / depth)
        kept = net.forward(w)
        residual = kept[-1][-1] - w["C"]
        value = inner(residual, residual) / (2 * samples)
        g = net.gradient(w, kept, residual / samples)
        d = {key: w[f"d{key}"] if key in names else 0 * w[key] for key in ("K1", "b1", "K2", "b2")}
        d["Y0"] = w["dY0"]
        dot_product = sum(inner(g[key], d[key]) for key in names)
        remainders = []
        for h in w["taylor_h"]:
            moved = {key: w[key] + h * d[key] for key in d}
            R = net.forward(moved)[-1][-1] - w["C"]
            remainders.append(abs(inner(R, R) / (2 * samples) - value - h * dot_product))
        found[f"output/{name}"] = kept[-1][-1]
        found[f"loss/{name}"] = value
        found |= {f"gradient/{name}/{key}": g[key] for key in names}
        forward = inner(residual, net.directional(w, d, kept)) / samples
        found[f"gradient/{name}/forward"], found[f"gradient/{name}/dot"] = forward, dot_product
        found[f"taylor/{name}"] = np.array(remainders)
    return found


def _gradient(
    scheme: Scheme, f: ResidualField, w: Weights, n: int, field: Field
) -> tuple[list[np.ndarray], np.ndarray]:
    """States, and the loss's gradient in FLOW_WEIGHTS by the scheme's discrete adjoint."""
    h = field.number(1) / n
    states, pullbacks = linearised_trajectory(scheme, f, w["Y0"], grid(h, n))
    end = (states[-1] - w["C"]) / w["C"].shape[1]
    dY0, dtheta = adjoint(pullbacks, lambda j: end if j == n else None)
    return states, concatenate(dtheta, dY0)


def _continuous_adjoint(
    f: ResidualField, w: Weights, states: list[np.ndarray], field: Field
) -> np.ndarray:
    """Optimise-then-discretise: the adjoint ODE by Euler backward in time, at (t_j+1, Y_j+1)."""
    n = len(states) - 1
    h = field.number(1) / n
    A: np.ndarray = (states[-1] - w["C"]) / w["C"].shape[1]
    total: Any = 0
    for j in range(n, 0, -1):
        back, part = f.linearise(j * h, states[j])[1](A)
        A, total = A + h * back, total + h * part
    return concatenate(total, A)


def _refinement(w: Weights, options: PropagationOptions, field: Field) -> dict[str, Any]:
    f = ResidualField(*(w[name] for name in FLOW_WEIGHTS[:-1]))
    states, g = _gradient(RK4, f, w, options.n_reference, field)
    Y = states[-1]
    outputs, gradients, adjoints, backward = [], [], [], []
    for n in levels(options):
        states, g_n = _gradient(ForwardEuler, f, w, n, field)
        outputs.append(states[-1])
        gradients.append(g_n)
        adjoints.append(_continuous_adjoint(f, w, states, field))
        h, one = field.number(-1) / n, field.number(1)
        backward.append(trajectory(ForwardEuler, f, states[-1], grid(h, n, one))[-1])
    pairs = {
        "output": (outputs, Y),
        "gradient": (gradients, g),
        "adjoint": (adjoints, g),
        "negative_step": (backward, w["Y0"]),
    }
    found: dict[str, Any] = {
        "output/flow": Y,
        "gradient/flow": g,
        "output/euler": np.stack(outputs),
        "gradient/euler": np.stack(gradients),
        "gradient/euler/adjoint": np.stack(adjoints),
    }
    for name, (values, exact) in pairs.items():
        errors = np.array([norm(x - exact) / norm(exact) for x in values])
        found[f"error/{name}"] = errors
        found[f"order/{name}"] = np.log(errors[-2] / errors[-1]) / np.log(field.number(2))
    return found


def _spectral_radius(R: np.ndarray) -> Any:
    """max |eigenvalue|: enclosed by flint's proven eigenvalues, or by LAPACK for doubles."""
    if R.dtype != object:
        return np.abs(np.linalg.eigvals(R)).max()
    n = len(R)
    matrix = flint.acb_mat(n, n, R.ravel().tolist())
    # Where balls are too wide to tell two eigenvalues apart, enclose them as a cluster.
    moduli = [abs(value) for value in matrix.eig(multiple=True)]
    largest = moduli[0]
    for modulus in moduli[1:]:
        largest = largest.max(modulus)
    return largest


def _stability(w: Weights, options: PropagationOptions, field: Field) -> dict[str, Any]:
    identity = field.array(np.eye(w["K_stability"].shape[-1]))
    zero = field.number(0)
    found = {}
    for name, scheme in (("forward_euler", ForwardEuler), ("rk4", RK4)):
        growth, energy = [], []
        for K in w["K_stability"]:
            linear, tanh = LinearOrTanhField(K, False), LinearOrTanhField(K, True)
            start = _energy(dot(K, w["Y0"]))
            growth.append(
                [_spectral_radius(scheme.step(linear, zero, identity, h)) for h in w["hw"]]
            )
            ends = (
                trajectory(scheme, tanh, w["Y0"], grid(h, options.n_energy_steps))[-1]
                for h in w["hw"][:N_ENERGY]
            )
            energy.append([_energy(dot(K, Y)) / start for Y in ends])
        found[f"growth/{name}"] = np.array(growth)
        found[f"energy/{name}"] = np.array(energy)
    return found


def _energy(Z: np.ndarray) -> Any:
    """The sum of log cosh, as -log(1 - tanh^2)/2: the same in both number types."""
    s = np.tanh(Z)
    return -(np.log(1 - s * s)).sum() / 2


def _inverses(w: Weights, options: PropagationOptions, field: Field) -> dict[str, Any]:
    depth = options.n_layers
    h = field.number(1) / depth
    Y = Layers("residual", depth, h).forward(w)[-1][-1]
    for j in range(depth - 1, -1, -1):
        X = Y
        for _ in range(options.n_fixed_point):
            X = Y - h * dot(w["K2"][j], np.tanh(dot(w["K1"][j], X) + w["b1"][j][:, None]))
        Y = X
    bounds = [h * norm(w["K1"][j]) * norm(w["K2"][j]) for j in range(depth)]
    return {
        "inverse/fixed_point": Y,
        "inverse/fixed_point/error": norm(Y - w["Y0"]) / norm(w["Y0"]),
        "inverse/contraction": bounds[int(np.argmax(midpoint(np.array(bounds))))],
    }


def answer(
    inputs: dict[str, np.ndarray], options: PropagationOptions, field: Field
) -> dict[str, Any]:
    """Every quantity of the study, in balls with a proof (in doubles without)."""
    w = {name: field.array(value) for name, value in inputs.items()}
    found = {
        **_networks(w, field),
        **_refinement(w, options, field),
        **_stability(w, options, field),
        **_inverses(w, options, field),
    }
    return {name: np.asarray(value) for name, value in found.items()}
