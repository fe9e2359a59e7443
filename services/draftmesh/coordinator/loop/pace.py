"""When to send a draft, when to wait for one, and when to let the target go on alone.

The numbers behind the policy, on the machines it was made for: a step of the target takes 70 to 150 ms for 1 to 8
rows, a draft token 2 to 4 ms. After a verdict that contradicts the draft, the drafter needs a network round trip and
k tokens to have a new one, 20 to 35 ms. Waiting for it turns a step of one token into a step of 2 to 5 tokens, so it
pays; a free run started in its place would not: the draft would have to wait for that whole step's end.

* A draft of k tokens (``draft_length``), or one that will not get longer, goes out at once.
* Else the session waits, but no longer than one decoding step of the target takes (measured, one row) since the
  drafter last heard of a commit. Then what there is goes out, and if there is nothing, a free run starts.
* A draft with g accepted tokens saves g steps, so a wait of more than g steps cannot pay: with drafts that are
  mostly wrong (moving average of g below 1) the patience is that much shorter.
* A draft that is far, so that the target can take most of a step before it comes (``free_step_share``), is not waited
  for meanwhile: the target takes as many steps as there is time for, and judges in them what its own text suggests. A
  token that the draft says too is taken off it.
* Waits that bring nothing halve the patience, down to none; a draft in time doubles it. So a drafter that is too
  slow costs about two steps once, and then nothing: its drafts interrupt free runs, whenever they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from draftmesh.core.verify import Verdict

_AT_ONCE_MS = 1.0


@dataclass(frozen=True, slots=True)
class PaceConfig:
    """Numbers of the policy."""

    initial_step_ms: float = 60.0
    """Duration of a decoding step of the target, until one is measured."""

    min_wait_ms: float = 0.0
    """A session always waits as long as this for a draft, however quick the target, and whether a drafter has been
    found or not: to study drafting itself."""

    max_wait_ms: float = 250.0
    """A session never waits longer than this for a draft, however slow the target."""

    smoothing: float = 0.25
    """Weight of the newest measurement in moving averages, in (0, 1]."""

    takes_free_steps: bool = True
    """Whether the target takes steps alone while a draft is far; never where sessions wait for ``min_wait_ms``."""

    free_step_share: float = 0.3
    """The target takes a step alone before a draft begins to come if there is time for this share of the step, in
    (0, 1]. A draft that comes late by the rest of it loses little, and a token is won, or more where they are looked
    up."""

    run_on_share: float = 0.6
    """The same for the steps that a target which is far takes after a draft, in (0, 1]: it cannot be told in time that
    the next draft is on its way."""

    far_share: float = 0.1
    """A verifier is far if the way there and back takes this share of a step of the target."""

    least_patience: float = 1 / 16
    """Below this share of a step, waiting is given up until a draft comes in time again."""


class Pace:
    """The waiting policy of one session. Times are seconds of one monotonic clock."""

    def __init__(self, config: PaceConfig, *, started_s: float = 0.0) -> None:
        self._config = config
        self._step_ms = config.initial_step_ms
        self._patience = 1.0
        self._gain = 1.0  # accepted tokens of a draft, moving average
        self._draft_wait_ms = 0.0
        self._waiting_since_s = started_s

    @property
    def step_ms(self) -> float:
        """Expected duration of a decoding step of the target."""
        return self._step_ms

    @property
    def deadline_s(self) -> float:
        """When waiting for a draft ends."""
        patience_ms = self._patience * min(1.0, self._gain) * self._step_ms
        wait_ms = min(max(patience_ms, self._config.min_wait_ms), self._config.max_wait_ms)
        return self._waiting_since_s + wait_ms / 1e3

    @property
    def least_deadline_s(self) -> float:
        """Until when a session waits even for a drafter that has not been found yet."""
        return self._waiting_since_s + self._config.min_wait_ms / 1e3

    @property
    def draft_wait_ms(self) -> float:
        """How long a draft that was not there has been waited for, moving average."""
        return self._draft_wait_ms

    def is_far(self, link_ms: float) -> bool:
        """Whether a verifier whose way there and back takes so long is sent rounds for whatever it may say next."""
        return link_ms >= self._config.far_share * self._step_ms

    def spare_steps(self, wait_ms: float) -> int:
        """Steps that the target takes alone while a draft is waited for so long."""
        return self._steps_in(wait_ms, self._config.free_step_share)

    def run_on_steps(self, wait_ms: float) -> int:
        """Steps that a target which is far takes after a draft, if it is so long until another one reaches it."""
        return self._steps_in(wait_ms, self._config.run_on_share)

    def settled(self, now_s: float) -> None:
        """Something was committed: from now on the drafter is being waited for."""
        self._waiting_since_s = now_s

    def drafted(self, now_s: float) -> None:
        """A draft goes out."""
        waited_ms = (now_s - self._waiting_since_s) * 1e3
        if _AT_ONCE_MS < waited_ms <= self._config.max_wait_ms:  # else it was there, or no verifier was
            self._draft_wait_ms += self._config.smoothing * (waited_ms - self._draft_wait_ms)
        if waited_ms <= self._step_ms:
            self._patience = min(1.0, 2 * max(self._patience, self._config.least_patience))

    def starved(self) -> None:
        """A wait has ended without a draft."""
        self._patience = self._patience / 2 if self._patience > self._config.least_patience else 0.0

    def observe(self, verdict: Verdict, *, judged: bool) -> None:
        """Learn from a verdict on a draft (``judged``) or on a free run."""
        if judged:
            self._gain += self._config.smoothing * (verdict.accepted - self._gain)
        compute_ms = verdict.timings.compute_ms
        if compute_ms <= 0 or not verdict.tokens:
            return
        if judged:  # a step with more rows bounds a step with one from above
            self._step_ms = min(self._step_ms, compute_ms)
        else:
            step_ms = compute_ms / (verdict.steps or len(verdict.tokens))
            self._step_ms += self._config.smoothing * (step_ms - self._step_ms)

    def _steps_in(self, wait_ms: float, last_share: float) -> int:
        """As many as fit, or nearly: of the last one, there need be time for that share."""
        if not self._config.takes_free_steps or self._config.min_wait_ms > 0:
            return 0
        return math.floor(wait_ms / self._step_ms + 1.0 - last_share)
