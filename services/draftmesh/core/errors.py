"""The one exception tree of draftmesh.

Every error a caller can meet is a :class:`DraftmeshError`; ``transport.status`` maps each branch to one gRPC
status code, and back on the client's side, so the tree below is also the contract of the wire::

    DraftmeshError
    ├── InvalidRequestError            INVALID_ARGUMENT
    │   ├── PromptEmptyError
    │   ├── PromptTooLongError
    │   ├── InvalidTextError           (not UTF-8, not expressible in the vocabulary)
    │   ├── InvalidTokenError          (an id outside the vocabulary)
    │   └── MalformedBlockError        (a draft block whose lengths do not add up)
    ├── NotFoundError                  NOT_FOUND
    │   ├── UnknownModelError
    │   └── UnknownSessionError
    ├── UnsupportedError               UNIMPLEMENTED
    │   ├── UnsupportedModelError      (the capability gate refused it)
    │   ├── UnsupportedTokenizerError  (it normalises or loses bytes)
    │   └── UnsupportedMethodError
    ├── StateError                     FAILED_PRECONDITION
    │   ├── AlreadyOpenError           ALREADY_EXISTS
    │   ├── FencedError                ABORTED
    │   └── BaseBeyondSequenceError    OUT_OF_RANGE
    ├── ExhaustedError                 RESOURCE_EXHAUSTED
    ├── UnavailableError               UNAVAILABLE
    ├── DeadlineError                  DEADLINE_EXCEEDED
    ├── CancelledByPeerError           CANCELLED
    ├── DataLossError                  DATA_LOSS
    ├── ConfigError                    (start-up only, never on the wire)
    └── InternalError                  INTERNAL (a bug)
"""

from __future__ import annotations


class DraftmeshError(Exception):
    """Base of every error that draftmesh raises on purpose.

    ``reason`` is a stable machine-readable name, derived from the class: ``PromptTooLongError`` → ``PROMPT_TOO_LONG``.
    """

    @property
    def reason(self) -> str:
        """The class's name as an upper-case identifier without the ``Error`` suffix."""
        name = type(self).__name__.removesuffix("Error")
        return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()


class InvalidRequestError(DraftmeshError):
    """The request itself is wrong; sending it again will fail again."""


class PromptEmptyError(InvalidRequestError):
    """The prompt has no tokens."""


class PromptTooLongError(InvalidRequestError):
    """The prompt, or prompt plus ``max_tokens``, exceeds the model's context."""


class InvalidTextError(InvalidRequestError):
    """Bytes that are not UTF-8 where text is required, or text that a vocabulary cannot express."""


class InvalidTokenError(InvalidRequestError):
    """A token id outside the vocabulary."""


class MalformedBlockError(InvalidRequestError):
    """A draft block that contradicts itself."""


class NotFoundError(DraftmeshError):
    """The thing that was asked for does not exist here."""


class UnknownModelError(NotFoundError):
    """No pool serves this model."""


class UnknownSessionError(NotFoundError):
    """No such session, or it has been forgotten."""


class UnsupportedError(DraftmeshError):
    """Understood, and not offered."""


class UnsupportedModelError(UnsupportedError):
    """The engine would run this model wrongly, so it refuses it."""


class UnsupportedTokenizerError(UnsupportedError):
    """The tokenizer normalises or loses bytes, so text cannot be translated through it."""


class UnsupportedMethodError(UnsupportedError):
    """The decoding method is unknown here, or not offered for this pair or pool."""


class StateError(DraftmeshError):
    """The request does not fit the state that the peer is in."""


class AlreadyOpenError(StateError):
    """A second Open on a stream that is open."""


class FencedError(StateError):
    """A newer epoch or attempt owns the session: this stream is closed for good."""


class BaseBeyondSequenceError(StateError):
    """A Verify whose base length no pending round can reach."""


class ExhaustedError(DraftmeshError):
    """A bounded resource is full; ``retry_after_ms`` hints when to come back (None: unknown)."""

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        """Keep the hint beside the message."""
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class UnavailableError(DraftmeshError):
    """The peer is gone, draining, or not ready; another one, or a retry, may answer."""


class DeadlineError(DraftmeshError):
    """The deadline passed first."""


class CancelledByPeerError(DraftmeshError):
    """The other side withdrew the call."""


class DataLossError(DraftmeshError):
    """What was delivered can no longer be reproduced."""


class ConfigError(DraftmeshError):
    """The configuration is wrong; raised at start-up only."""


class InternalError(DraftmeshError):
    """A bug in draftmesh."""
