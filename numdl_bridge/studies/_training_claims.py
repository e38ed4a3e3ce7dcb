"""Claims of `training`, and the published losses beside ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import resources
from .contract import Arrays, Claim, Decision, Published

_COLUMNS = {
    "rk4": "loss_disc_diff_rk4_30",
    "backsolve/1e-7": "loss_neural_ode_tol_1e-7",
    "backsolve/1e-2": "loss_neural_ode_tol_1e-2",
}


def published_losses(variant: str) -> np.ndarray:
    """The 301 losses printed in the talk's frames, three decimals, for a published variant."""
    table = resources.published("training_loss")
    names = {name.replace("_", "").replace("-", ""): name for name in table.dtype.names or ()}
    # NumPy drops the "-" of "1e-7" from a field's name.
    return np.asarray(table[names[_COLUMNS[variant].replace("_", "").replace("-", "")]])


def _published_stretch(variant: str, last: int, bound: float, source: str) -> Claim:
    """`last` is the last iteration that is compared; a shorter run compares what it has."""

    def check(values: Arrays, options: Any) -> Decision:
        losses = np.asarray(values[f"loss/{variant}"], dtype=float)
        off = np.abs(losses[: last + 1] - published_losses(variant)[: last + 1])
        return Decision(bool((off <= bound).all()), f"max difference {off.max():.2e}")

    return Claim(
        f"published losses: {variant}",
        f"losses 0 .. {last} equal the published ones within {bound:g}",
        source,
        (f"loss/{variant}",),
        check,
    )


def _discrete_trains(values: Arrays, options: Any) -> Decision:
    losses = np.asarray(values["loss/rk4"], dtype=float)
    best, at = float(losses[250:].min()), 250 + int(losses[250:].argmin())
    return Decision(best < 3, f"loss(300) = {losses[300]:.4g}, best {best:.4g} at {at}")


def _reaches(variant: str, bound: float) -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        losses = np.asarray(values[f"loss/{variant}"], dtype=float)
        at = int(np.argmin(losses))
        return Decision(
            float(losses[at]) < bound, f"best {losses[at]:.4g} at {at}, final {losses[-1]:.4g}"
        )

    return Claim(
        f"trains: {variant}",
        f"the continuous adjoint with the true state reaches a loss below {bound:g}: it is the "
        "backward reconstruction that fails, not the continuous formulation",
        "the talk, Case 3, corrected",
        (f"loss/{variant}",),
        check,
    )


def _does_not_train(variant: str) -> Claim:
    # At 1e-2 the loss is discontinuous in the weights, and how low a path happens to pass is luck:
    # 92 as published, 41.5 in one run of Julia. RK4 ends below 3.
    least = 80 if variant.endswith("1e-7") else 25

    def check(values: Arrays, options: Any) -> Decision:
        losses = np.asarray(values[f"loss/{variant}"], dtype=float)
        best, at = float(losses.min()), int(losses.argmin())
        done = int(values[f"completed/{variant}"])
        figure = f"best {best:.4g} at {at}, final {losses[-1]:.4g}"
        if done < options.iterations:
            figure += f", overflow after {done} updates"
        return Decision(best > least and float(losses[-1]) > 100, figure)

    return Claim(
        f"does not train: {variant}",
        f"without reset the best loss of 300 iterations is above {least}, the final one above 100",
        "the talk, Case 3",
        (f"loss/{variant}", f"completed/{variant}"),
        check,
    )


def _wrong_gradient(values: Arrays, options: Any) -> Decision:
    cosine = np.asarray(values["cosine/backsolve/1e-7"], dtype=float)
    holds = bool(cosine[0] > 0.9999 and cosine[1] < 0.5 and cosine[3] < 0.5)
    return Decision(holds, f"cosine {cosine[0]:.6f}, {cosine[1]:.4f}, {cosine[3]:.4f} at 0, 1, 3")


def _right_gradient(values: Arrays, options: Any) -> Decision:
    errors = {w: np.asarray(values[f"error/{w}/1e-7"]).max() for w in ("reset", "interpolating")}
    holds = all(error < 1e-2 for error in errors.values())
    return Decision(holds, ", ".join(f"{w} {e:.1e}" for w, e in errors.items()))


def _inverse(values: Arrays, options: Any) -> Decision:
    found = np.asarray(values["inverse/backsolve/1e-7"], dtype=float)
    off = np.linalg.norm(found - np.array([2.0, 0.0]), axis=1)
    holds = bool(off[0] < 1e-6 and off[1] > 1 and off[3] > 1)
    return Decision(holds, f"off by {off[0]:.1e}, {off[1]:.1e}, {off[3]:.1e} at 0, 1, 3")


def claims(options: Any) -> list[Claim]:
    """(i) RK4 trains as published, (ii) un-reset backsolve does not, (iii) its gradient is wrong,
    (iv) with the true state the continuous adjoint trains."""
    found = []
    if options.dtype == "float64":
        titles = "the talk, Case 3, frame titles"
        found += [
            _published_stretch(variant, min(last, options.iterations), 1e-3, titles)
            for variant, last in (("rk4", 140), ("backsolve/1e-7", 13), ("backsolve/1e-2", 0))
        ]
    if options.iterations >= 300:
        found += [
            Claim(
                "trains: rk4",
                "discretise-then-optimise trains: the loss falls below 3 in iterations 250 .. 300",
                "the talk, Case 3",
                ("loss/rk4",),
                _discrete_trains,
            ),
            _does_not_train("backsolve/1e-7"),
            _does_not_train("backsolve/1e-2"),
            _reaches("reset/1e-7", 5.0),
        ]
        if options.interpolating:
            found.append(_reaches("interpolating/1e-7", 5.0))
    if options.iterations >= 3:
        found += [
            Claim(
                "wrong gradient",
                "cosine(backsolve, reference) > 0.9999 at iterate 0 and < 0.5 at iterates 1 and 3",
                "the talk, Case 3, corrected",
                ("cosine/backsolve/1e-7",),
                _wrong_gradient,
            ),
            Claim(
                "right gradient",
                "with resets or interpolation the adjoint's relative error stays below 1e-2",
                "the talk, Case 3, corrected",
                ("error/reset/1e-7", "error/interpolating/1e-7"),
                _right_gradient,
            ),
            Claim(
                "lost initial state",
                "the state integrated backward meets u(0) to 1e-6 at iterate 0, misses it by more "
                "than 1 at iterates 1 and 3",
                "the talk, Case 1",
                ("inverse/backsolve/1e-7",),
                _inverse,
            ),
        ]
    return found


def figures(options: Any) -> list[Published]:
    """Published losses at chosen iterations; past the agreed stretch they are one of many ends."""
    found = []
    for variant in _COLUMNS:
        printed = published_losses(variant)
        for k in (0, 1, 2, 3, 5, 10, 20, 50, 100, 140, 150, 200, 250, 300):
            if k > options.iterations:
                continue

            def pick(values: Arrays, variant: str = variant, k: int = k) -> float | None:
                losses = values.get(f"loss/{variant}")
                return None if losses is None or len(losses) <= k else float(losses[k])

            found.append(
                Published(
                    f"loss/{variant} at {k}", float(printed[k]), "the talk's frame titles", pick
                )
            )
    return found
