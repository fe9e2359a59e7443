"""The drafter's own tokens of the text: natural segmentations, and as much kept as possible."""

from __future__ import annotations

import pytest

from draftmesh.core.text import Item, Role
from draftmesh.drafter.path import Edit, TokenPath
from draftmesh.tokenization import Tokenizer
from tests.helpers.tokenizers import ACCEPTED, small_tokenizer

TOKENIZER = small_tokenizer("gpt2")


def path_of(text: bytes, tokenizer: Tokenizer = TOKENIZER, *, is_natural: bool = True) -> TokenPath:
    """A path that was given ``text`` at once."""
    path = TokenPath(tokenizer, tokenizer.vocabulary, is_natural=is_natural)
    path.replace_end(0, (text,))
    return path


def applied(before: tuple[int, ...], edit: Edit) -> tuple[int, ...]:
    """What a sequence holds after an edit."""
    return (*before[: edit.keep_tokens], *edit.ids)


def test_text_at_once_is_encoded_naturally() -> None:
    """An empty path takes a text as the tokenizer writes it."""
    assert list(path_of(b"The quick brown fox").ids) == TOKENIZER.encode_bytes(b"The quick brown fox")


def test_text_in_pieces_is_encoded_as_if_at_once() -> None:
    """A word that is committed in two pieces has the tokens of the whole word."""
    path = path_of(b"The quick br")
    path.replace_end(0, (b"own",))
    assert path.ids == path_of(b"The quick brown").ids


def test_tokens_that_do_not_change_are_kept() -> None:
    """Only what the new text changes is replaced, so that the KV before it stays."""
    path = path_of(b"The quick brown fox jumps")
    edit = path.replace_end(0, (b" over",))
    assert (edit.keep_tokens, list(edit.ids)) == (
        len(path_of(b"The quick brown fox jumps")),
        TOKENIZER.encode_bytes(b" over"),
    )


def test_edit_turns_the_old_tokens_into_the_new() -> None:
    """A sequence that follows the edit holds the path."""
    path = path_of(b"The quick brown fox")
    before = path.ids
    edit = path.replace_end(2, (b" cat",))
    assert applied(before, edit) == path.ids


def test_role_becomes_the_vocabularys_own_token() -> None:
    """A committed end of sequence is this vocabulary's, wherever it came from."""
    path = path_of(b"The end")
    path.replace_end(0, (Role.EOS, b"The"))
    eos = TOKENIZER.vocabulary.ids_of_role(Role.EOS)[0]
    assert list(path.ids) == [*TOKENIZER.encode_bytes(b"The end"), eos, *TOKENIZER.encode_bytes(b"The")]


def test_role_without_a_token_is_left_out() -> None:
    """A role that the vocabulary lacks adds nothing, and the text goes on."""
    assert TOKENIZER.vocabulary.ids_of_role(Role.END_OF_TURN) == ()
    path = path_of(b"The")
    path.replace_end(0, (Role.END_OF_TURN, b" quick"))
    assert TOKENIZER.decode_bytes(path.ids) == b"The quick"


def test_back_up_gives_the_bytes() -> None:
    """Backing up over the last token tells which bytes are to be spelled again."""
    path = path_of(b"The quick")
    last = TOKENIZER.vocabulary.token_bytes(path.ids[-1])
    assert (path.back_up(1), list(path.ids)) == (last, TOKENIZER.encode_bytes(b"The quick")[:-1])


def test_the_targets_tokens_are_encoded_one_by_one() -> None:
    """However they are committed, in one piece or in several; the drafter's own words are not put together."""
    items = (b"The qu", b"ick", b" brown f", b"ox")
    expected = [token for item in items for token in TOKENIZER.encode_bytes(item)]
    for cut in range(len(items) + 1):
        path = TokenPath(TOKENIZER, TOKENIZER.vocabulary, is_natural=False)
        path.replace_end(0, items[:cut])
        path.replace_end(0, items[cut:])
        assert list(path.ids) == expected
    assert expected != TOKENIZER.encode_bytes(b"".join(items))


def test_a_character_in_pieces_is_encoded_as_one() -> None:
    """A drafter that writes it as one token has never seen its bytes."""
    tokenizer = small_tokenizer("llama2")
    text = "Le café".encode()
    path = path_of(text[:-1], tokenizer, is_natural=False)
    path.replace_end(0, (text[-1:],))
    assert list(path.ids[-1:]) == tokenizer.encode_bytes("é".encode())


@pytest.mark.parametrize("is_natural", [True, False])
@pytest.mark.parametrize("name", ACCEPTED)
def test_any_cut_of_the_text_keeps_its_bytes(name: str, is_natural: bool) -> None:
    """Whatever the tokenizer, and wherever commits end, characters included, the path's bytes are the text."""
    tokenizer = small_tokenizer(name)
    text = "Le café 今天 🙂 crème\n\n  def f(x):\n".encode()
    for cut in range(len(text) + 1):
        path = path_of(text[:cut], tokenizer, is_natural=is_natural)
        items: tuple[Item, ...] = (text[cut:],)
        path.replace_end(0, items)
        assert tokenizer.decode_bytes(path.ids) == text
