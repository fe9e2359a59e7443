"""Filters, scorers, the picker, and the pipeline that runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.coordinator.routing import filters
from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.coordinator.routing.pickers import PowerOfTwo, Scored
from draftmesh.coordinator.routing.profile import Filter, Profile, Weighted, drafter_profile, verifier_profile
from draftmesh.coordinator.routing.scorers import AcceptedBytes, FreeCache, FreeSlots, PrefixAffinity, ShortQueue
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.sampling import Method

MEMBER = Candidate("a:1", "name", b"target", (Method.EXACT,), 100, LoadReport(max_sessions=4))
WISH = Wish(Method.EXACT, b"target", context_tokens=100)


@pytest.mark.parametrize(
    ("keeps", "wish"),
    [
        (filters.has_target, replace(WISH, target_digest=b"other")),
        (filters.offers_method, replace(WISH, method=Method.TLI)),
        (filters.has_digest, replace(WISH, digest=b"other")),
        (filters.shares_vocabulary, replace(WISH, method=Method.REJECTION, vocabulary_digest=b"other")),
        (filters.has_name, replace(WISH, name="other")),
        (filters.has_room, replace(WISH, context_tokens=101)),
        (filters.is_allowed, replace(WISH, banned=frozenset({"a:1"}))),
    ],
)
def test_a_filter_keeps_what_fits_alone(keeps: Filter, wish: Wish) -> None:
    """It passes the wish that the member fulfils, and not the one that it does not."""
    assert (keeps(MEMBER, WISH), keeps(MEMBER, wish)) == (True, False)


@pytest.mark.parametrize(("reported", "own", "free"), [(4, 0, False), (0, 4, False), (3, 3, True)])
def test_slots_count_own_sessions_that_are_not_reported_yet(reported: int, own: int, *, free: bool) -> None:
    """The larger of both numbers is believed."""
    member = replace(MEMBER, load=LoadReport(active_sessions=reported, max_sessions=4), own_sessions=own)
    assert filters.has_free_slot(member, WISH) is free


def test_balance_scores_prefer_the_idle() -> None:
    """Free slots, short queues and free KV blocks score higher."""
    busy = replace(MEMBER, load=LoadReport(False, 3, 4, 3, 1, 4))
    idle = replace(MEMBER, load=LoadReport(False, 0, 4, 0, 4, 4))
    for scorer, expected in ((FreeSlots(), [0.25, 1.0]), (ShortQueue(), [0.25, 1.0]), (FreeCache(), [0.25, 1.0])):
        assert scorer.scores([busy, idle], WISH) == expected


def test_accepted_bytes_are_relative_to_the_best_and_give_the_unknown_a_chance() -> None:
    """Rates that are sure are compared as they are; a member of which nothing is known counts as the best."""
    members = [replace(MEMBER, rate=rate) for rate in (Estimate(100.0), Estimate(50.0), None)]
    assert AcceptedBytes(Random(0)).scores(members, WISH) == [1.0, 0.5, 1.0]


def test_drafters_that_win_nothing_rank_below_those_that_are_unknown() -> None:
    """Where nothing is accepted there is no best to compare with."""
    members = [replace(MEMBER, rate=rate) for rate in (Estimate(0.0), None)]
    assert AcceptedBytes(Random(0)).scores(members, WISH) == [0.0, 1.0]


def test_a_drafter_scores_best_as_often_as_it_may_be_the_best() -> None:
    """Two deviations of both together behind, it does so once in 44 times; without doubt never."""
    members = [replace(MEMBER, rate=Estimate(mean, 10.0 / 2**0.5)) for mean in (100.0, 80.0)]
    scorer = AcceptedBytes(Random(3))
    best = Counter(max(enumerate(scorer.scores(members, WISH)), key=lambda entry: entry[1])[0] for _ in range(4400))
    assert 60 < best[1] < 145


def test_prefix_affinity_prefers_who_has_seen_the_prompt() -> None:
    """The score is the share of the prompt's blocks that were sent there, from the start on."""
    affinity = PrefixAffinity(block_tokens=2)
    affinity.note("a:1", (1, 2, 3, 4, 5))
    wish = replace(WISH, prompt_ids=(1, 2, 3, 4, 9, 9, 7, 7))
    other = replace(MEMBER, address="b:1")
    assert affinity.scores([MEMBER, other], wish) == [0.5, 0.0]
    assert affinity.scores([MEMBER], replace(WISH, prompt_ids=(9, 9, 1, 2))) == [0.0]
    assert affinity.scores([MEMBER], replace(WISH, prompt_ids=(1,))) == [0.0]


