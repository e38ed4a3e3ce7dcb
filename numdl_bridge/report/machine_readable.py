"""A run as JSON, for other programs."""

from __future__ import annotations

import msgspec

from ..runs.files import plain
from ..runs.results import RunResult


def run_as_json(run: RunResult) -> str:
    """One JSON object: what was asked and of whom, and per study all that was concluded.

    NaN and infinities, which JSON lacks, are the texts `"NaN"`, `"Infinity"`, `"-Infinity"`.
    """
    studies = {
        name: {
            "ok": result.ok,
            "question": result.study.question,
            "verdicts": result.verdicts,
            **result.comparison.to_plain(),
            "timings": {e: o.timings for e, o in result.observations.items()},
            "provenance": {e: o.provenance for e, o in result.observations.items()},
            "crashed": result.crashed,
        }
        for name, result in run.items()
    }
    about = {k: v for k, v in run.manifest.items() if k != "studies"}
    whole = {"run": str(run.folder), "ok": run.ok, **about, "studies": studies}
    return msgspec.json.format(msgspec.json.encode(plain(whole)), indent=1).decode()
