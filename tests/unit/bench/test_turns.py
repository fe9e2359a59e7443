"""Ways of decoding that take turns."""

from __future__ import annotations

from functools import partial

import pytest

from draftmesh.bench.spread import Spread
from draftmesh.bench.token_times import observe
from draftmesh.bench.turns import Prompts, Turn, acceptance_rate, draft_length, speedup, take_turns
from draftmesh.client import GenerateOptions
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Ledger
from tests.unit.bench.builders import ScriptedStreamer, observed, times

PROMPTS = Prompts(("a", "b", "c"), repeats=2, seed=7)


async def test_prompt_by_prompt_another_one_goes_first() -> None:
    """All of a prompt have one seed, each prompt of each repeat another; warming up comes before, and is not kept."""
    streamer = ScriptedStreamer(3)
    ways = ("off", "exact")
    turns = [Turn(way, partial(observe, streamer), GenerateOptions(method=way, max_tokens=3)) for way in ways]
    served = await take_turns(turns, PROMPTS, lambda _: None)
    asked = [(prompt, options.method, options.seed, options.max_tokens) for prompt, options in streamer.asked]
    assert asked[:4] == [("a", "off", 7, 3), ("a", "exact", 7, 3), ("b", "off", None, 1), ("c", "off", None, 1)]
    assert [(prompt, method, seed) for prompt, method, seed, _ in asked[4:]] == [
        *(("a", "off", 7), ("a", "exact", 7), ("b", "exact", 8), ("b", "off", 8), ("c", "off", 9), ("c", "exact", 9)),
        *(("a", "exact", 10), ("a", "off", 10), ("b", "off", 11), ("b", "exact", 11)),
        *(("c", "exact", 12), ("c", "off", 12)),
    ]
    assert {label: len(of) for label, of in served.items()} == {"off": 6, "exact": 6}


def test_speeds_compare_generation_by_generation() -> None:
    """Prompts that are hard for both do not widen the spread."""
    slow = [observed(times((second, 10))) for second in (1.0, 2.0, 5.0)]
    fast = [observed(times((second / 2, 10))) for second in (1.0, 2.0, 5.0)]
    assert speedup(fast, slow) == Spread(2.0, 2.0, 2.0, 2.0, 2.0, 3)


def test_the_first_tokens_can_be_left_out() -> None:
    """The same speed after a slow beginning is the same speed."""
    eager = [observed(times((0.0, 4), (1.0, 14)))]
    late = [observed(times((9.0, 4), (10.0, 14)))]
    assert speedup(late, eager, after_tokens=4).median == 1.0
    assert speedup(late, eager).median == pytest.approx(0.1)


def test_a_session_that_ends_too_soon_is_refused() -> None:
    """Rather than counted as infinitely fast or slow."""
    one = [observed(times((0.0, 4), (1.0, 14)))]
    with pytest.raises(ConfigError, match="within 14 tokens"):
        speedup(one, one, after_tokens=14)


def test_acceptance_and_length_are_those_of_all_drafts() -> None:
    """Not means of means; without drafts both are 0."""
    served = [
        observed(times((0.0, 1)), Ledger(rounds=1, drafted_tokens=2, accepted_tokens=2)),
        observed(times((0.0, 1)), Ledger(rounds=3, drafted_tokens=14, accepted_tokens=2)),
    ]
    assert (acceptance_rate(served), draft_length(served)) == (0.25, 4.0)
    assert (acceptance_rate([]), draft_length([])) == (0.0, 0.0)
