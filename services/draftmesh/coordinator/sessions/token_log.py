"""A session's committed tokens, as a value that grows cheaply.

Every step makes a new record of the session; if each had a copy of all tokens, a session's work would grow with the
square of its length. So the records of a session share one list, of which each sees no more than was there for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from draftmesh.coordinator.loop.transcript import TokenSpan


class TokenLog(Sequence[TokenSpan]):
    """An immutable sequence of tokens; lengthening the newest one of a session costs what is added."""

    __slots__ = ("_length", "_spans")

    def __init__(self, spans: Iterable[TokenSpan] = ()) -> None:
        self._spans = list(spans)
        self._length = len(self._spans)

    def extended(self, spans: Iterable[TokenSpan]) -> TokenLog:
        """These tokens and then ``spans``."""
        grown = TokenLog()
        is_newest = len(self._spans) == self._length  # otherwise another one has been lengthened from here
        grown._spans = self._spans if is_newest else self._spans[: self._length]
        grown._spans.extend(spans)
        grown._length = len(grown._spans)
        return grown

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[TokenSpan]:
        return islice(self._spans, self._length)

    @overload
    def __getitem__(self, key: int) -> TokenSpan: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[TokenSpan, ...]: ...
    def __getitem__(self, key: int | slice) -> TokenSpan | tuple[TokenSpan, ...]:
        """One token, or a tuple of some."""
        if isinstance(key, slice):
            return tuple(self._spans[position] for position in range(*key.indices(self._length)))
        return self._spans[range(self._length)[key]]

    def __eq__(self, other: object) -> bool:
        """Whether the tokens are the same."""
        return isinstance(other, TokenLog) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))
