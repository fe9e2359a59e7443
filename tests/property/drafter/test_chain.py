"""Properties of the chain under random commits that agree and disagree at any byte."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.draft import Block, Commit
from draftmesh.core.sampling import Method
from draftmesh.core.text import Item, Role, TextPrefix, items_length, join_items
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import DraftToken
from draftmesh.drafter.symbols import to_items, to_symbols

MAX_AHEAD_TOKENS = 5
TOKENS = st.one_of(st.binary(min_size=1, max_size=4).map(lambda b: bytes(x & 1 for x in b)), st.just(Role.BOS))


@dataclass
class Twin:
    """A chain beside a proposer that only remembers its tokens, and a coordinator that keeps blocks by prefix."""

    chain: Chain = field(default_factory=lambda: Chain((), MAX_AHEAD_TOKENS))
    proposer: list[Item] = field(default_factory=list)
    committed: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    sequence: int = 0

    def draw(self, item: Item) -> None:
        """Draw a token if there is room."""
        if self.chain.room > 0:
            self.chain.draw(DraftToken(item))
            self.proposer.append(item)

    def send(self) -> Block:
        """Send what is drawn; keep it if its prefix is known, as a coordinator does."""
        block = self.chain.take_block(paused=False)
        known = self.committed + self.kept
        cut = len(to_symbols(block.items))
        ends = [n for n in range(len(known) + 1) if TextPrefix().extend(to_items(known[:n])) == block.start]
        assert ends, "a block continues what is committed and kept"
        self.kept = (known[: ends[-1]] + to_symbols(block.items))[len(self.committed) :] if cut else self.kept
        return block

    def commit(self, items: tuple[Item, ...]) -> bool:
        """Commit; whether the chain agreed."""
        self.sequence += 1
        offset = items_length(to_items(self.committed))
        divergence = self.chain.commit(Commit(self.sequence, offset, items))
        new = to_symbols(items)
        self.committed += new
        self.kept = self.kept[len(new) :] if self.kept[: len(new)] == new else ()
        if divergence is not None:
            del self.proposer[len(self.proposer) - divergence.dropped_tokens :]
            self.proposer.extend(divergence.items)
            self.kept = ()
        return divergence is None


@st.composite
def commits(draw: st.DrawFn, ahead: tuple[Item, ...]) -> tuple[Item, ...]:
    """A commit that agrees with some part of ``ahead`` and then goes its own way, or does not."""
    symbols = to_symbols(ahead)
    agreeing = to_items(symbols[: draw(st.integers(0, len(symbols)))])
    own = draw(st.lists(TOKENS, max_size=2))
    return join_items((*agreeing, *own))


def walk(data: st.DataObject, steps: int) -> Twin:
    """Run a random history of draws, sends and commits, checking what holds after each."""
    twin = Twin()
    for _ in range(steps):
        match data.draw(st.sampled_from(["draw", "draw", "send", "commit"])):
            case "draw":
                twin.draw(data.draw(TOKENS))
            case "send":
                twin.send()
            case _:
                twin.commit(data.draw(commits(twin.chain.ahead)))
        check(twin)
    return twin


def check(twin: Twin) -> None:
    """What holds after every step."""
    chain = twin.chain
    assert chain.committed == TextPrefix().extend(to_items(twin.committed))
    assert to_symbols(twin.proposer) == twin.committed + to_symbols(chain.ahead)
    assert 0 <= chain.room <= MAX_AHEAD_TOKENS


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_text_is_committed_plus_ahead(data: st.DataObject) -> None:
    """The proposer's tokens, the committed text and the text ahead stay one text, whatever is committed."""
    walk(data, 25)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_blocks_continue_each_other(data: st.DataObject) -> None:
    """What a coordinator keeps by prefix is, once everything is sent, exactly the text ahead."""
    twin = walk(data, 25)
    twin.send()
    assert to_items(twin.kept) == twin.chain.ahead


@given(st.lists(TOKENS, max_size=MAX_AHEAD_TOKENS), st.data())
@settings(max_examples=100, deadline=None)
def test_agreeing_commit_keeps_the_draft(tokens: list[Item], data: st.DataObject) -> None:
    """A commit that the drawn text begins with never diverges and only shortens what is ahead."""
    twin = Twin()
    for token in tokens:
        twin.draw(token)
    symbols = to_symbols(twin.chain.ahead)
    cut = data.draw(st.integers(0, len(symbols)))
    assert twin.commit(to_items(symbols[:cut]))
    assert to_symbols(twin.chain.ahead) == symbols[cut:]


@given(st.lists(TOKENS, max_size=MAX_AHEAD_TOKENS), st.data())
@settings(max_examples=100, deadline=None)
def test_divergence_keeps_whole_agreeing_tokens(tokens: list[Item], data: st.DataObject) -> None:
    """A divergence drops every token from the first that the committed text does not cover, and only those."""
    chain = Chain((), MAX_AHEAD_TOKENS)
    for token in tokens:
        chain.draw(DraftToken(token))
    items = data.draw(commits(chain.ahead))
    divergence = chain.commit(Commit(1, 0, items))
    if divergence is None:
        return
    kept = tokens[: len(tokens) - divergence.dropped_tokens]
    assert join_items((*kept, *divergence.items)) == join_items(items)
    following = tokens[len(kept) : len(kept) + 1]
    rest, first = to_symbols(divergence.items), to_symbols(following)
    assert not following or rest[: len(first)] != first


@given(st.lists(TOKENS, max_size=MAX_AHEAD_TOKENS), st.data())
@settings(max_examples=200, deadline=None)
def test_proposals_stay_only_behind_their_own_tokens(tokens: list[Item], data: st.DataObject) -> None:
    """Where proposals are ids, what stays ahead follows exactly the draft tokens that were committed, one by one."""
    chain = Chain((), MAX_AHEAD_TOKENS, method=Method.TLI)
    for index, token in enumerate(tokens):
        chain.draw(DraftToken(token, index))
    items = data.draw(commits(chain.ahead) | st.integers(0, len(tokens)).map(lambda end: tuple(tokens[:end])))
    count = len(items)
    divergence = chain.commit(Commit(1, 0, items))
    follows = list(items) == tokens[:count]
    assert (divergence is None) == follows
    assert chain.ahead == (join_items(tokens[count:]) if follows else ())
    assert (chain.position.offset, chain.position.tokens) == (
        items_length(items) + items_length(chain.ahead),
        count + (len(tokens) - count if follows else 0),
    )


@given(st.lists(TOKENS, max_size=MAX_AHEAD_TOKENS), st.data())
@settings(max_examples=100, deadline=None)
def test_dropped_proposals_and_kept_ones_spell_the_commit(tokens: list[Item], data: st.DataObject) -> None:
    """After a divergence the tokens that stay and the items to go on from are the committed text."""
    method = data.draw(st.sampled_from([Method.TLI, Method.SLRS]))
    chain = Chain((), MAX_AHEAD_TOKENS, method=method)
    for index, token in enumerate(tokens):
        chain.draw(DraftToken(token, index))
    items = data.draw(commits(chain.ahead))
    divergence = chain.commit(Commit(1, 0, items))
    if divergence is not None:
        kept = tokens[: len(tokens) - divergence.dropped_tokens]
        assert join_items((*kept, *divergence.items)) == join_items(items)
        assert method is Method.TLI or not kept
