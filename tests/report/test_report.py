"""What is printed says what was concluded: same figures, same verdicts, nothing hidden."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from stub_study import STUBS, StubEngine, changed, engines

from numdl_bridge.compare import compare_study
from numdl_bridge.compare.budget import Side, Tolerance
from numdl_bridge.compare.difference import differ
from numdl_bridge.errors import BadInputError
from numdl_bridge.report import rows, terminal
from numdl_bridge.report.cells import cell, largest
from numdl_bridge.report.figures import DRAWINGS, svg
from numdl_bridge.report.html import fragment, page
from numdl_bridge.report.machine_readable import run_as_json
from numdl_bridge.report.pages import write_pages
from numdl_bridge.report.table import Table
from numdl_bridge.report.terminal import as_text
from numdl_bridge.report.timing_rows import timing_table
from numdl_bridge.runs.budget import Budget
from numdl_bridge.runs.runner import run_all
from numdl_bridge.studies import all_studies
from numdl_bridge.studies.contract import Quantity
from numdl_bridge.studies.observation import Observation, Timing

pytestmark = pytest.mark.usefixtures("stubs")


def result(timings: bool = False, **faults: str):
    return run_all("stub", engines=engines(**faults), size="quick", timings=timings)


def test_terminal_shows_every_table_within_a_hundred_columns() -> None:
    run = result(timings=True)
    text = as_text(*run.values())
    assert max(map(len, text.splitlines())) <= 100
    for heading in ("Gradients", "Inverses", "Quantities", "Timings", "Claims"):
        assert heading in text
    assert "torch–referee" in text
    assert "max |x| = " in text
    x = STUBS["stub"].inputs(run["stub"].options)["x"]
    assert f"{np.abs(x).max():.2f}" in text
    assert "torch / julia" in text, "both are live and agree: a ratio is quoted"
    assert str(run["stub"]) == text


def test_a_disagreement_is_marked_explained_and_costs_the_timings() -> None:
    run = result(timings=True, julia="wrong")
    text = as_text(*run.values())
    assert "3.3e-1" in text or "0.33" in text
    assert text.count("✗ gradient/x") == 1
    assert "disagree: relative difference" in text
    assert "no timings of torch and julia: they disagree on 'gradient/x'" in text
    assert " ± " not in text


def test_what_is_not_there_has_its_reason() -> None:
    text = as_text(*result(julia="crash").values())
    assert "– julia is unavailable: crashed with ZeroDivisionError: deep inside" in text
    assert "torch–julia" not in text
    lacking = as_text(*result(julia="lacks").values())
    assert "– julia has no inverse/x: no root here" in lacking


def test_a_failed_claim_is_red_and_has_its_figure(monkeypatch) -> None:
    study = STUBS["stub"]
    big = changed(study, draw=lambda o, rng: {"x": np.array([20.0, 1.0]), "n": np.array(2)})
    monkeypatch.setitem(all_studies(), "stub", big)
    run = result()
    assert not run.ok
    claims = rows.claim_table(run["stub"])
    assert claims.rows[0][0] == "✗"
    assert claims.verdicts == ["disagree"]
    assert "✗ claim bounded fails for torch: max |x| = 20.00" in as_text(*run.values())


def test_cells_are_exact_about_equality() -> None:
    table = rows.difference_tables(result()["stub"])[0]
    assert table.rows == [["gradient/x", table.rows[0][1], "= ✓", "= ✓", "= ✓"]]


def test_a_cell_says_by_what_two_values_were_judged() -> None:
    """A difference of zeros' signs, of values that ought to be zero, of one tiny entry."""

    def shown(x: list[float], y: list[float], rtol: float, atol: float) -> str:
        left, right = (
            Side(engine, "q", Observation("stub", engine, {}, "", {"q": np.array(v)}))
            for engine, v in (("torch", x), ("julia", y))
        )
        quantity = Quantity("q", "value", rtol, "")
        return cell(differ("stub", quantity, left, right, Tolerance(rtol, atol, "")))

    assert shown([1.0, 0.0], [1.0, -0.0], 0.0, 0.0) == "±0 ✗"
    assert shown([1e-17], [3e-16], 1e-12, 1e-15) == "abs 2.9e-16 ✓"
    assert shown([1e-17], [3e-16], 1e-12, 1e-17).endswith(" ✗")
    ones = [1.0, 1.0, 1e-30], [1.0 + 2**-52, 1.0, 2e-30]
    assert shown(*ones, 1e-12, 0.0) == "1.6e-16 (~1) ✓"


