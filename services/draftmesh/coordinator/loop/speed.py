"""How fast a session decodes: the tokens, the target's work for them, and the time that went by."""

from __future__ import annotations

from draftmesh.coordinator.loop.rounds import Answer
from draftmesh.core.ledger import Decoded
from draftmesh.decoding.draft_length import CostCurve


class Speed:
    """Of one session. What a stream's first verdict tells of is left out: it has computed the prompt too."""

    def __init__(self) -> None:
        self._tokens = 0
        self._work_steps = 0.0
        self._elapsed_ms = 0.0

    @property
    def decoded(self) -> Decoded:
        """Everything so far."""
        return Decoded(self._tokens, self._work_steps, self._elapsed_ms / 1e3)

    def observe(self, answer: Answer, elapsed_ms: float, costs: CostCurve | None) -> None:
        """Take in a verdict that came so long after the one before.

        Args:
            answer: The verdict.
            elapsed_ms: Since the one before.
            costs: What the target's steps take now; if that is not known, a step counts as one whatever its rows.
        """
        if answer.has_prefill:
            return
        self._tokens += len(answer.verdict.tokens)
        self._elapsed_ms += elapsed_ms
        self._work_steps += answer.target_steps
        if answer.judges and costs is not None:
            self._work_steps += costs.ms(answer.verdict.batch_rows) / costs.ms(answer.rows_without_draft) - 1.0
