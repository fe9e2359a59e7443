"""What sessions teach of a method's speed, and how much of it is believed."""

from __future__ import annotations

import math
from random import Random

import pytest

from draftmesh.coordinator.learning.posterior import Estimate
from draftmesh.coordinator.methods.candidates import Option
from draftmesh.coordinator.methods.experience import Experience, Prior
from draftmesh.core.ledger import Decoded
from draftmesh.core.sampling import Method

OFF, EXACT, TLI, SLRS = (
    Option(Method.OFF),
    *(Option(method, b"drafter") for method in (Method.EXACT, Method.TLI, Method.SLRS)),
)
ELSEWHERE = Option(Method.EXACT, b"other drafter")


def fresh(forgetting: float = 1.0) -> Experience:
    """Knows nothing; four sessions of a method weigh as much as what is known of its drafter."""
    return Experience(Prior(session_noise=0.2, method_spread=0.1, time_noise=0.2, time_spread=0.1), forgetting)


def session(tokens_per_work: float, work_per_s: float = 10.0) -> Decoded:
    """Of work for 100 steps."""
    return Decoded(round(100 * tokens_per_work), 100.0, 100 / work_per_s)


def test_a_lone_method_has_its_own_speed() -> None:
    """4 of 8 parts of the prior's doubts are left after four sessions."""
    experience = fresh()
    for _ in range(4):
        experience.record(EXACT, session(3.0))
    known = experience.speed(EXACT)
    assert known is not None
    assert (known.mean, known.deviation) == pytest.approx((30.0, 30.0 * math.hypot(0.1 * 0.5**0.5, 0.1 * 0.5**0.5)))


def test_methods_of_a_drafter_stand_in_for_each_other() -> None:
    """Two lucky sessions of one move it a third of the way from what all have: 3 + (4 - 3) * 2 / (2 + 4)."""
    experience = fresh()
    for _ in range(4):
        experience.record(EXACT, session(2.5))
    for _ in range(2):
        experience.record(TLI, session(4.0))
    known = experience.speed(TLI)
    assert known is not None
    assert known.mean == pytest.approx(10 * (3 + 1 / 3))


def test_the_seconds_of_work_are_corrected_alike() -> None:
    """All methods' are 0.15 s; a session moves those of its method by a fifth of the way to what it had."""
    experience = fresh()
    experience.record(EXACT, session(3.0, work_per_s=10.0))
    experience.record(TLI, session(3.0, work_per_s=5.0))
    speeds = [experience.speed(option) for option in (EXACT, TLI)]
    assert [speed and speed.mean for speed in speeds] == pytest.approx([3 / 0.14, 3 / 0.16])


@pytest.mark.parametrize(("alone", "share"), [(OFF, 1.0), (SLRS, 0.8)])
def test_off_and_slrs_stand_for_themselves(alone: Option, share: float) -> None:
    """Other methods neither count for them nor are changed by them; of slrs the least is believed: 1 - 2 * 0.2 / √4."""
    experience = fresh()
    experience.record(EXACT, session(3.0))
    for _ in range(4):
        experience.record(alone, session(1.0))
    assert experience.speed(alone) == Estimate(
        pytest.approx(10.0 * share),  # type: ignore[arg-type]
        pytest.approx(0.1 * 10.0 * share),  # type: ignore[arg-type]
    )
    known = experience.speed(EXACT)
    assert known is not None
    assert known.mean == pytest.approx(30.0)


def test_a_machine_that_has_become_slower_is_so_for_all() -> None:
    """The first method is measured on a fast machine and on a slow one, the other only on the slow one."""
    experience = fresh()
    for work_per_s in (10.0, 5.0):
        for _ in range(10):
            experience.record(EXACT, session(3.0, work_per_s))
    for _ in range(4):
        experience.record(TLI, session(3.0, work_per_s=5.0))
    speeds = [experience.speed(option) for option in (EXACT, TLI)]
    both, slow = (speed.mean for speed in speeds if speed is not None)
    assert slow == pytest.approx(both, rel=0.1)


def test_drafters_are_known_apart() -> None:
    """One that is often right says nothing of another one."""
    experience = fresh()
    experience.record(EXACT, session(4.0))
    experience.record(ELSEWHERE, session(1.5))
    known = experience.speed(ELSEWHERE)
    assert known is not None
    assert known.mean == pytest.approx(15.0)


def test_ids_may_be_expected_to_have_less() -> None:
    """What a drafter's text has is 3: sessions of both agree on it."""
    experience = Experience(
        Prior(session_noise=0.2, method_spread=0.1, time_noise=0.2, time_spread=0.1, id_handicap=1 / 3), 1.0
    )
    experience.record(EXACT, session(3.0))
    experience.record(TLI, session(2.0))
    speeds = [experience.speed(option) for option in (EXACT, TLI)]
    assert [speed and speed.mean for speed in speeds] == pytest.approx([30.0, 20.0])


def test_old_sessions_count_less_and_doubt_returns() -> None:
    """Whatever option the newer sessions had."""
    experience = fresh(forgetting=0.5)
    for _ in range(4):
        experience.record(TLI, session(3.0))
    before = experience.speed(TLI)
    for _ in range(8):
        experience.record(OFF, session(1.0))
    after = experience.speed(TLI)
    assert before is not None
    assert after is not None
    assert after.mean == pytest.approx(before.mean)
    assert after.deviation > before.deviation
    assert experience.sessions(TLI) == pytest.approx((2 - 2**-3) / 2**8)


def test_the_doubt_that_is_stated_is_the_doubt_there_is() -> None:
    """Methods and sessions that scatter as the prior says: the estimate is off by what it states, on average."""
    random, misses = Random(5), []
    for _ in range(2000):
        experience = Experience(Prior(session_noise=0.2, method_spread=0.1, time_noise=1e-6, time_spread=1e-6), 1.0)
        truths = {Option(method, b"d"): 3 * random.gauss(1, 0.1) for method in (Method.EXACT, Method.TLI)}
        for _ in range(100):  # so that the mean of all methods is known
            experience.record(Option(Method.TLI_EXACT, b"d"), session(3.0))
        for option, truth in truths.items():
            for _ in range(3):
                experience.record(option, session(truth * random.gauss(1, 0.2)))
            speed = experience.speed(option)
            assert speed is not None
            misses.append((10 * truth - speed.mean) / speed.deviation)
    mean_square = sum(miss**2 for miss in misses) / len(misses)
    assert 0.85 < mean_square < 1.15


def test_a_session_without_tokens_teaches_nothing() -> None:
    """It has ended with its first verdict."""
    experience = fresh()
    experience.record(EXACT, Decoded())
    assert experience.speed(EXACT) is None
