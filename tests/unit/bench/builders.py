"""Generations that no server ever gave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from draftmesh.bench.token_times import Arrival, Observed, TokenTimes
from draftmesh.client import Chunk, GenerateOptions, Generation, Token
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason


def times(*arrivals: tuple[float, int], requested_s: float = 0.0, ended_s: float | None = None) -> TokenTimes:
    """Of a request whose chunks arrive at these times, the tokens so far beside each."""
    end_s = arrivals[-1][0] if ended_s is None else ended_s
    return TokenTimes(requested_s, tuple(Arrival(at_s, tokens) for at_s, tokens in arrivals), end_s)


def observed(of: TokenTimes, ledger: Ledger | None = None, method: str = "exact") -> Observed:
    """A generation with such times."""
    spans = tuple(Token(number, 1, drafted=False) for number in range(of.tokens))
    reason = FinishReason.LENGTH
    return Observed(Generation("s0", "toy", method, b"", spans, reason, 3, of.tokens, ledger or Ledger()), of)


class ScriptedStream:
    """A stream of such chunks, which all come at once."""

    def __init__(self, chunks: Sequence[int]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        offset = 0
        for tokens in self._chunks:
            yield Chunk(offset, b"x" * tokens, tuple(Token(offset + n, 1, drafted=False) for n in range(tokens)))
            offset += tokens

    @property
    def result(self) -> Generation:
        """The whole."""
        return observed(times((0.0, sum(self._chunks)))).generation


class ScriptedStreamer:
    """Answers every prompt with chunks of so many tokens; keeps what it was asked."""

    def __init__(self, *chunks: int) -> None:
        self._chunks = chunks
        self.asked: list[tuple[str, GenerateOptions]] = []

    @asynccontextmanager
    async def stream(self, prompt: str, options: GenerateOptions) -> AsyncIterator[ScriptedStream]:
        """The scripted stream."""
        self.asked.append((prompt, options))
        yield ScriptedStream(self._chunks)
