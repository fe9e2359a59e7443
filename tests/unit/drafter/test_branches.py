"""Branches of a draft, on a real engine over a law that stands for a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from draftmesh.core.draft import Block, Commit, DraftExtent
from draftmesh.core.errors import InternalError
from draftmesh.core.sampling import SamplingParams
from draftmesh.core.text import Item, Role, TextPrefix, items_length
from draftmesh.drafter.branching import Branch, BranchTree, Trunk
from draftmesh.drafter.draft_token import DraftToken, DrawnBranch, RunnerUp
from draftmesh.drafter.window import BlockBase, ContextWindow
from tests.helpers.fakes_drafter import DraftStage, draft_open, draft_stage
from tests.helpers.tokenizers import small_tokenizer

TOKENIZER = small_tokenizer("gpt2")
VOCABULARY = TOKENIZER.vocabulary
EOS = VOCABULARY.ids_of_role(Role.EOS)[0]
CONTEXT = b"The quick"
FIRST = CONTEXT + b" brown fox jumps over the lazy dog."
SECOND = CONTEXT + b" brown dog sleeps all day and all night."
THIRD = CONTEXT + b" over the lazy fox jumps the dog."


def torn(seen: tuple[int, ...]) -> Tensor:
    """A law that may continue three texts, the first one likeliest; what is none of them has ended."""
    so_far, logits = TOKENIZER.decode_bytes(seen), torch.full((len(VOCABULARY),), -20.0)
    logits[EOS] = -10.0
    for text, logit in ((THIRD, 1.0), (SECOND, 2.0), (FIRST, 3.0)):
        if text.startswith(so_far) and text != so_far:
            logits[TOKENIZER.encode_bytes(text[len(so_far) :])[0]] = logit
    return logits


def noisy(seen: tuple[int, ...]) -> Tensor:
    """A law of no meaning that depends on the last two tokens."""
    return torch.randn(len(VOCABULARY), generator=torch.Generator().manual_seed(hash(seen[-2:]) % 2**31))


def staged(extent: DraftExtent, *, law: object = torn, extra_sequences: int = 4, **changes: object) -> DraftStage:
    """A session after the context, drawn until it pauses and all branches are drawn."""
    request = replace(draft_open(CONTEXT), first_extent=extent, **changes)  # type: ignore[arg-type]
    return draft_stage(law, TOKENIZER, VOCABULARY, request, extra_sequences=extra_sequences)  # type: ignore[arg-type]


def branches_of(stage: DraftStage) -> list[Block]:
    """All that were sent."""
    return [block for block in stage.outlet.blocks if block.is_branch]


def texts_of(stage: DraftStage) -> list[bytes]:
    """The whole text, if each branch comes true."""
    found = []
    for block in branches_of(stage):
        source = next(
            text
            for text in (FIRST, SECOND, THIRD)
            if TextPrefix().extend((text[9 : 9 + block.start.length],)) == block.start
        )
        found.append(
            source[: 9 + block.start.length] + b"".join(item for item in block.items if isinstance(item, bytes))
        )
    return found


def test_branches_say_what_the_drafter_would_say_next_to_its_draft() -> None:
    """Each from where it parts; the draft goes out first, and is the same as without them."""
    stage = staged(DraftExtent(3, 0.0, branches=2, branch_tokens=4))
    plain = staged(DraftExtent(3))
    drafts = [block for block in stage.outlet.blocks if not block.is_branch]
    assert drafts == plain.outlet.blocks
    assert stage.outlet.blocks[: len(drafts)] == drafts
    texts = texts_of(stage)
    assert len(texts) == 2
    assert sorted(texts) == sorted(text[: len(said)] for said, text in zip(sorted(texts), (SECOND, THIRD), strict=True))
    assert all(len(block.items) == 4 for block in branches_of(stage))


def test_the_likeliest_is_drawn_where_only_one_may_be() -> None:
    """The second text parts later than the third, but is likelier."""
    (text,) = texts_of(staged(DraftExtent(3, 0.0, branches=1, branch_tokens=3)))
    assert SECOND.startswith(text)


def test_none_is_drawn_unless_asked_for() -> None:
    """Nor where it would say nothing beyond the token that the target has to say first."""
    assert not branches_of(staged(DraftExtent(3)))
    assert not branches_of(staged(DraftExtent(3, 0.0, branches=4, branch_tokens=1)))


@pytest.mark.parametrize("extra_sequences", [0, 1, 4])
def test_sequences_are_borrowed_and_given_back(extra_sequences: int) -> None:
    """With fewer than branches they take turns; with none there are no branches."""
    stage = staged(DraftExtent(3, 0.0, branches=3, branch_tokens=4), extra_sequences=extra_sequences)
    assert len(branches_of(stage)) == (3 if extra_sequences else 0)
    stage.session.close()
    stage.engine.check_integrity()
    assert (stage.engine.stats.sequences, stage.engine.stats.free_blocks) == (0, stage.engine.stats.total_blocks)


def test_a_branch_that_comes_true_is_what_is_drafted_next() -> None:
    """So what the other side has in hand and what the drafter goes on with are one text."""
    stage = staged(DraftExtent(3, 0.0, branches=2, branch_tokens=4))
    said = next(block for block in branches_of(stage) if SECOND[9:].startswith(b" brown" + block.items[0]))  # type: ignore[operator]
    sent = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (b" brown", said.items[0]), DraftExtent(3)))
    stage.run()
    drafted = [item for block in stage.outlet.blocks[sent:] for item in block.items]
    assert drafted == list(said.items[1:])


def test_a_branch_that_comes_true_is_the_draft_without_a_step() -> None:
    """It is confirmed at once; the draft goes on from there, and has branches of its own."""
    extent = DraftExtent(6, 0.0, branches=2, branch_tokens=4)
    stage = staged(extent)
    said = next(block for block in branches_of(stage) if SECOND[9:].startswith(b" brown" + block.items[0]))  # type: ignore[operator]
    sent = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (b" brown", said.items[0]), extent))
    assert stage.outlet.blocks[sent].items == said.items[1:]
    assert stage.outlet.blocks[sent].start == TextPrefix().extend((b" brown", said.items[0]))
    stage.run()
    drafted = b"".join(
        item
        for block in stage.outlet.blocks[sent:]
        if not block.is_branch
        for item in block.items
        if isinstance(item, bytes)
    )
    assert SECOND[len(CONTEXT + b" brown dog") :].startswith(drafted)
    assert len(TOKENIZER.encode_bytes(drafted)) == 6


def test_a_branch_stops_where_it_is_unsure() -> None:
    """As the draft does; but not before its second token, for the first is a guess anyway."""
    whole, short = (
        branches_of(staged(DraftExtent(3, least, branches=2, branch_tokens=6), law=noisy)) for least in (0.0, 1.0)
    )
    assert [(len(block.items), block.paused) for block in whole] == [(6, False), (6, False)]
    assert [(len(block.items), block.paused) for block in short] == [(2, True)] * len(short) != []


def test_a_draft_that_pauses_goes_on_in_a_branch() -> None:
    """The target may say all of it; the branch begins where it ends, and becomes the draft when that is said."""
    extent = DraftExtent(8, 0.7, branches=1, branch_tokens=4)
    stage = staged(extent)
    draft = [item for block in stage.outlet.blocks if not block.is_branch for item in block.items]
    (branch,) = branches_of(stage)
    assert branch.start == TextPrefix().extend(draft)
    said = b"".join(item for item in (*draft, *branch.items) if isinstance(item, bytes))
    assert FIRST[len(CONTEXT) :].startswith(said)
    sent = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (*draft, branch.items[0]), extent))
    assert stage.outlet.blocks[sent].items == branch.items[1:]


def test_an_ended_draft_does_not_go_on() -> None:
    """Nothing follows the end of the text."""
    extent = DraftExtent(30, 0.6, branches=1, branch_tokens=4)
    stage = staged(extent, law=lambda seen: torn(seen) if TOKENIZER.decode_bytes(seen) == CONTEXT else ended())
    draft = [item for block in stage.outlet.blocks if not block.is_branch for item in block.items]
    assert draft[-1] is Role.EOS
    assert all(block.start != TextPrefix().extend(draft) for block in branches_of(stage))


def ended() -> Tensor:
    """The law of a text that is over, though hardly."""
    logits = torch.full((len(VOCABULARY),), -20.0)
    logits[EOS], logits[EOS - 1] = 10.0, 9.5
    return logits


def test_sequences_are_given_back_when_no_branch_is_wanted() -> None:
    """And no more are held than there may be branches."""
    extent = DraftExtent(3, 0.0, branches=2, branch_tokens=3)
    stage = staged(extent, extra_sequences=8)
    for number, word in enumerate((b" brown", b" fox", b" jumps"), 1):
        offset = len(b" brown fox jumps"[: [0, 6, 10][number - 1]])
        stage.session.commit(Commit(number, offset, (word,), extent))
        stage.run()
        assert stage.engine.stats.sequences <= 3
    stage.session.commit(Commit(4, 16, (b" over",), DraftExtent(3)))
    stage.run()
    assert stage.engine.stats.sequences == 1


def test_a_failure_of_the_engine_is_told_once() -> None:
    """The session's own sequence fails first, and its branches with it."""
    stage = staged(DraftExtent(3, 0.0, branches=3, branch_tokens=4))
    stage.engine.fail_all(InternalError("out of memory"))
    assert [str(error) for error in stage.outlet.errors] == ["out of memory"]
    assert (stage.engine.stats.sequences, stage.engine.stats.free_blocks) == (0, stage.engine.stats.total_blocks)


