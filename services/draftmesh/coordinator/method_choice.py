"""``auto``: which method a session gets, fixed before anything is drafted.

The rule:

1. *Candidates.* ``off`` always. With a drafter, the methods that target and drafter both offer and that their
   vocabularies allow: ``exact`` any pair, ``tli`` and ``tli-exact`` drafters that have a vocabulary, ``rejection``
   equal ones. The ratio methods need trusted drafters. With a client's seed, ``off``, ``exact`` and ``tli-exact``
   alone: they say the same text for it, so the choice does not show.
2. *Score.* Committed tokens per second, from the first token to the end, of sessions that have ended, by target,
   drafter digest, method and band of temperature; older sessions count less and less. So a drafter that is slow or
   seldom right costs ``auto`` a few sessions, after which it says ``off``.
3. *Trials.* A candidate counts as good until it has been tried: each gets ``trials`` sessions, in a fixed order that
   begins with ``exact``. ``slrs`` gets none: it is chosen when sessions that named it were faster than everything else.
4. *Best*, from then on: of the candidates within ``margin`` of the fastest the first in the order of trial, so that
   noise does not make sessions alternate; except that every ``probe_every`` choices of a situation the candidate that
   was tried least recently gets one session, so that what has become faster is found out.

Every method is lossless, and a choice that looks at earlier sessions alone leaves it so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from draftmesh.core.endpoint import DrafterInfo, VerifierInfo
from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least
from draftmesh.core.sampling import Method

_ORDER = (Method.EXACT, Method.OFF, Method.TLI, Method.REJECTION, Method.TLI_EXACT, Method.SLRS)
_BANDS = (0.0, 0.5, 0.9, 1.2)
"""Upper ends of the bands of temperature; above is one more."""


@dataclass(frozen=True, slots=True)
class MethodChoiceConfig:
    """Numbers of the rule."""

    trials: int = 3
    """Sessions that each candidate gets before the best one is chosen."""

    probe_every: int = 32
    """One session in so many goes to the candidate that was tried least recently."""

    margin: float = 0.03
    """Speeds that differ by this share at most count as equal, in [0, 1)."""

    forgetting: float = 0.9
    """What an earlier session counts when another one is added, in (0, 1]."""

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        require_at_least(1, self, "trials")
        require_at_least(2, self, "probe_every")
        if not 0 <= self.margin < 1:
            raise ConfigError(f"margin must be in [0, 1), got {self.margin}")
        if not 0 < self.forgetting <= 1:
            raise ConfigError(f"forgetting must be in (0, 1], got {self.forgetting}")


@dataclass(frozen=True, slots=True)
class Option:
    """A way to decode."""

    method: Method
    drafter_digest: bytes = b""
    """Empty for ``off``."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What measurements are kept apart by."""

    target_digest: bytes
    band: int
    """Of the temperature."""


@dataclass(slots=True)
class _Experience:
    """What is known of one option in one situation."""

    choices: int = 0
    last_choice: int = 0
    """Number of the situation's choice that chose it last."""

    tokens: float = 0.0
    seconds: float = 0.0

    @property
    def tokens_per_s(self) -> float | None:
        return self.tokens / self.seconds if self.seconds > 0 else None


def band_of(temperature: float) -> int:
    """The band of a temperature; 0 is greedy."""
    return sum(temperature > end for end in _BANDS)


def candidates(
    target: VerifierInfo, drafters: Iterable[DrafterInfo], *, trusted: bool, seeded: bool
) -> tuple[Option, ...]:
    """What could be chosen, in the order of trial; ``off`` is always among it."""
    known = {drafter.digest: drafter for drafter in drafters}
    options = [
        Option(method, digest)
        for method in _ORDER
        for digest, drafter in sorted(known.items())
        if suits(method, target, drafter) and (trusted or not method.judges_by_ratio)
    ]
    options.append(Option(Method.OFF))
    if seeded:  # only methods that say the same text for it
        options = [option for option in options if not option.method.judges_by_ratio]
    return tuple(sorted(options, key=lambda option: _ORDER.index(option.method)))


def suits(method: Method, target: VerifierInfo, drafter: DrafterInfo) -> bool:
    """Whether target and drafter can decode with a method that drafts."""
    if method is Method.OFF or method not in target.methods or method not in drafter.methods:
        return False
    if method is Method.REJECTION:
        return drafter.vocabulary_digest == target.vocabulary_digest
    return bool(drafter.vocabulary_digest) or not method.proposes_ids


class MethodChoice:
    """Remembers how fast sessions were, and chooses by it."""

    def __init__(self, config: MethodChoiceConfig) -> None:
        self._config = config
        self._experience: dict[tuple[Situation, Option], _Experience] = defaultdict(_Experience)
        self._choices: dict[Situation, int] = defaultdict(int)

    def choose(self, situation: Situation, options: Sequence[Option]) -> Option:
        """One of ``options`` (at least one), by the rule of the module."""
        self._choices[situation] += 1
        number = self._choices[situation]
        chosen = self._choose(situation, options, number)
        experience = self._experience[situation, chosen]
        experience.choices += 1
        experience.last_choice = number
        return chosen

    def record(self, situation: Situation, option: Option, *, tokens: int, seconds: float) -> None:
        """A session has ended that committed so many tokens in so many seconds after its first one."""
        if tokens <= 0 or seconds <= 0:
            return
        experience = self._experience[situation, option]
        experience.tokens = self._config.forgetting * experience.tokens + tokens
        experience.seconds = self._config.forgetting * experience.seconds + seconds

    def tokens_per_s(self, situation: Situation, option: Option) -> float | None:
        """The measured speed; None if there is none."""
        known = self._experience.get((situation, option))
        return known.tokens_per_s if known is not None else None

    def _choose(self, situation: Situation, options: Sequence[Option], number: int) -> Option:
        tried = [option for option in options if option.method is not Method.SLRS]
        for option in tried:
            if self._experience[situation, option].choices < self._config.trials:
                return option
        if tried and number % self._config.probe_every == 0:
            return min(tried, key=lambda option: self._experience[situation, option].last_choice)
        return self._best(situation, options)

    def _best(self, situation: Situation, options: Sequence[Option]) -> Option:
        """The first of those that are as fast as the fastest."""
        speeds = [self.tokens_per_s(situation, option) or 0.0 for option in options]
        enough = (1 - self._config.margin) * max(speeds)
        return next(option for option, speed in zip(options, speeds, strict=True) if speed >= enough)
