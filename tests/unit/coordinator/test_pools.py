"""Membership, health and seats, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from random import Random

from draftmesh.coordinator.pools.drafter_seating import DrafterRouting, DrafterSeats
from draftmesh.coordinator.pools.pool import DrafterPool, VerifierPool
from draftmesh.coordinator.pools.seating import VerifierSeats
from draftmesh.coordinator.routing.candidate import Wish
from draftmesh.coordinator.routing.config import RoutingConfig
from draftmesh.coordinator.routing.profile import verifier_profile
from draftmesh.coordinator.routing.scorers import PrefixAffinity
from draftmesh.core.endpoint import DrafterInfo, LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import Method
from tests.helpers.coordinator_bench import fake_drafter, fake_verifier, pool_of
from tests.helpers.generation_bench import make_instruments
from tests.helpers.simulated_drafters import TRAFFIC
from tests.helpers.virtual_time import run_virtual

WISH = Wish(Method.EXACT, b"target")
READY, DRAINING = LoadReport(max_sessions=2), LoadReport(draining=True, max_sessions=2)


def drafter_seats(pool: DrafterPool, wish: Wish = WISH) -> DrafterSeats:
    """Seats for one session."""
    return DrafterSeats(pool, DrafterRouting.create(RoutingConfig(), make_instruments()), wish, TRAFFIC)


def verifier_seats(pool: VerifierPool, wish: Wish = WISH) -> VerifierSeats:
    """Seats for one session."""
    return VerifierSeats(pool, verifier_profile(PrefixAffinity(), Random(0)), wish, PrefixAffinity())


def in_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Runs an async test in virtual time."""

    def run() -> None:
        run_virtual(test())

    run.__doc__ = test.__doc__
    return run


@in_virtual_time
async def test_a_member_is_ready_while_it_reports_and_does_not_drain() -> None:
    """A broken stream, a drain and a recovery are all seen."""
    drafter = fake_drafter()
    pool = pool_of(a=drafter)
    async with pool.open(["a"]):
        states = []
        for report in (READY, DRAINING, READY, None, READY):
            drafter.reports.say(report)
            await asyncio.sleep(1)
            states.append([member.is_ready for member in pool.members])
        assert states == [[True], [False], [True], [False], [True]]


@in_virtual_time
async def test_members_come_and_go() -> None:
    """Setting the addresses adds and removes members, and leaves the others alone."""
    pool = pool_of(a=fake_drafter(), b=fake_drafter(), c=fake_drafter())
    async with pool.open(["a", "b"]):
        await asyncio.sleep(1)
        kept = pool.members[1]
        pool.set_addresses(["b", "c"])
        await asyncio.sleep(1)
        assert [member.address for member in pool.members] == ["b", "c"]
        assert pool.members[0] is kept
    assert pool.members == ()


@in_virtual_time
async def test_a_seat_is_waited_for() -> None:
    """A session that finds no drafter gets the first one that comes."""
    drafter = fake_drafter()
    drafter.reports.say(None)
    pool = pool_of(a=drafter)
    async with pool.open(["a"]):
        waiting = asyncio.create_task(drafter_seats(pool).acquire())
        await asyncio.sleep(5)
        assert not waiting.done()
        drafter.reports.say(READY)
        assert (await waiting).address == "a"


@in_virtual_time
async def test_a_full_drafter_is_waited_for() -> None:
    """Own sessions count at once, and leaving one wakes those who wait."""
    drafter = fake_drafter()
    drafter.reports.say(LoadReport(max_sessions=1))
    pool = pool_of(a=drafter)
    async with pool.open(["a"]):
        seat = await drafter_seats(pool).acquire()
        with seat.taken():
            waiting = asyncio.create_task(drafter_seats(pool).acquire())
            await asyncio.sleep(1)
            assert not waiting.done()
        assert (await waiting).address == "a"


