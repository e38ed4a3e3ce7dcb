"""Supervised learning as optimal control: loss, regulariser, and how to minimise them.

    minimise E(W Y_N + mu, C) + lambda_theta/2 ||theta||^2 + lambda_W/2 ||W||^2
    Y_1 = h sin(K_0 Y_0 + b_0),  Y_{j+1} = Y_j + h sin(K_j Y_j + b_j),  j = 1 ... N - 1

    E(S, C) = 1/n (-<C, S> + sum_i log sum_k exp S_ki)

with Y_0 2 x n, width 8, N = 16, h = 1/4; the bias mu is the last column of W, multiplied by a row
of ones below Y_N. On MATLAB's peaks, cut into five classes by height, and on two ellipses.

Weights travel as one vector x = [vec(K_0); ...; vec(K_15); vec(b); vec(W)], vec stacking columns,
b = [b_0 ... b_15] 8 x 16, W 5 x 9: 1104 + 45 = 1149 numbers.

**Newton-CG** (`newton_cg`; the coupled and the reduced problem alike): the Gauss-Newton matrix
J^T E'' J + lambda is applied, never formed; at most 10 conjugate gradient steps from zero, until
the residual is 1e-2 of the right-hand side; step length mu, at first 1, halved until the loss has
fallen by 1e-4 mu g.p (at most 20 times, then the iteration ends), and raised to min(1.5 mu, 1) when
the first try was taken.

**Softmax regression** (linear model, random features, inner problem of VarPro): Newton's method
with the Hessian formed, from W = 0 unless a start is given, mu = 1 halved as above, until the
gradient's norm is below 1e-13 or the loss can fall no further.

**VarPro**: phi(theta) = min_W E + regularisers, W(theta) found to the last digit; its gradient is
the partial derivative with respect to theta, at W(theta). Its Gauss-Newton matrix is the
theta-block, W fixed, as in the course code.

Source: the talk, "Optimal Control Framework for Deep Learning"; the author's course code.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from . import _classification_data as data
from ._classification_claims import claims
from ._classification_data import CLASSES, LAYERS, RELU_IN, RELU_OUT, WIDTH, T
from ._classification_quantities import ACTIVATIONS, ETA, quantities
from ._classification_results import results
from .contract import Options, Study

LAMBDA_THETA, LAMBDA_W, LAMBDA_ELM = 1e-5, 1e-3, 1e-3
"""Regularisation of the ResNet's layers, of its classifier, and of random features and linear
models."""
INNER_AS_PUBLISHED = 5
"""Inner iterations of the course code's VarPro, which also leaves lambda_W out of the value."""

Positive = Annotated[int, msgspec.Meta(ge=1)]


class ClassificationOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `classification`.

    **Arguments:**

    - `points`: training points of peaks, and as many for validation; a multiple of five.
    - `ellipses`: points of each of the two ellipses.
    - `features`: random features of the extreme learning machine.
    - `checked`: the first so many points, on which values and derivatives are proven; at most
      `points`.
    - `iterations`: of Newton-CG on the coupled problem.
    - `outer`: outer iterations of VarPro.
    """

    points: Annotated[int, msgspec.Meta(ge=5, multiple_of=5)] = 1000
    ellipses: Positive = 1000
    features: Positive = 200
    checked: Positive = 50
    iterations: Positive = 50
    outer: Positive = 15


def draw(options: ClassificationOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw data, weights and directions.

    **Returns:**

    - `Y`, `Y_test` `(2, points)`, `C`, `C_test` `(5, points)`: peaks; column i is of class i mod 5;
    - `ellipses/Y` `(2, 2 ellipses)`, `ellipses/C` `(2, 2 ellipses)`: inside in even columns;
    - `elm/K` `(features, 2)`, `elm/b` `()`: random features sigma(K Y + b);
    - `weights` `(1149, 2)`: the start of training, and weights of the size that it ends with;
    - `direction` `(1149,)`, `adjoint` `(8, checked)`: of products with J and J^T;
    - `relu/weights`, `relu/direction` `(198,)`, `relu/Y`, `relu/dY` `(2, 100)`, `relu/adjoint`
      `(3, 100)`: the course code's derivative test, all N(0, 1);
    - `steps` `(10,)`: 0.1 ... 1e-10.
    """
    o = options
    Y, C = data.sample_peaks(o.points, rng)
    Y_test, C_test = data.sample_peaks(o.points, rng)
    ellipses_Y, ellipses_C = data.sample_ellipses(o.ellipses, rng)
    weights = np.stack([data.start_weights(rng), data.other_weights(rng)], axis=-1)
    relu = data.relu_shapes()[1]
    return {
        "Y": Y,
        "C": C,
        "Y_test": Y_test,
        "C_test": C_test,
        "ellipses/Y": ellipses_Y,
        "ellipses/C": ellipses_C,
        "elm/K": rng.standard_normal((o.features, 2)),
        "elm/b": rng.standard_normal(()),
        "weights": weights,
        "direction": rng.standard_normal(len(weights)),
        "adjoint": rng.standard_normal((WIDTH, min(o.checked, o.points))),
        "relu/weights": rng.standard_normal(relu),
        "relu/direction": rng.standard_normal(relu),
        "relu/Y": rng.standard_normal((2, 100)),
        "relu/dY": rng.standard_normal((2, 100)),
        "relu/adjoint": rng.standard_normal((RELU_OUT[-1], 100)),
        "steps": 10.0 ** -np.arange(1.0, 11.0),
    }


STUDY = Study(
    name="classification",
    order=9,
    title="Supervised learning",
    slide="Optimal Control Framework for Deep Learning",
    question="What do layers add to a linear classifier, and which optimiser trains them?",
    options=ClassificationOptions,
    draw=draw,
    quantities=quantities,
    claims=claims,
    results=results,
    sizes={
        "quick": {"points": 250, "ellipses": 200, "features": 50, "checked": 10, "iterations": 5}
        | {"outer": 3},
        "full": {"points": 5000, "iterations": 100, "outer": 50},
    },
    notes="""\
- The course code's "SGD" passes a function that ignores the batch index: it is gradient descent on
  all data, with 25 (ResNet) or 500 (single layer) steps an "epoch". It is not repeated here.
- Its VarPro minimises the inner problem with lambda_W, leaves that term out of the value, and stops
  after 5 inner iterations. The gradient that ignores dW/dtheta is then inexact: its Taylor
  remainder falls with h, not h^2. With the term, and the inner problem solved, it is exact.
- Its Newton-CG takes any decrease (no Armijo constant), ignores `maxStep`, and adds 1e-5 to the
  Hessians; its Gauss-Newton matrix leaves out the coupling of theta and W. Here the full
  Gauss-Newton matrix is used, with an Armijo constant of 1e-4.
- EClass_Peaks takes its training set by randperm(numTrain) from data ordered by class, so that the
  training set lacks class 5 and the validation set is empty. Here classes alternate.
- EClass_Ellipses divides by 2 nnz(C) with a single row of labels, right for balanced classes only.
- No accuracies are printed in the published material.""",
)

__all__ = ["ACTIVATIONS", "CLASSES", "ETA", "LAYERS", "RELU_IN", "RELU_OUT", "STUDY", "WIDTH", "T"]
