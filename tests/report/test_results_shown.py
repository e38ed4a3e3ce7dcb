"""A study's own results come first, in three digits; pages have more columns than the terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from stub_study import STUBS, changed, engines

from numdl_bridge.report import pages, provenance, rows, terminal
from numdl_bridge.report.html import fragment
from numdl_bridge.report.result_rows import RESULTS, entry
from numdl_bridge.runs.results import RunResult
from numdl_bridge.runs.runner import run_all
from numdl_bridge.studies.contract import ResultTable

pytestmark = pytest.mark.usefixtures("stubs")

SHOWN = ResultTable("Losses by size", ["size", "loss"], [[5, 0.25], [7, None]], "a word on it")


def run(results=lambda found, options: [SHOWN], **faults: str) -> RunResult:
    found = run_all("stub", engines=engines(**faults), size="quick", timings=False)
    found.studies["stub"].study = changed(STUBS["stub"], results=results)
    return found


def test_numbers_have_three_digits_whole_ones_all_and_text_stays() -> None:
    shown = {
        0.034440: "0.0344",
        1.0: "1.00",
        0.09999: "0.100",
        99.96: "100",
        999.7: "1000",
        1733.789: "1734",
        9999.7: "1.00e4",
        11516.6: "1.15e4",
        5.432e-4: "5.43e-4",
        0.009999: "0.0100",
        -2.5e-17: "-2.50e-17",
        0.0: "0",
        float("nan"): "nan",
        float("-inf"): "-inf",
    }
    for value, text in shown.items():
        assert entry(value) == text
        assert entry(np.float64(value)) == text
    assert entry(-0.0) == "-0"
    assert entry(123456) == entry(np.int64(123456)) == "123456"
    assert entry("> 10") == "> 10"
    assert entry(None) == "–"


def test_results_come_first_under_their_title() -> None:
    stub = run()["stub"]
    first = rows.all_tables(stub)[0]
    assert (first.title, first.section) == ("Losses by size", RESULTS)
    assert first.rows == [["5", "0.250"], ["7", "–"]]
    text = terminal.as_text(stub)
    assert text.index("Losses by size") < text.index("a word on it") < text.index("Gradients")
    assert re.search(r"size +loss\s+5 +0\.250", text)
    assert "Losses by size" in fragment(stub)


def test_a_study_whose_results_raise_is_still_shown() -> None:
    stub = run(lambda found, options: [SHOWN, found["nobody"]])["stub"]
    text = terminal.as_text(stub)
    assert "could not be tabulated: KeyError: 'nobody'" in text
    assert "Gradients" in text
    assert "could not be tabulated" in pages.study_page(stub, _manifest(stub))


def test_pages_have_one_heading_for_results_and_the_wide_tables() -> None:
    stub = run(lambda found, options: [SHOWN, replace(SHOWN, title="Others")])["stub"]
    text = pages.study_page(stub, _manifest(stub))
    assert text.count("## Results\n") == 1
    assert "## Results\n\n### Losses by size\n\n| size | loss |" in text
    assert "### Others" in text
    assert text.index("### Others") < text.index("\n## Gradients")
    (head,) = re.findall(r"\| gradients .*\|", text)
    assert head.endswith("| tolerance | what |")
    assert "= ✓ | 1.0e-14 | x^3 |" in text
    assert "| exact | entries of x |" in text
    assert "x^3" not in terminal.as_text(stub)
    html = fragment(stub)
    assert '<td title="one product">1.0e-14</td><td>x^3</td>' in html


def test_tolerances_say_relative_absolute_or_nothing() -> None:
    (plain,) = (q for q in STUBS["stub"].quantities(None) if q.name == "loss")
    assert rows._tolerance(replace(plain, atol=2e-3)) == "1.0e-14 + abs 2.0e-3"
    assert rows._tolerance(replace(plain, rtol=0.0, atol=2e-3)) == "abs 2.0e-3"
    assert rows._tolerance(replace(plain, compared=False)) == "reported only"


def test_what_the_referee_has_not_proven_is_said_on_pages() -> None:
    stub = run()["stub"]
    referee = stub.observations["referee"]
    referee.provenance["bits"] = 256
    referee.radii["loss"] = np.array(1e-20)
    referee.radii["gradient/x"] = np.array([1e-20, np.inf])
    line = "referee, computed at 256 bits without a proven radius: gradient/x, inverse/x"
    assert line in pages.study_page(stub, _manifest(stub))
    assert line in fragment(stub)
    assert "without a proven radius" not in terminal.as_text(stub)
    referee.radii |= {"gradient/x": np.zeros(2), "inverse/x": np.zeros(2)}
    assert "without a proven radius" not in pages.study_page(stub, _manifest(stub))


def test_all_versions_stand_once_on_the_index_and_where_they_differ(tmp_path: Path) -> None:
    run = run_all("stub", "stub_two", engines=engines(), size="quick", timings=False)
    for name, version in (("stub", "1.10.8"), ("stub_two", "1.10.2")):
        observation = run[name].observations["julia"]
        observation.provenance = {"julia": version, "Flux.jl": "0.16", "id": 3, "pools": [1]}
    text = pages.index_page(run)
    assert text.count("Flux.jl 0.16") == 1
    assert "- julia: julia 1.10.8, Flux.jl 0.16." in text
    assert "  - in `stub_two`: julia 1.10.2" in text
    assert "pools" not in text
    page = pages.study_page(run["stub_two"], run.manifest)
    assert "- julia: julia 1.10.2." in page
    assert "Flux.jl" not in page
    assert provenance.decisive(run["stub"])[0] == "- torch: stub 1.0.", "nothing decisive: all"


def test_tables_of_differences_are_shorter_where_many_studies_are_printed() -> None:
    stub = run()["stub"]
    table = rows.Table("Gradients", ["gradients"])
    for k in range(9):
        table.add(f"row {k}", verdict="agree")
    stub_rows = rows.all_tables
    try:
        rows.all_tables = lambda result: [table, replace(table, title="Timings")]  # type: ignore[assignment]
        console = Console(file=io.StringIO(), width=100)
        console.print(terminal.study(stub, terminal.MOST_ROWS_OF_MANY))
    finally:
        rows.all_tables = stub_rows  # type: ignore[assignment]
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("row 5") == 2
    assert text.count("row 6") == 1
    assert "and 3 more, none of which disagrees" in text


def _manifest(stub) -> dict:
    return {
        "id": "x",
        "created": "today",
        "studies": {stub.name: {"input_hash": "0" * 64}},
    }
