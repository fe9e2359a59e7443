"""A session between its chain and a proposer that draws when told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from draftmesh.core.draft import Commit, DraftExtent, Evaluate, Evaluated
from draftmesh.core.errors import StateError, UnavailableError
from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.sampling import Method
from draftmesh.core.text import Role, TextPrefix
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import Divergence, DraftToken
from draftmesh.drafter.session import DraftSession, Pacing
from tests.helpers.clocks import HandClock
from tests.helpers.fakes_drafter import KeepingOutlet, ScriptedProposer


@dataclass
class Stage:
    """A session with fakes all round."""

    session: DraftSession
    proposer: ScriptedProposer
    outlet: KeepingOutlet
    clock: HandClock


@pytest.fixture
def stage() -> Stage:
    """A session without context that may draw four tokens ahead and sends at most one block in 10 ms."""
    return staged(Chain((), max_ahead_tokens=4))


def staged(chain: Chain) -> Stage:
    """A session of a chain."""
    clock, outlet = HandClock(), KeepingOutlet()
    session = DraftSession(chain, outlet, clock, Pacing(interval_ms=10))
    proposer = ScriptedProposer(session)
    session.start(proposer)
    return Stage(session, proposer, outlet, clock)


def test_start_asks_for_all_the_room(stage: Stage) -> None:
    """A new session draws up to its limit."""
    assert stage.proposer.wanted == 4


def test_first_token_goes_out_at_once(stage: Stage) -> None:
    """Nothing delays the first token: the other side has nothing in hand."""
    stage.proposer.bring(b"a")
    assert stage.outlet.texts == [(b"a",)]


def test_quick_tokens_are_joined(stage: Stage) -> None:
    """Tokens drawn within the interval wait for each other; the next one due carries them."""
    stage.proposer.bring(b"a")
    stage.proposer.bring(b"b")
    stage.clock.now_s = 0.011
    stage.proposer.bring(b"c")
    assert stage.outlet.texts == [(b"a",), (b"b", b"c")]


def test_last_token_before_the_limit_pauses(stage: Stage) -> None:
    """The block that fills the room says that nothing follows, whatever the interval."""
    for token in (b"a", b"b", b"c", b"d"):
        stage.proposer.bring(token)
    assert [block.paused for block in stage.outlet.blocks] == [False, True]
    assert (stage.outlet.texts[-1], stage.proposer.wanted) == ((b"b", b"c", b"d"), 0)


@pytest.mark.parametrize(
    ("method", "blocks"),
    [
        (Method.EXACT, [((b"a",), False), ((b"b", b"c"), True)]),
        (Method.TLI, [((b"a",), False), ((b"b",), False), ((b"c",), True)]),
    ],
)
def test_an_unsure_draft_pauses_at_once(method: Method, blocks: list[tuple[tuple[bytes, ...], bool]]) -> None:
    """Where tokens are judged by ratios, those before the last one have gone out by then, as they would have anyway."""
    stage = staged(Chain((), 8, method=method, first_extent=DraftExtent(least_confidence=0.5)))
    for token, confidence in ((b"a", 0.9), (b"b", 0.8), (b"c", 0.6)):
        stage.session.drawn([DraftToken(token, 1, SparseDistribution((1,), (1.0,)), confidence=confidence)])
    assert [(block.items, block.paused) for block in stage.outlet.blocks] == blocks


def test_end_token_pauses(stage: Stage) -> None:
    """A drawn end of sequence ends the draft."""
    stage.proposer.bring(b"a")
    stage.proposer.bring(Role.EOS)
    assert (stage.outlet.texts[-1], stage.outlet.blocks[-1].paused, stage.proposer.wanted) == ((Role.EOS,), True, 0)


def test_agreeing_commit_rewinds_nothing(stage: Stage) -> None:
    """A commit that agrees leaves the proposer alone and only makes room."""
    stage.proposer.bring(b"ab", b"cd")
    stage.session.commit(Commit(1, 0, (b"abc",)))
    assert (stage.proposer.rebased, stage.proposer.wanted) == ([], 3)


def test_a_commit_that_leaves_no_room_repeats_the_pause(stage: Stage) -> None:
    """The other side must not wait for more than it has asked for."""
    stage.proposer.bring(b"ab", b"cd", b"ef")
    stage.session.commit(Commit(1, 0, (b"ab",), DraftExtent(2)))
    last = stage.outlet.blocks[-1]
    assert (last.commit_seq, last.paused) == (1, True)


def test_commit_after_a_drafted_end_repeats_the_pause(stage: Stage) -> None:
    """After each commit the other side may expect text: if none follows it is told so again."""
    stage.proposer.bring(b"ab", Role.EOS)
    stage.session.commit(Commit(1, 0, (b"a",)))
    last = stage.outlet.blocks[-1]
    assert (last.commit_seq, last.items, last.paused) == (1, (), True)


def test_disagreeing_commit_rebases_and_draws_on(stage: Stage) -> None:
    """After a divergence the next block starts at the committed text."""
    stage.proposer.bring(b"ab", b"cd")
    stage.session.commit(Commit(1, 0, (b"abX",)))
    stage.proposer.bring(b"y")
    block = stage.outlet.blocks[-1]
    assert stage.proposer.rebased == [Divergence(1, (b"X",), wasted_bytes=2)]
    assert (block.commit_seq, block.start.length, block.items) == (1, 3, (b"y",))


def test_backed_up_token_is_sent_without_the_committed_part(stage: Stage) -> None:
    """A proposer that redraws the boundary token sends only what lies beyond the commit."""
    stage.proposer.pending = b"priv"
    stage.session.commit(Commit(1, 0, (b"priv",)))
    stage.proposer.bring(b"private")
    assert (stage.outlet.blocks[-1].start.length, stage.outlet.texts[-1]) == (4, (b"ate",))


def test_nothing_to_propose_is_said(stage: Stage) -> None:
    """An exhausted proposer without a token still sends the pause."""
    stage.proposer.bring(exhausted=True)
    assert (stage.outlet.texts, stage.outlet.blocks[0].paused) == ([()], True)


def test_commit_out_of_place_is_refused(stage: Stage) -> None:
    """A gap in the commits is an error, and the session goes on as before."""
    with pytest.raises(StateError):
        stage.session.commit(Commit(2, 0, (b"a",)))
    stage.session.commit(Commit(1, 0, (b"a",)))
    assert stage.proposer.rebased == [Divergence(0, (b"a",))]


def test_closed_session_frees_and_falls_silent(stage: Stage) -> None:
    """After close nothing is held and nothing is sent, whatever is still drawn."""
    stage.session.close()
    stage.proposer.bring(b"a")
    assert (stage.proposer.closed, stage.outlet.blocks, stage.proposer.wanted) == (True, [], 0)


def test_failure_ends_the_stream_and_frees(stage: Stage) -> None:
    """A proposer's failure reaches the stream once and frees what it held."""
    error = UnavailableError("the engine stopped")
    stage.session.failed(error)
    stage.session.failed(error)
    assert (stage.outlet.errors, stage.proposer.closed) == ([error], True)


