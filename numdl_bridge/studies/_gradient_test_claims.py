"""Claims of `gradient_test`, and the published remainders beside ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import resources
from ._results import cosine, relative
from .contract import Arrays, Claim, Decision, Published

_SLIDE = "the talk, Case 3, Example: Gradient Test Disc->Diff"
_COLUMNS = {
    "rk4": ("disc_diff_rk4", "E1/rk4/0"),
    "1e-7": ("neural_ode_tol_1e-7", "E1/backsolve/1e-7/0"),
    "1e-2": ("neural_ode_tol_1e-2", "E1/backsolve/1e-2/0"),
}
_NAMES = {"rk4": "RK4", "1e-7": "the adjoint at 1e-7/1e-9", "1e-2": "the adjoint at 1e-2/1e-2"}
LOSSES = {"rk4": 1733.789186, "1e-7": 1823.639688, "1e-2": 1823.808540}
"""J at the published weights: printed as 1733.789, 1823.64 and 1823.809."""

COSINES = {1: 0.2173, 3: -0.0134}
"""Between the un-reset backsolve's gradient at 1e-7 and the gradient, by iterate (prototypes)."""


def published_remainders(variant: str) -> np.ndarray:
    """The 20 printed values of E1 of `"rk4"`, `"1e-7"` or `"1e-2"`, h = 2^-1 .. 2^-20."""
    table = resources.published("gradient_test")
    rows = table[np.char.find(table["variant"].astype(str), _COLUMNS[variant][0]) >= 0]
    return np.asarray(rows["E1"], dtype=float)


def slope(E1: np.ndarray, first: int, last: int) -> float:
    """Least-squares slope of log2 E1 against log2 h from h = 2^-first to 2^-last."""
    level = np.arange(first, last + 1)
    return float(np.polyfit(-level, np.log2(np.asarray(E1, dtype=float)[level - 1]), 1)[0])


def claims(options: Any) -> list[Claim]:
    """Those that the options allow: published figures need the published data and precision."""
    found = [_exact(k) for k in options.iterates]
    double = options.dtype == "float64"
    initial = double and 0 in options.iterates
    if initial and options.n_steps == 30:
        found += [_loss(v, f) for v, f in LOSSES.items()]
        found.append(_published("rk4", 14, 1e-6, options.levels))
        found += [_published(v, 20, 1e-4, options.levels) for v in ("1e-7", "1e-2")]
        found.append(_misprinted(options.levels))
        if options.levels >= 20:
            found.append(_loose())
    if initial and options.levels >= 16:
        found += [_slope(v) for v in ("rk4", "1e-7")]
    if double and options.n_steps == 30:
        found += [_backsolve(k) for k in options.iterates]
        if options.levels >= 16:
            found += [_seen_by_the_test(k, "backsolve", 1) for k in options.iterates if k > 0]
            if 3 in options.iterates:
                found.append(_seen_by_the_test(3, "interpolation", 2))
        found.append(_formulation(options.iterates))
    return found


def _exact(k: int) -> Claim:
    names = (f"gradient/rk4/{k}", f"gradient/rk4/forward/{k}")

    def check(values: Arrays, options: Any) -> Decision:
        a, b = (np.asarray(values[n], dtype=float) for n in names)
        off = float(np.linalg.norm(a - b) / np.linalg.norm(a))
        return Decision(off <= 5e3 * np.finfo(options.dtype).eps, f"relative difference {off:.1e}")

    return Claim(
        f"two modes, iterate {k}",
        f"at iterate {k} reverse mode and forward sensitivities through the same RK4 steps agree "
        "to rounding",
        _SLIDE,
        names,
        check,
    )


