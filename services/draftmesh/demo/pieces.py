"""What a tokenizer's ids spell, in bytes: the measure in which two tokenizers can be compared."""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from draftmesh.core.errors import ConfigError

_SPACE_PIECE = "▁"
_BYTE_PIECE_LENGTH = len("<0x00>")


@dataclass(frozen=True, slots=True)
class Pieces:
    """A tokenizer with the bytes of each id; special tokens spell nothing."""

    tokenizer: Tokenizer
    spelled: tuple[bytes, ...]
    special_ids: frozenset[int]
    end_of_text_id: int
    _sorted: tuple[tuple[bytes, int], ...]

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; a text that spells a special token stays a text."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def text_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes that `ids` spell, one after the other."""
        return b"".join(self.spelled[token_id] for token_id in ids)

    def text(self, ids: Sequence[int]) -> str:
        """The text that `ids` spell; what is no UTF-8 (a character cut in two) is left out."""
        return self.text_bytes(ids).decode(errors="ignore")

    def longer_than(self, prefix: bytes) -> list[int]:
        """Ids whose bytes begin with `prefix` and go on."""
        start = bisect.bisect_left(self._sorted, (prefix, -1))
        ids = []
        for spelled, token_id in self._sorted[start:]:
            if not spelled.startswith(prefix):
                break
            if len(spelled) > len(prefix):
                ids.append(token_id)
        return ids


def load_pieces(folder: Path) -> Pieces:
    """Read the tokenizer of a demo checkpoint."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    config = json.loads((folder / "tokenizer_config.json").read_text())
    special = frozenset(token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    byte_level = type(tokenizer.decoder).__name__ == "ByteLevel"
    spelled = tuple(
        b"" if token_id in special else _spelled(tokenizer.id_to_token(token_id) or "", byte_level)
        for token_id in range(tokenizer.get_vocab_size())
    )
    end_of_text_id = tokenizer.token_to_id(config["eos_token"])
    if end_of_text_id is None:
        raise ConfigError(f"{folder} names an end of text that is not in its vocabulary")
    return Pieces(
        tokenizer=tokenizer,
        spelled=spelled,
        special_ids=special,
        end_of_text_id=end_of_text_id,
        _sorted=tuple(sorted((piece, index) for index, piece in enumerate(spelled) if piece)),
    )


def _spelled(piece: str, byte_level: bool) -> bytes:
    if byte_level:
        return bytes(_BYTE_OF_LETTER[letter] for letter in piece)
    if len(piece) == _BYTE_PIECE_LENGTH and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(_SPACE_PIECE, " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    letters.update({chr(0x100 + rank): byte for rank, byte in enumerate(others)})
    return letters


_BYTE_OF_LETTER = _byte_level_alphabet()
