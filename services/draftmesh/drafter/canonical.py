"""Which of the drafter's tokens its own tokenizer would put after another: part of the proposal's law in ``slrs``.

A model spreads a little of its probability over ways to cut a text that no tokenizer produces. Each of them is one more
path that spells the text, and so one more row for ψ. Left out, a text has one path or a few.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from draftmesh.tokenization.tokenizer import Tokenizer

_MAX_PAIRS = 1 << 16


class CanonicalPairs:
    """Asks the tokenizer, and remembers what it said. For one thread."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Ask ``tokenizer``."""
        self._tokenizer = tokenizer
        self._known: OrderedDict[tuple[int, int], bool] = OrderedDict()

    def after(self, token: int) -> Callable[[int], bool]:
        """Whether a token may follow ``token``."""
        return partial(self._may_follow, token)

    def _may_follow(self, first: int, second: int) -> bool:
        pair = (first, second)
        if pair not in self._known:
            self._known[pair] = self._is_canonical(first, second)
            if len(self._known) > _MAX_PAIRS:
                self._known.popitem(last=False)
        return self._known[pair]

    def _is_canonical(self, first: int, second: int) -> bool:
        """Whether the two together are cut between them; a token without text, such as the end, follows anything."""
        vocabulary = self._tokenizer.vocabulary
        if not vocabulary.token_bytes(second):
            return True
        return self._tokenizer.encode_bytes(vocabulary.join((first, second))) == [first, second]