def test_contradicted_bytes_are_counted(stage: Stage) -> None:
    """Those that were drawn beyond where the text parted."""
    stage.proposer.bring(b"ab", b"cd")
    stage.session.commit(Commit(1, 0, (b"abX",)))
    assert stage.session.wasted_bytes == 2


def test_question_about_the_committed_text_goes_to_the_proposer(stage: Stage) -> None:
    """Its answer goes out as it comes."""
    question = Evaluate(3, TextPrefix(), ((1,),))
    stage.session.evaluate(question)
    stage.session.evaluated(Evaluated(3, (0.5,)))
    assert (stage.proposer.asked, stage.outlet.answers) == ([question], [Evaluated(3, (0.5,))])


def test_question_about_other_text_is_answered_with_nothing(stage: Stage) -> None:
    """The proposer is not asked."""
    stage.session.evaluate(Evaluate(3, TextPrefix().extend((b"x",)), ((1,),)))
    assert (stage.proposer.asked, stage.outlet.answers) == ([], [Evaluated(3, ())])


def test_closed_session_answers_nothing(stage: Stage) -> None:
    """Nobody listens any more."""
    stage.session.close()
    stage.session.evaluated(Evaluated(3, (0.5,)))
    assert stage.outlet.answers == []


@pytest.mark.parametrize("confidence", [0.1, 0.9])
def test_a_token_that_is_not_out_yet_is_not_hurried_by_what_it_says(confidence: float) -> None:
    """A commit that lets drafts pause sends what it finds, whether the draft pauses there or goes on."""
    stage = staged(Chain((), 8, method=Method.TLI))
    for token in (b"a", b"b"):
        stage.session.drawn([DraftToken(token, 1, SparseDistribution((1,), (1.0,)), confidence=confidence)])
    assert stage.outlet.texts == [(b"a",)]
    stage.session.commit(Commit(1, 0, (b"a",), DraftExtent(least_confidence=0.5)))
    assert stage.outlet.texts == [(b"a",), (b"b",)]
    assert stage.outlet.blocks[-1].paused is (confidence < 0.5)
