"""The event loop's handle on a session that lives on its proposer's thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import structlog

from draftmesh.core.draft import Commit, DraftOpen, Evaluate
from draftmesh.core.errors import DraftmeshError, InternalError, UnavailableError
from draftmesh.core.protocols import Clock
from draftmesh.drafter.backend import Backend, Propose
from draftmesh.drafter.chain import Chain
from draftmesh.drafter.session import DraftSession, Outlet, Pacing
from draftmesh.tokenization.vocabulary import Vocabulary

_LOG = structlog.get_logger(__name__)


class Lane:
    """Passes one session's messages to the backend's thread, in order; what goes wrong there ends the stream."""

    def __init__(
        self,
        backend: Backend,
        request: DraftOpen,
        outlet: Outlet,
        clock: Clock,
        pacing: Pacing,
        *,
        target: Vocabulary | None = None,
    ) -> None:
        """Make the session, for the target's vocabulary if it is known; :meth:`open` gives it a proposer."""
        self._backend = backend
        self._request = request
        self._target = target
        chain = Chain(
            request.committed,
            request.max_ahead_tokens,
            method=request.method,
            committed_tokens=request.committed_tokens,
            first_extent=request.first_extent,
        )
        self._session = DraftSession(chain, outlet, clock, pacing)

    @property
    def wasted_bytes(self) -> int:
        """Drawn bytes that commits have contradicted so far."""
        return self._session.wasted_bytes

    async def open(self) -> None:
        """Begin to draw; returns when the backend has taken the session.

        Raises:
            DraftmeshError: the backend refused it.
        """
        await self._backend.call(
            lambda propose: self._session.start(propose(self._request, self._target, self._session))
        )

    def commit(self, commit: Commit) -> None:
        """Hand over what the target has settled."""
        self._hand_over(lambda: self._session.commit(commit))

    def evaluate(self, question: Evaluate) -> None:
        """Hand over a question for ψ."""
        self._hand_over(lambda: self._session.evaluate(question))

    def close(self) -> None:
        """Free everything that the backend holds, after what was handed over before."""
        with suppress(UnavailableError):  # a closed backend holds nothing
            self._backend.post(lambda _: self._session.close())

    def _hand_over(self, apply: Callable[[], None]) -> None:
        def work(_: Propose) -> None:
            try:
                apply()
            except DraftmeshError as error:
                self._session.failed(error)
            except Exception as error:
                _LOG.exception("a message could not be applied")
                self._session.failed(InternalError(f"{type(error).__name__}: {error}"))

        self._backend.post(work)
