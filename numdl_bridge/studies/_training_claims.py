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
PUBLISHED = tuple(_COLUMNS)
"""Variants whose losses the talk's frames print."""

_NAMES = {
    "rk4": "RK4, discretised first",
    "backsolve/1e-7": "the un-reset backsolve at 1e-7",
    "backsolve/1e-2": "the un-reset backsolve at 1e-2",
    "today/1e-7": "the un-reset backsolve at 1e-7 with Tsit5 as it is today",
    "reset/1e-7": "the adjoint with resets at the data times",
    "interpolating/1e-7": "the adjoint on the forward interpolant",
    "sciml/backsolve": "SciMLSensitivity's BacksolveAdjoint(checkpointing = false)",
    "sciml/checkpoints": "SciMLSensitivity's BacksolveAdjoint(checkpointing = true)",
    "sciml/interpolating": "SciMLSensitivity's InterpolatingAdjoint",
    "sciml/gauss": "SciMLSensitivity's GaussAdjoint",
}


def published_losses(variant: str) -> np.ndarray:
    """The 301 losses printed in the talk's frames, three decimals, for a published variant."""
    table = resources.published("training_loss")
    names = {name.replace("_", "").replace("-", ""): name for name in table.dtype.names or ()}
    # NumPy drops the "-" of "1e-7" from a field's name.
    return np.asarray(table[names[_COLUMNS[variant].replace("_", "").replace("-", "")]])


def _published_stretch(variant: str, last: int, bound: float, source: str, run: str = "") -> Claim:
    """Losses of a variant beside the published ones of `run`, up to iteration `last`."""

    def check(values: Arrays, options: Any) -> Decision:
        losses = np.asarray(values[f"loss/{variant}"], dtype=float)
        if len(losses) <= last:
            return Decision(False, f"only {len(losses)} losses before the solve broke down")
        off = np.abs(losses[: last + 1] - published_losses(run or variant)[: last + 1])
        return Decision(bool((off <= bound).all()), f"max difference {off.max():.2e}")

    which = f"losses 0 .. {last} equal" if last else "loss 0 equals"
    return Claim(
        f"published losses: {variant}",
        f"{_NAMES[variant]}: {which} the published within {bound:g}",
        source,
        (f"loss/{variant}",),
        check,
    )


def _discrete_trains(values: Arrays, options: Any) -> Decision:
    losses = np.asarray(values["loss/rk4"], dtype=float)
    if len(losses) <= 300:
        return Decision(False, f"only {len(losses)} losses")
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
        f"{_NAMES[variant]} reaches a loss below {bound:g}: it is the backward reconstruction that "
        "fails, not the continuous formulation",
        "the talk, Case 3, corrected",
        (f"loss/{variant}",),
        check,
    )


def _does_not_train(variant: str) -> Claim:
    # At 1e-2 the loss is discontinuous in the weights, and how low a path happens to pass is luck:
    # 92 as published, 41.5 in one run of Julia. RK4 ends below 3.
    least = 25 if variant.endswith("1e-2") else 80

    def check(values: Arrays, options: Any) -> Decision:
        losses = np.asarray(values[f"loss/{variant}"], dtype=float)
        best, at = float(losses.min()), int(losses.argmin())
        done = int(values[f"completed/{variant}"])
        figure = f"best {best:.4g} at {at}, last {losses[-1]:.4g}"
        if done < options.iterations:
            figure += f"; the solve broke down after {done} updates"
        stopped = done < options.iterations
        return Decision(best > least and (stopped or float(losses[-1]) > 100), figure)

    return Claim(
        f"does not train: {variant}",
        f"{_NAMES[variant]} never comes below {least} in 300 iterations, and ends "
        "above 100 or breaks down",
        "the talk, Case 3",
        (f"loss/{variant}", f"completed/{variant}"),
        check,
    )


def _wrong_gradient(values: Arrays, options: Any) -> Decision:
    cosine = np.asarray(values["cosine/backsolve/1e-7"], dtype=float)
    error = np.asarray(values["error/backsolve/1e-7"], dtype=float)
    holds = bool(cosine[0] > 0.9999 and max(cosine[1], cosine[3]) < 0.5)
    holds = holds and bool(error[0] < 1e-6 and error[1] > 0.9 and error[3] > 10)
    figure = ", ".join(f"{cosine[i]:.4f} and {error[i]:.2g} at {i}" for i in (0, 1, 3))
    return Decision(holds, f"cosine and relative error {figure}")


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
            for variant, last in (("rk4", 140), ("backsolve/1e-7", 17), ("backsolve/1e-2", 0))
        ]
        found += [
            _published_stretch(v, min(13, options.iterations), 1e-3, titles, "backsolve/1e-7")
            for v in ("today/1e-7", *(["sciml/backsolve"] if options.sciml else []))
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
        if options.dtype == "float64":
            found.append(_does_not_train("today/1e-7"))
        if options.dtype == "float64" and options.sciml:
            found += [
                _reaches(f"sciml/{way}", 5.0) for way in ("checkpoints", "interpolating", "gauss")
            ]
        if options.interpolating:
            found.append(_reaches("interpolating/1e-7", 5.0))
    if options.iterations >= 3 and options.dtype == "float64":
        found += [
            Claim(
                "wrong gradient",
                "the un-reset backsolve's gradient at 1e-7 is right at iterate 0 (relative error "
                "below 1e-6) and wrong at 1 and 3: errors above 0.9 and 10, cosines below 0.5",
                "the talk, Case 3, corrected",
                ("cosine/backsolve/1e-7", "error/backsolve/1e-7"),
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
