"""Whether the sessions that share a target's steps draft: not while they all together lose by it.

No session sees that for itself. Where all draft, a step without one's own draft would take as long as the step with
it, so everybody gains by drafting and all together lose by it; and a drafter that takes the target's cores away slows
the steps of those who do not draft too. So they rest together (:mod:`rest`), and are measured together: what they lose
is counted in the steps that the target takes while none of them drafts.

What is true of a few sessions is not of many: every doubling of their number is a crowd of its own. It begins with a
rest, so that it is known what its steps take; and it has another one now and then, to see what they take by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from draftmesh.coordinator.loop.rest import Rest, RestConfig, Spent
from draftmesh.core.endpoint import LoadReport
from draftmesh.core.verify import Verdict
from draftmesh.decoding.draft_length import CostCurve


class Company:
    """The sessions of one shard at one verifier, as far as they draft or would like to."""

    def __init__(self, config: RestConfig) -> None:
        self._config = config
        self._members = 0
        self._rests: dict[int, Rest] = {}

    @contextmanager
    def joined(self) -> Iterator[None]:
        """A session is one of them for as long as the context lasts."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1

    def rest_tokens(self, load: LoadReport) -> int:
        """Tokens that each is to have from the target alone before they draft again.

        0: they draft, or nobody shares the target, under this load.
        """
        return self._rest(load).left_tokens if load.active_sessions > 1 else 0

    def observe(self, elapsed_ms: float, verdict: Verdict, load: LoadReport, *, draft_tokens: int) -> None:
        """One of them has a verdict, so long after the one before; its drafts have ``draft_tokens`` at most.

        What came with rows that no drafts explain is left out: somebody's prompt was computed.
        """
        if load.active_sessions <= 1 or not self._members:
            return
        rest = self._rest(load)
        if verdict.batch_rows <= verdict.batch_sequences * (2 if rest.left_tokens else 1 + draft_tokens):
            sessions, share = load.active_sessions, 1 / self._members
            rest.observe(Spent(elapsed_ms, len(verdict.tokens), sessions, share), CostCurve.of(load.costs))

    def _rest(self, load: LoadReport) -> Rest:
        doublings = (load.active_sessions - 1).bit_length()
        if doublings not in self._rests:
            self._rests[doublings] = Rest(self._config, begins_resting=True)
        return self._rests[doublings]


class Companies:
    """Those of a shard, by the address of their verifier."""

    def __init__(self, config: RestConfig) -> None:
        self._config = config
        self._companies: dict[str, Company] = {}

    def at(self, address: str) -> Company:
        """Those who share the steps of this verifier."""
        if address not in self._companies:
            self._companies[address] = Company(self._config)
        return self._companies[address]

    def forget(self, address: str) -> None:
        """The verifier has left."""
        self._companies.pop(address, None)
