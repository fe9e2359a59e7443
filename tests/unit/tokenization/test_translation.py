"""Drafts translated after known committed texts."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.text import Item, Role
from draftmesh.tokenization import DraftTranslator, Tokenizer, Translation
from tests.helpers.tokenizers import small_tokenizer


def _translate(name: str, committed: bytes, draft: list[Item], *, ended: bool = False) -> tuple[Tokenizer, Translation]:
    tokenizer = small_tokenizer(name)
    translator = DraftTranslator(tokenizer)
    translator.commit(tokenizer.encode_bytes(committed))
    return tokenizer, translator.translate(draft, ended=ended)


def _pieces(tokenizer: Tokenizer, ids: tuple[int, ...]) -> list[bytes]:
    return [tokenizer.vocabulary.token_bytes(token) for token in ids]


@pytest.mark.parametrize("name", ["llama3", "llama2", "gemma", "mistral-split"])
def test_the_last_word_is_held_back_and_offered(name: str) -> None:
    """A word that may go on is not sent, but its token is there for a caller who takes the risk."""
    tokenizer, translation = _translate(name, b"The quick", [b" brown", b" fox"])
    assert (_pieces(tokenizer, translation.ids), _pieces(tokenizer, translation.weak_ids)) == ([b" brown"], [b" fox"])


def test_nothing_is_sent_of_a_draft_that_is_one_unfinished_word() -> None:
    """If holding back leaves nothing, then nothing is sent."""
    _, translation = _translate("llama3", b"The quick", [b" fo"])
    assert (translation.ids, translation.weak_ids != ()) == ((), True)


def test_an_ended_draft_is_sent_whole() -> None:
    """Nothing follows, so nothing can merge."""
    tokenizer, translation = _translate("llama3", b"The quick", [b" brown fox"], ended=True)
    assert (_pieces(tokenizer, translation.ids), translation.weak_ids) == ([b" brown", b" fox"], ())


def test_a_draft_inside_a_word_is_encoded_alone() -> None:
    """No token starts at the committed border of `qu|ick`: the draft's own tokens follow it."""
    tokenizer, translation = _translate("llama3", b"The qu", [b"ick brown"], ended=True)
    alone = tokenizer.encode_bytes(b"ick brown")
    assert list(translation.ids) == alone


def test_a_draft_is_cut_as_the_committed_text_asks() -> None:
    """After `def __init` the target writes `__(self):` as it does within the whole line."""
    tokenizer = small_tokenizer("llama3")
    line = tokenizer.encode_bytes(b"    def __init__(self):\n")
    translator = DraftTranslator(tokenizer)
    translator.commit(line[:3])
    rest = tokenizer.decode_bytes(line[3:])
    assert list(translator.translate([rest], ended=True).ids) == line[3:]


@pytest.mark.parametrize("name", ["llama3", "llama2"])
def test_a_draft_may_start_inside_a_character(name: str) -> None:
    """Committed bytes end inside an emoji that is in no vocabulary; the draft brings the rest."""
    emoji = "🥨".encode()
    tokenizer, translation = _translate(name, b"eat " + emoji[:2], [emoji[2:] + b" fox"])
    assert tokenizer.decode_bytes(translation.ids) == emoji[2:]


@pytest.mark.parametrize("name", ["llama3", "llama2"])
def test_a_draft_that_ends_inside_a_character_waits_for_the_rest(name: str) -> None:
    """The bytes of an unfinished character are neither sent nor offered."""
    tokenizer, translation = _translate(name, b"The quick", [" brown 你".encode()[:-1]])
    assert b"\xe4" not in b"".join(_pieces(tokenizer, translation.ids + translation.weak_ids))


@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("llama2", Role.EOS, Role.EOS),
        ("llama2", Role.END_OF_TURN, Role.EOS),
        ("gemma", Role.END_OF_TURN, Role.END_OF_TURN),
        ("gemma", Role.EOS, Role.EOS),
        ("qwen", Role.EOS, Role.END_OF_TURN),
    ],
)
def test_the_drafters_end_becomes_the_targets(name: str, role: Role, expected: Role) -> None:
    """Ends are matched by role, and by the other terminal role where the target has only that."""
    tokenizer, translation = _translate(name, b"The quick", [b" fox", role])
    assert tokenizer.vocabulary.role(translation.ids[-1]) == expected
    assert _pieces(tokenizer, translation.ids) == [b" fox", b""]


@pytest.mark.parametrize("role", [Role.BOS, Role.PAD, Role.UNK])
def test_a_draft_ends_at_any_other_role(role: Role) -> None:
    """What a drafter says after a special token that means nothing to the target is dropped."""
    tokenizer, translation = _translate("llama2", b"The quick", [b" brown", role, b" fox"])
    assert (_pieces(tokenizer, translation.ids), translation.weak_ids) == ([b" brown"], ())


def test_a_special_token_separates_the_committed_text_from_the_draft() -> None:
    """What was said before the end of a turn does not merge with what follows it."""
    tokenizer = small_tokenizer("llama3")
    translator = DraftTranslator(tokenizer)
    translator.commit([*tokenizer.encode_bytes(b"qu"), *tokenizer.vocabulary.terminal_ids])
    assert list(translator.translate([b"ick fox"], ended=True).ids) == tokenizer.encode_bytes(b"ick fox")


def test_a_draft_without_text_translates_to_nothing() -> None:
    """An empty draft is no error."""
    assert _translate("llama3", b"The quick", []) == (small_tokenizer("llama3"), Translation(()))


def test_an_id_that_the_target_does_not_have_is_refused() -> None:
    """Committed ids come from a peer."""
    with pytest.raises(InvalidTokenError):
        DraftTranslator(small_tokenizer("llama3")).commit([1 << 20])


@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama2", "gemma", "mistral-split"])
@given(text=st.text(alphabet="ab c'0.\n\té漢_(", max_size=40).map(str.encode), cuts=st.lists(st.integers(1, 5)))
def test_a_draft_that_grows_is_cut_as_if_it_had_come_at_once(name: str, text: bytes, cuts: list[int]) -> None:
    """Tokens that are settled are not encoded again, and what follows is cut alike; it may be held back for longer."""
    translator = DraftTranslator(small_tokenizer(name))
    settled: tuple[int, ...] = ()
    for length in accumulate([*cuts, len(text)]):
        draft = [text[:length]]
        translation = translator.translate(draft, ended=False, settled=settled)
        at_once = translator.translate(draft, ended=False)
        assert translation.ids + translation.weak_ids == at_once.ids + at_once.weak_ids
        assert at_once.ids[: len(translation.ids)] == translation.ids
        settled = translation.ids
    assert translator.translate([text], ended=True, settled=settled) == translator.translate([text], ended=True)