def test_an_agreeing_commit_repeats_no_branch() -> None:
    """Those of the draft's new tokens are added."""
    extent = DraftExtent(3, 0.0, branches=3, branch_tokens=3)
    stage = staged(extent)
    stage.session.commit(Commit(1, 0, (b" brown",), extent))
    stage.run()
    beginnings = [(block.start, block.items[0]) for block in branches_of(stage)]
    assert len(beginnings) == len(set(beginnings))
    assert any(block.commit_seq == 1 for block in branches_of(stage))


def test_a_divergence_ends_the_branches_under_way() -> None:
    """Nothing of the old draft is said after the commit."""
    stage = staged(DraftExtent(3, 0.0, branches=3, branch_tokens=6), extra_sequences=1)
    sent = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (b" lazy",), DraftExtent(3, 0.0, branches=3, branch_tokens=6)))
    stage.engine.step()
    stage.session.commit(Commit(2, 5, (b" nose",), DraftExtent(2)))
    stage.run()
    assert not any(block.is_branch for block in stage.outlet.blocks[sent:])
    stage.engine.check_integrity()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_branches_are_drawn_with_the_noise_that_the_draft_would_have(temperature: float) -> None:
    """Whatever the law: when the target says a branch's first token, the draft is that branch."""
    sampling = SamplingParams(temperature=temperature)
    stage = staged(DraftExtent(4, 0.0, branches=3, branch_tokens=4), law=noisy, sampling=sampling)
    first = [block for block in branches_of(stage) if block.start == TextPrefix()]
    said = next(block for block in first if _is_natural(block.items[0]))
    sent = len(stage.outlet.blocks)
    stage.session.commit(Commit(1, 0, (said.items[0],), DraftExtent(3)))
    stage.run()
    assert [item for block in stage.outlet.blocks[sent:] for item in block.items] == list(said.items[1:])


