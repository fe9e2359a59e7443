"""``import draftmesh``: what programs may rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import draftmesh
from draftmesh import client

NAMES = ["AsyncClient", "Chunk", "Client", "GenerateOptions", "Generation", "__version__"]


def test_the_public_names_are_these() -> None:
    """A name that comes or goes is a decision."""
    assert sorted(draftmesh.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_every_public_name_is_the_clients(name: str) -> None:
    """What ``draftmesh`` offers is what ``draftmesh.client`` defines."""
    assert getattr(draftmesh, name) is getattr(client, name)


def test_every_public_name_resolves() -> None:
    """``from draftmesh import *`` gives exactly ``__all__``."""
    namespace: dict[str, object] = {}
    exec("from draftmesh import *", namespace)
    assert sorted(namespace.keys() - {"__builtins__"}) == sorted(draftmesh.__all__)


def test_every_name_of_the_client_resolves() -> None:
    """``draftmesh.client`` offers what it says."""
    assert [name for name in client.__all__ if not hasattr(client, name)] == []


def test_another_name_is_an_attribute_error() -> None:
    """A misspelled name fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Clientt'"):
        _ = draftmesh.Clientt


def test_importing_the_package_imports_no_client() -> None:
    """A daemon which never is a client does not pay for one; and the client never imports torch or ray."""
    code = (
        "import sys, draftmesh; assert 'grpc' not in sys.modules; draftmesh.Client; "
        "print(sorted({'grpc', 'torch', 'transformers', 'ray'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['grpc']"
