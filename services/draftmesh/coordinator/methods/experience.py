"""What ended sessions tell of the ways to decode, in one situation: tokens per target step, and seconds per step.

Their quotient is a speed, and the two are known unlike well. Seconds per step hardly differ from session to session.
Tokens per step depend on what is said: the sessions of one method scatter by a quarter, while the methods of one
drafter differ by less, since all of them ask whether target and drafter agree. So the tokens per step of a method with
n sessions are estimated by those of all methods of its drafter, corrected by its own as far as n speaks for them
(``learning.posterior``).

The prior knows two things. Greedy methods accept the same tokens, those that the target would say. And above T = 0 the
ratio methods accept most: rejection sampling is the coupling of two laws that agrees most often, and the noise that
the keyed methods share is another one.

``off``, a token a step, and ``slrs``, which drafts otherwise than the rest, stand for themselves; and as nobody tries
``slrs`` on purpose, it is taken for as slow as what is known of it allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from draftmesh.coordinator.learning.posterior import Estimate, Scatter
from draftmesh.coordinator.methods.candidates import Option
from draftmesh.core.ledger import Decoded
from draftmesh.core.sampling import Method

_OF_THEIR_OWN = frozenset({Method.OFF, Method.SLRS})
_DOUBT = 2.0  # standard deviations


@dataclass(frozen=True, slots=True)
class Prior:
    """What is taken for true of a drafter's methods before they have been measured."""

    session_noise: float
    """Relative standard deviation of a session's tokens per target step."""

    method_spread: float
    """Relative standard deviation of that between the methods of one drafter."""

    ratio_advantage: float = 0.0
    """How much more of that the methods have that judge by ratios, as a share."""

    @property
    def scatter(self) -> Scatter:
        """Of the tokens per target step of a drafter's methods."""
        return Scatter(self.session_noise, self.method_spread)

    def factor(self, method: Method) -> float:
        """Tokens per step of a method, by those of the keyed ones."""
        return 1.0 + self.ratio_advantage * method.judges_by_ratio


@dataclass(slots=True)
class _Sum:
    """Sessions of one option; older ones count less."""

    sessions: float = 0.0
    tokens: float = 0.0
    steps: float = 0.0
    seconds: float = 0.0

    def fade(self, factor: float) -> None:
        self.sessions *= factor
        self.tokens *= factor
        self.steps *= factor
        self.seconds *= factor


class Experience:
    """Of one situation.

    Args:
        prior: What is known beforehand.
        forgetting: What an earlier session counts when another one is added, in (0, 1].
    """

    def __init__(self, prior: Prior, forgetting: float) -> None:
        self._prior = prior
        self._forgetting = forgetting
        self._sums: dict[Option, _Sum] = {}

    def sessions(self, option: Option) -> float:
        """How many sessions are remembered."""
        known = self._sums.get(option)
        return known.sessions if known is not None else 0.0

    def record(self, option: Option, decoded: Decoded) -> None:
        """A session has ended; all earlier ones, of whatever option, count less from now on."""
        if decoded.tokens <= 0 or decoded.target_steps <= 0 or decoded.seconds <= 0:
            return
        for earlier in self._sums.values():
            earlier.fade(self._forgetting)
        known = self._sums.setdefault(option, _Sum())
        known.sessions += 1
        known.tokens += decoded.tokens
        known.steps += decoded.target_steps
        known.seconds += decoded.seconds

    def speed(self, option: Option) -> Estimate | None:
        """Tokens per second of sessions of this option; None if none is remembered."""
        known = self._sums.get(option)
        if known is None or not (known.seconds > 0 and known.steps > 0):
            return None
        steps_per_s, own = known.steps / known.seconds, known.tokens / known.steps
        if option.method is Method.OFF:
            return Estimate(own * steps_per_s)
        if option.method is Method.SLRS:
            doubt = _DOUBT * self._prior.session_noise / math.sqrt(known.sessions)
            return Estimate(own * steps_per_s * max(0.0, 1.0 - doubt))
        expected = self._keyed_tokens_per_step(option.drafter_digest) * self._prior.factor(option.method)
        return self._prior.scatter.posterior(expected, own, known.sessions).scaled(steps_per_s)

    def _keyed_tokens_per_step(self, digest: bytes) -> float:
        """Of a drafter, from all its methods: what those have more that judge by ratios is taken off."""
        tokens = steps = 0.0
        for option, known in self._sums.items():
            if option.drafter_digest == digest and option.method not in _OF_THEIR_OWN:
                tokens += known.tokens
                steps += known.steps * self._prior.factor(option.method)
        return tokens / steps
