"""Where things are in the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where the interpreter's own command-line tools are."""
    return Path(sys.executable).parent
