"""What is called stable stays, whatever text follows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from draftmesh.tokenization import Tokenizer
from tests.helpers.tokenizers import ACCEPTED, small_tokenizer
from tests.property.tokenization.texts import BYTES

EXAMPLES = settings(max_examples=120, deadline=None, derandomize=True)


def _leading(tokenizer: Tokenizer, ids: list[int], length: int) -> list[int]:
    """The tokens of the first ``length`` bytes; the next one starts there."""
    taken: list[int] = []
    while len(tokenizer.decode_bytes(taken)) < length:
        taken.append(ids[len(taken)])
    return taken


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(data=BYTES, more=BYTES)
def test_later_text_changes_no_stable_token(name: str, data: bytes, more: bytes) -> None:
    """encode(text + more) begins with the tokens of the stable part of text."""
    tokenizer = small_tokenizer(name)
    encoded = tokenizer.encode(data)
    stable = _leading(tokenizer, encoded.ids, encoded.stable_length)
    assert tokenizer.encode_bytes(data + more)[: len(stable)] == stable


@pytest.mark.parametrize("name", ACCEPTED)
@EXAMPLES
@given(data=BYTES)
def test_stable_part_ends_where_a_token_ends(name: str, data: bytes) -> None:
    """No token reaches over the end of the stable part."""
    tokenizer = small_tokenizer(name)
    encoded = tokenizer.encode(data)
    stable = _leading(tokenizer, encoded.ids, encoded.stable_length)
    assert tokenizer.decode_bytes(stable) == data[: encoded.stable_length]
