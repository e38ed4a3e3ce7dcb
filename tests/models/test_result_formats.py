"""A result as Markdown and LaTeX, for a paper or an issue."""

from __future__ import annotations

import numpy as np
import pytest

import numdl_bridge as nb


@pytest.fixture(scope="module")
def result():
    at = {"theta": np.array([0.5, -1.0])}
    return nb.compare_gradients(
        lambda theta: theta.square().sum(), "(; theta) -> sum(abs2, theta)", at, julia_mode="off"
    )


def test_latex_has_the_rows_and_rules(result) -> None:
    pytest.importorskip("jinja2", reason="the extra `report`")
    text = result.to_latex()
    assert text.count("rule") == 3
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    assert body.count(r"\\") == len(result.rows)
    assert "torch–referee" in body


def test_markdown_has_the_same_rows(result) -> None:
    lines = result.to_markdown().split("\n\n")[0].splitlines()
    assert len(lines) == 2 + len(result.rows)
    assert [line.split(" | ")[1] for line in lines[2:]] == [d.pair for d in result.rows]
