"""The committed tokens of one session, with the name of every prefix of them.

A round says which tokens it follows by length and hash; to know whether a round that lags behind still lies on the
committed path, the hash at every earlier length is needed. Committed tokens are never truncated.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from draftmesh.core.text import TokenPrefix


class CommittedTokens:
    """Generated token ids that are settled for good; grows only."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._ids = array("Q")
        self._hashes = array("Q", [TokenPrefix().hash])
        self.extend(ids)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def prefix(self) -> TokenPrefix:
        """The name of everything that is committed."""
        return TokenPrefix(len(self._ids), self._hashes[-1])

    def extend(self, ids: Iterable[int]) -> None:
        """Commit more tokens."""
        for token in ids:
            self._hashes.append(self.prefix.extend((token,)).hash)
            self._ids.append(token)

    def starts_with(self, prefix: TokenPrefix) -> bool:
        """Whether ``prefix`` names the first tokens of these (or all of them)."""
        return prefix.length <= len(self._ids) and self._hashes[prefix.length] == prefix.hash

    def since(self, length: int) -> tuple[int, ...]:
        """The ids after the first ``length``; none if there are not so many."""
        return tuple(self._ids[length:])
