"""Drafts of text (``exact``): translated to target tokens when they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from draftmesh.coordinator.drafting.buffer import DraftBuffer
from draftmesh.coordinator.drafting.drafts import BranchDraft, Draft, KnownDraft
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.core.draft import Block
from draftmesh.core.errors import InvalidTextError
from draftmesh.core.text import Item, items_length, join_items
from draftmesh.tokenization.translation import Translation


class Translator(Protocol):
    """Draft text to target tokens; ``tokenization.DraftTranslator`` is one."""

    def commit(self, ids: Sequence[int]) -> None:
        """The target has settled these tokens."""

    def translate(self, draft: Sequence[Item], *, ended: bool, settled: Sequence[int] = ()) -> Translation:
        """Target tokens of the text that follows what is committed; the first ones may be known to be ``settled``."""


@dataclass(frozen=True, slots=True)
class _Translated:
    """A draft and its translation, which hold until there is more of it, and beyond commits that say its tokens."""

    text: tuple[Item, ...]
    """Not empty."""

    ended: bool
    translation: Translation

    def settled(self, text: Sequence[Item]) -> tuple[int, ...]:
        """The first tokens of a text that goes on with this one; none of any other."""
        own, *others = self.text
        first = text[0]
        if self.ended or others or not isinstance(own, bytes) or not isinstance(first, bytes):
            return ()
        return self.translation.ids if first.startswith(own) else ()

    def after(self, ids: Sequence[int], items: Sequence[Item]) -> _Translated | None:
        """What is left when the target has said these tokens; None if they are not the first ones of the draft."""
        first, *others = self.text
        if self.translation.ids[: len(ids)] != tuple(ids) or not isinstance(first, bytes):
            return None
        text = join_items((first[items_length(items) :], *others))
        left = replace(self.translation, ids=self.translation.ids[len(ids) :])
        return _Translated(text, self.ended, left) if text else None


class TextDrafts:
    """Satisfies ``drafts.Drafts``."""

    def __init__(self, limits: DraftLimits, translator: Translator, trace: RoundTrace) -> None:
        """Keep drafts within ``limits``; ``translator`` has seen the prompt."""
        self._buffer = DraftBuffer(limits)
        self._translator = translator
        self._trace = trace
        self._translated: _Translated | None = None  # the draft, when it was last read
        self._branches: dict[tuple[Item, ...], BranchDraft] = {}  # by their text after what is committed

    @property
    def ended(self) -> bool:
        """Whether the draft will not get longer before something is committed."""
        return self._buffer.ended

    def read(self, *, ended: bool) -> KnownDraft:
        """The text as target tokens."""
        if self._buffer.is_empty:
            return KnownDraft()
        text, known = self._buffer.draft, self._translated
        if known is None or (known.text, known.ended) != (text, ended):
            settled = known.settled(text) if known is not None else ()
            with self._trace.translating():
                known = _Translated(text, ended, self._translate(text, ended=ended, settled=settled))
            self._translated = known
        translation = known.translation
        return KnownDraft(Draft(translation.ids), translation.weak_ids, is_guess=self._buffer.is_guess)

    def branches(self) -> Sequence[BranchDraft]:
        """The text of each as target tokens, with the weak ones: it gets no longer."""
        known, self._branches = self._branches, {}
        for text, pauses in self._buffer.branches:
            self._branches[text] = known[text] if text in known else BranchDraft(self._whole(text), pauses)
        return tuple(self._branches.values())

    def settle(self, ids: Sequence[int], items: Sequence[Item]) -> bool:
        """The target has committed these tokens; whether the draft says them too."""
        self._translator.commit(ids)
        self._translated = self._translated.after(ids, items) if self._translated is not None else None
        self._branches.clear()
        return self._buffer.settle(items)

    def offer(self, block: Block) -> bool:
        """Keep what ``block`` adds."""
        return self._buffer.offer(block)

    def restart(self, max_ahead_tokens: int, *, is_behind: bool) -> None:
        """Another stream begins."""
        del max_ahead_tokens, is_behind
        self._buffer.restart()

    def note_commit(self, commit_seq: int) -> None:
        """A commit has been sent on the stream."""
        self._buffer.note_commit(commit_seq)

    def take_wasted_bytes(self) -> int:
        """Bytes of draft thrown away without being judged since the last call."""
        return self._buffer.take_wasted_bytes()

    def _whole(self, text: Sequence[Item]) -> Draft:
        translation = self._translate(text, ended=False)
        return Draft(translation.ids + translation.weak_ids)

    def _translate(self, text: Sequence[Item], *, ended: bool, settled: Sequence[int] = ()) -> Translation:
        try:
            return self._translator.translate(text, ended=ended, settled=settled)
        except InvalidTextError:  # the target cannot say this, so it will not
            return Translation(())