def test_of_several_differences_the_gravest_is_shown_and_all_are_counted() -> None:
    stub = result(julia="wrong")["stub"]
    found = [d for d in stub.comparison.differences if d.quantity == "gradient/x"]
    size, between, tally = largest(found)
    assert float(size.split()[0]) > 0.1
    assert "julia" in between
    assert tally == "2 ✗  1 ✓"


def test_recorded_answers_are_labelled(tmp_path: Path) -> None:
    from numdl_bridge.runs.recordings import RecordedEngine, record

    study = STUBS["stub"]
    options = study.configure("quick")
    live = StubEngine("julia").observe(study, options, study.inputs(options))
    record(live, tmp_path / "recordings")
    replay = RecordedEngine("julia", tmp_path / "recordings")
    chosen = [StubEngine("torch"), replay, StubEngine("referee")]
    run = run_all("stub", engines=chosen, size="quick")
    text = as_text(*run.values())
    assert "julia is replayed from a recording of 20" in text
    assert "torch / julia" not in text, "times of another machine are never divided by ours"
    assert "recorded 20" in (write_pages(run, tmp_path / "pages")[0]).read_text()


def test_pages_are_the_same_bytes_every_time_and_complete(tmp_path: Path) -> None:
    run = result(timings=True)
    first = write_pages(run, tmp_path / "a")
    second = write_pages(run, tmp_path / "b")
    assert [p.name for p in first] == ["stub.md", "README.md"]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second))
    text = first[0].read_text()
    for part in ("Does the machinery work?", "## Method", "## Gradients", "A slip of the stub."):
        assert part in text
    assert run.manifest["studies"]["stub"]["input_hash"][:16] in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) >= 3


def test_half_a_run_makes_no_page(tmp_path: Path) -> None:
    run = result()
    run.manifest["status"] = "interrupted"
    with pytest.raises(BadInputError, match="numdl run --resume"):
        write_pages(run, tmp_path)
    assert not list(tmp_path.glob("*.md"))


