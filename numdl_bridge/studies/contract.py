"""What a study is: the question, the inputs, the quantities, the claims. No engine is imported.

A study is data. Somebody who adds one writes `studies/<name>.py` with a module-level `STUDY`, and
`engines/<engine>/<name>.py` with an `answer`; nothing is registered by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from ..errors import BadInputError, UnknownNameError, nearest

Arrays = Mapping[str, np.ndarray]
"""Named arrays: the inputs of a study or the values that an engine returned."""

Kind = Literal[
    "value", "solution", "loss", "gradient", "jacobian", "inverse", "spectrum", "figure", "count"
]
"""What a quantity is. `gradient` and `jacobian` go to the gradients table, `inverse` to the
inverses table, the others to the study's own table. A `figure` is derived (an error, an order); a
`count` is an integer (steps, evaluations) or a label and must be equal to the last bit."""

Mode = Literal["aligned", "native"]
Size = Literal["quick", "default", "full"]

DTYPES = ("float64", "float32", "bfloat16", "float16")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options that every study has; each study extends them. They are part of a recording's key.

    **Arguments:**

    - `seed`: of the one NumPy generator that draws the inputs.
    - `dtype`: the working precision that inputs are rounded to and engines compute in.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1234
    dtype: Literal["float64", "float32"] = "float64"


@dataclass(frozen=True)
class Term:
    """One term of a budget: a relative size, in the norm, and where it comes from."""

    name: str
    size: float
    source: str


@dataclass(frozen=True)
class Quantity:
    """One named array or number that an engine returns.

    Two values x, y of it `agree` when ||x - y||_2 <= atol + rtol * max(||x||_2, ||y||_2). Beyond
    that they `agree within budget` as long as the relative difference stays below the sum of
    `terms` and of the referee's rounding bound; beyond that a named cause is needed.

    **Arguments:**

    - `name`: slash-separated, from the general to the particular: `"gradient/rk4"`.
    - `kind`: decides the table that it is shown in.
    - `rtol`, `atol`, `source`: the tolerance that it must meet and where that comes from.
    - `unit`: `"1"` for dimensionless.
    - `mode`: `aligned` (same algorithm, step by step) or `native` (each library's own choices).
    - `engines`: who returns it. An engine that cannot says so with a reason.
    - `compare_with`: name of another quantity that this one is a further opinion of (say
      `"gradient/rk4"` for `"gradient/rk4/forwarddiff"`); compared with every engine's value of it.
    - `beside`: the relative tolerance for that comparison and its source, where it is another one:
      two engines that solve alike agree to rounding, and with the truth to the solver's tolerance.
    - `compared`: False for what is reported, and perhaps the subject of a claim, but has no reason
      to be equal between engines (a chaotic trajectory after it has parted).
    - `terms`: what else may separate two engines, as relative sizes with their sources.
    - `parted`: for a history, one entry an iteration: the relative difference beyond which two
      engines' histories have parted. Where they do so is a result.
    - `about`: one line for tables and pages.
    """

    name: str
    kind: Kind
    rtol: float
    source: str
    about: str = ""
    atol: float = 0.0
    unit: str = "1"
    mode: Mode = "aligned"
    engines: tuple[str, ...] = ("torch", "julia", "referee")
    compare_with: str | None = None
    beside: Term | None = None
    compared: bool = True
    terms: tuple[Term, ...] = ()
    parted: float | None = None


@dataclass(frozen=True)
class Decision:
    """What a claim's check found: whether it holds, and the figure that decided it, as printed."""

    holds: bool
    figure: str


@dataclass(frozen=True)
class Claim:
    """A sharp, testable form of a sentence of the talk, checked for each engine.

    **Arguments:**

    - `name`: short, unique in the study.
    - `statement`: the claim in one sentence, with its bounds.
    - `source`: slide or section.
    - `needs`: names of the quantities that `check` reads; when an engine lacks one of them the
      claim is not checked for it, and the table says which is missing.
    - `check`: `(values, options) -> Decision`.
    - `engines`: who it is checked for, if not everybody. An engine whose value *is* the formula
      that is claimed proves nothing by agreeing with it.
    """

    name: str
    statement: str
    source: str
    needs: tuple[str, ...]
    check: Callable[[Arrays, Any], Decision]
    engines: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Published:
    """A figure that others printed, to stand beside ours on the study's page.

    `pick` takes an engine's values and returns the number to compare, or None if absent.
    """

    name: str
    figure: float
    source: str
    pick: Callable[[Arrays], float | None]


@dataclass(frozen=True)
class ResultTable:
    """What a study found, as a reader wants to see it: numbers in their own rows and columns.

    **Arguments:**

    - `title`: what is shown, with its unit or definition.
    - `columns`: the headings; the first is that of the rows' names.
    - `rows`: cells as text or numbers (printed to three significant digits); None where there is
      none.
    - `note`: one line below.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    note: str = ""


@dataclass(frozen=True)
class Study:
    """One case study.

    **Arguments:**

    - `name`, `order`: its name everywhere, and its place in the talk.
    - `title`, `slide`, `question`: for `numdl list` and the pages.
    - `options`: the struct of its options; its defaults are the default size.
    - `sizes`: what `--quick` and `--full` change, by option name.
    - `draw`: `(options, rng) -> {name: float64 array}`, weights included.
    - `quantities`: `options -> sequence of Quantity`.
    - `claims`: `options -> sequence of Claim`.
    - `published`: `options -> sequence of Published`.
    - `results`: `(values by engine, options) -> sequence of ResultTable`; an engine or a quantity
      may be missing.
    - `notes`: slips found in the published material, and what they change (Markdown).
    """

    name: str
    order: int
    title: str
    slide: str
    question: str
    options: type[Options]
    draw: Callable[[Any, np.random.Generator], dict[str, np.ndarray]]
    quantities: Callable[[Any], Sequence[Quantity]]
    claims: Callable[[Any], Sequence[Claim]] = lambda options: ()
    published: Callable[[Any], Sequence[Published]] = lambda options: ()
    results: Callable[[Mapping[str, Arrays], Any], Sequence[ResultTable]] = lambda found, opts: ()
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: str = ""

    def configure(self, size: Size = "default", **settings: Any) -> Options:
        """The options at a size, with `settings` (values or their text) on top, validated."""
        known = self.options.__struct_fields__
        for name in settings:
            if name not in known:
                raise UnknownNameError(
                    f"study {self.name!r} has no option {name!r}{nearest(name, known)}",
                    f"one of {', '.join(known)}",
                )
        merged = {**self.sizes.get(size, {}), **self._listed(settings)}
        try:
            return msgspec.convert(merged, self.options, strict=False)
        except msgspec.ValidationError as error:
            given = ", ".join(f"{k}={v!r}" for k, v in settings.items())
            raise BadInputError(
                f"options of study {self.name!r}, given {given}: {error}",
                remedy=f"see `numdl list {self.name}` for its options, their types and defaults",
            ) from None

    def _listed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One entry stands for the list of it, where a list is wanted."""
        usual = self.options()
        return {
            k: [v] if isinstance(getattr(usual, k), tuple) and isinstance(v, int | float) else v
            for k, v in settings.items()
        }

    def inputs(self, options: Options) -> dict[str, np.ndarray]:
        """Draw the inputs once, round them to `options.dtype`, and check that all are finite."""
        drawn = self.draw(options, np.random.default_rng(options.seed))
        arrays = {name: np.asarray(value) for name, value in drawn.items()}
        for name, value in arrays.items():
            if np.issubdtype(value.dtype, np.floating):
                arrays[name] = value.astype(options.dtype)
        return arrays


def plain_options(options: Any) -> dict[str, Any]:
    """Options as JSON reads them back: so they are hashed, kept, sent to Julia and compared.

    Lists where the options have tuples, so that what was kept equals what is asked again.
    """
    return msgspec.json.decode(msgspec.json.encode(options))


def check_finite(study: str, inputs: Arrays) -> None:
    """Raise `BadInputError` when an input holds NaN or Inf; called by the runner and by engines."""
    for name, value in inputs.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            raise BadInputError(
                f"input {name!r} of study {study!r} holds {value[where]} at index {where}",
                "finite numbers",
                "check the weights or data that you passed",
            )


def input_hash(inputs: Arrays) -> str:
    """SHA-256 of the inputs' bytes: what proves that every engine computed from the same bits.

    For each name in sorted order: the UTF-8 text `name|dtype|d0,d1,...|` (dtype as NumPy's
    little-endian `str`, e.g. `<f8`), then the elements in C order, little-endian. Each engine
    computes it anew from the arrays that it received, Julia in its own code.
    """
    digest = hashlib.sha256()
    for name in sorted(inputs):
        array = inputs[name]
        little = array.dtype.newbyteorder("<")
        # Not ascontiguousarray: that would turn a number into an array of shape (1,).
        value = np.asarray(array, dtype=little, order="C")
        shape = ",".join(map(str, value.shape))
        digest.update(f"{name}|{little.str}|{shape}|".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
