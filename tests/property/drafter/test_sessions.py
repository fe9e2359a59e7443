"""Sessions with real proposers under random commits: the text that is drawn from is always the committed text."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.draft import Commit, DraftExtent
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import Item, TextPrefix, join_items
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.lookup import LookupConfig
from draftmesh.drafter.ngram import NgramProposer, text_of
from draftmesh.drafter.opening import Meters, Opening
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.session import DraftSession, Pacing
from draftmesh.drafter.symbols import to_items, to_symbols
from draftmesh.drafter.text_proposer import TextProposer
from tests.helpers.clocks import HandClock
from tests.helpers.fakes_drafter import KeepingOutlet, draft_open, rule_engine
from tests.helpers.tokenizers import small_tokenizer

TOKENIZER = small_tokenizer("llama2")
VOCABULARY = TOKENIZER.vocabulary
CONTEXT = "The quick café 今天 def f(self):\n"
SNIPPETS = [piece.encode() for piece in (" the", "th", "é", "今天", "\n    ", "🙂", " self.x", "!", "a")]
CUTS = [data[:n] for data in SNIPPETS for n in range(1, len(data) + 1)]
AHEAD = 4
LONGEST_TOKEN_BYTES = max(len(VOCABULARY.token_bytes(token)) for token in range(len(VOCABULARY)))


@dataclass
class WatchedModel:
    """A rule that depends on all tokens, and writes down the text that it was asked to continue."""

    asked: list[bytes] = field(default_factory=list)

    def __call__(self, tokens: tuple[int, ...]) -> int:
        """The next token."""
        self.asked.append(TOKENIZER.decode_bytes(tokens))
        return 3 + zlib.crc32(repr(tokens).encode()) % (len(VOCABULARY) - 3)


@st.composite
def commit_items(draw: st.DrawFn, ahead: tuple[Item, ...]) -> tuple[Item, ...]:
    """A part of the draft, and sometimes something else after it."""
    symbols = to_symbols(ahead)
    agreeing = to_items(symbols[: draw(st.integers(0, len(symbols)))])
    own = draw(st.sampled_from([b"", *CUTS]))
    return join_items((*agreeing, own))


@given(st.data(), st.booleans(), st.sampled_from([40, 256]))
@settings(max_examples=40, deadline=None)
def test_model_draws_from_the_committed_text(data: st.DataObject, healing: bool, context_tokens: int) -> None:
    """After any commits, at any byte, the last draw was asked for exactly committed text plus draft, without errors."""
    model = WatchedModel()
    engine, _ = rule_engine(model, VOCABULARY, context_tokens=context_tokens)
    outlet, committed = KeepingOutlet(), b""
    session = DraftSession(Chain((), AHEAD), outlet, HandClock(), Pacing())
    request = draft_open(CONTEXT.encode(), sampling=SamplingParams())
    opening = Opening.of(engine, TOKENIZER, request, Meters(lambda _: None))
    session.start(TextProposer(opening, session, SequenceBudget(0), healing=healing))
    for number in range(1, data.draw(st.integers(2, 12))):
        for _ in range(data.draw(st.integers(0, 6))):
            engine.step()
        items = data.draw(commit_items(session.ahead))
        session.commit(Commit(number, len(committed), items))
        committed += text_of(items)
    while engine.step() is not None:
        engine.check_integrity()
    text = committed + text_of(session.ahead)
    assert outlet.errors == []
    assert outlet.blocks[-1].end == TextPrefix().extend((text,))
    assert_drawn_from(model.asked[-1], CONTEXT.encode() + text, is_whole=context_tokens == 256)


@given(st.data(), st.booleans(), st.sampled_from([40, 256]))
@settings(max_examples=60, deadline=None)
def test_branches_leave_the_books_in_order(data: st.DataObject, healing: bool, context_tokens: int) -> None:
    """Whatever is committed, what a branch says among it: the draft follows it, and in the end nothing is held."""
    engine, _ = rule_engine(WatchedModel(), VOCABULARY, context_tokens=context_tokens)
    outlet, committed, budget = KeepingOutlet(), TextPrefix(), SequenceBudget(data.draw(st.integers(0, 6)))
    extents = st.builds(
        DraftExtent,
        st.integers(1, AHEAD),
        st.sampled_from([0.0, 0.9]),
        st.integers(0, 12),
        st.integers(0, 4),
    )
    session = DraftSession(Chain((), AHEAD, first_extent=data.draw(extents)), outlet, HandClock(), Pacing())
    opening = Opening.of(engine, TOKENIZER, draft_open(CONTEXT.encode()), Meters(lambda _: None))
    free = budget.free
    session.start(TextProposer(opening, session, budget, healing=healing))
    for number in range(1, data.draw(st.integers(2, 12))):
        for _ in range(data.draw(st.integers(0, 12))):
            engine.step()
        branches = [block.items for block in outlet.blocks if block.is_branch and block.start == committed]
        said = data.draw(st.sampled_from([session.ahead, *branches]))
        items = data.draw(commit_items(tuple(said)))
        session.commit(Commit(number, committed.length, items, data.draw(extents)))
        committed = committed.extend(items)
    while engine.step() is not None:
        engine.check_integrity()
    drafts = [block for block in outlet.blocks if not block.is_branch]
    assert outlet.errors == []
    assert drafts[-1].end == committed.extend(session.ahead)
    session.close()
    engine.check_integrity()
    assert (engine.stats.sequences, budget.free) == (0, free)


def assert_drawn_from(asked: bytes, text: bytes, *, is_whole: bool) -> None:
    """The last draw was asked for the text but for its last token; of a cut context only the end can be compared."""
    said = asked.removeprefix(b" ")  # this model's own prefix space
    if is_whole:
        assert text.startswith(said)
        assert len(text) - len(said) <= LONGEST_TOKEN_BYTES
    else:
        assert said[-8:] in text[-8 - LONGEST_TOKEN_BYTES :]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_ngram_session_keeps_its_text(data: st.DataObject) -> None:
    """Without a model, too, what is sent last ends where committed text plus draft end."""
    outlet, committed = KeepingOutlet(), b""
    session = DraftSession(Chain((), AHEAD), outlet, HandClock(), Pacing())
    session.start(NgramProposer(b"abcabcab abcab ", LookupConfig(min_match_bytes=2), session))
    for number in range(1, data.draw(st.integers(2, 20))):
        symbols = to_symbols(session.ahead)
        own = data.draw(st.text("abc ", max_size=4)).encode()
        items = join_items((*to_items(symbols[: data.draw(st.integers(0, len(symbols)))]), own))
        session.commit(Commit(number, len(committed), items))
        committed += text_of(items)
    text = committed + text_of(session.ahead)
    assert outlet.blocks[-1].end == TextPrefix().extend((text,))
