"""Who takes part: transformers' ways that exist at a temperature, and draftmesh's methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from draftmesh.bench.peers.contestant import Contestant
from draftmesh.bench.peers.draftmesh_way import DraftmeshWay
from draftmesh.bench.peers.result import OFF, PLAIN, SLEM, TLI
from draftmesh.bench.peers.transformers_peer import transformers_peer
from draftmesh.bench.peers.transformers_process import Assistance, PeerSpec
from draftmesh.bench.peers.turns import Entry
from draftmesh.core.sampling import Method
from draftmesh.inspection.measuring import Generator

_ASSISTANCE = {PLAIN: Assistance.NONE, SLEM: Assistance.SLEM, TLI: Assistance.CHOSEN}


@dataclass(frozen=True, slots=True)
class Clients:
    """Of the deployments whose methods take part."""

    alone: Generator
    """A target that has all the cores."""

    pair: Generator
    """A target and a drafter that share the cores."""


def peer_labels(temperature: float, *, is_assisted: bool) -> tuple[str, ...]:
    """The ways of transformers at a temperature; TLI samples, so there is none at 0.

    Args:
        temperature: Of the tasks.
        is_assisted: Whether there is a model that could assist.
    """
    if not is_assisted:
        return (PLAIN,)
    return (PLAIN, SLEM, TLI) if temperature > 0 else (PLAIN, SLEM)


@asynccontextmanager
async def running_peers(spec: PeerSpec, labels: frozenset[str]) -> AsyncIterator[Mapping[str, Contestant]]:
    """A process for each label, loaded one after the other."""
    async with AsyncExitStack() as stack:
        peers: dict[str, Contestant] = {}
        for label, assistance in _ASSISTANCE.items():
            if label in labels:
                own = replace(spec, assistance=assistance)
                peers[label] = await stack.enter_async_context(transformers_peer(label, own))
        yield peers


def lineup(
    peers: Mapping[str, Contestant], clients: Clients, methods: Mapping[float, tuple[str, ...]], *, auto_warm_up: int
) -> list[Entry]:
    """The entries of all temperatures.

    Args:
        peers: By label; those that have no way at a temperature are left out there.
        clients: For draftmesh's methods.
        methods: Methods that draft, by temperature.
        auto_warm_up: Tasks that ``auto`` does first: it tries every method some times, and remembers.
    """
    entries = []
    for temperature, drafting in methods.items():
        for label in peer_labels(temperature, is_assisted=True):
            if label in peers:
                entries.append(Entry(label, temperature, peers[label]))
        entries.append(Entry(OFF, temperature, DraftmeshWay(clients.alone, OFF)))
        for method in drafting:
            tasks = auto_warm_up if method == Method.AUTO.label else 1
            entries.append(Entry(method, temperature, DraftmeshWay(clients.pair, method), tasks))
    return entries
