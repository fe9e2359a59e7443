"""What may be sent ahead while a draft is being judged: drafts that follow what the target may say.

The target says the tokens of the draft up to some point, and one more. If it accepts all of it, that is the bonus
token, which the draft goes on with; if it parts from it, a branch may say what it says instead. Each such outcome has
another base, so the verifier can be sent a draft for each, and goes on with the one that comes true without waiting for
the way there and back. The others cost it nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from draftmesh.coordinator.drafting.drafts import Draft
from draftmesh.core.sequences import common_length


@dataclass(frozen=True, slots=True)
class Guess:
    """A draft for one outcome."""

    expected_ids: tuple[int, ...]
    """What the target says then: tokens of the draft that is being judged, and its own."""

    draft: Draft
    """What follows."""

    def cut(self, limit: int) -> Guess:
        """With ``limit`` draft tokens at most."""
        return Guess(self.expected_ids, self.draft.cut(limit))


def guess(judged_ids: Sequence[int], text: Draft) -> Guess:
    """The outcome after which ``text``, which follows the committed tokens, goes on; its draft may be empty."""
    count = common_length(judged_ids, text.ids) + 1
    return Guess(text.ids[:count], text.after(count))


def chosen(guesses: Iterable[Guess], judged_tokens: int, room: int, *, knows_whole: bool) -> tuple[Guess, ...]:
    """At most ``room`` of them: first those for the outcome that all of the draft is accepted, which is the likeliest.

    The last place is kept for one of those, unless there is one, or ``knows_whole``: one has been sent.
    """
    whole: list[Guess] = []
    parts: list[Guess] = []
    for one in guesses:
        (whole if len(one.expected_ids) > judged_tokens else parts).append(one)
    kept = 0 if knows_whole or whole else 1
    return (*whole, *parts)[: max(0, room - kept)]


def distinct(guesses: Iterable[Guess]) -> tuple[Guess, ...]:
    """The first of those for each outcome."""
    first: dict[tuple[int, ...], Guess] = {}
    for one in guesses:
        first.setdefault(one.expected_ids, one)
    return tuple(first.values())
