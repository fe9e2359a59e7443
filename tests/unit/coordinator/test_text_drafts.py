"""Drafts of text as target tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.trace import NoOpTracer

from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.coordinator.drafting.text_drafts import TextDrafts
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.core.draft import Block
from draftmesh.core.text import Item, TextPrefix
from draftmesh.tokenization import DraftTranslator
from draftmesh.tokenization.translation import Translation
from tests.helpers.generation_bench import tiny_tokenizer


class CountingTranslator(DraftTranslator):
    """Notes what it has translated."""

    def __init__(self) -> None:
        super().__init__(tiny_tokenizer())
        self.texts: list[tuple[Item, ...]] = []
        self.settled: list[tuple[int, ...]] = []

    def translate(self, draft: Sequence[Item], *, ended: bool, settled: Sequence[int] = ()) -> Translation:
        """See the base class."""
        self.texts.append(tuple(draft))
        self.settled.append(tuple(settled))
        return super().translate(draft, ended=ended, settled=settled)


@pytest.fixture
def translator() -> CountingTranslator:
    """Of one session."""
    return CountingTranslator()


@pytest.fixture
def drafts(translator: CountingTranslator) -> TextDrafts:
    """With a draft and two branches of it."""
    drafts = TextDrafts(DraftLimits(32), translator, RoundTrace(NoOpTracer()))
    drafts.offer(Block(0, TextPrefix(), (b"the drafter proposes",)))
    drafts.offer(Block(0, TextPrefix().extend((b"the ",)), (b"target",), paused=True, is_branch=True))
    drafts.offer(Block(0, TextPrefix().extend((b"the drafter",)), (b" \xf0",), is_branch=True))
    return drafts


def ids_of(text: str) -> tuple[int, ...]:
    """The target's tokens."""
    return tuple(tiny_tokenizer().encode_bytes(text.encode()))


def test_branches_are_the_targets_tokens_of_the_whole_text(drafts: TextDrafts) -> None:
    """From what is committed, to the last whole character."""
    said = [branch.draft.ids for branch in drafts.branches()]
    assert said[0] == ids_of("the target")
    assert said[1] == ids_of("the drafter ")
    assert [branch.is_whole for branch in drafts.branches()] == [True, False]


def test_a_branch_is_translated_once(drafts: TextDrafts, translator: CountingTranslator) -> None:
    """Until something is committed, which may change how the rest is cut into tokens."""
    first = drafts.branches()
    assert (drafts.branches(), len(translator.texts)) == (first, 2)
    the = ids_of("the")
    drafts.settle(the, (b"the",))
    assert len(drafts.branches()) == 2
    assert translator.texts[2:] == [(b" target",), (b" drafter \xf0",)]


def test_a_draft_is_translated_again_only_when_it_has_changed(
    drafts: TextDrafts, translator: CountingTranslator
) -> None:
    """What is left of it after the target has said its first tokens is what was left of the translation."""
    whole = drafts.read(ended=False)
    assert (drafts.read(ended=False), len(translator.texts)) == (whole, 1)
    first = whole.draft.ids[:2]
    items = [tiny_tokenizer().vocabulary.token_bytes(token) for token in first]
    drafts.settle(first, items)
    assert drafts.read(ended=False).draft.ids == whole.draft.ids[2:]
    assert len(translator.texts) == 1
    drafts.offer(Block(0, TextPrefix().extend((b"the drafter proposes",)), (b" more",)))
    more = drafts.read(ended=False).draft.ids
    assert ids_of("the drafter proposes more")[2 : 2 + len(more)] == more
    assert len(more) > len(whole.draft.ids[2:])
    assert (len(translator.texts), translator.settled[-1]) == (2, whole.draft.ids[2:])


def test_other_tokens_of_the_same_text_are_translated_anew(drafts: TextDrafts, translator: CountingTranslator) -> None:
    """The target may cut a text otherwise; one that has ended holds nothing back; one that is contradicted is gone."""
    drafts.read(ended=False)
    drafts.settle(ids_of("t") + ids_of("he"), (b"t", b"he"))
    drafts.read(ended=False)
    assert translator.texts[1:] == [(b" drafter proposes",)]
    drafts.read(ended=True)
    assert translator.texts[2:] == [(b" drafter proposes",)]
    drafts.settle(ids_of("?"), (b"?",))
    assert drafts.read(ended=True).draft.ids == ()
