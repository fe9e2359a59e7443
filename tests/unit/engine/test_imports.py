"""The bookkeeping of the engine does not know tensors."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["block_pool", "paging", "scheduler", "sequence", "stats", "packing", "limits", "config"]
)
def test_bookkeeping_imports_no_torch(module: str) -> None:
    """Ids and counters only, so that it can be tested without a model."""
    code = f"import sys, draftmesh.engine.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
