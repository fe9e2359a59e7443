"""When a draft goes out."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import cast

import pytest

from draftmesh.coordinator.drafting.drafts import Draft, KnownDraft
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.loop.draft_length import DraftLength, DraftLengthConfig
from draftmesh.coordinator.loop.pace import Pace, PaceConfig
from draftmesh.coordinator.loop.proposals import Proposals, VerifierState
from draftmesh.core.sampling import Method
from tests.helpers.clocks import HandClock

WANTED = 4
GOES_ON = VerifierState(is_idle=False, limit_tokens=16)
WAITS = VerifierState(is_idle=True, limit_tokens=16)


@dataclass
class FeedStandIn:
    """A feed with a draft in hand."""

    ids: tuple[int, ...]
    ended: bool
    is_shaped: bool
    bond = None
    drafter = object()

    def read(self) -> KnownDraft:
        """All of it."""
        return KnownDraft(Draft(self.ids))


def decided(
    method: Method, state: VerifierState, *, tokens: int, ended: bool, is_shaped: bool = True, after_s: float = 0.0
) -> int:
    """Tokens of the draft that goes out so long after the last commit."""
    clock = HandClock()
    length = DraftLength(DraftLengthConfig(), method, draft_tokens=WANTED, random=Random(1))
    feed = cast("DraftFeed", FeedStandIn(tuple(range(tokens)), ended, is_shaped))
    proposals = Proposals(feed, Pace(PaceConfig(), started_s=clock.monotonic()), length, clock=clock)
    clock.now_s += after_s
    return len(proposals.decide(state).draft.ids)


@pytest.mark.parametrize("after_s", [0.0, 10.0])
@pytest.mark.parametrize(("tokens", "ended"), [(1, True), (1, False), (WANTED, True), (WANTED, False)])
@pytest.mark.parametrize("method", [Method.TLI, Method.REJECTION])
def test_what_a_draft_says_does_not_decide_when_it_reaches_a_target_that_goes_on(
    method: Method, tokens: int, ended: bool, after_s: float
) -> None:
    """Whether it has paused or has all tokens that are wanted, it goes out when the wait is over."""
    sent = decided(method, GOES_ON, tokens=tokens, ended=ended, after_s=after_s)
    assert sent == (tokens if after_s else 0)


@pytest.mark.parametrize(
    ("method", "state", "is_shaped"),
    [(Method.TLI, WAITS, True), (Method.TLI, GOES_ON, False), (Method.EXACT, GOES_ON, True)],
)
def test_a_draft_goes_out_as_soon_as_it_is_whole(method: Method, state: VerifierState, is_shaped: bool) -> None:
    """To a target that waits for it, or where its length was chosen beforehand, or where the target's draws decide."""
    assert decided(method, state, tokens=2, ended=True, is_shaped=is_shaped) == 2
    assert decided(method, state, tokens=2, ended=False, is_shaped=is_shaped) == 0
    assert decided(method, state, tokens=WANTED + 2, ended=False, is_shaped=is_shaped) == WANTED


def test_nobody_waits_for_tokens_that_cannot_be_sent() -> None:
    """The last tokens of a generation, or a verifier that takes few, need no longer draft."""
    few = VerifierState(is_idle=True, limit_tokens=2)
    assert decided(Method.EXACT, few, tokens=2, ended=False) == 2
    assert decided(Method.EXACT, few, tokens=1, ended=False) == 0
