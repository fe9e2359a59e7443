"""What a drafter daemon asks of the thing behind it: a model's engine, or an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from draftmesh.core.draft import DraftOpen
from draftmesh.core.endpoint import DrafterInfo, LoadReport, TokenizerFile
from draftmesh.drafter.proposer import Proposer, Sink
from draftmesh.tokenization.vocabulary import Vocabulary

T = TypeVar("T")

Propose = Callable[[DraftOpen, Vocabulary | None, Sink], Proposer]
"""Begins a session's proposer, for the target's vocabulary if it is known. For the backend's own thread."""

Work = Callable[[Propose], T]


class Backend(Protocol):
    """Proposers, and the one thread on which they live."""

    @property
    def info(self) -> DrafterInfo:
        """Who the drafter is."""

    @property
    def knows_confidence(self) -> bool:
        """Whether its draft tokens have a probability."""

    @property
    def tokenizer_files(self) -> tuple[TokenizerFile, ...]:
        """The drafter's tokenizer; none without a model."""

    def post(self, work: Work[None]) -> None:
        """Run ``work`` on the backend's thread, in order; raises UnavailableError once the backend is closed."""

    async def call(self, work: Work[T]) -> T:
        """The result of ``work``, run as by :meth:`post`. Cancelled before its turn it does not run."""

    def prepare(self, request: DraftOpen, target: Vocabulary | None) -> None:
        """Get ready for a session on any thread, so that beginning it is quick.

        Raises:
            UnsupportedMethodError: the method cannot draft for this target.
        """

    def load(self) -> LoadReport:
        """What the backend knows of its load: everything but sessions and draining."""

    def shared_tokens(self, target: Vocabulary) -> int:
        """How many of a target's tokens can be proposed as they are."""