def _is_natural(item: Item) -> bool:
    """Whether the drafter would cut this text into one token, too."""
    return isinstance(item, bytes) and len(TOKENIZER.encode_bytes(item)) == 1


START = TextPrefix().extend((b"so ",))
SURE = DraftToken(b"far", confidence=0.9, runners_up=(RunnerUp(7, 0.05), RunnerUp(8, 0.01)))
UNSURE = DraftToken(b" away", confidence=0.5, runners_up=(RunnerUp(9, 0.4),))


def begun(tree: BranchTree) -> list[Branch]:
    """All that may begin now."""
    return list(iter(tree.begin_next, None))


def drawn(start: TextPrefix, *tokens: DraftToken) -> DrawnBranch:
    """A branch; its tokens' ids are of no account."""
    return DrawnBranch(start, tokens, BlockBase(ContextWindow((), 0), tuple(range(len(tokens)))))


def test_a_branch_is_as_likely_as_the_draft_is_to_be_left_there() -> None:
    """The second token's runner-up is the likelier one where the first token is almost sure."""
    tree = BranchTree()
    tree.stand_on(Trunk(START, (SURE, UNSURE)), 2)
    found = begun(tree)
    assert [(branch.first.token, branch.dropped_tokens) for branch in found if branch.first] == [(9, 1), (7, 2)]
    assert [branch.start for branch in found] == [START.extend((b"far",)), START]


