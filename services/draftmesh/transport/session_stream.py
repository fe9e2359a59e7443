"""A session's stream to a peer, in core values: opening it, what goes out, what comes in, and notice of a drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from draftmesh.core.errors import (
    CancelledByPeerError,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    MalformedBlockError,
    UnavailableError,
)
from draftmesh.core.fence import Fence
from draftmesh.telemetry.tracing import current_traceparent
from draftmesh.transport.codec_common import Draining
from draftmesh.transport.streams import CallStream

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
OutT = TypeVar("OutT")
InT = TypeVar("InT")

Encode = Callable[[OutT, Fence, str], RequestT]
"""Core message, the stream's fence, traceparent: one request."""


class SessionStream(Generic[RequestT, ResponseT, OutT, InT]):
    """Core messages on one call, under one fence."""

    def __init__(
        self,
        call: CallStream[RequestT, ResponseT],
        fence: Fence,
        peer: str,
        encode: Encode[OutT, RequestT],
        decode: Callable[[ResponseT], InT | Draining],
    ) -> None:
        """Speak for ``fence``; ``peer`` names the other side in messages."""
        self._call = call
        self._fence = fence
        self._peer = peer
        self._encode = encode
        self._decode = decode
        self._draining: Draining | None = None
        self.on_draining: Callable[[int], None] | None = None
        """Called with the milliseconds left when the peer announces its end, as seen by :meth:`receive_any`."""

    @property
    def draining(self) -> bool:
        """Whether the peer has announced its end: move the session."""
        return self._draining is not None

    async def handshake(self, opening: OutT, open_s: float) -> InT:
        """Send the first message and wait for the first answer.

        Raises:
            DeadlineError: none within ``open_s``.
            UnavailableError: the peer is not there, or about to stop.
            DraftmeshError: it refused.
        """
        await self.begin(opening)
        return await self.first_answer(open_s)

    async def begin(self, opening: OutT) -> None:
        """Send the first message; :meth:`first_answer` says whether it has arrived."""
        with suppress(UnavailableError):  # what comes in says why it could not go out
            await self.send_any(opening)

    async def first_answer(self, open_s: float) -> InT:
        """Wait for the first answer; raises as :meth:`handshake`."""
        try:
            async with asyncio.timeout(open_s):
                return await self.receive_any()
        except TimeoutError:
            raise DeadlineError(f"{self._peer} did not open the stream within {open_s:g} s") from None
        except CancelledByPeerError as error:  # a call that meets a server just as it stops ends so
            raise UnavailableError(f"{self._peer} withdrew before it opened the stream: {error}") from error

    async def send_any(self, message: OutT, traceparent: str | None = None) -> None:
        """Send in order; raises UnavailableError when the stream has ended."""
        trace = current_traceparent() if traceparent is None else traceparent
        await self._call.write(self._encode(message, self._fence, trace))

    async def receive_any(self) -> InT:
        """The next message that is not about draining.

        Raises:
            MalformedBlockError: a block contradicts itself.
            InternalError: the peer breaks the protocol.
            DraftmeshError: the stream has ended.
        """
        while True:
            message = self._decoded(await self._call.read())
            if not isinstance(message, Draining):
                return message
            self._draining = message
            if self.on_draining is not None:
                self.on_draining(message.grace_ms)

    def _decoded(self, response: ResponseT) -> InT | Draining:
        try:
            return self._decode(response)
        except MalformedBlockError:
            raise
        except InvalidRequestError as error:  # the peer's fault, not that of a request of ours
            raise InternalError(f"{self._peer} sent a malformed message: {error}") from error
