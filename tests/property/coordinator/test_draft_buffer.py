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
    """What is left of it goes on; the first that fits counts; without one nothing is kept but a draft that agrees.

    A branch that begins at such a draft's end continues it.
    """
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=1000))
    buffer.settle(committed)
    buffer.offer(Block(0, TextPrefix().extend(committed), tuple(draft)))
    known, said = symbols(draft), symbols(settled)
    futures: list[tuple[int, list[Item]]] = []
    for position, items in branches:
        before = known[:position]
        start = TextPrefix().extend([*committed, *before])
        assert buffer.offer(Block(0, start, tuple(items), is_branch=True)) is (items_length(items) > 0)
        futures += [(len(before), before + symbols(items))] if items_length(items) else []
    shared = min(len(known), len(said))
    agrees = buffer.settle(settled)
    assert agrees is (known[:shared] == said[:shared])
    end = max(len(known), len(said)) if agrees else len(said)
    fitting = [
        text
        for start, text in futures
        if text[: len(said)] == said and len(text) > end and (not agrees or max(start, len(said)) == end)
    ]
    followed = fitting[0][end:] if fitting else []
    assert buffer.draft == join_items([*(known[len(said) :] if agrees else []), *followed])
    assert buffer.is_guess is bool(followed)
    assert buffer.committed == TextPrefix().extend([*committed, *settled])
