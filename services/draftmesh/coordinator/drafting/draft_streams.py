"""Opens streams to drafters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from draftmesh.core.draft import DraftOpen
from draftmesh.core.errors import DeadlineError, NotFoundError
from draftmesh.core.protocols import Drafter, DraftStream, WholeVocabulary


@asynccontextmanager
async def opened(
    peer: Drafter, request: DraftOpen, vocabulary: WholeVocabulary, timeout_s: float | None
) -> AsyncIterator[DraftStream]:
    """A stream; a drafter that does not know the target's ``vocabulary`` is told it first.

    Args:
        peer: The drafter.
        request: The stream's first message.
        vocabulary: The one that the request names, if it names one.
        timeout_s: How long the drafter may take until the stream is open; None: as long as it wants.

    Raises:
        DeadlineError: it took longer.
        DraftmeshError: it refuses.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout_s):
                stream = await _enter(stack, peer, request, vocabulary)
        except TimeoutError:
            raise DeadlineError(f"the drafter did not open a stream within {timeout_s:g} s") from None
        yield stream


async def _enter(stack: AsyncExitStack, peer: Drafter, request: DraftOpen, vocabulary: WholeVocabulary) -> DraftStream:
    try:
        return await stack.enter_async_context(peer.open(request))
    except NotFoundError:
        if not request.target_vocabulary_digest:
            raise
    await peer.register_vocabulary(request.target_vocabulary_digest, vocabulary)
    return await stack.enter_async_context(peer.open(request))
