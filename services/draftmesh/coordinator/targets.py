"""The targets that can be asked for, each with its tokenizer, which its verifiers serve: no model volume is needed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from draftmesh.coordinator.pools.pool import VerifierMember, VerifierPool
from draftmesh.core.endpoint import VerifierInfo
from draftmesh.core.errors import InternalError, UnavailableError, UnknownModelError
from draftmesh.tokenization import Tokenizer, tokenizer_from_files


@dataclass(frozen=True, slots=True)
class Target:
    """One target model."""

    info: VerifierInfo
    """What one of its verifiers says; limits may differ from one to the other."""

    tokenizer: Tokenizer


class Targets:
    """Finds targets among the verifiers, and keeps their tokenizers by digest."""

    def __init__(self, verifiers: VerifierPool) -> None:
        self._verifiers = verifiers
        self._tokenizers: dict[bytes, asyncio.Task[Tokenizer]] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """Names that can be asked for, sorted."""
        return tuple(sorted({member.info.model for member in self._verifiers.members if member.info is not None}))

    async def find(self, model: str) -> Target:
        """The target of this public name; empty: the only one that is served.

        Where verifiers of one name have several targets (an upgrade under way), most verifiers decide.

        Raises:
            UnknownModelError: nobody serves it; says what is served.
            UnavailableError: no verifier has answered yet, or the tokenizer cannot be fetched.
        """
        members = self._members_of(model)
        ready = [member for member in members if member.is_ready] or members
        digests = Counter(member.info.target_digest for member in ready if member.info is not None)
        digest = max(sorted(digests), key=digests.__getitem__)
        member = next(m for m in ready if m.info is not None and m.info.target_digest == digest)
        assert member.info is not None, "chosen by its info"
        return Target(member.info, await self._tokenizer(member, member.info))

    def _members_of(self, model: str) -> list[VerifierMember]:
        models = self.models
        if not models:
            raise UnavailableError("no verifier has answered yet")
        if not model and len(models) > 1:
            raise UnknownModelError(f"a model must be named; served: {', '.join(models)}")
        name = model or models[0]
        if name not in models:
            raise UnknownModelError(f"model {name!r} is not served; served: {', '.join(models)}")
        return [member for member in self._verifiers.members if member.info is not None and member.info.model == name]

    async def _tokenizer(self, member: VerifierMember, info: VerifierInfo) -> Tokenizer:
        task = self._tokenizers.get(info.tokenizer_digest)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(_fetch(member, info))
            self._tokenizers[info.tokenizer_digest] = task
        return await asyncio.shield(task)  # a request that is cancelled does not fail the others that wait


async def _fetch(member: VerifierMember, info: VerifierInfo) -> Tokenizer:
    files = await member.peer.tokenizer_files()
    tokenizer = await asyncio.to_thread(tokenizer_from_files, files)
    if tokenizer.vocabulary.digest != info.vocabulary_digest:
        raise InternalError(f"{member.address} serves a tokenizer that is not its own")
    return tokenizer