class Checker(HTMLParser):
    """Notes whether every opened element is closed, and what is fetched from elsewhere."""

    void = frozenset({"meta", "link", "br", "img", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_html_is_well_formed_self_contained_and_escaped(monkeypatch) -> None:
    nasty = changed(STUBS["stub"], question="Is a < b & <script>alert(1)</script>?")
    monkeypatch.setitem(all_studies(), "stub", nasty)
    run = result(timings=True)
    for text in (page(run), fragment(run["stub"]), run["stub"]._repr_html_(), run._repr_html_()):
        checker = Checker()
        checker.feed(text)
        assert checker.open == []
        assert not [link for link in checker.links if not link.startswith("#")]
        assert "<script>" not in text
        assert "gradient/x" in text


def test_json_is_complete_and_names_nan() -> None:
    run = result(timings=True)
    data = msgspec.json.decode(run_as_json(run))
    stub = data["studies"]["stub"]
    assert data["ok"] is True
    assert stub["verdicts"]["agree"] == 12
    assert len(stub["differences"]) == 12
    assert stub["timings"]["torch"][0]["task"] == "forward"
    assert stub["provenance"]["torch"] == {"stub": "1.0"}


def test_figures_are_reproducible_svg_and_absent_without_their_arrays() -> None:
    pytest.importorskip("matplotlib")
    run = result()
    assert svg(run["stub"]) is None

    def draw(figure, found, values) -> None:
        figure.subplots().plot(values["gradient/x"])

    DRAWINGS["stub"] = draw
    try:
        first = svg(run["stub"])
        assert first is not None
        assert first == svg(run["stub"])
        assert "<svg" in first
        DRAWINGS["stub"] = lambda figure, found, values: values["not there"]
        assert svg(run["stub"]) is None
    finally:
        del DRAWINGS["stub"]


def test_a_task_that_was_called_once_says_so_and_what_is_no_task_has_no_row() -> None:
    stub = result()["stub"]
    stub.observations["torch"].timings = [
        Timing("forward", "first call", (0.5,)),
        Timing("forward", "kernel", (0.1, 0.2, 0.3)),
        Timing("once", "first call", (0.25,)),
        Timing("stub", "answer", (2.0,)),
    ]
    table = timing_table(stub)
    assert table.rows == [["forward", "200 ms ± 100.0 ms (100 ms)"], ["once", "250 ms, first call"]]
    assert any(note.startswith("torch: answer 2.00 s") for note in table.notes)


def test_other_tolerances_and_a_missing_julia_are_said() -> None:
    run = run_all(
        "stub", engines=engines()[:1], size="quick", budget=Budget(10, {"gradient/x": 1e-3})
    )
    text = as_text(*run.values())
    assert "judged with every tolerance times 10" in text
    assert "judged with a relative tolerance of 0.001 for gradient/x" in text
    console = Console(file=io.StringIO(), width=100)
    console.print(terminal.overview(run))
    assert "claims hold · without Julia" in console.file.getvalue()


def test_a_long_table_is_cut_but_never_a_disagreement() -> None:
    table = Table("Gradients", ["gradients", "torch"])
    for n in range(40):
        table.add(f"row{n}", "1", verdict="disagree" if n == 33 else "agree")
    console = Console(file=io.StringIO(), width=100)
    console.print(terminal.table_of(table, 10))
    text = console.file.getvalue()
    assert "row9 " in text
    assert "row10 " not in text
    assert "row33" in text
    assert "and 29 more, none of which disagrees; `numdl show RUN STUDY`" in text


def test_what_is_only_reported_stands_under_the_engine_that_returned_it() -> None:
    stub = result()["stub"]
    extra = [
        Quantity("reported", "figure", 0.0, "", compared=False),
        Quantity("own", "figure", 0.0, "", compared=False, engines=("julia",)),
        Quantity("trace", "loss", 0.0, "", compared=False, parted=1e-3),
    ]
    study = replace(stub.study, quantities=lambda o: [*stub.study.quantities(o), *extra])
    for k, (name, observation) in enumerate(stub.observations.items()):
        observation.values["reported"] = np.array(float(k + 1))
        observation.values["trace"] = np.array([1.0, 1.0, 1.0 + 0.1 * (name == "julia")])
    stub.observations["julia"].values["own"] = np.array(5.0)
    comparison = compare_study(study, stub.options, stub.observations)
    shown = replace(stub, study=study, comparison=comparison)

    (table,) = (t for t in rows.difference_tables(shown) if t.title == "Quantities")
    cells = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    place = list(stub.observations).index("julia") + 1
    assert cells["reported"]["torch–julia"] == f"julia: {place}"
    assert cells["own"]["torch"] == ""
    assert cells["own"]["torch–julia"] == "julia: 5"

    text = as_text(shown)
    assert "Where histories part" in text
    (parting,) = (p for p in comparison.partings if {p.left, p.right} == {"torch", "julia"})
    assert parting.at == 2
    assert parting.difference == pytest.approx(0.1 / 1.1)
    (row,) = rows.parting_table(shown).rows
    assert any(c.startswith("together for 3 iterations") for c in row)  # torch and referee
    assert len(shown.partings) == 3
