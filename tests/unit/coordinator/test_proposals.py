"""When a draft goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from draftmesh.coordinator.drafting.drafts import BranchDraft, Draft, KnownDraft
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.loop.company import Companies
from draftmesh.coordinator.loop.draft_length import DraftLength, DraftLengthConfig
from draftmesh.coordinator.loop.pace import Pace, PaceConfig
from draftmesh.coordinator.loop.proposals import Proposals, Room, VerifierState
from draftmesh.coordinator.loop.rest import RestConfig
from draftmesh.core.sampling import Method
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, RoundTimings, Verdict, VerifyRound
from tests.helpers.clocks import HandClock

WANTED = 4
GOES_ON = VerifierState(is_idle=False, limit_tokens=16)
WAITS = VerifierState(is_idle=True, limit_tokens=16)


@dataclass
class FeedStandIn:
    """A feed with a draft in hand."""

    ids: tuple[int, ...]
    ended: bool
    is_shaped: bool = False
    due_ms: float = 0.0
    ms: float = 0.0
    branching: tuple[tuple[int, ...], ...] = ()
    bond = None
    drafter = object()

    @property
    def pauses(self) -> FeedStandIn:
        """Its own pauses."""
        return self

    @property
    def answers(self) -> FeedStandIn:
        """Its own answers."""
        return self

    def read(self) -> KnownDraft:
        """All of it."""
        return KnownDraft(Draft(self.ids))

    def branches(self) -> list[BranchDraft]:
        """Where it may part; those that begin with 8 are whole."""
        return [BranchDraft(Draft(ids), is_whole=ids[0] == 8) for ids in self.branching]


def decided(
    method: Method, state: VerifierState, *, tokens: int, ended: bool, is_shaped: bool = True, after_s: float = 0.0
) -> int:
    """Tokens of the draft that goes out so long after the last commit."""
    clock = HandClock()
    proposals = proposals_of(FeedStandIn(tuple(range(tokens)), ended, is_shaped), clock, method)
    clock.now_s += after_s
    return len(proposals.decide(state).draft.ids)


def proposals_of(feed: FeedStandIn, clock: HandClock, method: Method = Method.EXACT) -> Proposals:
    """Of a session that has just committed something; a step of its target takes 60 ms."""
    length = DraftLength(DraftLengthConfig(), method, draft_tokens=WANTED)
    pace = Pace(PaceConfig(initial_step_ms=60.0), started_s=clock.monotonic())
    return Proposals(cast("DraftFeed", feed), pace, length, Companies(RestConfig()), 16, clock=clock)


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


@pytest.mark.parametrize(("due_ms", "steps"), [(15.0, 0), (20.0, 1), (75.0, 1), (80.0, 2), (1000.0, 16)])
def test_the_target_takes_the_steps_that_there_is_time_for_before_a_draft_comes(due_ms: float, steps: int) -> None:
    """A draft that is near is waited for."""
    proposals = proposals_of(FeedStandIn((), ended=False, due_ms=due_ms), HandClock())
    decision = proposals.decide(WAITS)
    assert (decision.free_run, decision.run_steps, decision.starved) == (steps > 0, steps or None, False)
    assert not proposals.decide(GOES_ON).free_run


def test_what_is_there_of_a_draft_is_sent_rather_than_nothing() -> None:
    """If the rest of it is so far that the target would take steps meanwhile."""
    proposals = proposals_of(FeedStandIn((1, 2), ended=False, due_ms=100.0), HandClock())
    assert proposals.decide(WAITS).draft.ids == (1, 2)


def heard_from(proposals: Proposals, clock: HandClock, link_ms: float) -> Proposals:
    """A verifier has answered over such a link, after a step of 60 ms."""
    proposals.asked(VerifyRound(1, TokenPrefix(), (1,)))
    clock.now_s += (60.0 + link_ms) / 1e3
    timings = RoundTimings(compute_ms=60.0)
    proposals.heard(Verdict(1, RoundStatus.DONE, TokenPrefix(), 0, (5,), timings=timings))
    return proposals


ROOM = Room(rounds=15, draft_tokens=16, tokens=99)

ALONG = ((0, 1, 2), (3, 4, 5, 6))
"""What follows if all of the draft is accepted: what the target says, and what it is sent then."""


@pytest.mark.parametrize(("link_ms", "ways"), [(2.0, [ALONG]), (20.0, [ALONG, ((0, 7), (4, 4, 4, 4)), ((8,), (3, 3))])])
def test_a_verifier_that_is_far_is_sent_drafts_for_what_it_may_say(
    link_ms: float, ways: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> None:
    """One that is near, for the case that it accepts all; another one for the same outcome is not sent."""
    clock = HandClock()
    branching = ((0, 7, 4, 4, 4, 4, 4), (8, 3, 3), (0, 4, 3, 3, 3), (0, 1, 2, 9, 9, 9, 9), (9,))
    feed = FeedStandIn((0, 1, 2, 3, 4, 5, 6), ended=False, branching=branching)
    proposals = heard_from(proposals_of(feed, clock), clock, link_ms)
    guesses = proposals.decide_ahead({(): (0, 1)}, ROOM).ahead
    assert [(one.expected_ids, one.draft.ids) for one in guesses] == ways
    is_far = len(ways) > 1
    assert bool(proposals.decide_ahead({(): (0, 1)}, ROOM, is_sure=False).ahead) == is_far
    assert bool(proposals.decide_ahead({(): (0, 1), (5,): (5,)}, ROOM).ahead) == is_far


@pytest.mark.parametrize(
    ("room", "sent"),
    [
        (Room(rounds=0, draft_tokens=16, tokens=99), []),
        (Room(rounds=1, draft_tokens=16, tokens=99), [(3, 4)]),
        (Room(rounds=2, draft_tokens=3, tokens=99), [(3, 3), (2, 3)]),
        (Room(rounds=8, draft_tokens=16, tokens=5), [(3, 1), (1, 2), (2, 2)]),
    ],
)
def test_no_more_is_sent_ahead_than_there_is_room_for(room: Room, sent: list[tuple[int, int]]) -> None:
    """One token always follows what is accepted, and a draft that has none is none."""
    clock = HandClock()
    feed = FeedStandIn((0, 1, 2, 3, 4, 5, 6), ended=False, branching=((0, 7, 4, 4, 4, 4, 4), (8, 3, 3)))
    proposals = heard_from(proposals_of(feed, clock), clock, 20.0)
    guesses = proposals.decide_ahead({(): (0, 1)}, room).ahead
    assert sorted((len(one.expected_ids), len(one.draft.ids)) for one in guesses) == sorted(sent)


def test_drafts_are_sent_ahead_of_drafts_that_were() -> None:
    """Of two texts that a far verifier may come to, one goes on after a draft that it has; none parts twice."""
    clock = HandClock()
    branching = ((0, 7, 4, 4, 4, 4, 4, 4, 4), (0, 7, 4, 9, 5, 5, 5, 5))
    feed = FeedStandIn(tuple(range(10)), ended=False, branching=branching)
    proposals = heard_from(proposals_of(feed, clock), clock, 20.0)
    drafts = {(): (0, 1), (0, 1, 2): (3, 4), (0, 7): (4, 4)}
    guesses = proposals.decide_ahead(drafts, ROOM).ahead
    assert [(one.expected_ids, one.draft.ids) for one in guesses] == [
        ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9)),
        ((0, 7, 4, 4, 4), (4, 4, 4, 4)),
    ]


@pytest.mark.parametrize(
    ("method", "link_ms", "tokens"),
    [
        (Method.EXACT, 2.0, 0),
        (Method.EXACT, 20.0, 0),
        (Method.EXACT, 60.0, 1),
        (Method.TLI, 60.0, 0),
    ],
)
def test_a_verifier_that_is_far_goes_on_until_the_next_draft_can_come(
    method: Method, link_ms: float, tokens: int
) -> None:
    """Unless a draft that finds it going on would have to wait."""
    clock = HandClock()
    feed = FeedStandIn((), ended=False, ms=10.0)
    assert heard_from(proposals_of(feed, clock, method), clock, link_ms).run_on_steps(99) == tokens
