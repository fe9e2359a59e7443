"""What followed where the end of this text occurred before? Prompt-lookup decoding (Saxena 2023), over tokens.

Ends of text with the same last token form a chain from the newest to the oldest, as in LZ77: a token is indexed in
O(1), and a look-up compares a bounded number of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

_MATCHED_TOKENS = 8
"""Tokens compared at most: of longer matches the newest is best."""

_CANDIDATES = 32
"""Earlier occurrences compared at most, the newest first."""


class PromptLookup:
    """A growing text of tokens."""

    def __init__(self) -> None:
        """Start with an empty text."""
        self._ids: list[int] = []
        self._newest: dict[int, int] = {}
        self._older: list[int] = [0]  # for each length of text: the next older end with the same last token, 0: none

    def __len__(self) -> int:
        """Tokens of the text."""
        return len(self._ids)

    def extend(self, ids: Sequence[int]) -> None:
        """Grow the text."""
        for end, token in enumerate(ids, len(self._ids) + 1):
            self._older.append(self._newest.get(token, 0))
            self._newest[token] = end
        self._ids += ids

    def next_ids(self, count: int) -> tuple[int, ...]:
        """The tokens that followed the longest earlier occurrence of the text's end; none if its last token is new.

        Where they reach the text's end, they go on with themselves: a text that repeats itself is taken to go on so.
        """
        if (start := self._find()) is None:
            return ()
        period = len(self._ids) - start
        return tuple(self._ids[start + offset % period] for offset in range(count))

    def _find(self) -> int | None:
        """Where the best earlier occurrence stops: the longest one, and the newest of those."""
        best_length, found = 0, None
        end = self._older[len(self._ids)]
        for _ in range(_CANDIDATES):
            if not end or best_length == _MATCHED_TOKENS:
                break
            if (length := self._match_length(end)) > best_length:
                best_length, found = length, end
            end = self._older[end]
        return found

    def _match_length(self, end: int) -> int:
        ids, last = self._ids, len(self._ids)
        limit = min(_MATCHED_TOKENS, end)
        return next((length for length in range(1, limit) if ids[end - 1 - length] != ids[last - 1 - length]), limit)
