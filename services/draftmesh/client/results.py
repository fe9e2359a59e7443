"""What comes back: frozen values, free of protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.core.endpoint import LoadReport
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason
from draftmesh.core.verify import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Token:
    """One committed target token."""

    id: int
    byte_length: int
    drafted: bool
    """Proposed by a drafter and accepted; else the target's own."""

    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next text of a stream."""

    offset: int
    """Byte offset in the generated text."""

    data: bytes
    """Whole UTF-8 characters, as long as the model speaks UTF-8."""

    tokens: tuple[Token, ...]
    """Committed since the chunk before; their bytes may reach into the next chunk."""

    @property
    def text(self) -> str:
        """The text, with U+FFFD for bytes that are no UTF-8."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Generation:
    """A finished generation."""

    session_id: str
    model: str
    method: str
    data: bytes
    """The generated text as bytes."""

    tokens: tuple[Token, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    ledger: Ledger

    @property
    def text(self) -> str:
        """The text, with U+FFFD for bytes that are no UTF-8."""
        return self.data.decode(errors="replace")

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Target token ids of the text."""
        return tuple(token.id for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Session:
    """What a coordinator knows of a session."""

    session_id: str
    shard: int
    model: str
    method: str
    prompt_tokens: int
    committed_tokens: int
    data: bytes
    """Committed text."""

    finish_reason: FinishReason | None
    """None while it runs."""

    drafter: str
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One drafter or verifier as a coordinator shard sees it."""

    kind: str
    """drafter or verifier."""

    address: str
    model: str
    ready: bool
    load: LoadReport
    ledger: Ledger
    trusted: bool
    """Whether methods may rely on what it says of its own draws."""


class GenerationBuilder:
    """Collects a stream's messages into a :class:`Generation`."""

    def __init__(self) -> None:
        self.session_id = ""
        self.model = ""
        self.method = ""
        self._chunks: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Keep a chunk."""
        self._chunks.append(chunk)

    def finish(self, reason: FinishReason, prompt_tokens: int, completion_tokens: int, ledger: Ledger) -> Generation:
        """The whole."""
        return Generation(
            session_id=self.session_id,
            model=self.model,
            method=self.method,
            data=b"".join(chunk.data for chunk in self._chunks),
            tokens=_tokens(self._chunks),
            finish_reason=reason,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            ledger=ledger,
        )


def _tokens(chunks: Sequence[Chunk]) -> tuple[Token, ...]:
    return tuple(token for chunk in chunks for token in chunk.tokens)