def _loss(variant: str, figure: float) -> Claim:
    name = f"loss/{variant}/0"

    def check(values: Arrays, options: Any) -> Decision:
        loss = float(values[name])
        return Decision(abs(loss - figure) <= 6e-4, f"J = {loss:.6f}")

    return Claim(
        f"initial loss, {variant}",
        f"J at the published weights is {figure:.3f} within 6e-4 with {_NAMES[variant]}",
        "frame 0 of the talk's training runs",
        (name,),
        check,
    )


def _published(variant: str, last: int, bound: float, levels: int) -> Claim:
    name, last = _COLUMNS[variant][1], min(last, levels)

    def check(values: Arrays, options: Any) -> Decision:
        printed = published_remainders(variant)[:last]
        off = np.abs(np.asarray(values[name], dtype=float)[:last] - printed) / printed
        return Decision(
            bool((off <= bound).all()),
            f"largest relative difference {off.max():.1e}, at h = 2^-{1 + int(off.argmax())}",
        )

    return Claim(
        f"published E1, {variant}",
        f"with {_NAMES[variant]} E1 equals the published one to {bound:g} (relative) for h = 2^-1 "
        f".. 2^-{last}",
        _SLIDE,
        (name,),
        check,
    )


def _misprinted(levels: int) -> Claim:
    def check(values: Arrays, options: Any) -> Decision:
        table = resources.published("gradient_test")
        ours, worst = np.asarray(values["E0/1e-3/0"], dtype=float), 0.0
        for variant in ("disc_diff_rk4", "neural_ode_tol_1e-2"):
            rows = table[np.char.find(table["variant"].astype(str), variant) >= 0]
            printed = np.asarray(rows["E0"], dtype=float)[:levels]
            worst = max(worst, float(np.max(np.abs(ours[: len(printed)] / printed - 1))))
        return Decision(worst <= 1e-6, f"largest relative difference {worst:.1e}")

    return Claim(
        "two published E0 columns are of another solve",
        "the E0 printed for RK4 and for 1e-2 are neither's: both equal, to 1e-6, the E0 of an "
        "adaptive solve at 1e-3/1e-3",
        "the talk's files of the gradient test",
        ("E0/1e-3/0",),
        check,
    )


def _seen_by_the_test(k: int, method: str, order: int) -> Claim:
    """The Taylor test after training has begun: it tells a wrong gradient from a right one."""
    name = f"E1/{method}/1e-7/{k}"

    def check(values: Arrays, options: Any) -> Decision:
        found = slope(values[name], 10, 16)
        return Decision(abs(found - order) <= 0.02, f"slope {found:.4f}")

    whose = {
        "backsolve": "the un-reset backsolve's gradient at 1e-7/1e-9",
        "interpolation": "the adjoint on the forward interpolant at the same tolerances",
    }[method]
    meaning = "it is not the gradient of the loss" if order == 1 else "it is its gradient"
    return Claim(
        f"{'right' if order == 2 else 'wrong'} gradient, seen by the test, iterate {k}",
        f"at iterate {k} the remainder with {whose} has slope {order}.00 ± 0.02 from h = 2^-10 to "
        f"2^-16: {meaning}",
        "the talk, Case 3, corrected",
        (name,),
        check,
    )


def _slope(variant: str) -> Claim:
    name = _COLUMNS[variant][1]

    def check(values: Arrays, options: Any) -> Decision:
        found = slope(values[name], 9, 16)
        return Decision(abs(found - 2) <= 0.02, f"slope {found:.4f}")

    return Claim(
        f"second order, {variant}",
        f"with {_NAMES[variant]} the remainder E1 has slope 2.00 ± 0.02 from h = 2^-9 to 2^-16",
        _SLIDE,
        (name,),
        check,
    )


