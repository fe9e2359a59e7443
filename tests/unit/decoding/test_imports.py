"""What the coordinator may import."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = ("", ".noise_key", ".streams", ".stopping", ".history", ".exact", ".case", ".longest_match", ".psi")
MODULES = [f"draftmesh.decoding{name}" for name in NAMES]


@pytest.mark.parametrize("module", MODULES)
def test_modules_for_the_coordinator_do_not_import_torch(module: str) -> None:
    """The coordinator's image carries no torch."""
    script = f"import sys, {module}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "False"
