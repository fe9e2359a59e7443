"""Numbers that an operator sets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_between


@dataclass(frozen=True)
class Config:
    """With a number."""

    count: int


@pytest.mark.parametrize("count", [2, 3, 5])
def test_what_is_between_the_bounds_is_taken(count: int) -> None:
    """The bounds themselves are."""
    require_between(2, 5, Config(count), "count")


@pytest.mark.parametrize("count", [1, 6, -2])
def test_what_is_beyond_them_is_refused_by_name(count: int) -> None:
    """And by what it is."""
    with pytest.raises(ConfigError, match=f"count must be 2 to 5, got {count}"):
        require_between(2, 5, Config(count), "count")
