"""The seams: what one part of draftmesh asks of another, each with a real sibling and a fake in ``tests/helpers``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from draftmesh.core.draft import Block, Commit, DraftOpen, Evaluate, Evaluated
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile, VerifierInfo
from draftmesh.core.text import Role
from draftmesh.core.verify import PsiQuery, PsiReply, Verdict, VerifyOpen, VerifyRound


class Clock(Protocol):
    """Monotonic time."""

    def monotonic(self) -> float:
        """Seconds since some fixed point."""


class DraftStream(Protocol):
    """One session's open stream to a drafter."""

    @property
    def drafter_digest(self) -> bytes:
        """The drafter's digest, as it said when it opened the stream."""

    @property
    def pauses_when_unsure(self) -> bool:
        """Whether it heeds the least confidence of a draft's extent, as it said then."""

    async def send(self, message: Commit | Evaluate) -> None:
        """Send in order; raises UnavailableError when the stream has ended."""

    async def receive(self) -> Block | Evaluated:
        """The next message. Raises a DraftmeshError when the stream has ended: nothing more will come."""


class Drafter(Protocol):
    """A drafter service, wherever it runs."""

    def open(self, request: DraftOpen) -> AbstractAsyncContextManager[DraftStream]:
        """Open a session's stream; leaving the context frees everything that the drafter holds for it."""

    async def info(self) -> DrafterInfo:
        """Who it is."""

    async def register_vocabulary(self, digest: bytes, vocabulary: WholeVocabulary) -> int:
        """Make a target's vocabulary known by its digest; how many of its tokens the drafter can propose."""

    def watch(self) -> AsyncIterator[LoadReport]:
        """Its load, now and whenever it changes, until the peer is gone."""


class VerifyStream(Protocol):
    """One session's open stream to a verifier."""

    async def send(self, message: VerifyRound | PsiReply) -> None:
        """Send in order; raises UnavailableError when the stream has ended."""

    async def receive(self) -> Verdict | PsiQuery:
        """The next message. Raises a DraftmeshError when the stream has ended: nothing more will come."""


class Verifier(Protocol):
    """A verifier service, wherever it runs."""

    def open(self, request: VerifyOpen) -> AbstractAsyncContextManager[VerifyStream]:
        """Open a session's stream; leaving the context frees everything that the verifier holds for it."""

    async def info(self) -> VerifierInfo:
        """Who it is."""

    async def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """The target's tokenizer, so that nobody else needs the model's folder."""

    def watch(self) -> AsyncIterator[LoadReport]:
        """Its load, now and whenever it changes, until the peer is gone."""


class TextEncoder(Protocol):
    """Text to ids and ids to text, exactly: the bytes of the ids are the text."""

    def encode_bytes(self, text: bytes) -> list[int]:
        """Ids whose bytes add up to ``text``; raises InvalidTextError if the vocabulary cannot express it."""

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ``ids``; special tokens add nothing."""


class TokenTable(Protocol):
    """What decoding needs to know of a vocabulary; ``draftmesh.tokenization.Vocabulary`` is one."""

    def __len__(self) -> int:
        """Number of token ids; rows of a model's head beyond it are padding, not tokens."""

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token; empty for special tokens and holes."""

    def role(self, token: int) -> Role | None:
        """The role of a special token, if it has one."""

    def is_fallback(self, token: int) -> bool:
        """Whether the token is a byte piece, said only where no other token has the text."""


class WholeVocabulary(TokenTable, Protocol):
    """A vocabulary that tells its holes from its special tokens, as a digest of it does."""

    def is_special(self, token: int) -> bool:
        """Whether the token is special: it stands for no text. A hole is no token, and not special."""
