"""Vocabulary: ids as bytes and roles."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.text import Role
from draftmesh.tokenization import Vocabulary
from draftmesh.tokenization.byte_alphabet import BYTE_TO_CHAR, piece_bytes

TOKENS = [b"a", b"</s>", b"b", b"<|im_end|>", b"", b"<x>"]
VOCABULARY = Vocabulary(TOKENS, {3: Role.END_OF_TURN, 1: Role.EOS}, special={5}, fallback={2})


def test_special_tokens_have_no_bytes() -> None:
    """Whether a token has a role or is merely special, it stands for no text."""
    assert [VOCABULARY.token_bytes(token) for token in range(6)] == [b"a", b"", b"b", b"", b"", b""]


def test_length_counts_holes() -> None:
    """An id without a token is still an id."""
    assert len(VOCABULARY) == 6


def test_a_hole_is_not_special() -> None:
    """Only tokens are special."""
    assert [VOCABULARY.is_special(token) for token in (1, 4, 5)] == [True, False, True]


def test_terminal_ids_are_those_that_end_a_text() -> None:
    """End of text and end of turn, and nothing else."""
    assert VOCABULARY.terminal_ids == {1, 3}


def test_byte_pieces_are_told_from_other_tokens() -> None:
    """Of two tokens with the same byte, the piece is the one that is not said."""
    assert [VOCABULARY.is_fallback(token) for token in range(6)] == [False, False, True, False, False, False]


def test_items_are_bytes_or_roles() -> None:
    """One item a token; a special token without a role is empty bytes."""
    assert VOCABULARY.items([0, 3, 5, 2]) == (b"a", Role.END_OF_TURN, b"", b"b")


@pytest.mark.parametrize("token", [-1, 6])
def test_an_id_outside_is_refused(token: int) -> None:
    """A negative id does not count from the end."""
    with pytest.raises(InvalidTokenError):
        VOCABULARY.token_bytes(token)


def test_a_role_outside_the_vocabulary_is_refused() -> None:
    """A config may name an id that the vocabulary does not have."""
    with pytest.raises(InvalidTokenError):
        Vocabulary([b"a"], {7: Role.EOS})


def test_a_byte_piece_outside_the_vocabulary_is_refused() -> None:
    """A peer may send any id."""
    with pytest.raises(InvalidTokenError):
        Vocabulary([b"a"], {}, fallback={1})


def test_first_id_of_a_role_is_the_one_given_first() -> None:
    """Of several end tokens the model's own choice comes first, whatever its id."""
    assert Vocabulary([b"", b""], {1: Role.EOS, 0: Role.EOS}).ids_of_role(Role.EOS) == (1, 0)


@pytest.mark.parametrize(
    "other",
    [
        Vocabulary([b"A", *TOKENS[1:]], {3: Role.END_OF_TURN, 1: Role.EOS}, special={5}, fallback={2}),
        Vocabulary(TOKENS, {3: Role.EOS, 1: Role.EOS}, special={5}, fallback={2}),
        Vocabulary(TOKENS, {3: Role.END_OF_TURN, 1: Role.EOS}, fallback={2}),
        Vocabulary(TOKENS, {3: Role.END_OF_TURN, 1: Role.EOS}, special={5}),
        Vocabulary([*TOKENS, b""], {3: Role.END_OF_TURN, 1: Role.EOS}, special={5}, fallback={2}),
        Vocabulary([b"ab", b"", b"", *TOKENS[3:]], {3: Role.END_OF_TURN, 1: Role.EOS}, special={5}, fallback={2}),
    ],
)
def test_digest_tells_vocabularies_apart(other: Vocabulary) -> None:
    """Bytes, roles, specials, byte pieces and the number of ids all count."""
    assert other.digest != VOCABULARY.digest


def test_digest_is_the_same_for_the_same_vocabulary() -> None:
    """The digest has a fixed value: it goes into records that outlive a process."""
    assert VOCABULARY.digest.hex() == "6e7b098d230c713f5ca4e6e51ccd186dfa8843d83fd95d1aa13390f2b402a339"


def test_byte_alphabet_is_a_bijection() -> None:
    """Every byte has its own character, and comes back from it."""
    assert [piece_bytes(BYTE_TO_CHAR[byte]) for byte in range(256)] == [bytes([byte]) for byte in range(256)]


@pytest.mark.parametrize(
    ("piece", "data"), [("Ġthe", b" the"), ("Ċ", b"\n"), ("Ã©", "é".encode()), ("你", "你".encode())]
)
def test_byte_alphabet_is_that_of_gpt2(piece: str, data: bytes) -> None:
    """Known pieces have their known bytes; what is not in the alphabet is its own UTF-8."""
    assert piece_bytes(piece) == data
