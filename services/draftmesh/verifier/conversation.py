"""One Verify call from its first message to its last, free of gRPC's own types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import structlog

from draftmesh.core.errors import CancelledByPeerError, DeadlineError, StateError
from draftmesh.core.verify import VerifyOpen
from draftmesh.transport.codec_common import fence_from_proto
from draftmesh.transport.codec_verify import VerifyOpened, verify_request_from_proto, verify_response_to_proto
from draftmesh.v1 import verifier_pb2
from draftmesh.verifier.sessions import OpenSession, Sessions


async def converse(
    sessions: Sessions, requests: AsyncIterator[verifier_pb2.VerifyRequest], open_timeout_s: float
) -> AsyncGenerator[verifier_pb2.VerifyResponse]:
    """Answer the requests of one stream; the session is freed when this is closed, or the requests end.

    Raises:
        DraftmeshError: whatever ends the stream early.
    """
    opening = await _first_message(requests, open_timeout_s)
    structlog.contextvars.bind_contextvars(session_id=opening.session_id)
    async with sessions.open(opening) as session:
        info = sessions.info
        yield verify_response_to_proto(VerifyOpened(info.target_digest, info.max_draft_tokens), opening.fence)
        reading = asyncio.create_task(_read(requests, session))
        try:
            while (message := await session.get()) is not None:
                yield verify_response_to_proto(message, opening.fence)
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def _first_message(requests: AsyncIterator[verifier_pb2.VerifyRequest], timeout_s: float) -> VerifyOpen:
    try:
        async with asyncio.timeout(timeout_s):
            request = await anext(requests, None)
    except TimeoutError:
        raise DeadlineError(f"no message came within {timeout_s:g} s") from None
    if request is None:
        raise CancelledByPeerError("the stream ended before its first message")
    message = verify_request_from_proto(request)
    if not isinstance(message, VerifyOpen):
        raise StateError("the first message must be an Open")
    return message


async def _read(requests: AsyncIterator[verifier_pb2.VerifyRequest], session: OpenSession) -> None:
    """Hand every request to the session; the end of the requests, or an error in one, ends it."""
    try:
        async for request in requests:
            message = verify_request_from_proto(request)
            session.receive(message, fence_from_proto(request.fence), request.traceparent)
            await session.wait_for_room()
    except Exception as error:
        session.end(error)
    else:
        session.end()
