"""Drafts of any text after any committed ids translate to tokens that spell exactly the draft."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.tokenization import DraftTranslator, Tokenizer
from tests.helpers.tokenizers import ACCEPTED, small_tokenizer
from tests.property.tokenization.texts import CUT_TEXTS

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)

TOKENS = st.lists(st.integers(0, 1 << 16), max_size=12)
"""Numbers to be taken modulo the vocabulary's size: token ids in an order that no text has."""


def _translator(tokenizer: Tokenizer, numbers: list[int], window_bytes: int = 64) -> DraftTranslator:
    translator = DraftTranslator(tokenizer, window_bytes)
    translator.commit([number % len(tokenizer.vocabulary) for number in numbers])
    return translator


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(numbers=TOKENS, draft=CUT_TEXTS)
def test_ids_and_weak_ids_spell_the_draft_as_far_as_it_is_whole(name: str, numbers: list[int], draft: bytes) -> None:
    """Their bytes begin the draft, and what is left of it is less than a character."""
    tokenizer = small_tokenizer(name)
    translation = _translator(tokenizer, numbers).translate([draft], ended=False)
    spelled = tokenizer.decode_bytes(translation.ids + translation.weak_ids)
    assert draft.startswith(spelled)
    assert len(spelled) >= len(draft) - 3


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(numbers=TOKENS, draft=CUT_TEXTS)
def test_a_draft_that_ended_is_translated_whole(name: str, numbers: list[int], draft: bytes) -> None:
    """Nothing is held back from a draft that has ended, even if it ended inside a character."""
    tokenizer = small_tokenizer(name)
    translation = _translator(tokenizer, numbers).translate([draft], ended=True)
    assert (tokenizer.decode_bytes(translation.ids), translation.weak_ids) == (draft, ())


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(numbers=TOKENS, draft=CUT_TEXTS, cut=st.integers(0, 60))
def test_more_draft_only_adds_ids(name: str, numbers: list[int], draft: bytes, cut: int) -> None:
    """The ids of a draft begin the ids of every longer draft: what was sent to the target stands."""
    translator = _translator(small_tokenizer(name), numbers)
    early = translator.translate([draft[:cut]], ended=False).ids
    assert translator.translate([draft], ended=False).ids[: len(early)] == early


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(text=CUT_TEXTS, cuts=st.lists(st.integers(0, 60), min_size=2, max_size=4).map(sorted))
def test_translation_follows_the_targets_own_tokens(name: str, text: bytes, cuts: list[int]) -> None:
    """After a target's own tokens of a text, ids for the rest of that text are again the target's own."""
    tokenizer = small_tokenizer(name)
    ids = tokenizer.encode_bytes(text)
    translator = DraftTranslator(tokenizer, window_bytes=1 << 16)
    for start, end in pairwise([0, *(min(cut, len(ids)) for cut in cuts)]):
        translator.commit(ids[start:end])
        rest = ids[end:]
        translated = translator.translate([tokenizer.decode_bytes(rest)], ended=False).ids
        assert list(translated) == rest[: len(translated)]


@EXAMPLES
@given(
    names=st.tuples(st.sampled_from(ACCEPTED), st.sampled_from(ACCEPTED)),
    numbers=TOKENS,
    drafted=TOKENS,
)
def test_tokens_of_any_drafter_can_be_translated(
    names: tuple[str, str], numbers: list[int], drafted: list[int]
) -> None:
    """Arbitrary tokens of one tokenizer, role or bytes each, become tokens of another up to the first role."""
    target, drafter = (small_tokenizer(name) for name in names)
    items = drafter.vocabulary.items([number % len(drafter.vocabulary) for number in drafted])
    until = next((index for index, item in enumerate(items) if not isinstance(item, bytes)), len(items))
    text = b"".join(item for item in items[:until] if isinstance(item, bytes))
    translation = _translator(target, numbers).translate(items, ended=True)
    assert target.decode_bytes(translation.ids) == text


@EXAMPLES
@given(numbers=st.lists(st.integers(0, 1 << 16), max_size=60), draft=CUT_TEXTS, window_bytes=st.integers(0, 12))
def test_a_short_window_changes_no_byte(numbers: list[int], draft: bytes, window_bytes: int) -> None:
    """However little committed text is looked at, the ids spell the draft."""
    tokenizer = small_tokenizer("llama3")
    translation = _translator(tokenizer, numbers, window_bytes).translate([draft], ended=True)
    assert tokenizer.decode_bytes(translation.ids) == draft
