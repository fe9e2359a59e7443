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
@given(texts, texts, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8), texts), max_size=6), texts)
def test_a_branch_is_the_draft_where_the_target_takes_it(
    committed: list[Item], draft: list[Item], branches: list[tuple[int, int, list[Item]]], settled: list[Item]
) -> None:
    """What is left of it goes on; the first that fits counts; without one nothing is kept but a draft that agrees.

    Branches part from the draft, or from each other. One that begins at the end of what is kept then continues it, and
    so does another one at the end of that.
    """
    buffer = DraftBuffer(DraftLimits(max_ahead_tokens=1000))
    buffer.settle(committed)
    buffer.offer(Block(0, TextPrefix().extend(committed), tuple(draft)))
    said = symbols(settled)
    stems = [symbols(draft)]
    futures: list[tuple[int, list[Item]]] = []
    for stem, position, items in branches:
        before = stems[stem % len(stems)][:position]
        start = TextPrefix().extend([*committed, *before])
        assert buffer.offer(Block(0, start, tuple(items), is_branch=True)) is (items_length(items) > 0)
        if items_length(items):
            futures.append((len(before), before + symbols(items)))
            stems.append(futures[-1][1])
    known = stems[0]
    shared = min(len(known), len(said))
    agrees = buffer.settle(settled)
    assert agrees is (known[:shared] == said[:shared])
    fitting = [(max(start, len(said)), text) for start, text in futures if text[: len(said)] == said != text]
    kept = [*said, *known[len(said) :]] if agrees else said
    whole, begins = kept, len(kept) if agrees else None
    while (found := _going_on(fitting, whole, begins)) is not None:
        whole = found
        begins = len(whole)
    assert buffer.draft == join_items(whole[len(said) :])
    assert buffer.is_guess is (len(whole) > len(kept))
    assert buffer.committed == TextPrefix().extend([*committed, *settled])


def _going_on(fitting: list[tuple[int, list[Item]]], whole: list[Item], begins: int | None) -> list[Item] | None:
    """The first text that goes on with all that is kept, and whose branch begins there, or anywhere."""
    found = (
        text
        for start, text in fitting
        if begins in (None, start) and len(text) > len(whole) and text[: len(whole)] == whole
    )
    return next(found, None)
