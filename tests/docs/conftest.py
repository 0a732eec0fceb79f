"""The order of the tests."""

from __future__ import annotations

import pytest

FIRST = "test_readme.py"
"""Its longest test takes a minute: begun last, it would keep one worker busy while the others have nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest test first."""
    items.sort(key=lambda item: item.path.name != FIRST)
