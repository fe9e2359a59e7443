"""Small pieces of structured concurrency that asyncio lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; what they raise then is of no interest to anybody."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def race(*contestants: Coroutine[Any, Any, object]) -> None:
    """Run until the first one ends, cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(contestant) for contestant in contestants]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancelled(*tasks)
    for task in done:
        task.result()


async def unless(interruption: Coroutine[Any, Any, object], work: Coroutine[Any, Any, T]) -> T | None:
    """The result of ``work``; None if ``interruption`` ends first. Whichever loses is cancelled."""
    tasks = (asyncio.create_task(interruption), asyncio.create_task(work))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[1].result() if tasks[1].done() else None
    finally:
        await cancelled(*tasks)


@asynccontextmanager
async def background(job: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run ``job`` beside the block, and cancel it at the block's end; what it had raised before is raised there."""
    task = asyncio.create_task(job)
    try:
        yield task
    finally:
        await cancelled(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


class Inbox(Generic[T]):
    """Reads a stream in the background, so that its reader can wait for other things too.

    ``wake`` is set whenever there is something to take.
    """

    def __init__(self, receive: Callable[[], Awaitable[T]], wake: asyncio.Event) -> None:
        self._receive = receive
        self._wake = wake
        self._messages: list[T] = []
        self._error: Exception | None = None

    async def pump(self) -> None:
        """Read until the stream ends; to be run in the background."""
        try:
            while True:
                message = await self._receive()
                self._messages.append(message)
                self._wake.set()
        except Exception as error:  # whatever it is, the reader is to meet it
            self._error = error
        finally:
            self._wake.set()

    def take(self) -> list[T]:
        """All messages since the last call.

        Raises:
            Exception: the stream has ended with it (a DraftmeshError unless there is a bug), and everything that came
                before has been taken.
        """
        if self._error is not None:
            if not self._messages:
                raise self._error
            self._wake.set()  # for the error, which comes after the messages
        taken, self._messages = self._messages, []
        return taken


class Signal:
    """Wakes everybody who waits for the next change of something."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """The thing has changed."""
        self._event.set()
        self._event = asyncio.Event()

    def wait(self) -> Coroutine[Any, Any, object]:
        """Waits for the next change after this call, even if it comes before the waiting has begun."""
        return self._event.wait()


class Switch:
    """On or off, and either can be waited for."""

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = asyncio.Event()
        self._is_off = asyncio.Event()
        self.turn(on=is_on)

    @property
    def is_on(self) -> bool:
        """Whether it is on."""
        return self._is_on.is_set()

    def turn(self, *, on: bool) -> None:
        """Turn it on or off; what it is already, it stays."""
        for event, is_true in ((self._is_on, on), (self._is_off, not on)):
            if is_true:
                event.set()
            else:
                event.clear()

    def on(self) -> Coroutine[Any, Any, object]:
        """Waits until it is on."""
        return self._is_on.wait()

    def off(self) -> Coroutine[Any, Any, object]:
        """Waits until it is off."""
        return self._is_off.wait()


async def any_change(*signals: Signal) -> None:
    """Wait for the next change of any of these."""
    await race(*(signal.wait() for signal in signals))
