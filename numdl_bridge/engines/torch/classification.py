"""Supervised learning, in PyTorch: Newton-CG, variable projection, softmax regressions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.func import grad, jacfwd, jvp, vjp, vmap

from ...studies._classification_quantities import ACTIVATIONS
from ...studies.classification import (
    INNER_AS_PUBLISHED,
    LAMBDA_ELM,
    LAMBDA_THETA,
    LAMBDA_W,
    ClassificationOptions,
)
from .newton import Linear, newton_cg, softmax_loss, softmax_regression, with_ones
from .resnet_classifier import (
    RELU,
    THETA,
    forward,
    linearise,
    loss,
    resnet,
    scores,
    smooth_relu,
    softmax_curvature,
    tangent_maps,
    unpack,
)

Values = dict[str, torch.Tensor]


def varpro_weights(
    theta: torch.Tensor, Y: torch.Tensor, C: torch.Tensor, start: torch.Tensor | None = None
) -> torch.Tensor:
    """W(theta) = argmin_W E(W Y_N + mu, C) + lambda_W/2 ||W||^2."""
    return softmax_regression(resnet(theta, Y), C, LAMBDA_W, start)


def join(theta: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """x = [theta; vec(W)]."""
    return torch.cat([theta, W.T.reshape(-1)])


class Reduced:
    """VarPro's reduced problem phi(theta) = min_W loss; inner solves start from the last W."""

    def __init__(self, Y: torch.Tensor, C: torch.Tensor) -> None:
        self.Y, self.C = Y, C
        self.W: torch.Tensor | None = None

    def solve(self, theta: torch.Tensor) -> torch.Tensor:
        """x = [theta; W(theta)]."""
        self.W = varpro_weights(theta, self.Y, self.C, self.W)
        return join(theta, self.W)

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        return loss(self.solve(theta), self.Y, self.C)

    def linearise(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Linear]:
        """phi, its gradient (the partial one, W fixed), and the theta-block of Gauss-Newton."""
        W = unpack(self.solve(theta))[1]
        S, J, JT = tangent_maps(lambda t: W @ with_ones(resnet(t, self.Y)), theta)
        value = softmax_loss(S, self.C) + LAMBDA_THETA / 2 * theta @ theta
        value = value + LAMBDA_W / 2 * W.square().sum()
        gradient = JT((torch.softmax(S, 0) - self.C) / S.shape[1]) + LAMBDA_THETA * theta
        return value, gradient, lambda v: JT(softmax_curvature(S, J(v))) + LAMBDA_THETA * v


