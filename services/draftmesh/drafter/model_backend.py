"""The backend of a drafter with a model. The only module of the daemon that brings torch in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from draftmesh.core.draft import DraftOpen
from draftmesh.core.endpoint import DrafterInfo, LoadReport
from draftmesh.core.sampling import Method
from draftmesh.drafter.backend import Propose, T, Work
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.judge import draft_judge
from draftmesh.drafter.opening import Meters, Opening
from draftmesh.drafter.proposer import Proposer, Sink
from draftmesh.drafter.proposers import Proposers
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.string_proposer import PsiLimits
from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.engine.loading import LoadedModel, load_model
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import DrafterMetrics
from draftmesh.tokenization.vocabulary import Vocabulary

Load = Callable[[EngineConfig], LoadedModel]


class ModelBackend:
    """A model on an engine thread; see :class:`draftmesh.drafter.backend.Backend`."""

    knows_confidence = True

    def __init__(
        self, config: DrafterConfig, engine: EngineConfig, metrics: DrafterMetrics, load: Load = load_model
    ) -> None:
        """Prepare; :meth:`start` loads the model with ``load``."""
        self._config = config
        self._engine_config = engine
        self._load_model = load
        recorder = StepRecorder(metrics.batch_sequences, metrics.step_duration)
        self._meters = Meters(recorder.record, metrics.draft_rows.add, metrics.psi_rows.add, metrics.psi.add)
        self._thread = EngineThread(self._build, threads=engine.threads, name="drafter-engine")

    def start(self) -> None:
        """Load the model and start the engine; blocks for as long as that takes.

        Raises:
            ConfigError: no such model.
            UnsupportedModelError, UnsupportedTokenizerError: it would draft wrongly.
        """
        self._thread.start()
        self.tokenizer_files = self._loaded.tokenizer.files
        self.info = self._describe()

    def close(self) -> None:
        """Stop the engine; what is open fails UNAVAILABLE."""
        self._thread.close()

    def post(self, work: Work[None]) -> None:
        """Run ``work`` on the engine's thread between two steps."""
        self._thread.post(lambda engine: work(self._propose_on(engine)))

    async def call(self, work: Work[T]) -> T:
        """The result of ``work``, run as by :meth:`post`."""
        return await self._thread.call(lambda engine: work(self._propose_on(engine)))

    def load(self) -> LoadReport:
        """What the engine measures."""
        return self._thread.engine.stats.load

    def prepare(self, request: DraftOpen, target: Vocabulary | None) -> None:
        """Compare the vocabularies, if the session needs that and it is not done yet."""
        self._proposers.prepare(request, target)

    def shared_tokens(self, target: Vocabulary) -> int:
        """Tokens of the target that can be proposed one to one."""
        return self._proposers.shared_tokens(target)

    def _build(self) -> Engine:
        self._loaded = self._load_model(self._engine_config)
        prepared, tokenizer = self._loaded.prepared, self._loaded.tokenizer
        limits = PsiLimits(self._config.max_psi_paths, SequenceBudget(self._config.extra_sequences))
        self._proposers = Proposers(
            tokenizer,
            prepared.vocab_rows,
            self._loaded.device,
            psi=limits,
            healing=self._config.healing,
            max_vocabularies=self._config.max_vocabularies,
        )
        judge = draft_judge(tokenizer.vocabulary, prepared.vocab_rows, self._loaded.device)
        roomy = replace(
            self._engine_config, max_sequences=self._engine_config.max_sequences + self._config.extra_sequences
        )
        return assemble(prepared, roomy, judge, self._loaded.vocabulary_size)

    def _propose_on(self, engine: Engine) -> Propose:
        def propose(request: DraftOpen, target: Vocabulary | None, sink: Sink) -> Proposer:
            opening = Opening.of(engine, self._loaded.tokenizer, request, self._meters)
            return self._proposers.begin(opening, target, sink)

        return propose

    def _describe(self) -> DrafterInfo:
        loaded, limit_tokens = self._loaded, self._thread.engine.limits.sequence_tokens
        # These decide about ψ, so drafters of one digest must have the same.
        bounds = b"".join(bound.to_bytes(8, "little") for bound in (limit_tokens, self._config.max_psi_paths))
        digest = hashlib.sha256(b"draftmesh drafter 2" + loaded.digest + bounds).digest()
        return DrafterInfo(
            name=self._config.public_name,
            digest=digest,
            vocabulary_digest=loaded.tokenizer.vocabulary.digest,
            methods=(Method.EXACT, Method.TLI, Method.TLI_EXACT, Method.REJECTION, Method.SLRS),
            max_context_tokens=limit_tokens,
            max_ahead_tokens=self._config.max_ahead_tokens,
            max_sessions=self._config.max_sessions,
            parameters=loaded.parameters,
            tokenizer_family=loaded.tokenizer.family.value,
        )
