"""The client's end of a bidirectional call, made safe for a session loop.

A grpc.aio call is cancelled as a whole when a task that waits in ``read`` or ``write`` is cancelled, and ``read`` on a
call that was cancelled here raises ``CancelledError`` in a task that nobody cancelled. A session waits for its streams
with timeouts and alternatives, so here two tasks of the stream's own do the reading and writing, and the session meets
them at two short queues: whoever waits there may go away at any time, and no message is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import grpc

from draftmesh.core.errors import DraftmeshError, UnavailableError
from draftmesh.transport.status import translated_errors

INBOX_MESSAGES = 8
"""Messages read ahead of the session; beyond them the peer feels flow control."""
OUTBOX_MESSAGES = 16
"""Messages that wait to be written; beyond them the session feels it."""

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class CallStream(Generic[RequestT, ResponseT]):
    """Messages of one open bidirectional call, in order, in both directions."""

    def __init__(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT], peer: str, send_s: float) -> None:
        """Own ``call``; ``peer`` names the other side in messages, which may let ours wait ``send_s`` at most."""
        self._call = call
        self._peer = peer
        self._send_s = send_s
        self._inbox: asyncio.Queue[ResponseT | DraftmeshError] = asyncio.Queue(INBOX_MESSAGES)
        self._outbox: asyncio.Queue[RequestT] = asyncio.Queue(OUTBOX_MESSAGES)
        self._reader = _start(self._read_all())
        self._writer = _start(self._write_all())

    async def write(self, message: RequestT) -> None:
        """Send in order: returns when the message waits to be written, behind a few others at most.

        Raises:
            UnavailableError: the call has ended, or the peer takes no messages. :meth:`read` says why.
        """
        if self._call.done() or self._writer.done():
            raise UnavailableError(f"{self._peer}: the stream has ended")
        if not self._outbox.full():
            self._outbox.put_nowait(message)
            await asyncio.sleep(0)  # the writer takes it now, whatever else the session has to do
            return
        try:
            await asyncio.wait_for(self._outbox.put(message), self._send_s)
        except TimeoutError:
            self._call.cancel()
            raise UnavailableError(f"{self._peer} took no message for {self._send_s:g} s") from None

    async def read(self) -> ResponseT:
        """The next message. For one reader at a time; a cancelled one loses nothing.

        Raises:
            DraftmeshError: the call has ended, with the error that ended it; UnavailableError if that was no error.
        """
        message = await self._inbox.get()
        if isinstance(message, DraftmeshError):
            self._inbox.put_nowait(message)  # for whoever reads again
            raise message
        return message

    async def close(self) -> None:
        """Cancel the call, so that the peer frees everything at once."""
        self._call.cancel()
        self._reader.cancel()
        self._writer.cancel()
        await asyncio.wait([self._reader, self._writer])

    async def _read_all(self) -> None:
        try:
            await self._inbox.put(await self._read_to_end())
        except asyncio.CancelledError:  # this task was cancelled, or the call was, here
            if self._inbox.full():
                self._inbox.get_nowait()
            self._inbox.put_nowait(UnavailableError(f"{self._peer}: the stream was closed here"))

    async def _read_to_end(self) -> DraftmeshError:
        try:
            with translated_errors(self._peer):
                while (message := await self._call.read()) is not grpc.aio.EOF:
                    await self._inbox.put(message)  # type: ignore[arg-type]  # no type says "not EOF"
        except DraftmeshError as error:
            return error
        return UnavailableError(f"{self._peer} ended the stream")

    async def _write_all(self) -> None:
        try:
            while True:
                await self._call.write(await self._outbox.get())
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the reader learns why, and tells
        finally:
            while not self._outbox.empty():  # nobody need wait any more
                self._outbox.get_nowait()


@asynccontextmanager
async def call_stream(
    call: grpc.aio.StreamStreamCall[RequestT, ResponseT], peer: str, send_s: float
) -> AsyncIterator[CallStream[RequestT, ResponseT]]:
    """A stream that is closed, and its call cancelled, when the context is left."""
    stream = CallStream(call, peer, send_s)
    try:
        yield stream
    finally:
        await stream.close()


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