def test_prefix_affinity_forgets_the_oldest() -> None:
    """Memory is bounded."""
    affinity = PrefixAffinity(block_tokens=1, capacity=2)
    affinity.note("a:1", (1,))
    affinity.note("a:1", (2,))
    affinity.note("a:1", (3,))
    scores = [affinity.scores([MEMBER], replace(WISH, prompt_ids=(token,)))[0] for token in (1, 2, 3)]
    assert scores == [0.0, 1.0, 1.0]


IN_USE = replace(MEMBER, load=LoadReport(active_sessions=1, max_sessions=4))


def picks(scores: Sequence[float], member: Candidate, count: int = 600) -> Counter[str]:
    """How often each of some members was taken, by its place."""
    scored = [Scored(replace(member, address=str(place)), score) for place, score in enumerate(scores)]
    picker = PowerOfTwo(Random(5))
    return Counter(picker.pick(scored).address for _ in range(count))


def test_of_an_idle_pool_the_best_is_taken() -> None:
    """There is no crowd to keep away from; equals take turns by chance."""
    assert picks([1.0, 0.99, 0.98], MEMBER) == {"0": 600}
    assert min(picks([1.0, 1.0, 1.0, 0.9], MEMBER).values()) > 150


def test_under_load_the_better_one_of_two_is_taken() -> None:
    """Of members nearly alike the best has the most sessions, the worst none, and the rest share."""
    taken = picks([0.97, 0.98, 0.99, 1.0], IN_USE)
    assert [address for address, _ in taken.most_common()] == ["3", "2", "1"]
    assert taken["3"] < 400


def test_under_load_what_is_clearly_worse_is_not_drawn() -> None:
    """However many of them there are: two drawn from all would mostly be two of those."""
    assert picks([1.0, *[0.6] * 20], IN_USE) == {"0": 600}


def test_a_profile_clamps_scores_and_adds_them_by_weight() -> None:
    """No policy can outweigh the others by large numbers."""

    class Loud:
        def scores(self, candidates: Sequence[Candidate], wish: Wish) -> list[float]:
            del wish
            return [1e9 if candidate.address == "a:1" else 0.0 for candidate in candidates]

    other = replace(MEMBER, address="b:1")
    full = replace(MEMBER, load=LoadReport(active_sessions=4, max_sessions=4))
    profile = Profile((), (Weighted(Loud(), 1.0), Weighted(FreeSlots(), 2.0)), PowerOfTwo(Random(0)))
    chosen = profile.choose([full, other], WISH, frozenset())
    assert chosen == other


def test_a_failed_member_is_taken_only_if_there_is_no_other() -> None:
    """A member that has just failed is better than none."""
    profile = drafter_profile(Random(0))
    other = replace(MEMBER, address="b:1", load=LoadReport(active_sessions=3, max_sessions=4))
    failed = frozenset({"a:1"})
    assert profile.choose([MEMBER, other], WISH, failed) == other
    assert profile.choose([MEMBER], WISH, failed) == MEMBER


def test_nobody_who_fits_means_none() -> None:
    """Both profiles say so."""
    wish = replace(WISH, method=Method.SLRS)
    for profile in (drafter_profile(Random(0)), verifier_profile(PrefixAffinity(), Random(0))):
        assert profile.choose([MEMBER], wish, frozenset()) is None


def test_the_preferred_digest_is_taken_while_it_is_there() -> None:
    """A choice made for one drafter model goes to it, and to others only when it cannot serve."""
    profile = drafter_profile(Random(0))
    members = [replace(MEMBER, address=f"a:{n}", digest=digest) for n, digest in enumerate((b"x", b"y", b"y", b"y"))]
    wish = replace(WISH, preferred_digest=b"x")
    assert {chosen.digest for _ in range(20) if (chosen := profile.choose(members, wish, frozenset()))} == {b"x"}
    chosen = profile.choose(members[1:], wish, frozenset())
    assert chosen is not None
    assert chosen.digest == b"y"
