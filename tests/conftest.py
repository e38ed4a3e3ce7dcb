"""Skips live tests, with the reason, where no Julia is ready."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    live = [item for item in items if item.get_closest_marker("julia")]
    if not live:
        return
    from numdl_bridge.engines.julia.readiness import readiness
    from numdl_bridge.engines.julia.settings import resolve
    from numdl_bridge.errors import NumDLError

    try:
        found = readiness(resolve(), online=lambda: False)
        reason = "" if found.state == "ready" else f"{found.reason}; {found.remedy}"
    except NumDLError as error:
        reason = str(error)
    if reason:
        for item in live:
            item.add_marker(pytest.mark.skip(reason=f"no live Julia: {reason}"))


@pytest.fixture(scope="session")
def julia():
    """A live Julia, started once for all live tests."""
    from numdl_bridge.engines.julia import JuliaEngine

    engine = JuliaEngine()
    yield engine
    engine.close()
