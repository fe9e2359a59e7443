"""A session's sequence on the engine beside the drafter's own tokens of the text: one is brought to the other here."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from draftmesh.core.text import Item
from draftmesh.drafter.context import fit
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.path import Edit, TokenPath
from draftmesh.drafter.window import BlockBase
from draftmesh.engine.sequence import SequenceListener


class DraftSequence:
    """The tokens of the generated text, and a sequence that holds as many of the newest as the context allows."""

    def __init__(self, opening: Opening, listener: SequenceListener) -> None:
        """Open for what the request says is committed.

        Raises:
            InvalidTextError: the vocabulary cannot express the text.
            ExhaustedError: the engine takes no more sequences.
        """
        self._opening = opening
        self._listener = listener
        is_natural = not opening.request.method.proposes_ids
        self._path = TokenPath(opening.tokenizer, opening.tokenizer.vocabulary, is_natural=is_natural)
        self._path.replace_end(0, opening.request.committed)
        self._counted_rows = 0
        self._open(0)

    @property
    def rewindable(self) -> tuple[int, ...]:
        """The generated tokens that can be taken back."""
        return self._path.ids[self._window.first_generated :]

    @property
    def base(self) -> BlockBase:
        """The window of the context, and all generated tokens."""
        return BlockBase(self._window, self._path.ids)

    @property
    def idle(self) -> bool:
        """Whether a request may be submitted."""
        return not self._seq.busy and not self._seq.closed

    def submit(self, draft: Seq[int], terms: object) -> None:
        """Ask for a step's judgement; begins anew with the newest text if the context is full."""
        engine = self._opening.engine
        if engine.room(self._seq) < len(draft):
            self._reopen(len(draft))
        engine.submit(self._seq, draft, terms=terms)

    def push(self, token: int) -> None:
        """A token was drawn and is in the sequence."""
        self._path.push(token)
        self._count_rows()

    def replace_end(self, dropped_tokens: int, items: Seq[Item]) -> Edit:
        """Drop drawn tokens, and take committed text, one item a token of the target; :meth:`follow` comes next."""
        return self._path.replace_end(dropped_tokens, items)

    def take(self, dropped_tokens: int, ids: Seq[int]) -> None:
        """Drop drawn tokens, and go on with others."""
        self._path.back_up(dropped_tokens)
        kept = len(self._path)
        for token in ids:
            self._path.push(token)
        self.follow(kept)

    def back_up(self, count: int) -> bytes:
        """Take the last ``count`` tokens from the path; their bytes."""
        return self._path.back_up(count)

    def follow(self, keep_tokens: int, redrawn_tokens: int = 0) -> None:
        """Bring the sequence to the path, of which it has ``keep_tokens``; ``redrawn_tokens`` will be submitted."""
        engine = self._opening.engine
        kept = min(keep_tokens, len(self._path))
        ids = self._path.ids[kept:]
        engine.interrupt(self._seq)
        length = self._seq.prompt_length + kept - self._window.first_generated
        if kept < self._window.first_generated or length + len(ids) >= self._opening.limit_tokens:
            self._reopen(redrawn_tokens)
        else:
            engine.rewind(self._seq, length)
            engine.extend(self._seq, ids)

    def close(self) -> None:
        """Free the sequence's KV at once."""
        self._count_rows()
        self._opening.engine.close(self._seq)

    def _reopen(self, redrawn_tokens: int) -> None:
        self.close()
        self._open(redrawn_tokens)

    def _open(self, redrawn_tokens: int) -> None:
        limit_tokens = self._opening.limit_tokens
        room_tokens = min(2 + redrawn_tokens, limit_tokens - 2)
        self._window = fit(self._opening.prompt_ids, self._path.ids, limit_tokens, room_tokens)
        self._seq = self._opening.open(self._window, self._path.ids, self._listener)
        self._counted_rows = 0

    def _count_rows(self) -> None:
        self._opening.meters.draft_rows(self._seq.computed_rows - self._counted_rows)
        self._counted_rows = self._seq.computed_rows
