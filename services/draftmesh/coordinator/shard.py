"""One coordinator shard: takes requests, runs their sessions, and knows the pools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from opentelemetry.trace import Tracer

from draftmesh.coordinator.admission import Admission
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.coordinator.learning.traffic import temperature_band, traffic_of
from draftmesh.coordinator.loop.company import Companies
from draftmesh.coordinator.loop.generation import Generation, Instruments, Job
from draftmesh.coordinator.methods.candidates import Option, candidates
from draftmesh.coordinator.methods.choice import MethodChoice, Situation
from draftmesh.coordinator.pools.drafter_seating import DrafterRouting, DrafterSeats
from draftmesh.coordinator.pools.pool import DrafterMember, DrafterPool, VerifierPool
from draftmesh.coordinator.pools.seating import VerifierSeats
from draftmesh.coordinator.requests import (
    GenerationRequest,
    Prompt,
    check_method,
    draft_tokens,
    encode_prompt,
    stop_conditions,
)
from draftmesh.coordinator.routing.candidate import Wish
from draftmesh.coordinator.routing.profile import verifier_profile
from draftmesh.coordinator.routing.scorers import PrefixAffinity
from draftmesh.coordinator.sessions.ids import new_session_id
from draftmesh.coordinator.sessions.live import LiveSession
from draftmesh.coordinator.sessions.record import SessionRecord
from draftmesh.coordinator.sessions.store import SessionStore
from draftmesh.coordinator.targets import Target, Targets
from draftmesh.core.errors import UnknownModelError
from draftmesh.core.protocols import Clock
from draftmesh.core.sampling import Method
from draftmesh.decoding.noise_key import mint_noise_key
from draftmesh.telemetry import tracing
from draftmesh.telemetry.metrics import CoordinatorMetrics
from draftmesh.tokenization import DraftTranslator

_OFF = Option(Method.OFF)


@dataclass(frozen=True, slots=True)
class Pools:
    """Who is there."""

    drafters: DrafterPool
    verifiers: VerifierPool


class Shard:
    """The sessions of one shard. Lives in one event loop."""

    def __init__(
        self,
        config: CoordinatorConfig,
        pools: Pools,
        store: SessionStore,
        *,
        clock: Clock,
        random: Random,
        tracer: Tracer,
        metrics: CoordinatorMetrics,
    ) -> None:
        self.config = config
        self.pools = pools
        self._store = store
        self._instruments = Instruments(clock, random, tracer, metrics)
        self._targets = Targets(pools.verifiers)
        self._admission = Admission(config.admission)
        self._companies = Companies(config.generation.draft_length.company)
        self._choice = MethodChoice(config.method_choice, random)
        self._affinity = PrefixAffinity()
        pools.verifiers.on_left = self._forget_verifier
        self._verifier_profile = verifier_profile(self._affinity, random)
        self._drafter_routing = DrafterRouting.create(config.routing, self._instruments)
        pools.drafters.on_left = self._drafter_routing.rates.forget
        self._live: dict[str, LiveSession] = {}

    @asynccontextmanager
    async def session(self, request: GenerationRequest) -> AsyncIterator[LiveSession]:
        """A new session that generates; leaving the context before its end cancels it.

        Raises:
            DraftmeshError: the request is wrong, or cannot be served now.
        """
        async with self._admission.slot():
            live, generation, drafters = await self._prepare(request)
            self._live[live.record.session_id] = live
            try:
                with self._instruments.tracer.start_as_current_span(
                    tracing.SPAN_SESSION, attributes=_attributes(live.record)
                ) as span:
                    await live.start(generation)
                    yield live
                    span.set_attributes(_results(live.record))
            finally:
                await live.cancel()
                del self._live[live.record.session_id]
                self._learn(live, generation, drafters)

    def find_live(self, session_id: str) -> LiveSession | None:
        """The session, if it runs in this shard."""
        return self._live.get(session_id)

    async def record(self, session_id: str) -> SessionRecord:
        """The newest record of a session of this shard; raises UnknownSessionError."""
        live = self._live.get(session_id)
        return live.record if live is not None else await self._store.load(session_id)

    async def cancel(self, session_id: str) -> bool:
        """End a session; False if it had ended before. Raises UnknownSessionError."""
        live = self._live.get(session_id)
        if live is None:
            await self._store.load(session_id)
            return False
        return await live.cancel()

    async def drain(self) -> None:
        """Take no more sessions, and wait for those that run."""
        self._admission.close()
        while self._live:
            await asyncio.gather(*(live.ended() for live in tuple(self._live.values())))
            await asyncio.sleep(0)  # lets their readers leave

    async def _prepare(self, request: GenerationRequest) -> tuple[LiveSession, Generation, DrafterSeats]:
        target = await self._targets.find(request.model)
        self._check_drafter_name(request)
        known = [member.info for member in self._drafters(request) if member.info is not None]
        check_method(request.method, target.info, known, trusted=self.config.trust_drafters)
        prompt = await encode_prompt(request, target)
        job, drafters = self._make_job(request, target, prompt)
        live = LiveSession(_record_of(job, target), self._store, self._instruments.clock, self._instruments.metrics)
        translator = DraftTranslator(target.tokenizer)
        translator.commit(job.prompt_ids)
        generation = Generation(
            job,
            table=target.tokenizer.vocabulary,
            translator=translator,
            verifiers=self._verifier_seats(job),
            drafters=drafters,
            output=live,
            config=self.config.generation,
            companies=self._companies,
            instruments=self._instruments,
        )
        return live, generation, drafters

    def _make_job(self, request: GenerationRequest, target: Target, prompt: Prompt) -> tuple[Job, DrafterSeats]:
        """The job, and where its drafters come from."""
        num_draft_tokens = draft_tokens(request, self.config)
        option = self._option(request, target) if num_draft_tokens or request.method is not Method.AUTO else _OFF
        job = Job(
            session_id=new_session_id(self.config.shard),
            session_epoch=1,
            prompt_ids=prompt.ids,
            context=prompt.context,
            sampling=request.sampling,
            stop=stop_conditions(request, prompt, target, self.config.default_max_tokens),
            noise_key=mint_noise_key(request.seed, prompt.ids),
            method=option.method,
            draft_tokens=num_draft_tokens,
            target_digest=target.info.target_digest,
            vocabulary_digest=target.info.vocabulary_digest,
        )
        return job, self._drafter_seats(request, job, option)

    def _option(self, request: GenerationRequest, target: Target) -> Option:
        """The method of a session, chosen here if the client leaves it open."""
        if request.method is not Method.AUTO:
            return Option(request.method)
        ready = [member.info for member in self._drafters(request) if member.is_ready and member.info is not None]
        options = candidates(target.info, ready, trusted=self.config.trust_drafters, seeded=request.seed is not None)
        situation = Situation(target.info.target_digest, temperature_band(request.sampling.temperature))
        return self._choice.choose(situation, options)

    def _learn(self, live: LiveSession, generation: Generation, drafters: DrafterSeats) -> None:
        """What a session has achieved, for those whose method is chosen here; with two models it tells of neither."""
        record = live.record
        digest = generation.drafter_digest
        if record.failure or len(drafters.served) > 1 or (record.method is not Method.OFF and not digest):
            return
        situation = Situation(record.target_digest, temperature_band(record.sampling.temperature))
        self._choice.record(situation, Option(record.method, digest), generation.decoded)

    def _forget_verifier(self, address: str) -> None:
        self._affinity.forget(address)
        self._companies.forget(address)

    def _drafters(self, request: GenerationRequest) -> list[DrafterMember]:
        """Those that the request allows."""
        members, name = self.pools.drafters.members, request.drafter
        return [member for member in members if not name or (member.info is not None and member.info.name == name)]

    def _drafter_seats(self, request: GenerationRequest, job: Job, option: Option) -> DrafterSeats:
        wish = Wish(
            job.method,
            job.target_digest,
            name=request.drafter,
            vocabulary_digest=job.vocabulary_digest,
            preferred_digest=option.drafter_digest or None,
        )
        temperature, prompt_tokens = job.sampling.temperature, len(job.prompt_ids)
        traffic = traffic_of(job.target_digest, job.method, temperature=temperature, prompt_tokens=prompt_tokens)
        return DrafterSeats(self.pools.drafters, self._drafter_routing, wish, traffic)

    def _verifier_seats(self, job: Job) -> VerifierSeats:
        wish = Wish(
            job.method,
            job.target_digest,
            context_tokens=len(job.prompt_ids) + job.stop.max_tokens,
            prompt_ids=job.prompt_ids,
        )
        return VerifierSeats(self.pools.verifiers, self._verifier_profile, wish, self._affinity)

    def _check_drafter_name(self, request: GenerationRequest) -> None:
        names = sorted({member.info.name for member in self.pools.drafters.members if member.info is not None})
        if request.drafter and request.drafter not in names:
            raise UnknownModelError(f"no drafter is named {request.drafter!r}; there are: {', '.join(names) or 'none'}")


def _record_of(job: Job, target: Target) -> SessionRecord:
    return SessionRecord(
        session_id=job.session_id,
        session_epoch=job.session_epoch,
        model=target.info.model,
        target_digest=job.target_digest,
        method=job.method,
        prompt_ids=job.prompt_ids,
        sampling=job.sampling,
        stop=job.stop,
        noise_key=job.noise_key,
    )


def _attributes(record: SessionRecord) -> dict[str, str | int]:
    return {
        tracing.SESSION_ID: record.session_id,
        tracing.METHOD: record.method.label,
        tracing.GEN_AI_MODEL: record.model,
        tracing.GEN_AI_INPUT_TOKENS: len(record.prompt_ids),
    }


def _results(record: SessionRecord) -> dict[str, str | int]:
    reason = record.finish_reason.name.lower() if record.finish_reason is not None else "error"
    return {
        tracing.GEN_AI_OUTPUT_TOKENS: len(record.tokens),
        tracing.GEN_AI_FINISH_REASONS: reason,
        tracing.ACCEPTED_TOKENS: record.ledger.accepted_tokens,
        tracing.DRAFTED_TOKENS: record.ledger.drafted_tokens,
    }