@in_virtual_time
async def test_a_draining_members_sessions_move_only_if_there_is_another() -> None:
    """Alone it works on until it is cut; with another one its sessions are told to move."""
    first, second = fake_verifier(), fake_verifier()
    second.reports.say(None)
    pool = pool_of(a=first, b=second)
    async with pool.open(["a", "b"]):
        seat = await verifier_seats(pool).acquire()
        retired = asyncio.create_task(seat.retired())
        first.reports.say(DRAINING)
        await asyncio.sleep(1)
        assert (seat.should_move, retired.done()) == (False, False)
        second.reports.say(READY)
        await asyncio.sleep(1)
        assert (seat.should_move, retired.done()) == (True, True)


@in_virtual_time
async def test_a_load_counts_sessions_that_have_just_come() -> None:
    """A member has not heard of them, or not told yet; others that it tells of are no fewer for that."""
    verifier = fake_verifier()
    verifier.reports.say(LoadReport(active_sessions=2))
    pool = pool_of(a=verifier)
    async with pool.open(["a"]):
        seats = [await verifier_seats(pool).acquire() for _ in range(3)]
        seen = [seats[0].load.active_sessions]
        with seats[0].taken(), seats[1].taken():
            seen.append(seats[0].load.active_sessions)
            with seats[2].taken():
                seen.append(seats[0].load.active_sessions)
        assert seen == [2, 2, 3]


@in_virtual_time
async def test_books_are_kept_by_pair() -> None:
    """What a session did counts for the member, and for the member with this target."""
    pool = pool_of(a=fake_drafter())
    async with pool.open(["a"]):
        seat = await drafter_seats(pool).acquire()
        seat.record(Ledger(rounds=2))
        other = await drafter_seats(pool, Wish(Method.EXACT, b"other")).acquire()
        other.record(Ledger(rounds=3))
        member = pool.members[0]
        assert (member.ledger.rounds, member.pair(b"target").rounds, member.pair(b"other").rounds) == (5, 2, 3)


@in_virtual_time
async def test_sessions_of_one_method_learn_together_how_far_a_member_is() -> None:
    """A block of another method takes another time."""
    drafter = fake_drafter()
    drafter.methods = (Method.EXACT, Method.SLRS)
    pool = pool_of(a=drafter)
    async with pool.open(["a"]):
        first, second = [await drafter_seats(pool).acquire() for _ in range(2)]
        other = await drafter_seats(pool, replace(WISH, method=Method.SLRS)).acquire()
        first.delay_ms.add(80.0)
        assert (second.delay_ms.value, other.delay_ms.count) == (80.0, 0)


@in_virtual_time
async def test_a_bug_in_watching_does_not_end_it() -> None:
    """A member whose answer breaks the watcher is asked again, with pauses."""
    drafter = fake_drafter()
    info, asked = drafter.info, 0

    async def broken_info() -> DrafterInfo:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ZeroDivisionError
        return await info()

    drafter.info = broken_info  # type: ignore[method-assign]
    pool = pool_of(a=drafter)
    async with pool.open(["a"]):
        await asyncio.sleep(1)
        assert (asked, [member.is_ready for member in pool.members]) == (3, [True])


@in_virtual_time
async def test_those_who_want_to_know_hear_who_has_left() -> None:
    """A member that is taken out of the membership, and not one that is only away."""
    left: list[str] = []
    first, second = fake_drafter(), fake_drafter()
    pool = pool_of(a=first, b=second)
    pool.on_left = left.append
    async with pool.open(["a", "b"]):
        await asyncio.sleep(1)
        first.reports.say(None)
        pool.set_addresses(["a"])
        await asyncio.sleep(1)
        assert left == ["b"]


@in_virtual_time
async def test_a_seat_of_one_digest_is_waited_for() -> None:
    """Where a digest is asked for, members of another one will not do."""
    other, twin = fake_drafter(), fake_drafter()
    other.digest = b"other"
    pool = pool_of(a=other, b=twin)
    async with pool.open(["a"]):
        waiting = asyncio.create_task(drafter_seats(pool).acquire(digest=b"drafter"))
        await asyncio.sleep(1)
        assert not waiting.done()
        pool.set_addresses(["a", "b"])
        assert ((await waiting).address, (await waiting).digest) == ("b", b"drafter")
