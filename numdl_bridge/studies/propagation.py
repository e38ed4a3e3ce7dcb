"""Forward propagation and its gradient: MLP, ResNet, and the ODE that a ResNet discretises.

Source: the talk, "Deep Learning Revolution" and "Deep Residual Neural Networks (simplified)".
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from ..errors import BadInputError
from ._propagation_claims import HW_GRID, SHIFT, claims
from ._propagation_results import results
from .contract import Options, Quantity, Study

ARCHITECTURES = {
    "mlp": ("K1", "b1", "Y0"),
    "resnet": ("K1", "b1", "Y0"),
    "resnet2": ("K1", "b1", "K2", "b2", "Y0"),
    "residual": ("K1", "b1", "K2", "Y0"),
}
"""The talk's four networks by name, and what each is differentiated with respect to. Layer j:

- `mlp`: Y <- tanh(K1_j Y + b1_j)
- `resnet`: Y <- Y + tanh(K1_j Y + b1_j)
- `resnet2`: Y <- Y + tanh(K2_j tanh(K1_j Y + b1_j) + b2_j)
- `residual`: Y <- Y + h K2_j tanh(K1_j Y + b1_j), h = 1/n_layers
"""

FLOW_WEIGHTS = ("Theta_K1", "Theta_b", "Theta_K2", "Y0")
"""What the flow is differentiated with respect to; a gradient of it is the concatenation of these
blocks, each flattened in C order (row by row, the index of the power of t first)."""

STABILITY_KINDS = ("symmetric", "antisymmetric", "shifted")
"""Rows of the stability tables: K symmetric negative definite with spectral radius 1, K = A - A^T
with spectral radius 1, and the latter minus SHIFT times the identity."""

N_ENERGY = 5
"""The nonlinear experiment uses the first five step sizes: beyond them the maps are chaotic."""

Positive = Annotated[int, msgspec.Meta(ge=1)]


class PropagationOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `propagation`.

    **Arguments:**

    - `width`, `samples`: shape of Y, features x samples.
    - `n_layers`: depth of the four networks.
    - `n_min`, `n_max`: Euler steps of the refinement, doubled from the one to the other.
    - `n_reference`: RK4 steps of the reference flow on [0, 1].
    - `n_taylor`: step sizes 2^-1 .. 2^-n_taylor of the Taylor remainder test.
    - `n_fixed_point`: fixed-point iterations per layer of the inverse.
    - `n_energy_steps`: steps of the nonlinear stability experiment.
    """

    width: Annotated[int, msgspec.Meta(ge=2)] = 4
    samples: Positive = 8
    n_layers: Positive = 8
    n_min: Positive = 8
    n_max: Positive = 256
    n_reference: Positive = 128
    n_taylor: Annotated[int, msgspec.Meta(ge=4)] = 10
    n_fixed_point: Positive = 60
    n_energy_steps: Positive = 64


def levels(options: PropagationOptions) -> list[int]:
    """Numbers of Euler steps: n_min, 2 n_min, ... up to n_max."""
    found = [options.n_min]
    while 2 * found[-1] <= options.n_max:
        found.append(2 * found[-1])
    if len(found) < 2:
        raise BadInputError(
            f"n_min = {options.n_min} with n_max = {options.n_max} leaves one level",
            "n_max at least twice n_min",
            "raise n_max: an observed order needs two levels",
        )
    return found


