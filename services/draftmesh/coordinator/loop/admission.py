"""Whether a session may draft: not while its rows would cost those that share the target's steps more than it gains.

No session sees that for itself. Where all draft, a step without one's own draft would take as long as the step with
it, so everybody gains by drafting and all together lose by it. Here the whole is compared instead: the tokens that all
sessions of the target get if they draft, with those that they get if none does, by the steps as they are measured now.

Of many sessions that are refused, some draft for a few rounds all the same: what is said of long steps would never be
put right if nobody took them.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_at_least, require_not_negative


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """Numbers of admission."""

    least_gain: float = 0.03
    """A session that drafts goes on if all would be faster by this share."""

    readmitting_gain: float = 0.1
    """One that was refused drafts again if all would be faster by this share; no less than the least gain."""

    least_tokens: int = 16
    """A session that is refused has a trial after as many tokens as this, or more, by chance."""

    most_tokens: int = 512
    """It has one after as many tokens as this, or fewer."""

    trial_rounds: int = 4
    """Length of a trial."""

    def validate(self) -> None:
        """Raise :class:`ConfigError`, naming the field, if a value makes no sense."""
        require_not_negative(self, "least_gain")
        require_at_least(1, self, "least_tokens", "trial_rounds")
        if not self.least_gain <= self.readmitting_gain or not self.least_tokens <= self.most_tokens:
            raise ConfigError("least_gain must not exceed readmitting_gain, nor least_tokens most_tokens")


class Admission:
    """Of one session."""

    def __init__(self, config: AdmissionConfig, random: Random) -> None:
        self._config = config
        self._random = random
        self._refused_tokens = 0
        self._trial_rounds = 0

    @property
    def refused_tokens(self) -> int:
        """Tokens that the target is to say alone, unless the load changes; 0: the session may draft."""
        return self._refused_tokens

    def observe(self, tokens: int, speedup: float) -> None:
        """Take in a verdict.

        Args:
            tokens: Committed by it.
            speedup: Of all sessions of the target, if they drafted as this one does.
        """
        if self._refused_tokens:
            self._refused_tokens = max(0, self._refused_tokens - tokens)
            if not self._refused_tokens:
                self._trial_rounds = self._config.trial_rounds
            elif speedup >= 1.0 + self._config.readmitting_gain:
                self._refused_tokens = 0
        elif speedup >= 1.0 + self._config.least_gain:
            self._trial_rounds = 0
        elif self._trial_rounds:
            self._trial_rounds -= 1
        else:
            self._refused_tokens = self._random.randint(self._config.least_tokens, self._config.most_tokens)
