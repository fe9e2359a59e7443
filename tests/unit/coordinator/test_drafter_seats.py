"""Seats at drafters: who is taken, and what is learned there; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from draftmesh.coordinator.pools.drafter_seating import DrafterRouting, DrafterSeats
from draftmesh.coordinator.pools.pool import DrafterPool
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.core.errors import DraftmeshError, ExhaustedError, UnavailableError
from draftmesh.core.ledger import Ledger
from tests.helpers.coordinator_bench import fake_drafter, pool_of
from tests.helpers.generation_bench import make_instruments
from tests.helpers.peers.text_drafters import FakeDrafter
from tests.helpers.simulated_drafters import TRAFFIC, WISH, teach
from tests.helpers.virtual_time import run_virtual


def drafter(digest: bytes) -> FakeDrafter:
    """Of a digest of its own."""
    peer = fake_drafter()
    peer.digest = digest
    return peer


def routing_of(config: RoutingConfig | None = None, **known: float) -> DrafterRouting:
    """A shard's, which is sure of the rates of these drafters; addresses are digests too."""
    routing = DrafterRouting.create(config or RoutingConfig(), make_instruments())
    for address, bytes_per_s in known.items():
        teach(routing.rates, address, bytes_per_s, digest=address.encode())
    return routing


def seats_of(pool: DrafterPool, routing: DrafterRouting) -> DrafterSeats:
    """Of one session."""
    return DrafterSeats(pool, routing, WISH, TRAFFIC)


def test_what_is_done_in_a_seat_is_known_of_its_drafter() -> None:
    """Accepted bytes per second, once the seat is left."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a")), routing_of()
        async with pool.open(["a"]):
            seat = await seats_of(pool, routing).acquire()
            with seat.taken():
                for _ in range(2):
                    seat.record(Ledger(committed_tokens=10, committed_bytes=40, accepted_tokens=5, elapsed_ms=500.0))
                assert routing.rates.beliefs(TRAFFIC).best_bytes_per_s == 0.0
            assert routing.rates.beliefs(TRAFFIC).best_bytes_per_s == pytest.approx(40.0)

    run_virtual(main())


@pytest.mark.parametrize(("error", "remembered"), [(UnavailableError("died"), True), (ExhaustedError("full"), False)])
def test_a_drafter_that_fails_is_remembered_for_it(error: DraftmeshError, remembered: bool) -> None:
    """One that is full is not: that says nothing of its drafts."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a")), routing_of(b=100.0)
        async with pool.open(["a"]):
            seat = await seats_of(pool, routing).acquire()
            with pytest.raises(type(error)), seat.taken():
                raise error
            estimate = routing.rates.beliefs(TRAFFIC).of("a", b"a")
            assert estimate is not None
            assert (estimate.mean < 99.0) == remembered

    run_virtual(main())


def test_the_drafter_that_wins_most_is_taken() -> None:
    """Of drafters of equal load."""

    async def main() -> None:
        pool, routing = pool_of(a=drafter(b"a"), b=drafter(b"b")), routing_of(a=10.0, b=100.0)
        async with pool.open(["a", "b"]):
            await asyncio.sleep(1)
            assert {(await seats_of(pool, routing).acquire()).address for _ in range(20)} == {"b"}

    run_virtual(main())
