"""Thousands of sessions at once, with the product's own decisions and next to nothing around them.

A session's rounds are played as the coordinator plays them: a draft of a length that does not depend on what it says,
one judgement, the stop conditions, and the commit to the drafter. What decides a token is the product's: ``Judge`` with
its lazy residuals, ``History``, ``StopTracker``, and the parts that the toy drafters use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from draftmesh.coordinator.drafting.drafts import NOTHING, Draft
from draftmesh.core.sampling import Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.decoding.history import History
from draftmesh.decoding.judge import Case, Judge, Judgement
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.decoding.sampler import Sampler
from draftmesh.decoding.stopping import StopTracker
from tests.helpers.toy_language import ToyModel

TOKENS = 3
"""Tokens of a session that are looked at."""

_MAX_TOKENS = TOKENS + 1  # so that a draft of TOKENS tokens and its bonus fit
_DRAFT_LENGTHS = (3, 2, 1, 3, 2, 1, 2, 0)
_SESSIONS_AT_ONCE = 4000


@dataclass(eq=False, slots=True)
class Session:
    """One session at the target."""

    number: int
    root: NoiseKey
    history: History
    stop: StopTracker
    tokens: list[int] = field(default_factory=list)
    round: int = 0

    @property
    def is_over(self) -> bool:
        """Whether enough is known of it."""
        return len(self.tokens) >= TOKENS or self.stop.finish_reason is not None

    @property
    def draft_length(self) -> int:
        """Draft tokens of the next round: 0 to 3, by the session's number and round alone."""
        length = _DRAFT_LENGTHS[(self.number + 3 * self.round) % len(_DRAFT_LENGTHS)]
        return min(length, self.stop.remaining_tokens - 1)


class ToyDrafter(Protocol):
    """Drafts for many sessions."""

    def draft(self, sessions: Sequence[Session]) -> list[Draft]:
        """A draft of ``draft_length`` tokens for each session."""

    def commit(self, session: Session, tokens: Sequence[int]) -> None:
        """The target has settled these tokens; ``session.tokens`` ends with them."""

    def psi(self, session: Session, accepted: Sequence[int], ids: Sequence[int]) -> list[float]:
        """ψ of each id at the present block, given that its first tokens are ``accepted`` (``slrs``)."""


class NoDrafter:
    """Never drafts anything."""

    def draft(self, sessions: Sequence[Session]) -> list[Draft]:
        """Nothing."""
        return [NOTHING for _ in sessions]

    def commit(self, session: Session, tokens: Sequence[int]) -> None:
        """Nobody is to be told."""

    def psi(self, session: Session, accepted: Sequence[int], ids: Sequence[int]) -> list[float]:
        """Never asked for."""
        raise NotImplementedError


@dataclass(frozen=True)
class Play:
    """Plays sessions of one target, method and sampling."""

    target: ToyModel
    method: Method
    sampling: SamplingParams
    drafter: ToyDrafter
    judge: Judge

    def outcomes(self, seeds: range) -> Iterator[tuple[int, ...]]:
        """The first tokens of the session of each seed."""
        for start in range(seeds.start, seeds.stop, _SESSIONS_AT_ONCE):
            sessions = [self._open(seed) for seed in range(start, min(start + _SESSIONS_AT_ONCE, seeds.stop))]
            while running := [session for session in sessions if not session.is_over]:
                self._round(running)
            yield from (tuple(session.tokens[:TOKENS]) for session in sessions)

    def _open(self, seed: int) -> Session:
        root = mint_noise_key(seed, self.target.prompt)
        history = History(self.target.vocabulary, self.sampling, root, self.target.prompt)
        return Session(seed, root, history, StopTracker(StopConditions(_MAX_TOKENS), self.target.vocabulary))

    def _round(self, sessions: list[Session]) -> None:
        drafts = self.drafter.draft(sessions)
        cases = [
            Case(session.history, draft.ids, self.method, draft.evidence)
            for session, draft in zip(sessions, drafts, strict=True)
        ]
        contexts = [
            (*session.tokens, *draft.ids[:length])
            for session, draft in zip(sessions, drafts, strict=True)
            for length in range(len(draft.ids) + 1)
        ]
        judgements = self.judge.judge(self.target.logits(contexts), cases)
        for session, judgement in zip(sessions, judgements, strict=True):
            settled = session.stop.settle(self._tokens(session, judgement)).tokens
            session.history.append(settled)
            session.tokens.extend(settled)
            session.round += 1
            if not session.is_over:
                self.drafter.commit(session, settled)

    def _tokens(self, session: Session, judgement: Judgement) -> tuple[int, ...]:
        """What is judged, with the token that a lazy residual ends with."""
        residual = judgement.residual
        if residual is None:
            return judgement.tokens
        while True:
            psi = self.drafter.psi(session, judgement.tokens, residual.ids)
            recovered = residual.answer(psi)
            if recovered is not None:
                return (*judgement.tokens, recovered.token)


def toy_judge(target: ToyModel) -> Judge:
    """The product's judge for a toy target."""
    return Judge(Sampler(target.vocabulary, "cpu", target.head_rows))
