"""What computed a study: the facts that decide a page's figures, and all of them for a run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..runs.results import RunResult, StudyResult
from ..studies.observation import Observation

DECISIVE = ("python", "julia", "torch", "torchdiffeq", "device", "threads", "python-flint", "bits")
"""Facts that every page has; `OF_STUDY` adds the packages whose own choices a study is about."""

_KINKS = ["ChainRules.jl", "DiffRules.jl", "ForwardDiff.jl", "NNlib.jl"]
_KINKS += ["ReverseDiff.jl", "Tracker.jl", "Zygote.jl"]
_SOLVERS = ("OrdinaryDiffEq.jl", "Zygote.jl")
OF_STUDY = {
    "subgradient": tuple(_KINKS),
    "reversibility": _SOLVERS,
    "oscillator": _SOLVERS,
    "gradient_test": (*_SOLVERS, "SciMLSensitivity.jl"),
    "training": (*_SOLVERS, "SciMLSensitivity.jl"),
}
_OTHERS = ("Zygote.jl",)
_MACHINERY = ("platform", "protocol", "id")
"""What a worker says about itself and no figure depends on."""

_Facts = dict[str, str]


def decisive(result: StudyResult) -> list[str]:
    """One line an engine: its language and the facts that this study's figures rest on."""
    wanted = (*DECISIVE, *OF_STUDY.get(result.name, _OTHERS))
    lines = []
    for name, observation in result.observations.items():
        facts = _facts(observation)
        chosen = {k: v for k, v in facts.items() if k in wanted} or facts
        label = f", recorded {observation.recorded}" if observation.recorded else ""
        lines.append(f"- {name}{label}: {_listed(chosen)}.")
    return lines


def whole(run: RunResult) -> str:
    """All facts of a run, once an engine; where studies differ, each study's own."""
    engines = dict.fromkeys(name for result in run.values() for name in result.observations)
    lines = []
    for engine in engines:
        by_study = {
            name: _facts(result.observations[engine])
            | _recorded(result.observations[engine].recorded)
            for name, result in run.items()
            if engine in result.observations
        }
        common = _common(list(by_study.values()))
        lines.append(f"- {engine}: {_listed(common)}.")
        apart: dict[str, list[str]] = {}
        for study, facts in by_study.items():
            other = {k: facts.get(k, "not said") for k in common | facts}
            other = {k: v for k, v in other.items() if common.get(k) != v}
            if other:
                apart.setdefault(_listed(other), []).append(f"`{study}`")
        lines += [f"  - in {', '.join(studies)}: {told}" for told, studies in apart.items()]
    return "\n".join(lines)


def _recorded(date: str | None) -> _Facts:
    return {"recorded": date} if date else {}


def _common(told: list[_Facts]) -> _Facts:
    """Of each fact what most studies say, where most say anything."""
    common = {}
    for key in dict.fromkeys(k for facts in told for k in facts):
        counts = Counter(facts.get(key, "") for facts in told)
        most = counts.most_common(1)[0][0]
        if most:
            common[key] = most
    return common


def _facts(observation: Observation) -> _Facts:
    return {
        k: str(v)
        for k, v in observation.provenance.items()
        if isinstance(v, str | int | float) and k not in _MACHINERY
    }


def _listed(facts: _Facts) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(facts.items(), key=_language_first))


def _language_first(fact: tuple[str, Any]) -> tuple[bool, bool, str]:
    name = fact[0]
    return name not in ("python", "julia", "recorded"), name.endswith(".jl"), name.lower()
