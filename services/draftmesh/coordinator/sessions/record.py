"""What is known of a session, as one value: enough to show its text again, and to go on with it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from draftmesh.coordinator.loop.transcript import Advance
from draftmesh.coordinator.sessions.token_log import TokenLog
from draftmesh.core.ledger import Ledger
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session at one moment."""

    session_id: str
    session_epoch: int
    model: str
    """The target's public name."""

    target_digest: bytes
    method: Method
    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    stop: StopConditions
    noise_key: NoiseKey
    tokens: TokenLog = field(default_factory=TokenLog)
    """Committed."""

    text: bytes = b""
    """Their bytes."""

    ready_length: int = 0
    """Leading bytes of ``text`` that a client may see."""

    finish_reason: FinishReason | None = None
    failure: str = ""
    """Why it ended before its time; empty while it runs and when it has finished."""

    ledger: Ledger = field(default_factory=Ledger)
    drafter: str = ""
    """Name of the drafter in use."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be added."""
        return self.finish_reason is not None or bool(self.failure)

    @property
    def visible_text(self) -> bytes:
        """The committed text; once the session has ended, what of it was delivered."""
        return self.text[: self.ready_length] if self.has_ended else self.text

    def advanced(self, advance: Advance, ledger: Ledger, drafter: str) -> SessionRecord:
        """The record after one more step."""
        return replace(
            self,
            tokens=self.tokens.extended(advance.tokens),
            text=self.text + advance.text,
            ready_length=advance.ready_length,
            finish_reason=advance.finish_reason,
            ledger=ledger,
            drafter=drafter,
        )

    def cancelled(self) -> SessionRecord:
        """The record of a session that was cancelled here."""
        return replace(self, finish_reason=FinishReason.CANCELLED, drafter="")

    def failed(self, failure: str) -> SessionRecord:
        """The record of a session that could not go on."""
        return replace(self, failure=failure, drafter="")
