"""The public Python client of a coordinator: typed, with deadlines, blocking (`Client`) and asyncio (`AsyncClient`)."""

from draftmesh.client.asynchronous import AsyncClient, AsyncGenerationStream
from draftmesh.client.blocking import Client, GenerationStream
from draftmesh.client.options import GenerateOptions
from draftmesh.client.results import Chunk, Generation, PoolMember, Session, Token

__all__ = [
    "AsyncClient",
    "AsyncGenerationStream",
    "Chunk",
    "Client",
    "GenerateOptions",
    "Generation",
    "GenerationStream",
    "PoolMember",
    "Session",
    "Token",
]
