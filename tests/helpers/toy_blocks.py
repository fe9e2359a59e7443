"""A toy drafter of strings: whole blocks and their ψ, on tables instead of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from draftmesh.coordinator.drafting.drafts import Draft
from draftmesh.core.evidence import PsiEvidence
from draftmesh.core.sampling import NoiseKey, SamplingParams
from draftmesh.core.text import Item
from draftmesh.decoding.longest_match import LongestMatch, Reading
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import Proposal, ProposalShape, own_choices
from draftmesh.decoding.psi import Path, TreeBounds
from draftmesh.decoding.streams import Stream, block_key, stream_key
from draftmesh.drafter.noise_positions import string_position
from draftmesh.drafter.psi_book import PsiBook
from tests.helpers.toy_language import ToyModel
from tests.helpers.toy_proposals import CPU, Drawing, ToyProposals, has_ended
from tests.helpers.toy_sessions import Session

AMPLE = TreeBounds(max_depth=64, max_paths=4096)
"""Bounds that no toy meets."""


@dataclass(eq=False, slots=True)
class Base:
    """What is known of the drafts that follow one committed text: the same for all sessions that say it."""

    committed: tuple[int, ...]
    book: PsiBook
    paths: set[Path] = field(default_factory=set)
    """Those whose distribution is known."""

    psi: dict[tuple[int, ...], float] = field(default_factory=dict)


class BlockDrafter:
    """``slrs``: draws blocks of text that settle to a number of target tokens, and knows their ψ."""

    def __init__(
        self,
        model: ToyModel,
        target: ToyModel,
        sampling: SamplingParams,
        *,
        cap_bytes: int,
        support: int = 64,
        bounds: TreeBounds = AMPLE,
    ) -> None:
        self._own = ToyProposals(model, sampling)
        self._target = target
        self._rule = LongestMatch(target.vocabulary, cap_bytes)
        self._choices = own_choices(model.vocabulary, len(model.vocabulary), CPU)
        self._support = support
        self._bounds = bounds
        self._bases: dict[tuple[int, ...], Base] = {}
        self._follows: dict[int, Callable[[int], bool]] = {}

    def draft(self, sessions: Sequence[Session]) -> list[Draft]:
        """One block each, drawn at a fresh base with a fresh key, and cut to what is wanted."""
        blocks: dict[Session, Path] = {session: () for session in sessions if session.draft_length}
        waiting = list(blocks)
        while waiting := [session for session in waiting if not self._is_complete(session, blocks[session])]:
            drawings = [self._drawing(session, blocks[session]) for session in waiting]
            found = self._own.propose(drawings, [self._shape(blocks[session]) for session in waiting])
            for session, proposal in zip(waiting, found, strict=True):
                self._learn(self._base(session), blocks[session], proposal)
                blocks[session] = (*blocks[session], proposal.token)
        return [self._report(session, blocks[session]) if session in blocks else Draft() for session in sessions]

    def commit(self, session: Session, tokens: Sequence[int]) -> None:
        """Every block begins anew."""

    def psi(self, session: Session, accepted: Sequence[int], ids: Sequence[int]) -> list[float]:
        """ψ(accepted, id) / ψ(accepted)."""
        base = self._base(session)
        return [self.conditional(base, (*accepted, token)) for token in ids]

    def conditional(self, base: Base, sequence: Sequence[int]) -> float:
        """ψ of a sequence's last token, given those before it."""
        known = self._whole(base, tuple(sequence[:-1])) if len(sequence) > 1 else 1.0
        return self._whole(base, tuple(sequence)) / known

    def _whole(self, base: Base, sequence: tuple[int, ...]) -> float:
        if sequence not in base.psi:
            while paths := base.book.missing([sequence]):
                drawings = [
                    Drawing((*base.committed, *path), NoisePosition(NoiseKey(bytes(16)), 0, 0)) for path in paths
                ]
                found = self._own.propose(drawings, [self._shape(path) for path in paths])
                for path, proposal in zip(paths, found, strict=True):
                    self._learn(base, path, proposal)
            base.psi[sequence] = base.book.psi(sequence)
        return base.psi[sequence]

    def _base(self, session: Session) -> Base:
        return self._base_after(self._own.encode(session.tokens, self._target))

    def _base_after(self, committed: tuple[int, ...]) -> Base:
        if committed not in self._bases:
            book = PsiBook(self._rule, self._target.vocabulary, self._own.model.vocabulary, self._bounds)
            self._bases[committed] = Base(committed, book)
        return self._bases[committed]

    def _drawing(self, session: Session, path: Path) -> Drawing:
        key = block_key(stream_key(session.root, Stream.DRAFT), session.history.offset, len(session.tokens))
        position = string_position(key, self._own.model.vocabulary, path)
        return Drawing((*self._base(session).committed, *path), position)

    def _shape(self, path: Path) -> ProposalShape:
        return ProposalShape(self._choices, self._support, self._follower(path[-1]) if path else None)

    def _follower(self, before: int) -> Callable[[int], bool]:
        """Whether the drafter's tokenizer would put a token after ``before``."""
        if before not in self._follows:
            model = self._own.model
            data = model.vocabulary.token_bytes
            natural = {
                token
                for token in range(len(model.vocabulary))
                if not data(token) or model.encoder.encode_bytes(data(before) + data(token)) == [before, token]
            }
            self._follows[before] = natural.__contains__
        return self._follows[before]

    def _learn(self, base: Base, path: Path, proposal: Proposal) -> None:
        if path not in base.paths:
            assert proposal.distribution is not None, "the shape asks for it"
            base.book.add(path, proposal.distribution)
            base.paths.add(path)

    def _items(self, path: Path) -> tuple[Item, ...]:
        return self._own.model.vocabulary.items(path)

    def _wanted(self, session: Session) -> int:
        """Tokens of the block: sometimes one more than is sent."""
        return session.draft_length + session.number % 2

    def _reading(self, session: Session, path: Path) -> Reading:
        return self._rule.read(self._items(path), limit=self._wanted(session))

    def _is_complete(self, session: Session, path: Path) -> bool:
        reading = self._reading(session, path)
        return self._has_ended(session, path) or reading.missing or len(path) == self._bounds.max_depth

    def _has_ended(self, session: Session, path: Path) -> bool:
        return len(self._reading(session, path).ids) == self._wanted(session) or has_ended(self._items(path))

    def _report(self, session: Session, path: Path) -> Draft:
        reading, base = self._reading(session, path), self._base(session)
        found = (self.conditional(base, reading.ids[:end]) for end in range(1, len(reading.ids) + 1))
        values = tuple(takewhile(bool, found))  # nothing is proposed where ψ would take too many paths
        missing = reading.missing or len(values) < len(reading.ids) or not self._has_ended(session, path)
        return Draft(reading.ids[: len(values)], PsiEvidence(values, missing)).cut(session.draft_length)
