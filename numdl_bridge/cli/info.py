"""`numdl list` and `numdl doctor`: what there is to run, and what it would run on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .console import console

if TYPE_CHECKING:
    from ..studies.contract import Options, Study


def list_studies(
    study: Annotated[str | None, typer.Argument(help="one study in full")] = None,
) -> None:
    """List the studies; with a name, its options, quantities and claims."""
    from ..studies import all_studies, get_study

    out = console()
    if study is not None:
        _list_one(out, get_study(study))
        return
    grid = _grid("study", "question and place in the talk")
    for found in all_studies().values():
        text = Text(found.question)
        text.append(f"\n{found.slide}", style="dim")
        grid.add_row(Text(found.name, style="bold"), text)
    out.print(grid)


def _list_one(out: Console, study: Study) -> None:
    options = study.configure()
    out.print(Text(study.title, style="bold"))
    out.print(Text(study.question))
    out.print(Text(f"{study.slide}\n", style="dim"))
    out.print(_options_table(study))
    quantities = _grid("quantity", "kind", "rtol", "about")
    for q in study.quantities(options):
        only = f" ({q.engines[0]} only)" if len(q.engines) == 1 else ""
        quantities.add_row(*map(Text, (q.name, q.kind, f"{q.rtol:.1e}", f"{q.about}{only}")))
    out.print(Padding(quantities, (1, 0)))
    claims = _grid("", "claims", "source")
    for number, claim in enumerate(study.claims(options), 1):
        claims.add_row(*map(Text, (str(number), claim.statement, claim.source)))
    if claims.row_count:
        out.print(claims)


def _options_table(study: Study) -> Table:
    sizes = {size: study.configure(size) for size in ("default", "quick", "full")}
    grid = _grid("option", *sizes, "type", "what it is")
    about = _about(study.options)
    for name in study.options.__struct_fields__:
        values = [str(getattr(o, name)) for o in sizes.values()]
        shown = [values[0], *(v if v != values[0] else "" for v in values[1:])]
        kind = _type_name(study.options, name)
        grid.add_row(*map(Text, (name, *shown, kind, about.get(name, ""))))
    return grid


def _about(options: type[Options]) -> dict[str, str]:
    """What the docstrings of the options say of each: the items `- name: text` of their lists."""
    found: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        for item in re.split(r"\n\s*- (?=`)", kind.__doc__ or "")[1:]:
            names, _, text = item.partition(": ")
            text = " ".join(text.split("\n\n")[0].split())
            found |= dict.fromkeys(re.findall(r"`(\w+)`", names), text)
    return found


def _type_name(options: type[Options], name: str) -> str:
    import typing

    kind: Any = typing.get_type_hints(options)[name]
    if typing.get_origin(kind) is typing.Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def doctor() -> None:
    """Show what is installed on each side, which BLAS and threads, and which Julia."""
    from ..runs.machine import machine, versions

    out = console()
    about = machine()
    grid = _grid("", "")
    grid.show_header = False
    for name, value in versions().items():
        grid.add_row(Text(name), Text(value))
    grid.add_row(Text("processor"), Text(f"{about['cpu']}, {about['cores']} cores"))
    grid.add_row(Text("memory"), Text(f"{about['memory'] / 2**30:.1f} GiB"))
    grid.add_row(Text("torch devices"), Text(", ".join(_devices())))
    for pool in about["pools"]:
        what = f"{pool['internal_api']} {pool['version'] or ''}".strip()
        found = f"{what}, {pool['num_threads']} threads ({pool['filepath']})"
        grid.add_row(Text(f"{pool['user_api']} of Python"), Text(found))
    for path in _loaded("libstdc++", "libgomp", "libiomp"):
        grid.add_row(Text("loaded library"), Text(path))
    for name, value in _julia():
        grid.add_row(Text(name), Text(value))
    out.print(grid)
    for line in _warnings(about["pools"]):
        out.print(Text(f"\n{line}", style="yellow"))


def _loaded(*beginnings: str) -> list[str]:
    """Paths of the C++ and OpenMP libraries in this process (Linux tells, others do not)."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    return sorted(p for p in paths if p.rpartition("/")[2].startswith(beginnings))


def _devices() -> list[str]:
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [
            f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _julia() -> list[tuple[str, str]]:
    """Which Julia was found, or why none, and what to do; read without starting it."""
    from ..engines.julia.engine import JuliaEngine
    from ..engines.julia.stamps import read_stamp

    engine = JuliaEngine()
    found = engine.readiness()
    state = found.state if not found.reason else f"{found.state}: {found.reason}"
    rows = [("julia", state)]
    if found.remedy:
        rows.append(("what to do", found.remedy))
    rows += [(f"julia {o.name}", f"{o.value or '–'} ({o.source})") for o in engine.settings.options]
    stamp = read_stamp(engine.settings) or {}
    rows += [(f"julia's {k}", str(v)) for k, v in stamp.get("facts", {}).items()]
    return rows


def _warnings(pools: list[dict[str, Any]]) -> list[str]:
    openmp = {p["filepath"] for p in pools if p["user_api"] == "openmp"}
    if len(openmp) < 2:
        return []
    return [
        f"More than one OpenMP in this process ({', '.join(sorted(openmp))}): threads may be "
        "oversubscribed and timings suffer. What to do: set OMP_NUM_THREADS=1, or install torch "
        "and NumPy from one source."
    ]


def _grid(*columns: str) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        grid.add_column(column, overflow="fold", no_wrap=number == 0)
    return grid
