"""When the tokens of a generation reach its client, by the client's monotonic clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from draftmesh.client import Chunk, GenerateOptions, Generation


class TokenStream(Protocol):
    """A generation that has been started; ``client.AsyncGenerationStream`` is one."""

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Its chunks, as they come."""

    @property
    def result(self) -> Generation:
        """The whole, once all chunks have been read."""


class Streamer(Protocol):
    """What starts generations; ``client.AsyncClient`` does."""

    def stream(self, prompt: str, options: GenerateOptions) -> AbstractAsyncContextManager[TokenStream]:
        """Start one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens in a time."""

    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """0 in no time."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk with tokens has reached the client."""

    at_s: float
    """Monotonic time."""

    tokens: int
    """Of the generation so far, this chunk's included."""


@dataclass(frozen=True, slots=True)
class TokenTimes:
    """One generation as its client saw it."""

    requested_s: float
    """Monotonic time of the request, or when it was due where requests are sent by a timetable."""

    arrivals: tuple[Arrival, ...]
    ended_s: float
    """Monotonic time at which the client knew that this was the end."""

    @property
    def tokens(self) -> int:
        """Of the whole generation."""
        return self.arrivals[-1].tokens if self.arrivals else 0

    @property
    def seconds(self) -> float:
        """From request to end."""
        return self.ended_s - self.requested_s

    @property
    def rate(self) -> Rate:
        """Of the whole generation, the wait for its first token included."""
        return Rate(self.tokens, self.seconds)

    @property
    def first_token_s(self) -> float | None:
        """Seconds from the request to the first chunk with a token; None if there never was one."""
        return self.arrivals[0].at_s - self.requested_s if self.arrivals else None

    @property
    def per_token_s(self) -> float | None:
        """Seconds a token takes after the first chunk; None if everything came at once."""
        rate = self.after(1)
        return rate.seconds / rate.tokens if rate.tokens else None

    def after(self, tokens: int) -> Rate:
        """What follows the ``tokens``-th token, which starts the clock; nothing if all came with the first chunk.

        Nobody knows when the tokens of a chunk were made: those of the first count as made when it came, those of
        another as made evenly since the one before it.
        """
        if tokens >= self.tokens:
            return Rate(0, 0.0)
        start_s = np.interp(tokens, [one.tokens for one in self.arrivals], [one.at_s for one in self.arrivals])
        counted = self.tokens - max(tokens, self.arrivals[0].tokens)
        return Rate(counted, self.arrivals[-1].at_s - float(start_s))

    def between(self, start_s: float, end_s: float) -> int:
        """Tokens that arrived in [``start_s``, ``end_s``), monotonic times."""
        within, before = 0, 0
        for arrival in self.arrivals:
            within += arrival.tokens - before if start_s <= arrival.at_s < end_s else 0
            before = arrival.tokens
        return within


@dataclass(frozen=True, slots=True)
class Observed:
    """A generation, and when its tokens came."""

    generation: Generation
    times: TokenTimes


def _silent(tokens: int) -> None:
    """Nobody listens."""


async def observe(
    client: Streamer,
    prompt: str,
    options: GenerateOptions,
    *,
    due_s: float | None = None,
    on_tokens: Callable[[int], None] = _silent,
) -> Observed:
    """Generate, and note when tokens come.

    Args:
        client: Whom to ask.
        prompt: What to go on from.
        options: How.
        due_s: Monotonic time from which the client counts; None: now.
        on_tokens: Is told of the number of tokens so far whenever some have come.

    Raises:
        DraftmeshError: the generation has failed.
    """
    requested_s = time.monotonic() if due_s is None else due_s
    arrivals: list[Arrival] = []
    tokens = 0
    async with client.stream(prompt, options) as stream:
        async for chunk in stream:
            if chunk.tokens:
                tokens += len(chunk.tokens)
                arrivals.append(Arrival(time.monotonic(), tokens))
                on_tokens(tokens)
        ended_s = time.monotonic()
        return Observed(stream.result, TokenTimes(requested_s, tuple(arrivals), ended_s))
