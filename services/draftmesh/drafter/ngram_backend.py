"""The backend of a drafter without a model: the event loop itself is its thread."""

from __future__ import annotations

import hashlib

from draftmesh.core.draft import DraftOpen
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile
from draftmesh.core.sampling import Method
from draftmesh.drafter.backend import T, Work
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.ngram import NgramProposer, text_of
from draftmesh.drafter.proposer import Proposer, Sink
from draftmesh.tokenization.vocabulary import Vocabulary

_UNLIMITED_TOKENS = (1 << 31) - 1


class NgramBackend:
    """Proposers that look up repetitions; see :class:`draftmesh.drafter.backend.Backend`."""

    knows_confidence = False

    def __init__(self, config: DrafterConfig) -> None:
        """Nothing to load."""
        self._config = config
        digest = hashlib.sha256(f"draftmesh ngram 1 {config.lookup} {config.lookup_context_bytes}".encode()).digest()
        self.info = DrafterInfo(
            name=config.public_name,
            digest=digest,
            vocabulary_digest=b"",
            methods=(Method.EXACT,),
            max_context_tokens=_UNLIMITED_TOKENS,
            max_ahead_tokens=config.max_ahead_tokens,
            max_sessions=config.max_sessions,
            tokenizer_family="text",
        )
        self.tokenizer_files: tuple[TokenizerFile, ...] = ()

    def post(self, work: Work[None]) -> None:
        """Run it now."""
        work(self._propose)

    async def call(self, work: Work[T]) -> T:
        """Run it now."""
        return work(self._propose)

    def load(self) -> LoadReport:
        """There is no engine to be busy."""
        return LoadReport()

    def shared_tokens(self, target: Vocabulary) -> int:
        """Any text can be proposed."""
        return sum(1 for token in range(len(target)) if target.token_bytes(token))

    def prepare(self, request: DraftOpen, target: Vocabulary | None) -> None:
        """Any session will do."""

    def _propose(self, request: DraftOpen, target: Vocabulary | None, sink: Sink) -> Proposer:  # noqa: ARG002
        text = text_of(request.context) + text_of(request.committed)
        newest = text[max(0, len(text) - self._config.lookup_context_bytes) :]
        return NgramProposer(newest, self._config.lookup, sink)
