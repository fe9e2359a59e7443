"""How much of a text's tokenization is settled, whatever text follows.

Two facts decide it.

1. A pre-tokenizer cuts a text into words before the model sees it, and no token crosses a word's end. More text can
   change the last word, a run of spaces at the end (its last space may go to the next word), a contraction (``he'`` +
   ``s``) and, with some patterns, a border between letters of two kinds; all words before that are settled. This holds
   for the patterns of GPT-2, Llama 3, Qwen, GPT-4o and Mistral, not for every regular expression one could write.
2. Without a pre-tokenizer (Llama 2, Gemma), and inside the last word: where two characters stand side by side in no
   token of the vocabulary, every BPE and every Unigram segmentation has a token border. Both models treat the two
   sides of such a border separately, so this is a guarantee.

A text that may be the start of an added token (``<tool`` of ``<tool_call>``) is cut before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_APOSTROPHES = "'’"


class Neighbours:
    """Which characters stand side by side inside some token."""

    def __init__(self, tokens: Iterable[bytes]) -> None:
        self._pairs: set[bytes] = set()
        for token in tokens:
            starts = [index for index in range(len(token)) if index == 0 or not _continues(token[index])]
            ends = [*starts[1:], len(token)]
            for index in range(1, len(starts)):
                self._pairs.add(token[starts[index - 1] : ends[index]])

    def meet(self, left: bytes, right: bytes) -> bool:
        """Whether some token holds the end of ``left`` and the start of ``right`` (one whole character each)."""
        pairs = self._pairs
        if len(left) == 1 and len(right) == 1:
            return left + right in pairs
        ends = [left[index:] for index in range(len(left))]
        starts = [right[: index + 1] for index in range(len(right))]
        return any(end + start in pairs for end in ends for start in starts)


class AddedTokens:
    """The texts of added tokens that a tokenizer finds in texts, before anything else."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._starts = frozenset(text[:length] for text in texts for length in range(1, len(text)))
        self._longest = max(map(len, self._starts), default=0)

    def possible_start(self, text: str) -> int:
        """Where in ``text`` one may have begun that only more text would end; the text's length if nowhere."""
        for start in range(max(0, len(text) - self._longest), len(text)):
            if text[start:] in self._starts:
                return start
        return len(text)


def settled_length(text: str, words: Sequence[int], neighbours: Neighbours, added: AddedTokens) -> int:
    """Characters at the start of ``text`` whose tokenization no later text changes.

    Args:
        text: whole characters.
        words: where the words of the pre-tokenizer start, in characters, ascending; the first is 0.
        neighbours: of the vocabulary.
        added: of the tokenizer.
    """
    end = added.possible_start(text)
    word = _last_settled_word(text[:end], words)
    if text[word:end].isspace():
        return word
    for index in range(end - 1, word, -1):
        if not neighbours.meet(text[index - 1].encode(), text[index].encode()):
            return index
    return word


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _last_settled_word(text: str, words: Sequence[int]) -> int:
    """Start of the last word, or of the last one before it that more text cannot reach."""
    spaces = len(text.rstrip())
    if spaces < len(text) and spaces in words:
        return spaces
    for start in reversed(words):
        if start < spaces and not (start and _loose(text, start)):
            return start
    return 0


def _loose(text: str, border: int) -> bool:
    before, after = text[border - 1], text[border]
    return after in _APOSTROPHES or before in _APOSTROPHES or (before.isalpha() and after.isalpha())
