"""``auto``: which method a session gets, fixed before anything is drafted.

The rule, for sessions of one target and one band of temperature:

1. *Trials.* Each candidate gets ``trials`` sessions, in a fixed order that begins with ``exact``. ``slrs`` gets none:
   it is chosen when sessions that named it were clearly faster than everything else.
2. *Best*, from then on: a speed is drawn for each candidate from what is known of it, and the fastest is taken
   (Thompson sampling; Chapelle and Li, 2011). So what is surely slower is left alone, a drafter that is slow or seldom
   right costs ``auto`` a few sessions after which it says ``off``, and candidates that may be the best are compared.
3. *Probes.* One of ``probe_every`` choices goes to the candidate that was tried least recently, so that what has
   become much faster is found out. ``off`` needs none: where it is faster, sessions that draft rest, and are as fast.

Every method is lossless, and a choice that looks at earlier sessions alone leaves it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from draftmesh.coordinator.methods.candidates import Option
from draftmesh.coordinator.methods.experience import Experience, Prior
from draftmesh.core.errors import ConfigError
from draftmesh.core.ledger import Decoded
from draftmesh.core.ranges import require_at_least, require_not_negative, require_up_to
from draftmesh.core.sampling import Method

_GREEDY = 0
"""The band of temperature 0."""


@dataclass(frozen=True, slots=True)
class MethodChoiceConfig:
    """Numbers of the rule."""

    trials: int = 2
    """Sessions that each candidate gets before the best one is chosen."""

    probe_every: int = 64
    """One session in so many goes to the candidate that was tried least recently."""

    session_noise: float = 0.25
    """How much the sessions of one method scatter: relative standard deviation of tokens per step of the target's
    work, above 0."""

    time_noise: float = 0.2
    """How much they scatter in seconds per step of the target's work: relative standard deviation, above 0."""

    time_spread: float = 0.05
    """How much the methods of one drafter differ in these: relative standard deviation, above 0."""

    method_spread: float = 0.1
    """How much the methods of one drafter differ: relative standard deviation of tokens per step of the target's
    work, above 0."""

    greedy_id_handicap: float = 0.08
    """How many fewer tokens per step of the target's work proposals of ids are taken to have at temperature 0 than
    drafts of text, as a share below 1."""

    forgetting: float = 0.997
    """What an earlier session counts when another one is added, in (0, 1]."""

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        require_at_least(1, self, "trials")
        require_at_least(2, self, "probe_every")
        require_up_to(10, self, "session_noise", "time_noise", "time_spread", "method_spread")
        require_up_to(1, self, "forgetting")
        require_not_negative(self, "greedy_id_handicap")
        if self.greedy_id_handicap >= 1.0:
            raise ConfigError(f"greedy_id_handicap must be below 1, got {self.greedy_id_handicap:g}")

    def prior(self, band: int) -> Prior:
        """What is known beforehand of methods in a band of temperature."""
        handicap = self.greedy_id_handicap if band == _GREEDY else 0.0
        return Prior(self.session_noise, self.method_spread, self.time_noise, self.time_spread, handicap)


@dataclass(frozen=True, slots=True)
class Situation:
    """What measurements are kept apart by."""

    target_digest: bytes
    band: int
    """Of the temperature."""


@dataclass(slots=True)
class _Choices:
    """Of one situation."""

    experience: Experience
    number: int = 0
    of_option: dict[Option, int] = field(default_factory=dict)
    """How often an option was chosen."""

    last: dict[Option, int] = field(default_factory=dict)
    """The number of the choice that chose an option last."""

    def is_tried(self, option: Option, trials: int) -> bool:
        """Whether it has had its trials; sessions that named the method are as good."""
        return max(self.of_option.get(option, 0), self.experience.sessions(option)) >= trials


class MethodChoice:
    """Remembers how fast sessions were, and chooses by it."""

    def __init__(self, config: MethodChoiceConfig, random: Random) -> None:
        self._config = config
        self._random = random
        self._situations: dict[Situation, _Choices] = {}

    def choose(self, situation: Situation, options: Sequence[Option]) -> Option:
        """One of ``options`` (at least one), by the rule of the module."""
        choices = self._choices(situation)
        choices.number += 1
        chosen = self._choose(choices, options)
        choices.of_option[chosen] = choices.of_option.get(chosen, 0) + 1
        choices.last[chosen] = choices.number
        return chosen

    def record(self, situation: Situation, option: Option, decoded: Decoded) -> None:
        """A session has ended."""
        self._choices(situation).experience.record(option, decoded)

    def _choices(self, situation: Situation) -> _Choices:
        if situation not in self._situations:
            experience = Experience(self._config.prior(situation.band), self._config.forgetting)
            self._situations[situation] = _Choices(experience)
        return self._situations[situation]

    def _choose(self, choices: _Choices, options: Sequence[Option]) -> Option:
        tried = [option for option in options if option.method is not Method.SLRS]
        for option in tried:
            if not choices.is_tried(option, self._config.trials):
                return option
        drafting = [option for option in tried if option.method is not Method.OFF]
        if drafting and choices.number % self._config.probe_every == 0:
            return min(drafting, key=lambda option: choices.last.get(option, 0))
        return max(options, key=lambda option: self._draw(choices.experience, option))

    def _draw(self, experience: Experience, option: Option) -> float:
        """A speed that the option may have, in tokens per second; 0 if nothing is known."""
        speed = experience.speed(option)
        return speed.draw(self._random) if speed is not None else 0.0
