"""draftmesh: lossless speculative decoding with any drafter, over a network.

``from draftmesh import Client`` is the way in for programs; ``draftmesh --help`` is the one for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from draftmesh.client import AsyncClient, Chunk, Client, GenerateOptions, Generation

__all__ = ["AsyncClient", "Chunk", "Client", "GenerateOptions", "Generation", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 (module attributes have any type)
    # Lazily, so that a daemon which never is a client does not import one.
    if name in __all__:
        from draftmesh import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
