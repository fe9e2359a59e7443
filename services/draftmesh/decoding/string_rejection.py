"""The test of ``slrs``: string-level rejection sampling with a lazy residual.

A target token t that the draft settles to is accepted with probability min(1, p(t) / ψ(t)) (Timor et al., ICML 2025,
Algorithm 3). The residual max(0, p - ψ) would need ψ of the whole vocabulary; drawing x from p until one is kept with
probability max(0, 1 - ψ(x) / p(x)) has the same law and needs two evaluations of ψ a token in the mean at most, but
for those that a question asks ahead (``LOSSLESS.md``). ψ is the drafter's to say, so a residual is a question that
waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.verify import TokenLogprobs
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.rejection import accept_position, residual_position
from draftmesh.decoding.streams import uniform_at

TRIALS_PER_QUESTION = 2
"""Trials whose ψ is asked for at once. A rejection needs 1 / Z of them, Z its own probability: seldom more than two
where rejections are frequent, and each costs rows of the drafter."""

_PSI_TOLERANCE = 1e-6
"""How far above 1 a ratio of sums of probabilities may land."""

Draw = Callable[[Tensor, Sequence[NoisePosition]], list[int]]
"""Draws one token for each row of weights [rows, tokens] at its position."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a residual ended with."""

    token: int
    logprobs: TokenLogprobs | None


@dataclass(frozen=True, slots=True)
class _Trial:
    """One candidate for the token."""

    token: int
    chance: float
    """p of it."""

    uniform: float
    """What its test is decided by."""


class LazyResidual:
    """One residual that waits for values of ψ.

    Trials come from p, and as values of ψ become known from p with p - ψ in place of p for those tokens: whoever is
    drawn from the known part is kept. So no token is asked for twice, and there are as many questions at most as p has
    tokens, also where p and ψ are nearly equal.
    """

    def __init__(
        self,
        target: Tensor,  # [tokens], float64: p; not changed
        position: NoisePosition,
        draw: Draw,
        logprobs: Callable[[int], TokenLogprobs | None],
    ) -> None:
        self._target = target
        self._rest = target.clone()
        self._position = position
        self._draw = draw
        self._logprobs = logprobs
        self._known: set[int] = set()
        self._drawn = 0
        self._trials = self._next_trials()

    @property
    def ids(self) -> tuple[int, ...]:
        """Distinct target tokens whose ψ, given the tokens before them, is wanted now."""
        asked = takewhile(lambda trial: trial.token not in self._known, self._trials)
        return tuple(dict.fromkeys(trial.token for trial in asked))

    def answer(self, psi: Sequence[float]) -> Recovered | None:
        """Decide the trials, with one ψ for each of :attr:`ids`; None if none is kept and others are to be asked for.

        Raises:
            InvalidRequestError: a probability for each of the ids was expected.
        """
        ids = self.ids
        if len(psi) != len(ids):
            raise InvalidRequestError(f"ψ of {len(ids)} tokens was asked for, got {len(psi)} values")
        if not all(0.0 <= value <= 1.0 + _PSI_TOLERANCE for value in psi):
            raise InvalidRequestError("ψ is a probability: a value is outside [0, 1]")
        answers = dict(zip(ids, psi, strict=True))
        if (kept := self._first_kept(answers)) is not None:
            return kept
        chances = {trial.token: trial.chance for trial in self._trials}
        for token, value in answers.items():
            self._rest[token] = max(0.0, chances[token] - value)
        self._known.update(ids)
        self._trials = self._next_trials()
        return None if self.ids else self._first_kept({})

    def _first_kept(self, answers: Mapping[int, float]) -> Recovered | None:
        for trial in self._trials:
            value = answers.get(trial.token)  # none: a token of the known part
            if value is None or trial.uniform * trial.chance < trial.chance - value:
                return Recovered(trial.token, self._logprobs(trial.token))
        return None

    def _next_trials(self) -> tuple[_Trial, ...]:
        """Draw trials. Where rounding leaves no residual, p and ψ are equal to the last bits, and p is as good."""
        numbers = range(self._drawn + 1, self._drawn + 1 + TRIALS_PER_QUESTION)
        self._drawn += len(numbers)
        weights = self._rest if bool(self._rest.any()) else self._target
        positions = [residual_position(self._position, number) for number in numbers]
        tokens = self._draw(weights.expand(len(numbers), -1), positions)
        chances = self._target[tokens].tolist()
        uniforms = [uniform_at(accept_position(self._position, number)) for number in numbers]
        return tuple(map(_Trial, tokens, chances, uniforms))
