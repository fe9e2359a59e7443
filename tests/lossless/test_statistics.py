"""The statistics that the suite rests on."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from draftmesh.core.sampling import SamplingParams
from tests.helpers.joint_law import Law, joint_law, shortened
from tests.helpers.law_statistics import compare, noise_floor
from tests.helpers.toy_language import toy_target

LAW: Law = {(0,): 0.5, (1,): 0.3, (2, 0): 0.19, (2, 1): 0.0099, (3,): 0.0001}
SAMPLES = 400


def sample(law: Law, number: int, seed: int) -> list[tuple[int, ...]]:
    """A faithful sample."""
    return Random(seed).choices(list(law), list(law.values()), k=number)


def test_the_noise_floor_is_the_mean_total_variation_of_faithful_samples() -> None:
    """Rare sequences included, of which hardly a sample has one."""
    distances = [compare(sample(LAW, SAMPLES, seed), LAW).total_variation for seed in range(1000)]
    error = float(np.std(distances)) / math.sqrt(len(distances))
    assert noise_floor(LAW, SAMPLES) == pytest.approx(np.mean(distances), abs=4 * error)


def test_faithful_samples_are_rejected_as_seldom_as_the_significance_says() -> None:
    """At 1 in 10, fewer than 1 in 7 of five hundred samples."""
    rejected = sum(not compare(sample(LAW, SAMPLES, seed), LAW).is_faithful(0.1) for seed in range(500))
    assert 0 < rejected < 500 / 7


def test_a_sample_with_an_impossible_sequence_is_rejected() -> None:
    """However rare it is."""
    assert not compare([*sample(LAW, SAMPLES, 1), (4,)], LAW).is_faithful(1e-9)


def test_a_shifted_sample_is_rejected_by_total_variation_too() -> None:
    """A tenth of the mass moved shows in both tests."""
    shifted = {**LAW, (0,): 0.4, (1,): 0.4}
    found = compare(sample(shifted, 20_000, 2), LAW)
    assert found.p_value < 1e-10
    assert found.total_variation == pytest.approx(0.1, abs=0.02)
    assert not found.is_faithful(1e-6)


def test_the_joint_law_adds_up_and_its_beginnings_are_the_shorter_laws() -> None:
    """The enumeration agrees with itself."""
    target, sampling = toy_target(), SamplingParams(temperature=0.8, top_p=0.9, presence_penalty=0.5)
    whole = joint_law(target, sampling, 3)
    assert math.fsum(whole.values()) == pytest.approx(1.0, abs=1e-12)
    for length in (1, 2):
        assert shortened(whole, length) == pytest.approx(joint_law(target, sampling, length), abs=1e-12)
