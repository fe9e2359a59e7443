"""What ended sessions tell of the ways to decode, in one situation: tokens per work, and seconds per work.

Work is what the target's steps cost, drafts included, in steps without a draft. The quotient of the two is a speed, and
they are known unlike well.

*Tokens per work* depend on what is said: the sessions of one method scatter by a quarter, while the methods of one
drafter differ by less, since all of them ask whether target and drafter agree. So those of a method with n sessions are
estimated by those of all methods of its drafter, corrected by its own as far as n speaks for them
(``learning.posterior``). At T = 0 a drafter's text is taken for somewhat better beforehand than its ids: they say the
same, but text has all that the drafter can say, and ids only what both vocabularies share. Above T = 0 none is:
rejection sampling is the coupling of two laws that agrees most often, which weighs against that.

*Seconds per work*: what drafting, judging and waiting take beside the target's steps. The methods of one drafter differ
less in these, so they are estimated in the same way. But the machine is slower at one time than at another, and busier.
What all methods have alike of that, session after session, is taken off them (:class:`_Machine`).

``off``, a token for a step, and ``slrs``, which drafts otherwise than the rest, stand for themselves; and as nobody
tries ``slrs`` on purpose, it is taken for as slow as what is known of it allows.
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
_NEWEST = 0.3  # what the newest session says of how slow the machine is now


@dataclass(frozen=True, slots=True)
class Prior:
    """What is taken for true of a drafter's methods before they have been measured."""

    session_noise: float
    """Relative standard deviation of a session's tokens per work."""

    method_spread: float
    """Relative standard deviation of that between the methods of one drafter."""

    time_noise: float
    """Relative standard deviation of a session's seconds per work."""

    time_spread: float
    """Relative standard deviation of that between the methods of one drafter."""

    id_handicap: float = 0.0
    """How many fewer tokens per work the methods have that propose ids, as a share."""

    def factor(self, method: Method) -> float:
        """Tokens per work of a method, by those of a drafter's text."""
        return 1.0 - self.id_handicap * method.proposes_ids

    @property
    def tokens(self) -> Scatter:
        """Of the tokens per work of a drafter's methods."""
        return Scatter(self.session_noise, self.method_spread)

    @property
    def seconds(self) -> Scatter:
        """Of their seconds per work."""
        return Scatter(self.time_noise, self.time_spread)


@dataclass(slots=True)
class _Sum:
    """Sessions of one option; older ones count less."""

    sessions: float = 0.0
    tokens: float = 0.0
    work: float = 0.0
    seconds: float = 0.0
    """As if the machine were always as fast as it was at first."""

    def fade(self, factor: float) -> None:
        self.sessions *= factor
        self.tokens *= factor
        self.work *= factor
        self.seconds *= factor


class _Machine:
    """How much slower the machine is now than it was at first: by sessions of options that were seen before."""

    def __init__(self) -> None:
        self._slowness = 1.0

    def evened(self, decoded: Decoded, known: _Sum) -> float:
        """The seconds of a session as they would have been at first; ``known``: earlier ones of its option."""
        if known.seconds > 0:
            expected_s = decoded.work_steps * known.seconds / known.work
            self._slowness += _NEWEST * (decoded.seconds / expected_s - self._slowness)
        return decoded.seconds / self._slowness


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
        self._machine = _Machine()

    def sessions(self, option: Option) -> float:
        """How many sessions are remembered."""
        known = self._sums.get(option)
        return known.sessions if known is not None else 0.0

    def record(self, option: Option, decoded: Decoded) -> None:
        """A session has ended; all earlier ones, of whatever option, count less from now on."""
        if decoded.tokens <= 0 or decoded.work_steps <= 0 or decoded.seconds <= 0:
            return
        for earlier in self._sums.values():
            earlier.fade(self._forgetting)
        known = self._sums.setdefault(option, _Sum())
        known.seconds += self._machine.evened(decoded, known)
        known.sessions += 1
        known.tokens += decoded.tokens
        known.work += decoded.work_steps

    def speed(self, option: Option) -> Estimate | None:
        """Tokens per second of sessions of this option, on the machine as it was at first; None if none is known."""
        known = self._sums.get(option)
        if known is None or not (known.seconds > 0 and known.work > 0):
            return None
        return self._tokens_per_work(option, known).over(self._seconds_per_work(option, known))

    def _seconds_per_work(self, option: Option, known: _Sum) -> Estimate:
        own = known.seconds / known.work
        if option.method in _OF_THEIR_OWN:
            return Estimate(own, own * self._prior.time_noise / math.sqrt(known.sessions))
        alike = self._alike(option.drafter_digest)
        expected = sum(known.seconds for _, known in alike) / sum(known.work for _, known in alike)
        return self._prior.seconds.posterior(expected, own, known.sessions)

    def _tokens_per_work(self, option: Option, known: _Sum) -> Estimate:
        own = known.tokens / known.work
        if option.method is Method.OFF:
            return Estimate(own)
        if option.method is Method.SLRS:
            doubt = _DOUBT * self._prior.session_noise / math.sqrt(known.sessions)
            return Estimate(own * max(0.0, 1.0 - doubt))
        expected = self._text_tokens_per_work(option.drafter_digest) * self._prior.factor(option.method)
        return self._prior.tokens.posterior(expected, own, known.sessions)

    def _text_tokens_per_work(self, digest: bytes) -> float:
        """Of a drafter, from all its methods: what those that propose ids have less is added."""
        alike = self._alike(digest)
        work = sum(known.work * self._prior.factor(method) for method, known in alike)
        return sum(known.tokens for _, known in alike) / work

    def _alike(self, digest: bytes) -> list[tuple[Method, _Sum]]:
        """The methods of a drafter that stand in for each other."""
        return [
            (option.method, known)
            for option, known in self._sums.items()
            if option.drafter_digest == digest and option.method not in _OF_THEIR_OWN
        ]
