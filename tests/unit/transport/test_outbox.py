"""Messages from the engine's thread to a session's stream."""

from __future__ import annotations

import asyncio

import pytest

from draftmesh.core.errors import StateError
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.outbox import Outbox


async def test_messages_of_another_thread_arrive_in_order() -> None:
    """What one thread puts comes out in the same order, and then the end."""
    outbox = Outbox[Draining]()

    def work() -> None:
        for number in range(100):
            outbox.put(Draining(number))
        outbox.close()

    await asyncio.to_thread(work)
    assert [await outbox.get() for _ in range(101)] == [*(Draining(number) for number in range(100)), None]


async def test_error_comes_after_what_was_said_before() -> None:
    """An error that ends the stream does not swallow messages."""
    outbox = Outbox[Draining]()
    outbox.put(Draining(1))
    outbox.close(StateError("gap"))
    assert await outbox.get() == Draining(1)
    with pytest.raises(StateError, match="gap"):
        await outbox.get()


async def test_full_outbox_makes_the_reader_wait() -> None:
    """There is room again when enough messages have been taken, and not before."""
    outbox = Outbox[Draining](max_backlog=2)
    for number in range(3):
        outbox.put(Draining(number))
    await asyncio.sleep(0)  # the loop moves them into the queue
    waiting = asyncio.create_task(outbox.wait_for_room())
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        await outbox.get()
    await waiting


async def test_message_after_the_loop_has_gone_is_dropped() -> None:
    """A session that outlives its event loop harms nobody."""

    async def make() -> Outbox[Draining]:
        return Outbox[Draining]()

    outbox = await asyncio.to_thread(lambda: asyncio.run(make()))
    outbox.put(Draining(1))
