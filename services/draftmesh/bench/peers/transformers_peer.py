"""A transformers peer as a contestant: this side of the pipe to its process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from draftmesh.bench.child import Child, child_process
from draftmesh.bench.peers.contestant import Served, Task
from draftmesh.bench.peers.transformers_process import PeerFailure, PeerSpec, serve_peer
from draftmesh.core.errors import UnsupportedError
from draftmesh.engine.wait_policy import users_own

_LOAD_TIMEOUT_S = 600.0
_TASK_TIMEOUT_S = 1800.0


class TransformersPeer:
    """A process that has loaded its models."""

    def __init__(self, child: Child, failure: str) -> None:
        self._child = child
        self._failure = failure

    async def generate(self, task: Task) -> Served:
        """Have it do a task.

        Raises:
            UnsupportedError: transformers cannot, and says why.
            UnavailableError: the process is gone, or hangs.
        """
        if self._failure:
            raise UnsupportedError(self._failure)
        self._child.pipe.send(task)
        answer = await self._child.receive(_TASK_TIMEOUT_S)
        if isinstance(answer, PeerFailure):
            raise UnsupportedError(answer.reason)
        assert isinstance(answer, Served)
        return answer


@asynccontextmanager
async def transformers_peer(name: str, spec: PeerSpec) -> AsyncIterator[TransformersPeer]:
    """Run a peer; one that cannot load these models refuses every task.

    Raises:
        UnavailableError: the process ended, or it has not loaded its models in time.
    """
    async with AsyncExitStack() as stack:
        with users_own():  # what a user of transformers has
            child = await stack.enter_async_context(child_process(name, serve_peer, spec))
        answer = await child.receive(_LOAD_TIMEOUT_S)
        yield TransformersPeer(child, answer.reason if isinstance(answer, PeerFailure) else "")
