"""Whether a session may draft when the target has more to do than its draft."""

from __future__ import annotations

from random import Random

import pytest

from draftmesh.coordinator.loop.admission import Admission, AdmissionConfig
from draftmesh.core.errors import ConfigError

CONFIG = AdmissionConfig()


def admission(seed: int = 1) -> Admission:
    """A session that begins."""
    return Admission(CONFIG, Random(seed))


def refused(seed: int = 1) -> Admission:
    """One that has just been refused."""
    refused = admission(seed)
    refused.observe(1, 0.9)
    return refused


def test_what_pays_for_all_is_admitted() -> None:
    """From the first verdict on."""
    one = admission()
    for _ in range(100):
        one.observe(2, 1.0 + CONFIG.least_gain)
        assert one.refused_tokens == 0


def test_what_does_not_pay_is_refused_at_once_and_for_a_length_by_chance() -> None:
    """Sessions that begin together do not all try again together."""
    lengths = {refused(seed).refused_tokens for seed in range(50)}
    assert len(lengths) > 25
    assert CONFIG.least_tokens <= min(lengths) < max(lengths) <= CONFIG.most_tokens


def test_a_session_is_admitted_again_when_the_load_falls() -> None:
    """By a margin, so that what is neither gain nor loss does not turn drafting on and off."""
    one = refused()
    one.observe(1, 1.0 + CONFIG.least_gain)
    assert one.refused_tokens
    one.observe(1, 1.0 + CONFIG.readmitting_gain)
    assert one.refused_tokens == 0


def test_a_refused_session_has_a_short_trial_in_the_end() -> None:
    """After as many tokens as it was refused for; if that shows no gain, it is refused again."""
    one = refused()
    for _ in range(one.refused_tokens):
        assert one.refused_tokens
        one.observe(1, 0.9)
    for _ in range(CONFIG.trial_rounds):
        assert one.refused_tokens == 0
        one.observe(3, 0.9)
    one.observe(3, 0.9)
    assert one.refused_tokens


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AdmissionConfig(least_gain=-0.1), "least_gain"),
        (AdmissionConfig(least_gain=0.2), "readmitting_gain"),
        (AdmissionConfig(least_tokens=0), "least_tokens"),
        (AdmissionConfig(most_tokens=1), "most_tokens"),
        (AdmissionConfig(trial_rounds=0), "trial_rounds"),
    ],
)
def test_what_makes_no_sense_is_refused(config: AdmissionConfig, message: str) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=message):
        config.validate()