def _loose() -> Claim:
    names = ("E1/backsolve/1e-2/0", "directional/backsolve/1e-2/0")

    def check(values: Arrays, options: Any) -> Decision:
        E1 = np.asarray(values[names[0]], dtype=float)
        found, gap = slope(E1, 15, 20), float(E1[19] * 2.0**20)
        return Decision(
            abs(found - 1) <= 0.2 and 20 < gap < 25,
            f"slope {found:.3f}, E1/h = {gap:.1f} of g.d = {float(values[names[1]]):.2f}",
        )

    return Claim(
        "loose tolerances spoil the gradient",
        "at 1e-2 the remainder's slope falls to 1.0 ± 0.2 from h = 2^-15 to 2^-20, and E1/h tends "
        "to 22.6, between 20 and 25: the gradient is not that of the loss evaluated",
        _SLIDE,
        names,
        check,
    )


def _backsolve(k: int) -> Claim:
    names = (f"gradient/backsolve/1e-7/{k}", f"gradient/reference/{k}", f"inverse/1e-7/{k}")

    def check(values: Arrays, options: Any) -> Decision:
        g, reference, back = (np.asarray(values[n], dtype=float) for n in names)
        c, error = cosine(g, reference), relative(g, reference)
        off = float(np.linalg.norm(back - np.array([2.0, 0.0])))
        figure = f"cosine {c:.4f}, relative error {error:.1e}, u(0) off by {off:.1e}"
        if k == 0:
            return Decision(c > 0.9999 and off < 1e-6, figure)
        return Decision(abs(c - COSINES[k]) <= 0.01 and off > 1, figure)

    right = "is right: cosine > 0.9999, u(0) recovered to 1e-6"
    wrong = f"is wrong: cosine {COSINES.get(k)} ± 0.01, u(0) off by more than 1"
    return Claim(
        f"un-reset backsolve, iterate {k}",
        f"at iterate {k} the gradient of 2019 at 1e-7/1e-9 {wrong if k else right}",
        "the talk, Case 3, training runs",
        names,
        check,
    )


def _formulation(iterates: tuple[int, ...]) -> Claim:
    methods = ("reset", "interpolation", "checkpoints")
    names = tuple(f"gradient/{m}/1e-7/{k}" for m in methods for k in iterates)
    references = tuple(f"gradient/reference/{k}" for k in iterates)

    def check(values: Arrays, options: Any) -> Decision:
        worst = {}
        for m in methods:
            errors = []
            for k in iterates:
                g, r = values[f"gradient/{m}/1e-7/{k}"], values[f"gradient/reference/{k}"]
                errors.append(relative(g, r))
            worst[m] = max(errors)
        figure = ", ".join(f"{m} {e:.1e}" for m, e in worst.items())
        return Decision(max(worst.values()) < 1e-2, f"largest relative errors: {figure}")

    return Claim(
        "not the formulation",
        "with resets, interpolation or checkpoints the continuous adjoint at 1e-7/1e-9 is right to "
        "1e-2 at every iterate: what fails is the backward reconstruction of the state",
        "the talk, Case 3, corrected",
        (*names, *references),
        check,
    )


def figures(options: Any) -> list[Published]:
    """Printed losses and remainders; none for other data or another precision."""
    if options.n_steps != 30 or options.dtype != "float64" or 0 not in options.iterates:
        return []
    printed = {"rk4": 1733.789, "1e-7": 1823.64, "1e-2": 1823.809}
    found = [
        Published(f"J, {v}", f, "the talk, training runs, frame 0", _number(f"loss/{v}/0"))
        for v, f in printed.items()
    ]
    for variant, (_, name) in _COLUMNS.items():
        for level in (1, 5, 9, 13, 16, 20):
            if level <= options.levels:
                figure = float(published_remainders(variant)[level - 1])
                found.append(
                    Published(
                        f"E1(2^-{level}), {variant}", figure, _SLIDE, _number(name, level - 1)
                    )
                )
    return found


def _number(name: str, index: int | None = None) -> Callable[[Arrays], float | None]:
    def pick(values: Arrays) -> float | None:
        if name not in values:
            return None
        value = np.asarray(values[name], dtype=float)
        return float(value if index is None else value[index])

    return pick
