"""Toy drafters of texts and of target tokens, for many sessions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from draftmesh.coordinator.drafting.drafts import Draft
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.coordinator.drafting.id_drafts import IdDrafts
from draftmesh.core.draft import Commit, DraftExtent
from draftmesh.core.errors import InvalidTextError
from draftmesh.core.sampling import Method, SamplingParams
from draftmesh.core.text import Item, Role, items_length
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import ProposalShape, shared_choices
from draftmesh.decoding.streams import Stream, stream_key
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import DraftToken
from draftmesh.drafter.noise_positions import token_position
from draftmesh.tokenization.intersection import intersect
from tests.helpers.toy_language import ToyModel
from tests.helpers.toy_proposals import CPU, Drawing, ToyProposals, has_ended
from tests.helpers.toy_sessions import Session

_MAX_AHEAD = 8  # tokens of a draft; more than any session of the suite needs


@dataclass(eq=False, slots=True)
class _Line:
    """One session's draft, in the drafter's books and in the coordinator's."""

    chain: Chain
    drafts: IdDrafts
    path: tuple[int, ...] = ()
    """The drafter's own ids of the committed text and of what is drawn."""


class SharedTokenDrafter:
    """``tli``, ``rejection`` and ``tli-exact``: draws the target's tokens one by one."""

    def __init__(
        self,
        model: ToyModel,
        target: ToyModel,
        sampling: SamplingParams,
        method: Method,
        *,
        support: int = 64,
        extent: DraftExtent = DraftExtent(),
    ) -> None:
        self._own = ToyProposals(model, sampling)
        self._target = target
        self._method = method
        self._extent = extent
        shared = intersect(target.vocabulary, model.vocabulary)
        choices = shared_choices(target.vocabulary, shared.target_ids, shared.drafter_ids, len(model.vocabulary), CPU)
        self._shape = ProposalShape(choices, None if method is Method.TLI_EXACT else support)
        self._lines: dict[Session, _Line] = {}

    def draft(self, sessions: Sequence[Session]) -> list[Draft]:
        """What was drawn ahead, and as much more as is wanted."""
        lines = {session: self._line(session) for session in sessions}
        waiting = dict(lines)
        while waiting := {session: line for session, line in waiting.items() if _wants_more(session, line)}:
            drawings = [Drawing(line.path, self._position(session, line)) for session, line in waiting.items()]
            found = self._own.propose(drawings, [self._shape] * len(drawings))
            sure = self._own.confidences(drawings, found)
            for line, proposal, confidence in zip(waiting.values(), found, sure, strict=True):
                item = self._target.vocabulary.items([proposal.choice])[0]
                line.chain.draw(DraftToken(item, proposal.choice, proposal.distribution, confidence=confidence))
                line.path = (*line.path, proposal.token)
        for line in lines.values():
            if line.chain.unsent_tokens:
                assert line.drafts.offer(line.chain.take_block(paused=False)), "the books agree"
        return [line.drafts.read(ended=True).draft.cut(session.draft_length) for session, line in lines.items()]

    def commit(self, session: Session, tokens: Sequence[int]) -> None:
        """Keep what may be kept; else draw again from the committed text."""
        line, items = self._lines[session], self._target.vocabulary.items(tokens)
        commit_seq = line.chain.commit_seq + 1
        line.drafts.settle(tokens, items)
        line.drafts.note_commit(commit_seq)
        offset = line.chain.committed.length
        if line.chain.commit(Commit(commit_seq, offset, items, self._extent)) is not None:
            line.path = self._own.encode(session.tokens, self._target)

    def psi(self, session: Session, accepted: Sequence[int], ids: Sequence[int]) -> list[float]:
        """Never asked for."""
        raise NotImplementedError

    def _line(self, session: Session) -> _Line:
        if session not in self._lines:
            chain = Chain((), _MAX_AHEAD, method=self._method, first_extent=self._extent)
            self._lines[session] = _Line(
                chain, IdDrafts(DraftLimits(_MAX_AHEAD), self._method, self._target.vocabulary)
            )
        return self._lines[session]

    def _position(self, session: Session, line: _Line) -> NoisePosition:
        position = line.chain.position
        if self._method is Method.TLI_EXACT:
            now = session.history.position
            return NoisePosition(now.key, position.offset, now.zero_byte_tokens if position.offset == now.offset else 0)
        return token_position(stream_key(session.root, Stream.DRAFT), position)


def _wants_more(session: Session, line: _Line) -> bool:
    """One token is drawn beyond what is sent: it stays if the target says the same."""
    ahead = line.chain.position.tokens - len(session.tokens)
    return session.draft_length > 0 and line.chain.room > 0 and ahead < session.draft_length + 1


class TextDrafter:
    """``exact``: draws its own tokens with the target's noise; their text is read as the target's tokens."""

    def __init__(self, model: ToyModel, target: ToyModel, sampling: SamplingParams) -> None:
        self._own = ToyProposals(model, sampling)
        self._target = target

    def draft(self, sessions: Sequence[Session]) -> list[Draft]:
        """The tokens of ``draft_length`` drawn tokens, as far as the target can say them."""
        paths = {session: self._own.encode(session.tokens, self._target) for session in sessions}
        drawn: dict[Session, list[Item]] = {session: [] for session in sessions}
        for count in range(max(session.draft_length for session in sessions)):
            going = [session for session in sessions if count < session.draft_length and not has_ended(drawn[session])]
            drawings = [Drawing(paths[session], self._position(session, drawn[session])) for session in going]
            logits = self._own.model.logits([drawing.path for drawing in drawings])
            tokens = self._own.sampler.draw(logits, self._own.rows(drawings)).ids if drawings else []
            for session, token in zip(going, tokens, strict=True):
                paths[session] = (*paths[session], token)
                drawn[session] += self._own.model.vocabulary.items([token])
        return [Draft(self._read(drawn[session])) for session in sessions]

    def commit(self, session: Session, tokens: Sequence[int]) -> None:
        """Every round begins anew."""

    def psi(self, session: Session, accepted: Sequence[int], ids: Sequence[int]) -> list[float]:
        """Never asked for."""
        raise NotImplementedError

    def _position(self, session: Session, drawn: Sequence[Item]) -> NoisePosition:
        length, now = items_length(drawn), session.history.position
        return NoisePosition(now.key, now.offset + length, 0 if length else now.zero_byte_tokens)

    def _read(self, items: Sequence[Item]) -> tuple[int, ...]:
        text = b"".join(item for item in items if isinstance(item, bytes))
        for length in range(len(text), -1, -1):
            try:
                ids = tuple(self._target.encoder.encode_bytes(text[:length]))
            except InvalidTextError:
                continue
            whole = length == len(text) and has_ended(items)
            return (*ids, *self._target.vocabulary.ids_of_role(Role.EOS)) if whole else ids
        return ()
