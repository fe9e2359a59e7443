"""Lets a client's stream of bytes end at whole characters, token after token."""

from __future__ import annotations

from draftmesh.tokenization.utf8 import pending_length


class IncrementalDetokenizer:
    """Holds back the start of a character until the rest of it arrives.

    Bytes that can never become a character are passed on as they are: what to show for them is the client's business.
    """

    def __init__(self) -> None:
        self._pending = b""

    @property
    def pending(self) -> bytes:
        """The bytes held back, 3 at most."""
        return self._pending

    def push(self, data: bytes) -> bytes:
        """Take the next bytes and return what is whole so far."""
        data = self._pending + data
        cut = len(data) - pending_length(data)
        self._pending = data[cut:]
        return data[:cut]

    def flush(self) -> bytes:
        """The text ends here: return what is pending."""
        data, self._pending = self._pending, b""
        return data
