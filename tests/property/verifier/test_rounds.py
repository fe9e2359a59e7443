"""Whatever is asked, in whatever order: the committed tokens are the target's, and every round is answered once."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.errors import BaseBeyondSequenceError, ExhaustedError
from draftmesh.core.sampling import StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict, VerifyRound
from draftmesh.decoding.stopping import StopTracker
from draftmesh.verifier.placement import proposes
from tests.helpers.fakes_verifier import LetterTable, RoundBench, round_bench


@dataclass(frozen=True)
class Ask:
    """A round to send: its base and draft relative to what the target will say.

    A block of ``slrs`` has no free run.
    """

    shift: int
    """Base length relative to the committed length."""
    true_base: bool
    right: int
    wrong: int
    free_run: int
    block: bool
    missing_next: bool


@dataclass(frozen=True)
class Reply:
    """Answer the open question, if there is one."""


@dataclass(frozen=True)
class Step:
    """Engine steps to take."""

    count: int


@dataclass(frozen=True)
class Repeat:
    """Ask one of the last rounds again."""

    back: int


asks = st.builds(
    Ask,
    shift=st.integers(-4, 8),
    true_base=st.integers(0, 5).map(bool),
    right=st.integers(0, 5),
    wrong=st.integers(0, 2),
    free_run=st.one_of(st.just(0), st.integers(1, 12)),
    block=st.booleans(),
    missing_next=st.booleans(),
)
actions = st.lists(
    st.one_of(asks, asks, st.builds(Step, st.integers(1, 4)), st.builds(Reply), st.builds(Repeat, st.integers(0, 2))),
    max_size=30,
)
Action = Ask | Reply | Step | Repeat


class Client:
    """Plays actions against a bench and keeps what it asked."""

    def __init__(self, bench: RoundBench) -> None:
        self.bench = bench
        self.asked: list[VerifyRound] = []
        self.firsts: list[Verdict] = []

    def play(self, action: Action) -> None:
        """Do one action; what a repeated round says again is set apart."""
        before = self.bench.waits, list(self.bench.engine.committed)
        if isinstance(action, Reply):
            if self.bench.waits:
                self.bench.reply()
        else:
            self._play(action)
            if before[0]:
                assert (self.bench.waits, self.bench.engine.committed) == before, "tokens came in spite of a question"
                assert self.bench.engine.idle, "work began in spite of a question"
        self.firsts += self.bench.take()

    def _play(self, action: Ask | Step | Repeat) -> None:
        if isinstance(action, Step):
            for _ in range(action.count):
                self.bench.engine.step()
        elif isinstance(action, Ask):
            self._ask(action)
        elif self.asked:
            self._repeat(self.asked[max(-len(self.asked), -1 - action.back)])

    def _ask(self, ask: Ask) -> None:
        length = max(0, len(self.bench.engine.committed) + ask.shift)
        base = self.bench.prefix(length)
        if not ask.true_base:
            base = TokenPrefix(length, base.hash ^ 1)
        draft = self.bench.draft(length, ask.right, ask.wrong)
        try:
            if ask.block:
                request = self.bench.send_block(base, draft, missing_next=ask.missing_next)
            else:
                request = self.bench.send(base, draft, ask.free_run)
        except (BaseBeyondSequenceError, ExhaustedError):
            return  # the real stream would end here; the rounds must go on unharmed
        self.asked.append(request)

    def _repeat(self, request: VerifyRound) -> None:
        before = [v for v in self.firsts if v.round == request.round]
        self.bench.rounds.receive(request, 0.0)
        assert self.bench.take() == before


def played(seed: int, script: list[Action], stop: StopConditions, says_eos: bool) -> Client:
    """A client that has played the script and waited for all answers."""
    client = Client(
        round_bench(seed=seed, stop=stop, says_eos=says_eos, step_ms=20.0, failures=seed % 3, looked_up=seed % 4)
    )
    for action in script:
        client.play(action)
    client.bench.run_out()
    client.firsts += client.bench.take()
    return client


scripts = given(
    seed=st.integers(0, 1 << 16),
    script=actions,
    stop=st.builds(
        StopConditions,
        max_tokens=st.integers(1, 60),
        stop=st.lists(st.text("abcd", min_size=2, max_size=4).map(str.encode), max_size=2).map(tuple),
        ignore_eos=st.booleans(),
    ),
    says_eos=st.booleans(),
)


@scripts
@settings(deadline=None)
def test_committed_tokens_are_the_targets(
    seed: int, script: list[Action], stop: StopConditions, says_eos: bool
) -> None:
    """What is committed is the beginning of what the target says alone, cut by the stop conditions."""
    client = played(seed, script, stop, says_eos)
    committed = tuple(client.bench.engine.committed)
    alone = StopTracker(stop, LetterTable()).settle(client.bench.target.path(61)).tokens
    assert committed == alone[: len(committed)]


@scripts
@settings(deadline=None)
def test_every_round_is_answered_once(seed: int, script: list[Action], stop: StopConditions, says_eos: bool) -> None:
    """Each round has exactly one final verdict, and it is the last that is said to it."""
    client = played(seed, script, stop, says_eos)
    finals = [v.round for v in client.firsts if v.final]
    assert sorted(finals) == [request.round for request in client.asked]
    last = {v.round: v for v in client.firsts}
    assert all(v.final for v in last.values())


@scripts
@settings(deadline=None)
def test_verdicts_chain_without_gaps(seed: int, script: list[Action], stop: StopConditions, says_eos: bool) -> None:
    """Each computed verdict begins where the one before ended, and a stale one names the state at its time."""
    client = played(seed, script, stop, says_eos)
    state, committed = TokenPrefix(), list[int]()
    for verdict in client.firsts:
        if verdict.status is RoundStatus.DONE:
            assert verdict.base == state
            state = state.extend(verdict.tokens)
            committed += verdict.tokens
        else:
            assert not verdict.tokens
            assert verdict.base == client.bench.prefix(verdict.base.length)
            assert verdict.base.length >= state.length
    assert committed == client.bench.engine.committed


@scripts
@settings(deadline=None)
def test_accepted_tokens_are_the_drafts_own(
    seed: int, script: list[Action], stop: StopConditions, says_eos: bool
) -> None:
    """Accepted tokens lie in the draft at the place where the verdict says that the rest of it began."""
    client = played(seed, script, stop, says_eos)
    asked = {request.round: request for request in client.asked}
    for verdict in client.firsts:
        request = asked[verdict.round]
        skip = verdict.base.length - request.base.length
        assert verdict.tokens[: verdict.accepted] == request.draft_ids[skip : skip + verdict.accepted]
        assert verdict.accepted <= len(verdict.tokens)


@scripts
@settings(deadline=None)
def test_finish_is_said_once_and_by_every_late_round(
    seed: int, script: list[Action], stop: StopConditions, says_eos: bool
) -> None:
    """The verdict that ends the generation says so as the stop conditions have it, and so do all after it."""
    client = played(seed, script, stop, says_eos)
    ending = StopTracker(stop, LetterTable()).settle(client.bench.target.path(61))
    finishing = [i for i, v in enumerate(client.firsts) if v.finish_reason is not None]
    assert bool(finishing) == (len(client.bench.engine.committed) == len(ending.tokens))
    for verdict in client.firsts[finishing[0] :] if finishing else []:
        assert (verdict.finish_reason, verdict.text_length) == (ending.finish_reason, ending.text_length)


@scripts
@settings(deadline=None)
def test_block_is_judged_at_its_base_or_not_at_all(
    seed: int, script: list[Action], stop: StopConditions, says_eos: bool
) -> None:
    """A block's verdict begins where its base ends, and comes whole; any other block is stale."""
    client = played(seed, script, stop, says_eos)
    blocks = {request.round: request for request in client.asked if request.evidence is not None}
    for verdict in client.firsts:
        request = blocks.get(verdict.round)
        if request is not None and verdict.status is RoundStatus.DONE and proposes(request):
            assert (verdict.base, verdict.final) == (request.base, True)
            assert len(verdict.tokens) == verdict.accepted + 1 or verdict.finish_reason is not None


@scripts
@settings(deadline=None)
def test_questions_are_numbered_and_about_committed_tokens(
    seed: int, script: list[Action], stop: StopConditions, says_eos: bool
) -> None:
    """Numbers count from 1; a question that comes again is the same; its prefix is what was committed then."""
    client = played(seed, script, stop, says_eos)
    queries = {query.query_id: query for query in client.bench.queries}
    assert list(queries) == list(range(1, 1 + len(queries)))
    assert all(queries[query.query_id] == query for query in client.bench.queries)
    assert all(query.prefix == client.bench.prefix(query.prefix.length) for query in queries.values())
