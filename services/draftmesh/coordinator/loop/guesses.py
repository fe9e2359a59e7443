"""What may be sent ahead while a draft is being judged: drafts that follow what the target may say.

The target says the tokens of the draft up to some point, and one more. If it accepts all of it, that is the bonus
token, which the draft goes on with; if it parts from it, a branch may say what it says instead. Each such outcome has
another base, so the verifier can be sent a draft for each, and goes on with the one that comes true without waiting for
the way there and back. The others cost it nothing.

Where the way there and back takes longer than a step, that is not enough: by the verdict that tells which of them comes
next it is too late to send what follows it. So a draft may also follow what the target may say to one that was sent
ahead, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from draftmesh.coordinator.drafting.drafts import Draft
from draftmesh.core.sequences import common_length

_PLACES_FOR_NEXT = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """A draft for one outcome."""

    expected_ids: tuple[int, ...]
    """What the target says then: tokens of the drafts that come first, and its own."""

    draft: Draft
    """What follows."""

    depth: int = 1
    """Drafts that come first."""

    partings: int = 0
    """Of those, the ones that the target parts from."""

    def cut(self, limit: int) -> Guess:
        """With ``limit`` draft tokens at most."""
        return replace(self, draft=self.draft.cut(limit))


def guess(drafts: Mapping[tuple[int, ...], tuple[int, ...]], text: Draft) -> Guess:
    """The first outcome on the way of ``text`` for which there is no draft; what follows it may be empty.

    Args:
        drafts: Those that the verifier has, by what the target has to say first.
        text: Follows the committed tokens.
    """
    expected_ids: tuple[int, ...] = ()
    depth = partings = 0
    while expected_ids in drafts and len(expected_ids) < len(text.ids):
        judged_ids, rest_ids = drafts[expected_ids], text.ids[len(expected_ids) :]
        shared = common_length(judged_ids, rest_ids)
        expected_ids += rest_ids[: shared + 1]
        depth += 1
        partings += shared < len(judged_ids)
    return Guess(expected_ids, text.after(len(expected_ids)), depth, partings)


def chosen(guesses: Iterable[Guess], room: int, *, knows_whole: bool) -> tuple[Guess, ...]:
    """At most ``room`` of them, those that the target parts from fewest drafts for first, which are the likeliest.

    The last place is kept for the one that follows if all of the first draft is accepted, unless there is one, or
    ``knows_whole``: one has been sent. Several are kept from those that follow drafts which were sent ahead: it takes
    the verifier long to refuse them, and when the target has parted from the first draft there is need of places.
    """
    ordered = sorted(guesses, key=lambda one: (one.partings, one.depth))
    kept = [one for place, one in enumerate(ordered) if one.depth == 1 or place < room - _PLACES_FOR_NEXT]
    has_whole = any((one.partings, one.depth) == (0, 1) for one in kept)
    return tuple(kept[: max(0, room if knows_whole or has_whole else room - 1)])


def distinct(guesses: Iterable[Guess]) -> tuple[Guess, ...]:
    """The first of those for each outcome."""
    first: dict[tuple[int, ...], Guess] = {}
    for one in guesses:
        first.setdefault(one.expected_ids, one)
    return tuple(first.values())
