"""A run as one HTML page without any other file, and a study as a fragment for notebooks.

Written without a template engine, so that notebooks show results in a plain installation.
"""

from __future__ import annotations

from html import escape

from ..runs.results import RunResult, StudyResult
from . import rows
from .figures import svg
from .table import CELLS, VERDICTS, Table

_CSS = """\
.numdl{font:14px/1.45 system-ui,sans-serif;max-width:68em}
.numdl h2{margin:1.6em 0 .2em}.numdl p{margin:.3em 0}
.numdl table{border-collapse:collapse;margin:.8em 0;font-size:13px}
.numdl caption{text-align:left;font-weight:600;padding:.2em 0}
.numdl th{font-weight:400;opacity:.65;text-align:left}
.numdl th,.numdl td{padding:.12em 1.1em .12em 0;vertical-align:top;border:0;white-space:pre-line}
.numdl tr.within{color:#0a7a8a}.numdl tr.explained{color:#9a6a00}
.numdl tr.disagree,.numdl li.disagree{color:#c02020;font-weight:600}
.numdl .dim{opacity:.65}.numdl svg{max-width:100%;height:auto;background:#fff}
.numdl ul{list-style:none;padding-left:0}
"""
_CLASSES = {"agree within budget": "within", "explained": "explained", "disagree": "disagree"}


def page(run: RunResult) -> str:
    """The whole run: an overview, then every study with its figure."""
    overview = Table("Overview", ["", "study", "outcome"])
    for result in run.values():
        verdict = "" if result.ok else "disagree"
        overview.add("✓" if result.ok else "✗", result.name, result.summary, verdict=verdict)
    versions = ", ".join(f"{k} {v}" for k, v in run.manifest["versions"].items())
    body = [
        "<h1>numdl-bridge</h1>",
        f"<p class=dim>run {escape(run.folder.name)}, {escape(run.manifest['created'])}; "
        f"{escape(versions)}; {escape(run.manifest['machine']['cpu'])}</p>",
        _table(overview),
    ]
    for result in run.values():
        drawn = svg(result) or ""
        body.append(_study(result, drawn[drawn.find("<svg") :] if drawn else ""))
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>numdl-bridge: {escape(run.folder.name)}</title>"
        "<style>:root{color-scheme:light dark}body{margin:2em auto;padding:0 1em;max-width:72em}\n"
        f"{_CSS}</style>\n<body class=numdl>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def fragment(result: StudyResult) -> str:
    """One study, with the style that it needs, for a notebook's cell."""
    return f"<style>{_CSS}</style><div class=numdl>{_study(result)}</div>"


def _study(result: StudyResult, drawn: str = "") -> str:
    options = ", ".join(
        f"{f}={getattr(result.options, f)}" for f in result.options.__struct_fields__
    )
    remarks = "".join(
        f"<li class={'disagree' if verdict == 'disagree' else 'dim'}>{escape(line)}</li>"
        for verdict, line in rows.page_remarks(result)
    )
    return (
        f'<h2 id="{escape(result.name)}">{escape(result.study.title)}</h2>'
        f"<p><em>{escape(result.study.question)}</em></p>"
        f"<p class=dim>{escape(result.name)} · {escape(options)}</p>"
        + drawn
        + "".join(_table(t) for t in rows.all_tables(result))
        + f"<p class=dim>{escape(VERDICTS)}<br>{escape(CELLS)}</p>"
        + (f"<ul>{remarks}</ul>" if remarks else "")
    )


def _table(table: Table) -> str:
    columns, lines = table.wide()
    head = "".join(f"<th>{escape(c) if c != table.title.lower() else ''}</th>" for c in columns)
    body = "".join(
        f'<tr class="{_CLASSES.get(verdict, "")}">'
        + "".join(
            f'<td title="{escape(hint)}">{escape(c)}</td>'
            if hint and column == "tolerance"
            else f"<td>{escape(c)}</td>"
            for column, c in zip(columns, cells)
        )
        + "</tr>"
        for cells, verdict, hint in zip(
            lines, table.verdicts, table.hints or [""] * len(lines), strict=True
        )
    )
    notes = "".join(f"<p class=dim>{escape(n)}</p>" for n in table.notes)
    title = escape(table.title)
    return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>{notes}"
