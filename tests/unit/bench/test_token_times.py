"""When tokens reach a client."""

from __future__ import annotations

import pytest

from draftmesh.bench.token_times import Rate, observe
from draftmesh.client import GenerateOptions
from tests.unit.bench.builders import ScriptedStreamer, times

THREE_CHUNKS = times((2.0, 1), (3.0, 5), (6.0, 11), requested_s=1.0, ended_s=6.5)


def test_the_whole_counts_from_the_request_to_the_end() -> None:
    """The wait for the first token is part of it."""
    assert THREE_CHUNKS.rate == Rate(11, 5.5)
    assert THREE_CHUNKS.rate.tokens_per_second == 2.0
    assert THREE_CHUNKS.first_token_s == 1.0


def test_a_token_takes_the_time_after_the_first_chunk() -> None:
    """The tokens of the first chunk took none of it."""
    assert THREE_CHUNKS.per_token_s == pytest.approx(0.4)
    assert times((2.0, 7)).per_token_s is None


@pytest.mark.parametrize(
    ("tokens", "counted", "seconds"),
    [(1, 10, 4.0), (2, 9, 3.75), (5, 6, 3.0), (6, 5, 2.5), (10, 1, 0.5), (11, 0, 0.0), (12, 0, 0.0)],
)
def test_the_clock_starts_with_a_token(tokens: int, counted: int, seconds: float) -> None:
    """The tokens of a chunk count as made evenly since the one before it, for nobody knows when they were made."""
    assert THREE_CHUNKS.after(tokens) == Rate(counted, seconds)


def test_what_comes_with_the_first_chunk_took_no_time() -> None:
    """Its tokens do not count, and a generation of nothing else has nothing to count."""
    assert times((2.0, 4), (3.0, 5)).after(2) == Rate(1, 1.0)
    assert times((2.0, 7)).after(2) == Rate(0, 0.0)


def test_tokens_count_in_the_window_in_which_they_arrive() -> None:
    """Its start belongs to it, its end does not."""
    assert [THREE_CHUNKS.between(*window) for window in ((0.0, 9.0), (3.0, 6.0), (3.5, 6.0), (3.0, 6.1))] == [
        11,
        4,
        0,
        10,
    ]


def test_without_a_token_there_is_no_time_to_the_first() -> None:
    """And nothing else to count."""
    nothing = times(ended_s=3.0)
    assert (nothing.first_token_s, nothing.per_token_s, nothing.tokens) == (None, None, 0)
    assert Rate(0, 0.0).tokens_per_second == 0.0


async def test_a_stream_is_watched_chunk_by_chunk() -> None:
    """Chunks without a token do not count; who wants to know is told of every other one as it comes."""
    seen: list[int] = []
    streamer = ScriptedStreamer(1, 0, 4, 2)
    found = await observe(streamer, "def ", GenerateOptions(max_tokens=7), on_tokens=seen.append)
    assert [arrival.tokens for arrival in found.times.arrivals] == seen == [1, 5, 7]
    at_s = [arrival.at_s for arrival in found.times.arrivals]
    assert found.times.requested_s <= at_s[0] <= at_s[1] <= at_s[2] <= found.times.ended_s
    assert streamer.asked == [("def ", GenerateOptions(max_tokens=7))]


async def test_a_request_that_is_sent_late_counts_from_when_it_was_due() -> None:
    """So a client that falls behind its timetable hides nothing."""
    found = await observe(ScriptedStreamer(1), "def ", GenerateOptions(), due_s=-5.0)
    assert found.times.requested_s == -5.0
    assert found.times.seconds > 5.0
