"""Runs one session's generation loop on fakes, in virtual time."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import tokenizers
from opentelemetry.metrics import NoOpMeter
from opentelemetry.trace import NoOpTracer

from draftmesh.coordinator.loop.company import Companies, Company
from draftmesh.coordinator.loop.config import GenerationConfig
from draftmesh.coordinator.loop.generation import Generation, Instruments, Job
from draftmesh.coordinator.loop.rest import RestConfig
from draftmesh.coordinator.loop.transcript import Advance, TokenSpan
from draftmesh.coordinator.pools.seats import SeatSource
from draftmesh.core.endpoint import CostPoint, LoadReport, TokenizerFile
from draftmesh.core.ledger import Ledger
from draftmesh.core.protocols import Drafter, Verifier
from draftmesh.core.sampling import FinishReason, Method, NoiseKey, SamplingParams, StopConditions
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict
from draftmesh.telemetry.metrics import CoordinatorMetrics
from draftmesh.tokenization import DraftTranslator, Tokenizer, tokenizer_from_files
from tests.helpers.clocks import FakeClock
from tests.helpers.peers.seats import FakeSeat, FakeSeats, PeerT

PROSE = (
    "the drafter proposes and the target disposes; für alle Fälle gibt es Brücken – und 🙂 auch.\n"
    "def step(engine):\n    return engine.step() if engine else None\n"
) * 4
EOS_TEXT = "<|end|>"


@functools.cache
def tiny_tokenizer_files() -> tuple[TokenizerFile, ...]:
    """A byte-level BPE of some 400 tokens."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[EOS_TEXT],
        show_progress=False,
    )
    tokenizer.train_from_iterator([PROSE], trainer)
    config = {"eos_token": EOS_TEXT}
    return (
        TokenizerFile("tokenizer.json", tokenizer.to_str().encode()),
        TokenizerFile("tokenizer_config.json", json.dumps(config).encode()),
    )


@functools.cache
def tiny_tokenizer() -> Tokenizer:
    """The tokenizer of these files."""
    return tokenizer_from_files(tiny_tokenizer_files())


def eos_id() -> int:
    """The end token."""
    return min(tiny_tokenizer().vocabulary.terminal_ids)


@dataclass
class Recorder:
    """An ``Output`` that keeps everything."""

    advances: list[Advance] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    async def advance(self, advance: Advance, ledger: Ledger) -> None:
        """Part of ``Output``."""
        self.advances.append(advance)
        self.ledger = ledger

    @property
    def tokens(self) -> tuple[TokenSpan, ...]:
        """All committed tokens."""
        return tuple(token for advance in self.advances for token in advance.tokens)

    @property
    def ids(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(token.id for token in self.tokens)

    @property
    def text(self) -> bytes:
        """All that a client was shown."""
        return b"".join(advance.text for advance in self.advances)[: self.advances[-1].ready_length]

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why it ended."""
        return self.advances[-1].finish_reason


def job_of(
    stop: StopConditions | None = None, *, method: Method = Method.EXACT, draft_tokens: int = 8, epoch: int = 1
) -> Job:
    """A job with a prompt of three tokens."""
    return Job(
        session_id="session",
        session_epoch=epoch,
        prompt_ids=(1, 2, 3),
        context=(b"prompt",),
        sampling=SamplingParams(),
        stop=stop or StopConditions(max_tokens=64),
        noise_key=NoiseKey(bytes(16)),
        method=method,
        draft_tokens=draft_tokens,
        target_digest=b"target",
        vocabulary_digest=tiny_tokenizer().vocabulary.digest,
    )


def make_instruments() -> Instruments:
    """On the loop's clock, with random numbers of a seed, and metrics that nobody reads."""
    return Instruments(FakeClock(), Random(0), NoOpTracer(), CoordinatorMetrics.create(NoOpMeter("test")))


class Tireless(Companies):
    """Companies that have had their first rest and find drafting good, whatever comes of it."""

    def __init__(self) -> None:
        super().__init__(RestConfig(tolerance_steps=1e9, first_tokens=1))

    def at(self, address: str) -> Company:
        """One that does not rest."""
        company = super().at(address)
        alone = Verdict(1, RoundStatus.DONE, TokenPrefix(), 0, (1,), batch_sequences=6, batch_rows=6)
        with company.joined():
            while company.rest_tokens(CROWDED):
                company.observe(100.0, alone, CROWDED, draft_tokens=1)
        return company


def make_generation(
    job: Job,
    verifiers: SeatSource[Verifier],
    drafters: SeatSource[Drafter] | None,
    output: Recorder,
    config: GenerationConfig | None = None,
    *,
    companies: Companies | None = None,
) -> Generation:
    """A generation with real translation and fake services, whose company does not rest unless it is given."""
    return Generation(
        job,
        table=tiny_tokenizer().vocabulary,
        translator=DraftTranslator(tiny_tokenizer()),
        verifiers=verifiers,
        drafters=drafters,
        output=output,
        config=config or GenerationConfig(),
        companies=companies or Tireless(),
        instruments=make_instruments(),
    )


IDLE = LoadReport()
CROWDED = LoadReport(active_sessions=6, costs=(CostPoint(1, 100.0), CostPoint(16, 130.0)))
"""Of a verifier whose steps many sessions share, and which waits for drafts that are near."""

HURRIED = LoadReport(active_sessions=6, costs=(CostPoint(1, 2.0), CostPoint(16, 2.2)))
"""Of one whose steps are so short that drafts join them when they come."""


def seats_of(*peers: PeerT, limit_tokens: int = 16, load: LoadReport = IDLE) -> FakeSeats[PeerT]:
    """A pool of these, each under this load."""
    seats = (FakeSeat(f"peer-{number}", "fake", peer, limit_tokens, load=load) for number, peer in enumerate(peers))
    return FakeSeats(*seats)


def text_of(ids: Sequence[int]) -> bytes:
    """The bytes of target tokens."""
    return tiny_tokenizer().decode_bytes(ids)
