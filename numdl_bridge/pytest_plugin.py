"""The pytest plugin: a `bridge` fixture whose Julia answers are kept beside the tests.

    def test_my_port(bridge):
        result = bridge.compare_module(my_module, x)
        result.assert_agree(digits=10)

Where Julia is installed, `pytest --numdl-record` keeps its answers in `numdl_recordings/` beside
the test file; where it is not, they are replayed. Nothing heavy is imported until the fixture is
used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .models.bridge import Bridge

_KEY: pytest.StashKey[list[tuple[str, Any]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("numdl", "numdl-bridge: PyTorch against Julia")
    group.addoption(
        "--numdl-julia",
        choices=["auto", "live", "recorded", "off"],
        default="auto",
        help="who answers for Julia: a live one where it is ready, else the recordings (auto)",
    )
    group.addoption(
        "--numdl-record",
        action="store_true",
        help="keep live Julia's answers beside the tests, in numdl_recordings/",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KEY] = []
    if config.getoption("--numdl-record") and config.getoption("--numdl-julia") in (
        "recorded",
        "off",
    ):
        raise pytest.UsageError(
            f"--numdl-record with --numdl-julia={config.getoption('--numdl-julia')}. "
            "Expected: a live Julia to record. What to do: leave one of the two out."
        )


@pytest.fixture
def bridge(request: pytest.FixtureRequest) -> Bridge:
    """`compare_gradients`, `compare_ode` and `compare_module`; skipped with --numdl-julia=off."""
    from .models.bridge import Bridge, recordings_beside

    config = request.config
    mode = config.getoption("--numdl-julia")
    if mode == "off":
        pytest.skip("--numdl-julia=off")
    path = Path(request.node.path)
    made = Bridge(
        name=f"{path.stem}.{request.node.name}",
        julia=mode,
        recordings=recordings_beside(path),
        keep=config.getoption("--numdl-record"),
    )
    config.stash[_KEY].append((request.node.nodeid, made))
    return made


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line: how many comparisons, live or replayed, and the worst of them."""
    results = [(node, r) for node, made in config.stash[_KEY] for r in made.results]
    if not results:
        return
    answers = [r.observations.get("julia") for _, r in results]
    live = sum(o is not None and o.recorded is None for o in answers)
    replayed = sum(o is not None and o.recorded is not None for o in answers)
    text = f"{len(results)} comparisons: {live} with live Julia, {replayed} replayed"
    if absent := len(results) - live - replayed:
        text += f", {absent} without Julia"
    found = [
        (d.relative, node, d.quantity)
        for node, r in results
        for d in r.rows
        # Within the absolute tolerance nothing is left to be relative to.
        if d.relative is not None and (d.absolute or 0.0) > d.atol
    ]
    if found:
        worst, node, quantity = max(found)
        text += f"; largest relative difference {worst:.1e} ({quantity} in {node})"
    terminalreporter.write_sep("-", "numdl")
    terminalreporter.write_line(text)
