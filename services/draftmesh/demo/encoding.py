"""Training text through the tokenizers that serving uses, so that models learn the ids that they will meet."""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.core.text import Role
from draftmesh.tokenization import Tokenizer


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of `text`; a text that spells a special token stays a text."""
    return tokenizer.encode_bytes(text.encode())


def text_of(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of `ids`; what is no UTF-8 (a character cut in two) is left out."""
    return tokenizer.decode_bytes(ids).decode(errors="ignore")


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """The id that a text ends with."""
    return tokenizer.vocabulary.ids_of_role(Role.EOS)[0]
