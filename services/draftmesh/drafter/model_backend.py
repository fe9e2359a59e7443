"""The backend of a drafter with a model. The only module of the daemon that brings torch in."""

from __future__ import annotations

from collections.abc import Callable

from draftmesh.core.draft import DraftOpen
from draftmesh.core.endpoint import DrafterInfo, LoadReport
from draftmesh.core.protocols import TokenTable
from draftmesh.core.sampling import Method
from draftmesh.decoding.judge import Judge
from draftmesh.decoding.sampler import Sampler
from draftmesh.drafter.backend import Propose, T, Work
from draftmesh.drafter.config import DrafterConfig
from draftmesh.drafter.healing import HealingJudge
from draftmesh.drafter.model import ModelProposer
from draftmesh.drafter.proposer import Proposer, Sink
from draftmesh.engine.building import assemble
from draftmesh.engine.config import EngineConfig
from draftmesh.engine.engine import Engine
from draftmesh.engine.engine_thread import EngineThread
from draftmesh.engine.loading import LoadedModel, load_model
from draftmesh.engine.step_recorder import StepRecorder
from draftmesh.telemetry.metrics import DrafterMetrics

Load = Callable[[EngineConfig], LoadedModel]


class ModelBackend:
    """A model on an engine thread; see :class:`draftmesh.drafter.backend.Backend`."""

    def __init__(
        self, config: DrafterConfig, engine: EngineConfig, metrics: DrafterMetrics, load: Load = load_model
    ) -> None:
        """Prepare; :meth:`start` loads the model with ``load``."""
        self._config = config
        self._engine_config = engine
        self._load_model = load
        self._recorder = StepRecorder(metrics.batch_sequences, metrics.step_duration)
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

    def shared_tokens(self, target: TokenTable) -> int:
        """Tokens of the target whose bytes, or role, are those of a token of this model."""
        own = self._loaded.tokenizer.vocabulary
        known = set(own.items(range(len(own)))) - {b""}
        return sum(1 for token in range(len(target)) if (target.role(token) or target.token_bytes(token)) in known)

    def _build(self) -> Engine:
        self._loaded = self._load_model(self._engine_config)
        prepared, vocabulary = self._loaded.prepared, self._loaded.tokenizer.vocabulary
        judge = Judge(Sampler(vocabulary, self._loaded.model.device, prepared.vocab_rows))
        healing = HealingJudge(judge, vocabulary, prepared.vocab_rows)
        return assemble(prepared, self._engine_config, healing, self._loaded.vocabulary_size)

    def _propose_on(self, engine: Engine) -> Propose:
        def propose(request: DraftOpen, sink: Sink) -> Proposer:
            return ModelProposer(
                engine,
                self._loaded.tokenizer,
                request,
                sink,
                meter=self._recorder.record,
                healing=self._config.healing,
            )

        return propose

    def _describe(self) -> DrafterInfo:
        loaded = self._loaded
        return DrafterInfo(
            name=self._config.public_name,
            digest=loaded.digest,
            vocabulary_digest=loaded.tokenizer.vocabulary.digest,
            methods=(Method.EXACT,),
            max_context_tokens=self._thread.engine.limits.sequence_tokens,
            max_ahead_tokens=self._config.max_ahead_tokens,
            max_sessions=self._config.max_sessions,
            parameters=loaded.parameters,
            tokenizer_family=loaded.tokenizer.family.value,
        )
