"""The draft buffer against a model that keeps everything and compares texts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.coordinator.drafting.buffer import DraftBuffer
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.core.draft import Block
from draftmesh.core.text import Item, Role, TextPrefix, items_length, join_items

pieces = st.one_of(
    st.binary(min_size=1, max_size=3).map(lambda data: bytes(b % 2 + 97 for b in data)), st.just(Role.PAD)
)
texts = st.lists(pieces, max_size=4)


def symbols(items: list[Item]) -> list[Item]:
    """One element a byte or role."""
    return [part for item in items for part in ([bytes((b,)) for b in item] if isinstance(item, bytes) else [item])]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), texts), max_size=12))
def test_what_is_kept_is_what_continues(steps: list[tuple[bool, int, list[Item]]]) -> None:
    """After any blocks and commits the draft is what the rule says, and wasted bytes are all the others."""
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=1000))
    committed: list[Item] = []
    kept: list[Item] = []
    wasted = 0
    for is_commit, back, items in steps:
        said = symbols(items)
        if is_commit:
            shared = min(len(said), len(kept))
            agrees = kept[:shared] == said[:shared]
            assert buffer.settle(items) is agrees
            wasted += 0 if agrees else items_length(kept)
            kept = kept[len(said) :] if agrees else []
            committed += said
        else:
            known = committed + kept
            start = known[: max(0, len(known) - back)]
            rest = known[len(start) :]
            shared = min(len(rest), len(said))
            fits = rest[:shared] == said[:shared]
            assert buffer.offer(Block(0, TextPrefix().extend(start), tuple(items))) is fits
            kept += said[len(rest) :] if fits else []
            wasted += 0 if fits else items_length(said)
        assert buffer.draft == join_items(kept)
        assert buffer.committed == TextPrefix().extend(committed)
    assert buffer.take_wasted_bytes() == wasted


@settings(max_examples=400, deadline=None)
@given(texts, texts, st.lists(st.tuples(st.integers(0, 8), texts), max_size=6), texts)
def test_a_branch_is_the_draft_where_the_target_takes_it(
    committed: list[Item], draft: list[Item], branches: list[tuple[int, list[Item]]], settled: list[Item]
) -> None:
    """What is left of it goes on; the first that fits counts; without one nothing is kept."""
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=1000))
    buffer.settle(committed)
    buffer.offer(Block(0, TextPrefix().extend(committed), tuple(draft)))
    known, said = symbols(draft), symbols(settled)
    futures = [known]
    for position, items in branches:
        before = known[:position]
        start = TextPrefix().extend([*committed, *before])
        assert buffer.offer(Block(0, start, tuple(items), is_branch=True)) is (items_length(items) > 0)
        futures += [before + symbols(items)] if items_length(items) else []
    shared = min(len(known), len(said))
    agrees = buffer.settle(settled)
    assert agrees is (known[:shared] == said[:shared])
    fitting = futures[:1] if agrees else [text for text in futures[1:] if text[: len(said)] == said and text != said]
    parted = [text for text in fitting if agrees or _parts(known, text, said)]
    expected = parted[0][len(said) :] if parted else []
    assert buffer.draft == join_items(expected)
    assert buffer.is_guess is (not agrees and bool(expected))
    assert buffer.committed == TextPrefix().extend([*committed, *settled])


def _parts(known: list[Item], text: list[Item], said: list[Item]) -> bool:
    """Whether a branch's text is what was said beyond where it begins."""
    return text[: len(said)] == said and known[: len(said)] != said
