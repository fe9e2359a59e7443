"""The protos keep buf's rules (STANDARD and COMMENTS)."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_buf_lint(repository: Path, tools: Path) -> None:
    """`buf lint proto` has nothing to say."""
    command = [str(tools / "buf"), "lint", "proto"]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_buf_format(repository: Path, tools: Path) -> None:
    """`buf format` would change nothing."""
    command = [str(tools / "buf"), "format", "--diff", "proto"]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout == ""
