"""The committed stubs are what the protos generate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


@pytest.fixture(scope="module")
def generated(repository: Path, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh stubs of all protos."""
    out = tmp_path_factory.mktemp("stubs")
    protos = sorted(str(path) for path in (repository / "proto").rglob("*.proto"))
    kinds = ("python", "grpc_python", "mypy", "mypy_grpc")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{repository / 'proto'}"]
    command += [f"--{kind}_out={out}" for kind in kinds] + protos
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return out


def stub_names(root: Path) -> set[str]:
    """Paths of all stubs below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*_pb2*") if path.name.endswith(SUFFIXES)}


def test_every_stub_is_committed_and_no_other(repository: Path, generated: Path) -> None:
    """The committed files are those that the protos generate."""
    committed = {f"draftmesh/v1/{name}" for name in stub_names(repository / "services" / "draftmesh" / "v1")}
    assert stub_names(generated) == committed


def test_no_stub_differs(repository: Path, generated: Path) -> None:
    """Regenerating changes nothing (`make proto` brings them up to date)."""
    names = sorted(stub_names(generated))
    differing = [n for n in names if (generated / n).read_bytes() != (repository / "services" / n).read_bytes()]
    assert differing == []