def test_a_branch_of_a_branch_waits_with_the_others() -> None:
    """It is as likely as that its branch is taken, and then is left there."""
    tree = BranchTree()
    tree.stand_on(Trunk(START, (SURE, UNSURE)), 4)
    first = tree.begin_next()
    assert first is not None
    hardly = DraftToken(b"!", confidence=0.6, runners_up=(RunnerUp(1, 0.2),))
    branch = drawn(first.start, DraftToken(b" off", confidence=0.4), hardly)
    assert tree.add(branch)
    found = begun(tree)
    assert [one.start for one in found] == [
        branch.start.extend((b" off", b"!")),
        branch.start.extend((b" off",)),
        START,
    ]
    assert [one.parent for one in found] == [branch, branch, None]


def test_what_hangs_on_a_branch_stays_when_the_target_takes_it() -> None:
    """The others go, also one that is drawn later; nothing begins twice."""
    tree = BranchTree()
    tree.stand_on(Trunk(START, (SURE, UNSURE)), 9)
    other, first = tree.begin_next(), tree.begin_next()
    assert other is not None
    assert first is not None
    branch = drawn(first.start, DraftToken(b"near", confidence=0.05), UNSURE)
    tree.add(branch)
    of_branch = [one for one in begun(tree) if one.parent is branch]
    assert tree.taken((b"near",), START.extend((b"near",))) is branch
    tree.stand_on(Trunk(START.extend((b"near",)), (UNSURE,)), 9)
    assert [tree.holds(one) for one in (*of_branch, other, first)] == [True, True, False, False]
    assert not tree.add(drawn(other.start, UNSURE))
    assert begun(tree) == []


def test_as_many_may_hang_there_as_are_wanted() -> None:
    """Those that the draft has passed make room."""
    tree = BranchTree()
    tree.stand_on(Trunk(START, (SURE, UNSURE)), 1)
    assert len(begun(tree)) == 1
    tree.stand_on(Trunk(START.extend((b"far", b" away")), (SURE,)), 2)
    assert len(begun(tree)) == 2


def test_branches_are_drawn_of_branches() -> None:
    """Each goes on as the drafter would, and what hangs on a taken one is not drawn again."""
    extent = DraftExtent(3, 0.0, branches=12, branch_tokens=3)
    stage = staged(extent, law=noisy)
    draft = [item for block in stage.outlet.blocks if not block.is_branch for item in block.items]
    on_draft = {TextPrefix().extend(draft[:count]) for count in range(len(draft) + 1)}
    sent = branches_of(stage)
    assert len(sent) == 12
    nested = [block for block in sent if block.start not in on_draft]
    parent = next(one for one in sent if nested[0].start in {one.start.extend(one.items[:n]) for n in range(1, 4)})
    before = draft[: next(n for n in range(4) if TextPrefix().extend(draft[:n]) == parent.start)]
    stage.session.commit(Commit(1, 0, (*before, parent.items[0]), extent))
    stage.run()
    count = next(n for n in range(1, 4) if parent.start.extend(parent.items[:n]) == nested[0].start)
    settled = (*parent.items[1:count], nested[0].items[0])
    known = len(stage.outlet.blocks)
    stage.session.commit(Commit(2, items_length((*before, parent.items[0])), settled, extent))
    assert stage.outlet.blocks[known].items == nested[0].items[1:]
    beginnings = [(block.start, block.items[0]) for block in branches_of(stage)]
    assert len(beginnings) == len(set(beginnings))
