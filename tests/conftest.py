"""Tests marked `engine` need a container engine: without one they are skipped with the reason, and in CI they fail."""

from __future__ import annotations

import pytest

from tests.engine import require


@pytest.fixture(autouse=True)
def _engine(request: pytest.FixtureRequest) -> None:
    """Before a test of containers."""
    if request.node.get_closest_marker("engine"):
        require()
