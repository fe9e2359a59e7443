"""A drafter without a model: it proposes that the text repeats itself.

Source code, quotations and edits repeat long runs of their prompt; there this drafter costs nothing and is often right.
Its draft tokens are words with the space before them, runs of punctuation, and line ends with their indentation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from draftmesh.core.draft import DraftExtent, Evaluate
from draftmesh.core.text import Item
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.draft_token import Divergence, DraftToken
from draftmesh.drafter.lookup import LookupConfig, SuffixIndex
from draftmesh.drafter.proposer import Sink, no_psi

_PIECE = re.compile(
    rb" ?[0-9A-Za-z_\x80-\xff]{1,24}"  # a word
    rb"|\s*\n[ \t]*"  # line ends with the next line's indentation
    rb"| ?[^\s0-9A-Za-z_\x80-\xff]{1,8}"  # punctuation
    rb"|[ \t]+(?= )|\s+|.",  # other white space, leaving one space to the word
    re.DOTALL,
)
_WINDOW_BYTES = 64  # a piece is looked for in this many bytes of the source


class NgramProposer:
    """Copies what followed the best earlier occurrence of the text's end.

    The index holds committed text alone. Copied text is kept beside it, so that a copy may run on into itself: a text
    that repeats with a period is continued for ever.
    """

    def __init__(self, text: bytes, config: LookupConfig, sink: Sink) -> None:
        """Start after ``text``: the context and what is committed."""
        self._sink = sink
        self._index = SuffixIndex(config)
        self._index.append(text)
        self._copied = bytearray()
        self._lengths: list[int] = []
        self._source = self._index.find()

    def draw(self, count: int) -> None:
        """Bring up to ``count`` pieces at once."""
        tokens: list[DraftToken] = []
        while self._source is not None and len(tokens) < count:
            tokens.append(DraftToken(self._copy(self._source)))
        self._sink.drawn(tokens, exhausted=self._source is None)

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw none: it has no second choice."""

    def rebase(self, divergence: Divergence) -> bytes:
        """Index what is committed and look for a new source."""
        dropped = sum(self._lengths[len(self._lengths) - divergence.dropped_tokens :])
        self._index.append(bytes(self._copied[: len(self._copied) - dropped]) + text_of(divergence.items))
        self._forget_copy()
        self._source = self._index.find()
        return b""

    def evaluate(self, question: Evaluate) -> None:  # noqa: ARG002
        """Refuse: there is no law that it draws from."""
        raise no_psi()

    def close(self) -> None:
        """Forget the text."""
        self._source = None
        self._forget_copy()

    def _forget_copy(self) -> None:
        self._copied.clear()
        self._lengths.clear()

    def _copy(self, source: int) -> bytes:
        window = self._index.read(source, _WINDOW_BYTES)
        if len(window) < _WINDOW_BYTES:
            position = max(0, source - len(self._index))
            window += bytes(self._copied[position : position + _WINDOW_BYTES - len(window)])
        match = _PIECE.match(window)
        assert match is not None  # the window is never empty: the source is always behind the text's end
        piece = match.group()
        self._copied += piece
        self._lengths.append(len(piece))
        self._source = source + len(piece)
        return piece


def text_of(items: Sequence[Item]) -> bytes:
    """The bytes of ``items``; roles add nothing."""
    return b"".join(item for item in items if isinstance(item, bytes))
