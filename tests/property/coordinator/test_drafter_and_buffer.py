"""A drafter's session and the buffer that keeps its stream, with all delays: they agree in the end."""

from __future__ import annotations

from collections import deque
from zlib import crc32

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from torch import Tensor

from draftmesh.coordinator.drafting.buffer import DraftBuffer
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.core.draft import Block, Commit, DraftExtent
from draftmesh.core.text import Item, items_length
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.draft_token import DrawnBranch
from draftmesh.drafter.opening import Meters, Opening
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.session import DraftSession, Pacing
from draftmesh.drafter.symbols import to_items, to_symbols
from draftmesh.drafter.text_proposer import TextProposer
from tests.helpers.clocks import HandClock
from tests.helpers.fakes_drafter import KeepingOutlet, draft_open, law_engine
from tests.helpers.tokenizers import small_tokenizer

TOKENIZER = small_tokenizer("gpt2")
VOCABULARY = TOKENIZER.vocabulary
AHEAD = 6
PIECES = (b" fox", b" the", b" ", b"f", b"o", b"x", b"t", b"he")
SAID = tuple({TOKENIZER.encode_bytes(piece)[0] for piece in PIECES})


def babble(tokens: tuple[int, ...]) -> Tensor:
    """A law of a few words and their letters, by the last two tokens: a text may be cut in many ways."""
    logits = torch.full((len(VOCABULARY),), -50.0)
    logits[list(SAID)] = torch.tensor([float(crc32(repr((tokens[-2:], token)).encode()) % 97) / 20 for token in SAID])
    return logits


class ForgetfulSession(DraftSession):
    """Of a drafter that does not go on with its own branches: it draws anew when one comes true."""

    def __init__(self, chain: Chain, outlet: KeepingOutlet) -> None:
        super().__init__(chain, outlet, HandClock(), Pacing())
        self._chain_seen, self._sent_to = chain, outlet

    def branched(self, branch: DrawnBranch) -> None:
        """Send it, and forget it."""
        self._sent_to.put(Block(self._chain_seen.commit_seq, branch.start, branch.items, is_branch=True))


class Link:
    """Both sides, and what is on its way between them."""

    def __init__(self, extent: DraftExtent, extra_sequences: int, *, healing: bool, forgets: bool) -> None:
        self.engine, _ = law_engine(babble, VOCABULARY)
        self.outlet = KeepingOutlet()
        self.extent = extent
        self.buffer = DraftBuffer(DraftLimits(AHEAD))
        chain = Chain((), AHEAD, first_extent=extent)
        self.session = (
            ForgetfulSession(chain, self.outlet) if forgets else DraftSession(chain, self.outlet, HandClock(), Pacing())
        )
        opening = Opening.of(self.engine, TOKENIZER, draft_open(b"The"), Meters(lambda _: None))
        budget = SequenceBudget(extra_sequences)
        self.session.start(TextProposer(opening, self.session, budget, healing=healing))
        self._commits: deque[Commit] = deque()
        self._number = self._committed_bytes = self._num_received = 0
        self.branches: list[Block] = []

    def settle(self, items: tuple[Item, ...]) -> None:
        """The target commits; the drafter will hear of it."""
        self._number += 1
        self._commits.append(Commit(self._number, self._committed_bytes, items, self.extent))
        self._committed_bytes += items_length(items)
        self.buffer.settle(items)
        self.buffer.note_commit(self._number)

    def step(self) -> None:
        """The drafter works."""
        self.engine.step()

    def tell(self) -> None:
        """A commit arrives."""
        if self._commits:
            self.session.commit(self._commits.popleft())

    def hear(self) -> None:
        """A block arrives."""
        if self._num_received < len(self.outlet.blocks):
            block = self.outlet.blocks[self._num_received]
            self._num_received += 1
            self.branches += [block] if block.is_branch else []
            self.buffer.offer(block)

    def settle_down(self) -> None:
        """All that is on its way arrives, and the drafter has drawn all that it is to draw."""
        while self._commits:
            self.tell()
        while self.engine.step() is not None:
            self.engine.check_integrity()
        while self._num_received < len(self.outlet.blocks):
            self.hear()


@given(
    st.data(),
    st.booleans(),
    st.booleans(),
    st.builds(
        DraftExtent,
        st.integers(1, AHEAD),
        st.sampled_from([0.0, 0.3]),
        st.integers(0, 12),
        st.integers(2, 5),
    ),
    st.integers(0, 6),
)
@settings(max_examples=300, deadline=None)
def test_both_sides_know_the_same_draft_in_the_end(
    data: st.DataObject, healing: bool, forgets: bool, extent: DraftExtent, extra_sequences: int
) -> None:
    """Whatever the target says, also what a branch says, and however late everybody hears of it."""
    with capture_logs() as logs:
        link = Link(extent, extra_sequences, healing=healing, forgets=forgets)
        for _ in range(data.draw(st.integers(1, 25))):
            match data.draw(st.sampled_from(["settle", "step", "step", "step", "tell", "hear", "hear"])):
                case "settle":
                    known = [link.session.ahead, link.buffer.draft, *(block.items for block in link.branches[-6:])]
                    symbols = to_symbols(data.draw(st.sampled_from(known)))
                    said = to_items(symbols[: data.draw(st.integers(0, len(symbols)))])
                    own = data.draw(st.sampled_from([b"", b" fox", b" f", b"o", b" t"]))
                    link.settle((*said, own) if own else said)
                case "step":
                    link.step()
                case "tell":
                    link.tell()
                case _:
                    link.hear()
        link.settle_down()
    assert logs == []  # nor has a branch failed
    assert link.outlet.errors == []
    ahead, draft = to_symbols(link.session.ahead), to_symbols(link.buffer.draft)
    assert draft[: len(ahead)] == ahead
    assert draft == ahead or link.buffer.is_guess
    assert link.buffer.ended
