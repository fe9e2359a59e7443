"""What binds a session to its drafter, and what frees it."""

from __future__ import annotations

import asyncio

from draftmesh.coordinator.drafting.bond import Bond
from tests.helpers.clocks import HandClock


def bond() -> Bond:
    """A fresh one."""
    return Bond(asyncio.Event(), HandClock())


def told() -> Bond:
    """Of a base that a drafter has been told of."""
    one = bond()
    one.bind(b"drafter")
    return one


def test_a_base_that_a_drafter_knows_is_bound() -> None:
    """To drafters of its digest; a refusal of another one does not free it."""
    one = told()
    one.release()
    assert (one.holds, one.is_bound, one.digest) == (True, True, b"drafter")


def test_between_two_blocks_the_next_base_is_held_and_not_bound() -> None:
    """Nothing else may begin, for the drafter will be told any moment; it has not been told yet."""
    one = told()
    one.settled(at_work=True)
    assert (one.holds, one.is_bound, one.digest) == (True, False, None)
    one.bind(b"drafter")
    assert (one.is_bound, one.digest) == (True, b"drafter")


def test_a_drafter_that_is_lost_before_it_is_told_binds_nobody() -> None:
    """Any other one, or a free run, may take the base."""
    one = told()
    one.settled(at_work=True)
    one.release()
    assert (one.holds, one.digest) == (False, None)


def test_a_base_that_nobody_is_told_of_is_free_at_once() -> None:
    """Its drafter is left, or lost already."""
    one = told()
    one.settled(at_work=False)
    assert (one.holds, one.digest) == (False, None)


async def test_a_drafter_that_was_found_waits_for_the_verifier() -> None:
    """It asks, and is admitted when the verifier has nothing to do."""
    one = bond()
    waiting = asyncio.create_task(one.admission())
    await asyncio.sleep(0)
    assert (one.is_asking, one.holds) == (True, False)
    one.admit()
    await waiting
    assert (one.is_asking, one.holds, one.is_bound) == (False, True, False)
