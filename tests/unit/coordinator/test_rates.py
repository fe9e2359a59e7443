"""What is remembered of a drafter, how a session measures it, and what is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.coordinator.routing.beliefs import Rates
from draftmesh.coordinator.routing.rates import DrafterRate, Meter, RatesConfig, Tally
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Ledger
from tests.helpers.clocks import HandClock
from tests.helpers.simulated_drafters import TRAFFIC

CONFIG = RatesConfig(window_tokens=10, window_noise=0.5, drafter_spread=0.5, forgetting=0.5, half_life_s=100.0)
VERDICT = Ledger(committed_tokens=5, committed_bytes=20, accepted_tokens=4, elapsed_ms=2000.0)
"""16 accepted bytes in 2 s, half a window."""


def numbers(tally: Tally) -> tuple[float, float, float]:
    """Of a tally."""
    return tally.windows, tally.accepted_bytes, tally.seconds


def measured(*deltas: Ledger) -> tuple[Meter, DrafterRate]:
    """A session after this."""
    rate = DrafterRate(b"", CONFIG, HandClock())
    meter = Meter(rate, CONFIG)
    for delta in deltas:
        meter.add(delta)
    return meter, rate


def test_a_session_records_whole_windows_and_the_rest_at_its_end() -> None:
    """What is left is the part of a window that it is."""
    meter, rate = measured(VERDICT, VERDICT)
    assert numbers(rate.tally) == (0.0, 0.0, 0.0)
    meter.add(VERDICT)
    assert numbers(rate.tally) == (1.0, 32.0, 4.0)
    meter.add(VERDICT)
    meter.end()
    assert numbers(rate.tally) == pytest.approx((0.5 + 0.5**0.5, 16 + 32 * 0.5**0.5, 2 + 4 * 0.5**0.5))


def test_time_before_the_first_verdict_is_left_out() -> None:
    """The prompt's prefill is no drafter's fault."""
    asked, prefilled = Ledger(draft_wait_ms=9.0, elapsed_ms=9.0), replace(VERDICT, elapsed_ms=60_000.0)
    meter, rate = measured(asked, prefilled, VERDICT)
    meter.end()
    assert numbers(rate.tally) == (0.5, 16.0, 2.0)


def test_time_in_which_nothing_is_drafted_counts() -> None:
    """A silent drafter has a rate: none."""
    alone = Ledger(committed_tokens=5, committed_bytes=20, free_run_tokens=5, elapsed_ms=1000.0)
    _, rate = measured(alone, alone, alone)
    assert (rate.tally.bytes_per_s, rate.tally.seconds) == (0.0, 2.0)


def test_a_failure_counts_as_a_window_without_anything() -> None:
    """Also of a drafter that never drafts, which would be taken for a new one for ever."""
    meter, rate = measured()
    meter.fail()
    meter.end()
    assert numbers(rate.tally) == (1.0, 0.0, 1.0)


def test_newer_windows_replace_older_ones() -> None:
    """With a memory of two windows the third one that is other is half of what is known."""
    rate = DrafterRate(b"", CONFIG, HandClock())
    for accepted_bytes in (100.0, 100.0, 0.0):
        rate.record(Tally(1.0, accepted_bytes, 1.0))
    assert rate.tally.windows == pytest.approx(1.75)
    assert rate.tally.bytes_per_s == pytest.approx(100.0 * 0.75 / 1.75)


def test_time_takes_the_weight_and_leaves_the_rate() -> None:
    """After a half-life half of it."""
    clock = HandClock()
    rate = DrafterRate(b"", CONFIG, clock)
    rate.record(Tally(1.0, 100.0, 1.0))
    clock.now_s = 200.0
    assert (rate.tally.windows, rate.tally.bytes_per_s) == pytest.approx((0.25, 100.0))


def rates_of(*known: tuple[str, bytes, float, int], clock: HandClock | None = None) -> Rates:
    """Drafters by address and digest that have shown these rates in so many windows."""
    rates = Rates(RatesConfig(10, 0.5, 0.5, forgetting=1.0, half_life_s=100.0), clock or HandClock())
    for address, digest, bytes_per_s, windows in known:
        meter = rates.meter(TRAFFIC, address, digest)
        meter.add(Ledger(committed_tokens=1))
        for _ in range(windows):
            accepted = Ledger(committed_tokens=10, committed_bytes=10, accepted_tokens=5)
            meter.add(replace(accepted, elapsed_ms=5000.0 / bytes_per_s))
        meter.end()
    return rates


def believed(rates: Rates, address: str, digest: bytes) -> tuple[float, float]:
    """Mean and deviation."""
    estimate = rates.beliefs(TRAFFIC).of(address, digest)
    assert estimate is not None
    return estimate.mean, estimate.deviation


def test_a_new_drafter_is_taken_for_as_good_as_the_best() -> None:
    """With all the doubt there can be."""
    rates = rates_of(("a", b"x", 100.0, 3), ("b", b"y", 20.0, 3))
    assert believed(rates, "new", b"z") == pytest.approx((100.0, 50.0))


def test_a_new_replica_is_taken_for_as_good_as_its_siblings() -> None:
    """Drafters of a digest propose the same: the others of it are a better guess than the best of all."""
    rates = rates_of(("a", b"x", 100.0, 3), ("b", b"y", 20.0, 3))
    assert believed(rates, "new", b"y") == pytest.approx((20.0, 10.0))


def test_what_a_drafter_shows_moves_it_from_the_guess() -> None:
    """Three windows are three of four parts: 100 - 3 / 4 * 80."""
    rates = rates_of(("a", b"x", 100.0, 3), ("b", b"y", 20.0, 3))
    assert believed(rates, "b", b"y") == pytest.approx((40.0, 25.0))
    assert believed(rates, "a", b"x") == pytest.approx((100.0, 25.0))


def test_where_nothing_is_known_nothing_is_believed() -> None:
    """Nor where all that is known is that others win nothing."""
    rates = rates_of()
    assert rates.beliefs(TRAFFIC).of("a", b"x") is None
    meter = rates.meter(TRAFFIC, "a", b"x")
    meter.fail()
    meter.end()
    beliefs = rates.beliefs(TRAFFIC)
    assert (beliefs.of("a", b"x"), beliefs.of("b", b"y")) == (Estimate(0.0, 0.0), None)


def test_what_has_faded_away_is_believed_no_more() -> None:
    """A drafter that was bad long ago is a new one again, and one that was good long ago is no standard."""
    clock = HandClock()
    rates = rates_of(("gone", b"x", 500.0, 1), clock=clock)
    clock.now_s = 500.0
    for _ in range(3):
        meter = rates.meter(TRAFFIC, "b", b"y")
        meter.add(VERDICT)
        meter.add(replace(VERDICT, committed_tokens=10, accepted_tokens=10, elapsed_ms=1000.0))
        meter.end()
    assert believed(rates, "gone", b"x") == pytest.approx((20.0, 10.0))


def test_another_drafter_at_an_old_address_is_a_new_one() -> None:
    """What was measured belongs to the digest."""
    rates = rates_of(("a", b"x", 100.0, 3), ("b", b"y", 20.0, 3), ("b", b"z", 60.0, 1))
    assert believed(rates, "b", b"z") == pytest.approx((80.0, 50.0 * 0.5**0.5))
    assert believed(rates, "b", b"y") == pytest.approx((100.0, 50.0))


def test_a_drafter_that_has_left_is_forgotten() -> None:
    """Also when a session that was with it has something to tell afterwards."""
    rates = rates_of(("a", b"x", 100.0, 3), ("b", b"y", 20.0, 3))
    late = rates.meter(TRAFFIC, "a", b"x")
    rates.forget("a")
    late.fail()
    late.end()
    assert believed(rates, "a", b"x") == pytest.approx((20.0, 10.0))


def test_kinds_of_traffic_are_learned_apart_and_bounded() -> None:
    """What was learned for one says nothing of another one; that which had no session for longest goes first."""
    rates = Rates(replace(CONFIG, max_kinds=2), HandClock())
    kinds = [replace(TRAFFIC, prompt_band=band) for band in range(3)]

    def fail_in(kinds: Sequence[int]) -> None:
        for kind in kinds:
            meter = rates.meter(replace(TRAFFIC, prompt_band=kind), "a", b"x")
            meter.fail()
            meter.end()

    fail_in([0, 1, 0, 2])
    assert [rates.beliefs(kind).of("a", b"x") is not None for kind in kinds] == [True, False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_tokens": 0},
        {"window_noise": 0.0},
        {"drafter_spread": float("nan")},
        {"forgetting": 1.5},
        {"half_life_s": 0.0},
        {"failure_ms": -1.0},
        {"max_kinds": 0},
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, float]) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RatesConfig(**wrong).validate()  # type: ignore[arg-type]