def draw(options: PropagationOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights, their smooth counterparts in time, data, directions, and K of three kinds."""
    d, n, depth = options.width, options.samples, options.n_layers
    inputs = {
        "Y0": rng.standard_normal((d, n)),
        "C": rng.standard_normal((d, n)),
        # 0.8/sqrt(d): Frobenius norms near 1.6, so that h |K2| |K1| < 1 and blocks are invertible.
        "K1": 0.8 * rng.standard_normal((depth, d, d)) / np.sqrt(d),
        "b1": 0.5 * rng.standard_normal((depth, d)),
        "K2": 0.8 * rng.standard_normal((depth, d, d)) / np.sqrt(d),
        "b2": 0.5 * rng.standard_normal((depth, d)),
        # theta(t) = Theta_0 + t Theta_1 + t^2 Theta_2 on [0, 1]: smooth, the same in any language.
        "Theta_K1": rng.standard_normal((3, d, d)) / np.sqrt(d),
        "Theta_b": 0.5 * rng.standard_normal((3, d)),
        "Theta_K2": rng.standard_normal((3, d, d)) / np.sqrt(d),
    }
    for name in ("K1", "b1", "K2", "b2", "Y0"):
        step = rng.standard_normal(inputs[name].shape)
        inputs[f"d{name}"] = step / np.linalg.norm(step)
    A = rng.standard_normal((d, d))
    symmetric = -(A @ A.T) / np.linalg.norm(A @ A.T, 2)
    antisymmetric = (A - A.T) / np.linalg.norm(A - A.T, 2)
    shifted = antisymmetric - SHIFT * np.eye(d)
    inputs["K_stability"] = np.stack([symmetric, antisymmetric, shifted])
    inputs["hw"] = np.array(HW_GRID)
    inputs["taylor_h"] = 0.5 ** np.arange(1, options.n_taylor + 1)
    return inputs


def quantities(options: PropagationOptions) -> list[Quantity]:
    """Outputs, losses, gradients in three ways, refinement, stability, inverses."""
    unit = float(np.finfo(options.dtype).eps) / 2
    tight = 5e3 * unit
    why = "5e3 u: about 1e3 operations in sequence, condition below 5"
    found = []

    def add(name: str, kind: str, about: str, rtol: float = tight, source: str = why, **more):
        found.append(Quantity(name, kind, rtol, source, about=about, **more))  # type: ignore[arg-type]

    for net, weights in ARCHITECTURES.items():
        add(f"output/{net}", "solution", "Y_N, features x samples")
        add(f"loss/{net}", "loss", "|Y_N - C|_F^2 / (2 samples)")
        for weight in weights:
            add(f"gradient/{net}/{weight}", "gradient", f"reverse mode, with respect to {weight}")
        add(f"gradient/{net}/forward", "gradient", "g.d by forward sensitivities, no reverse mode")
        add(f"gradient/{net}/dot", "gradient", "g.d from the reverse-mode blocks")
        add(
            f"taylor/{net}",
            "figure",
            "E1(h) = |L(w + h d) - L(w) - h g.d|, h = 2^-1, 2^-2, ...",
            atol=200 * unit,
            source="cancellation: 200 u times losses of size 1",
        )
    add("output/flow", "solution", "Y(1) of the ODE, RK4 with n_reference steps")
    add("gradient/flow", "gradient", "of the same, discrete adjoint of RK4")
    add("output/euler", "solution", "Y_N by forward Euler, one for each N")
    add("gradient/euler", "gradient", "discretise-then-optimise, one row for each N")
    add(
        "gradient/euler/adjoint",
        "gradient",
        "optimise-then-discretise: the adjoint ODE by backward-running Euler, states stored",
    )
    figures = {
        "output": "|Y_N - Y(1)| / |Y(1)|",
        "gradient": "|g_N - g| / |g|, discretise-then-optimise",
        "adjoint": "|g_N - g| / |g|, optimise-then-discretise",
        "negative_step": "|Y0 recovered by Euler with step -h - Y0| / |Y0|",
    }
    near = "differences of size 1/N of numbers with 5e3 u"
    for name, about in figures.items():
        kind = "inverse" if name == "negative_step" else "figure"
        add(f"error/{name}", kind, about + ", each N", rtol=tight, atol=tight, source=near)
        add(f"order/{name}", "figure", "log2 of the last two", atol=300 * tight, source=near)
    for scheme in ("forward_euler", "rk4"):
        add(
            f"growth/{scheme}",
            "spectrum",
            "spectral radius of one linear step, kind of K x step size",
            source="5e3 u: eigenvalues of normal matrices have condition 1",
        )
        add(
            f"energy/{scheme}",
            "value",
            "sum log cosh(K Y) at the end over that at the start, kind of K x step size",
        )
    add("inverse/fixed_point", "inverse", "Y0 from Y_N of `residual`, fixed-point iteration")
    add(
        "inverse/fixed_point/error",
        "inverse",
        "relative error of that",
        atol=tight,
        source="round trip at rounding level",
    )
    add("inverse/contraction", "figure", "max_j h |K2_j|_F |K1_j|_F, a bound on h Lipschitz")
    return found


STUDY = Study(
    name="propagation",
    order=1,
    title="Propagation: from the MLP to a discretised ODE",
    slide="Deep Learning Revolution; Deep Residual Neural Networks (simplified)",
    question=(
        "Do values and gradients of the talk's four networks agree, is a ResNet forward Euler of "
        "its ODE to first order in both, when is it stable, and when has it an inverse?"
    ),
    options=PropagationOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    sizes={
        "quick": {"n_max": 64, "n_reference": 32, "n_energy_steps": 16},
        "full": {"width": 8, "samples": 32, "n_max": 512, "n_reference": 256},
    },
    notes="""\
- Tracker's `abs` aside, this is where the talk writes its notation down. The slide's ODE has one
  bias b(t) inside the activation; so has `residual`. The third network (`resnet2`) is *not* forward
  Euler of an ODE as printed: it has no step size, so depth cannot be refined.
- `residual` is forward Euler of Y' = K2(t) tanh(K1(t) Y + b(t)) only if its weights are samples of
  functions of time. With independent weights per layer there is no ODE to converge to; the
  refinement therefore uses theta(t) = Theta_0 + t Theta_1 + t^2 Theta_2 and differentiates with
  respect to the Thetas, whose number does not grow with depth.
- Forward Euler with antisymmetric K multiplies by |1 + i h w| > 1 for *every* step size: a network
  that is stable as an ODE is not as a ResNet. Subtracting gamma I gives 0 < h < 2 gamma /
  (gamma^2 + w^2). RK4 is stable for h w < 2 sqrt(2).
- For the ODE Y' = tanh(K Y) the sum of log cosh(K Y) changes at the rate s^T K s, s = tanh(K Y): it
  is kept by antisymmetric K and decays for negative definite K. That makes the same statement
  testable without linearisation.
- Running forward Euler with step -h is not the inverse of a residual block (error O(h)); solving
  X = Y - h f(X) by fixed-point iteration is, as long as h times the Lipschitz constant is below 1.
""",
)
