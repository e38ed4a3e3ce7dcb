"""A difference in words: what differs, by how much, what was allowed, why, and what to do."""

from __future__ import annotations

from . import formatting as form
from .difference import Difference
from .register import Register, default_register

_REMEDIES = {
    "agree": "Nothing.",
    "agree within budget": (
        "Nothing; where fewer terms are wanted, tighten what the largest of them stands for."
    ),
    "unavailable": "Run the engine that is missing, or see `numdl doctor` for what it needs.",
}


def explain(difference: Difference, register: Register | None = None) -> str:
    """Several lines of plain text on one difference.

    **Arguments:**

    - `register`: where the cause is looked up; by default the one in the package.
    """
    d = difference
    lines = [f"{d.name}, {d.pair}: {d.verdict}", f"  Why:      {d.reason}."]
    if d.verdict != "unavailable":
        lines += _measured(d) + _allowed(d)
    lines += [f"  Note:     {note}." for note in d.notes]
    known = (register or default_register()).get(d.cause) if d.cause else None
    if known is not None:
        lines.append(f"  Source:   {known.source}")
    advice = known.advice if known is not None else ""
    lines.append(f"  To do:    {advice or _remedy(d)}")
    return "\n".join(lines)


def _measured(d: Difference) -> list[str]:
    parts = [
        f"absolute {form.size(d.absolute)}" if d.absolute is not None else "",
        f"relative {form.size(d.relative)}" if d.relative is not None else "",
        f"elementwise at most {form.size(d.elementwise)}" if d.elementwise is not None else "",
        f"{form.ulps(d.ulps)} ulps (median {form.number(d.ulps_median)})"
        if d.ulps is not None
        else "",
        f"{form.digits(d.digits)} digits" if d.relative is not None else "",
        f"cosine {form.cosine(d.cosine)}" if d.cosine is not None else "",
    ]
    found = "; ".join(part for part in parts if part)
    lines = [f"  Measured: {found}."] if found else []
    if d.worst_left or d.worst_right:
        where = f" at {list(d.worst_index)}" if d.worst_index else ""
        lines.append(f"  Furthest: {d.left} {d.worst_left}, {d.right} {d.worst_right}{where}.")
    return lines


def _allowed(d: Difference) -> list[str]:
    bound = f"rtol {form.size(d.rtol)}, atol {form.size(d.atol)}"
    if d.rtol == d.atol == 0:
        bound = "equality to the last bit"
    lines = [f"  Allowed:  {bound} ({d.tolerance})."]
    if d.radius is not None:
        lines.append(f"  Proof:    the referee's value is right to {form.size(d.radius)} (norm).")
    if d.terms:
        lines.append(f"  Budget:   {form.size(d.budget)} =")
        lines += [f"            {t.name}: {form.size(t.size)} ({t.source})" for t in d.terms]
    return lines


def _remedy(d: Difference) -> str:
    if d.verdict in _REMEDIES:
        return _REMEDIES[d.verdict]
    if d.verdict == "explained":
        return "Nothing, as long as this cause is acceptable to you."
    if "inputs" in d.reason or "options" in d.reason:
        return "Observe again: these two did not answer the same question."
    if d.right == "referee" and d.radius is not None:
        return f"Look at {d.left}: the referee's value is proven, so the error is on that side."
    return (
        "Find out which side is wrong (each one's row against the referee tells), mend it, or, if "
        "both are right by their own definition, add an entry with its source to the register."
    )
