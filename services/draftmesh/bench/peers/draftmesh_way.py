"""draftmesh as a contestant: one method, asked for over gRPC like any client would."""

from __future__ import annotations

import time

from draftmesh.bench.peers.contestant import Served, Task
from draftmesh.client import GenerateOptions
from draftmesh.core.sampling import Method
from draftmesh.inspection.measuring import Generator


class DraftmeshWay:
    """One method of a deployment."""

    def __init__(self, client: Generator, method: str) -> None:
        self._client = client
        self._method = method

    async def generate(self, task: Task) -> Served:
        """Send the prompt's ids and wait for the end.

        Raises:
            UnsupportedMethodError: the method is not offered for this pair.
        """
        options = GenerateOptions(
            max_tokens=task.max_tokens,
            temperature=task.temperature,
            method=self._method,
            seed=None if self._method == Method.AUTO.label else task.seed,  # with one it may choose keyed methods only
            timeout_s=None,
        )
        started_s = time.monotonic()
        generation = await self._client.generate(task.prompt_ids, options)
        seconds = time.monotonic() - started_s
        ledger = generation.ledger
        return Served(
            ids=generation.token_ids,
            seconds=seconds,
            way=generation.method,
            drafted_tokens=ledger.drafted_tokens,
            accepted_tokens=ledger.accepted_tokens,
            rounds=ledger.rounds,
        )
