"""A client made from proto/ alone: plain grpcio, stubs generated on the spot, nothing of draftmesh imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from draftmesh.client import Client, GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.helpers.up import UpProcess

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

PROTO = Path(__file__).parents[2] / "proto"
CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
import grpc
from draftmesh.v1 import coordinator_pb2, coordinator_pb2_grpc
request = coordinator_pb2.GenerateRequest(text=sys.argv[3].encode())
request.stop.max_tokens = 16
with grpc.insecure_channel(sys.argv[2]) as channel:
    for response in coordinator_pb2_grpc.CoordinatorServiceStub(channel).Generate(request, timeout=60):
        sys.stdout.buffer.write(response.chunk.text)
import draftmesh
assert draftmesh.__file__.startswith(sys.argv[1]), draftmesh.__file__
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Freshly generated stubs in a package of their own."""
    files = sorted(str(file) for file in PROTO.glob("draftmesh/v1/*.proto"))
    options = (f"-I{PROTO}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}")
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *files], check=True, timeout=60)
    for package in ("draftmesh", "draftmesh/v1"):
        (tmp_path / package / "__init__.py").touch()
    return tmp_path


def test_a_client_generated_from_the_protos_gets_a_stream(deployed: UpProcess, stubs: Path) -> None:
    """Its text is what our own client gets."""
    prompt = demo_prompts()[3]
    with Client(deployed.listen) as client:
        ours = client.generate(prompt, GenerateOptions(max_tokens=16))
    command = [sys.executable, "-c", CLIENT, str(stubs), deployed.listen, prompt]
    theirs = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert (theirs.returncode, theirs.stdout) == (0, ours.data), theirs.stderr.decode()