def as_published(
    theta: torch.Tensor, Y: torch.Tensor, C: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The course code's reduced loss and gradient: inner problem unsolved, no lambda_W."""
    Z = with_ones(resnet(theta, Y))
    shape = (len(C), len(Z))

    def inner(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Linear]:
        S, J, JT = tangent_maps(lambda w: w.view(shape) @ Z, w)
        value = softmax_loss(S, C) + LAMBDA_W / 2 * w @ w
        gradient = JT((torch.softmax(S, 0) - C) / S.shape[1]) + LAMBDA_W * w
        return value, gradient, lambda v: JT(softmax_curvature(S, J(v))) + LAMBDA_W * v

    start = Z.new_zeros(shape[0] * shape[1])
    W = newton_cg(inner, lambda w: inner(w)[0], start, INNER_AS_PUBLISHED).x.view(shape)

    def value(theta: torch.Tensor) -> torch.Tensor:
        E = softmax_loss(W @ with_ones(resnet(theta, Y)), C)
        return E + LAMBDA_THETA / 2 * theta @ theta

    return value(theta), grad(value)(theta)


def _taylor(
    values: torch.Tensor, value: torch.Tensor, slope: torch.Tensor, steps: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """E0 and E1 relative to the value, for values `(10, ...)` at x + h v, norms over the rest."""
    h = steps.view(-1, *[1] * value.dim())
    size = value.norm()
    E0, E1 = values - value, values - value - h * slope
    return tuple(e.reshape(len(steps), -1).norm(dim=1) / size for e in (E0, E1))


def _derivatives(inputs: Values) -> Values:
    u, v = inputs["adjoint"], inputs["direction"]
    Y, C = inputs["Y"][:, : u.shape[1]], inputs["C"][:, : u.shape[1]]
    columns: dict[str, list[torch.Tensor]] = {}
    for x in inputs["weights"].T:
        theta = unpack(x)[0]
        _, _, hessian = linearise(x, Y, C)
        features, J, JT = tangent_maps(lambda t: resnet(t, Y), theta)
        tangent, cotangent = J(v[:THETA]), JT(u)
        product = (u * tangent).sum()
        for name, value in {
            "features": features,
            "loss": loss(x, Y, C),
            "gradient": grad(loss)(x, Y, C),
            "gradient/forward": jacfwd(loss)(x, Y, C),
            "gauss-newton": hessian(v),
            "tangent": tangent,
            "cotangent": cotangent,
            "adjoint test": (product - cotangent @ v[:THETA]).abs() / product.abs(),
        }.items():
            columns.setdefault(name, []).append(value)
    return {name: torch.stack(value, -1) for name, value in columns.items()}


def _remainders(inputs: Values) -> Values:
    v, steps = inputs["direction"], inputs["steps"]
    few = inputs["adjoint"].shape[1]
    Y, C = inputs["Y"], inputs["C"]
    x = inputs["weights"][:, 0]
    f, slope = jvp(lambda x: loss(x, Y[:, :few], C[:, :few]), (x,), (v,))[:2]
    at = vmap(lambda h: loss(x + h * v, Y[:, :few], C[:, :few]))(steps)
    values: Values = {}
    values["remainder/resnet/E0"], values["remainder/resnet/E1"] = _taylor(at, f, slope, steps)

    def network(theta: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
        return forward(theta, Y, RELU, 1.0, smooth_relu)

    point = (inputs["relu/weights"], inputs["relu/Y"])
    along = (inputs["relu/direction"], inputs["relu/dY"])
    YN, dY = jvp(network, point, along)[:2]
    at = vmap(lambda h: network(*(a + h * b for a, b in zip(point, along, strict=True))))(steps)
    E0, E1 = _taylor(at, YN, dY, steps)
    values["remainder/smooth relu/E0"], values["remainder/smooth relu/E1"] = E0, E1
    product = (inputs["relu/adjoint"] * dY).sum()
    back = vjp(network, *point)[1](inputs["relu/adjoint"])
    transposed = sum((a * b).sum() for a, b in zip(back, along, strict=True))
    values["adjoint test"] = ((product - transposed) / product).abs()

    theta, direction = x[:THETA], v[:THETA]
    reduced = Reduced(Y, C)
    f, gradient, _ = reduced.linearise(theta)
    at = torch.stack([reduced.value(theta + h * direction) for h in steps])
    values["remainder/varpro/E1"] = _taylor(at, f, gradient @ direction, steps)[1]
    f, gradient = as_published(theta, Y, C)
    at = torch.stack([as_published(theta + h * direction, Y, C)[0] for h in steps])
    published = _taylor(at, f, gradient @ direction, steps)[1]
    values["remainder/varpro as published/E1"] = published
    return values


def _error(S: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """Share of columns whose largest score is not the right class."""
    return (S.argmax(0) != C.argmax(0)).to(S.dtype).mean()


def _regression(
    Z: torch.Tensor, C: torch.Tensor, tests: tuple[tuple[torch.Tensor, torch.Tensor], ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Optimal W, its loss, and the errors on the training data and on `tests`."""
    W = softmax_regression(Z, C, LAMBDA_ELM)
    value = softmax_loss(W @ with_ones(Z), C) + LAMBDA_ELM / 2 * W.square().sum()
    errors = [_error(W @ with_ones(z), c) for z, c in ((Z, C), *tests)]
    return W, value, torch.stack(errors)


def _convex(inputs: Values) -> Values:
    Y, C, Y_test, C_test = (inputs[k] for k in ("Y", "C", "Y_test", "C_test"))
    values: Values = {}
    W, values["linear/loss"], values["linear/error"] = _regression(Y, C, ((Y_test, C_test),))
    values["linear/weights"] = W
    K, b = inputs["elm/K"], inputs["elm/b"]
    for name in ACTIVATIONS:
        sigma = getattr(torch, name)
        test = (sigma(K @ Y_test + b), C_test)
        _, value, errors = _regression(sigma(K @ Y + b), C, (test,))
        values[f"elm/{name}/loss"], values[f"elm/{name}/error"] = value, errors
    Y, C = inputs["ellipses/Y"], inputs["ellipses/C"]
    square = Y[:1] ** 2 + (Y[1:] / 0.4) ** 2
    for name, Z in (("linear", Y), ("square", torch.cat([Y, square]))):
        _, value, errors = _regression(Z, C, ())
        values[f"ellipses/{name}/loss"], values[f"ellipses/{name}/error"] = value, errors[0]
    return values


def _training(inputs: Values, options: ClassificationOptions) -> Values:
    Y, C, x = inputs["Y"], inputs["C"], inputs["weights"][:, 0]
    reduced = Reduced(Y, C)
    start = reduced.solve(x[:THETA])
    coupled = newton_cg(
        lambda x: linearise(x, Y, C), lambda x: loss(x, Y, C), x, options.iterations
    )
    varpro = newton_cg(reduced.linearise, reduced.value, x[:THETA], options.outer)
    values = {"varpro/weights": unpack(start)[1]}
    for name, end, found in (
        ("newton", coupled.x, coupled.history),
        ("varpro", reduced.solve(varpro.x), varpro.history),
    ):
        values[f"{name}/first"], values[f"{name}/history"] = found[:4], found
        errors = [_error(scores(end, inputs[f"Y{t}"]), inputs[f"C{t}"]) for t in ("", "_test")]
        values[f"{name}/error"] = torch.stack(errors)
    return values


def answer(inputs: Values, options: ClassificationOptions) -> Values:
    derivatives, remainders = _derivatives(inputs), _remainders(inputs)
    tests = [derivatives.pop("adjoint test"), remainders.pop("adjoint test")[None]]
    return (
        derivatives
        | remainders
        | {"adjoint test": torch.cat(tests)}
        | _convex(inputs)
        | _training(inputs, options)
    )


def tasks(inputs: Values, options: ClassificationOptions) -> dict[str, Callable[[], object]]:
    """On all training points, at the start weights."""
    Y, C, v = inputs["Y"], inputs["C"], inputs["direction"]
    x = inputs["weights"][:, 0].contiguous()
    theta = x[:THETA]
    _, _, hessian = linearise(x, Y, C)

    def gradient() -> torch.Tensor:
        at = x.detach().requires_grad_()
        return torch.autograd.grad(loss(at, Y, C), at)[0]

    return {
        "forward": lambda: scores(x, Y),
        "gradient": gradient,
        "gauss-newton matvec": lambda: hessian(v),
        "softmax regression": lambda: varpro_weights(theta, Y, C),
    }
