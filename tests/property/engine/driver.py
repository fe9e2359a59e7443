"""Drives an engine through any interleaving of what its callers may do; shared by the property tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from draftmesh.engine.engine import Engine
from draftmesh.engine.sequence import Sequence as EngineSequence
from tests.helpers.engines import FakeRunDrafter, RecordingListener, open_sequence, run_dry

Predict = Callable[[Sequence[int]], int]
"""The token that the model itself would say next."""


@dataclass(frozen=True)
class Open:
    """Open a sequence on the first tokens of a text that others share, and some of its own."""

    shared: int
    own: tuple[int, ...]
    looked_up: int | None = None
    """A run drafter says so many right tokens and a wrong one; None: there is none."""


@dataclass(frozen=True)
class Copy:
    """Open a sequence on all that another one has said, as after a failover; the two share what is computed."""

    which: int


@dataclass(frozen=True)
class Submit:
    """Interrupt, then request: a draft with ``good`` tokens as predicted and ``bad`` other ones, then ``run`` more."""

    which: int
    good: int
    bad: int
    run: int


@dataclass(frozen=True)
class Rewind:
    """Interrupt, take back up to ``drop`` generated tokens, append ``extra`` settled ones."""

    which: int
    drop: int
    extra: tuple[int, ...]


@dataclass(frozen=True)
class Close:
    """Close a sequence, at whatever point it is."""

    which: int


@dataclass(frozen=True)
class Steps:
    """Take some steps."""

    count: int


Operation = Open | Copy | Submit | Rewind | Close | Steps


def operations(vocabulary_size: int, longest_shared: int) -> st.SearchStrategy[list[Operation]]:
    """Lists of operations."""
    which = st.integers(0, 5)
    few = st.sampled_from([1, 2, vocabulary_size - 1])  # so that sequences often say the same, and share blocks
    tokens = st.lists(few, min_size=1, max_size=2).map(tuple)
    shared = st.sampled_from([0, 3, longest_shared]) | st.integers(0, longest_shared)
    opens = st.builds(Open, shared, tokens, st.none() | st.integers(0, 3))
    submits = st.builds(Submit, which, st.integers(0, 4), st.integers(0, 2), st.integers(0, 12))
    rewinds = st.builds(Rewind, which, st.integers(0, 9), st.just(()) | tokens)
    steps = st.builds(Steps, st.integers(1, 8))
    anything = st.one_of(
        opens, submits, submits, rewinds, steps, steps, st.builds(Copy, which), st.builds(Close, which)
    )
    # Two sequences at work, then anything: short lists would seldom share, rewind or run out of blocks.
    start = st.tuples(opens, opens, submits, submits, steps)
    return st.tuples(start, st.lists(anything, min_size=10, max_size=40)).map(lambda pair: [*pair[0], *pair[1]])


class Driver:
    """Applies operations; after each step the books must agree."""

    def __init__(self, engine: Engine, shared_text: Sequence[int], predict: Predict) -> None:
        self._engine = engine
        self._shared_text = shared_text
        self._predict = predict
        self._open: list[tuple[EngineSequence, RecordingListener]] = []

    def apply(self, operation: Operation) -> None:
        """Do one thing, if it is possible now."""
        if isinstance(operation, Open):
            self._start([*self._shared_text[: operation.shared], *operation.own], [], operation.looked_up)
        elif isinstance(operation, Steps):
            for _ in range(operation.count):
                self._engine.step()
                self._engine.check_integrity()
        elif self._open:
            self._apply_to(self._open[operation.which % len(self._open)], operation)

    def finish(self) -> None:
        """Let all requests end, then close everything: all blocks must be free again, and nobody have failed."""
        run_dry(self._engine)
        assert not any(seq.busy for seq, _ in self._open), "a request was forgotten"
        for seq, listener in self._open:
            assert listener.errors == []
            assert len(seq.history) == seq.generated_length
            self._engine.close(seq)
        self._engine.check_integrity()
        assert self._engine.stats.free_blocks == self._engine.stats.total_blocks

    def _start(self, prompt: list[int], generated: list[int], looked_up: int | None = None) -> None:
        size = self._engine.limits.vocabulary_size
        drafter = None if looked_up is None else FakeRunDrafter(self._predict, looked_up, size)
        fits = len(prompt) + len(generated) < self._engine.limits.sequence_tokens
        if fits and self._engine.stats.sequences < self._engine.limits.max_sequences:
            self._open.append(open_sequence(self._engine, prompt, generated, run_drafter=drafter))

    def _apply_to(self, pair: tuple[EngineSequence, RecordingListener], operation: Operation) -> None:
        seq, _ = pair
        if isinstance(operation, Copy):
            self._start(seq.tokens[: seq.prompt_length], seq.tokens[seq.prompt_length :])
        elif isinstance(operation, Close):
            self._engine.close(seq)
            self._open.remove(pair)
        elif isinstance(operation, Submit):
            self._engine.interrupt(seq)
            self._submit(seq, operation)
        elif isinstance(operation, Rewind):
            self._engine.interrupt(seq)
            self._engine.rewind(seq, max(seq.prompt_length, len(seq.tokens) - operation.drop))
            self._engine.extend(seq, operation.extra[: max(0, self._engine.room(seq))])
        self._engine.check_integrity()

    def _submit(self, seq: EngineSequence, operation: Submit) -> None:
        if (room := self._engine.room(seq)) < 0:
            return
        text = list(seq.tokens)
        for _ in range(min(operation.good, room)):
            text.append(self._predict(text))
        for _ in range(operation.bad):
            text.append((self._predict(text) + 1) % self._engine.limits.vocabulary_size)
        self._engine.submit(seq, text[len(seq.tokens) :][:room], run=operation.run)
