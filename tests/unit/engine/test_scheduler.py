"""The scheduler: budget, chunks, turns, and whom it preempts."""

from __future__ import annotations

from collections.abc import Sequence

from draftmesh.core.sampling import Method
from draftmesh.engine.block_pool import BlockPool
from draftmesh.engine.paging import Paging
from draftmesh.engine.scheduler import Scheduler
from draftmesh.engine.sequence import Sequence as EngineSequence
from tests.helpers.engines import RecordingListener, new_history


class Desk:
    """A scheduler and its sequences; ``step`` pretends that every scheduled row was computed."""

    def __init__(self, *, budget: int, blocks: int = 64, block_size: int = 4) -> None:
        self.paging = Paging(BlockPool(blocks, block_size))
        self.scheduler = Scheduler(self.paging, budget)
        self._ids = iter(range(1, 100))

    def add(self, num_tokens: int, *, draft: int = 0, busy: bool = True, first_token: int = 0) -> EngineSequence:
        """A sequence with ``num_tokens`` tokens."""
        sequence_id = next(self._ids)
        tokens = [first_token + 1000 * sequence_id + position for position in range(num_tokens)]
        seq = EngineSequence(
            sequence_id, tokens, num_tokens, new_history([], 9), RecordingListener(), method=Method.EXACT
        )
        if busy:
            seq.begin((1,) * draft, None, 0)
        self.scheduler.add(seq)
        return seq

    def step(self) -> list[tuple[int, int, int, bool]]:
        """(sequence, start, count, judged) of each part of the next step."""
        batch = self.scheduler.schedule()
        for rows in batch:
            rows.seq.num_computed = min(rows.start + rows.count, len(rows.seq.tokens))
            if rows.judged:
                rows.seq.rest()
        return [(rows.seq.sequence_id, rows.start, rows.count, rows.judged) for rows in batch]


def counts(step: Sequence[tuple[int, int, int, bool]]) -> list[tuple[int, int]]:
    """(sequence, rows) of each part."""
    return [(sequence, count) for sequence, _, count, _ in step]


def test_a_long_prompt_is_cut_into_chunks_and_judged_in_its_last() -> None:
    """No logits are wanted before the row of the newest token."""
    desk = Desk(budget=8)
    desk.add(19)
    assert [desk.step() for _ in range(4)] == [[(1, 0, 8, False)], [(1, 8, 8, False)], [(1, 16, 3, True)], []]


def test_chunks_and_drafts_share_a_step() -> None:
    """What a draft leaves of the budget goes to a prompt."""
    desk = Desk(budget=8)
    desk.add(30)
    desk.add(1, draft=4)
    assert counts(desk.step()) == [(2, 5), (1, 3)]


def test_a_draft_is_never_cut_from_its_base_row() -> None:
    """A draft that does not fit what is left waits whole, and comes first in the next step."""
    desk = Desk(budget=8)
    desk.add(1, draft=5)
    desk.add(1, draft=5)
    assert desk.step() == [(1, 0, 6, True)]
    assert desk.scheduler.waiting == 1
    assert desk.step() == [(2, 0, 6, True)]


def test_a_chunk_stops_before_the_row_that_belongs_to_the_draft() -> None:
    """With room for the prompt but not for its draft, the newest token is left to the next step."""
    desk = Desk(budget=8)
    desk.add(6, draft=4)
    assert [desk.step() for _ in range(2)] == [[(1, 0, 5, False)], [(1, 5, 5, True)]]


def test_a_prompt_is_not_starved_by_decoders() -> None:
    """Who got nothing comes first in the next step, even when it has to be cut."""
    desk = Desk(budget=2)
    long = desk.add(20)
    decoders = [desk.add(1), desk.add(1)]
    assert counts(desk.step()) == [(2, 1), (3, 1)]
    assert long.waited
    for decoder in decoders:
        decoder.begin((), None, 0)
    assert counts(desk.step()) == [(1, 2)]


def test_turns_go_round() -> None:
    """Those that were served go behind the others."""
    desk = Desk(budget=1)
    seqs = [desk.add(1) for _ in range(3)]
    served = []
    for _ in range(6):
        served.append(desk.step()[0][0])
        for seq in seqs:
            seq.begin((), None, 0)
    assert sorted(served) == [1, 1, 2, 2, 3, 3]


def test_an_open_sequence_is_computed_up_to_its_newest_token_ahead_of_a_request() -> None:
    """The newest token's row is left for the request, whose logits it gives."""
    desk = Desk(budget=8)
    seq = desk.add(6, busy=False)
    assert desk.step() == [(1, 0, 5, False)]
    seq.begin((), None, 0)
    assert desk.step() == [(1, 5, 1, True)]


def test_the_youngest_busy_sequence_is_preempted() -> None:
    """Of two busy sequences the older one takes the blocks; the younger one starts over."""
    desk = Desk(budget=16, blocks=4)
    older, younger = desk.add(4), desk.add(12)
    assert counts(desk.step()) == [(1, 4), (2, 12)]
    older.tokens.append(5)
    older.begin((), None, 0)
    younger.begin((), None, 0)
    assert counts(desk.step())[0] == (1, 1)
    assert (younger.num_computed, younger.block_table) == (0, [])
    assert desk.scheduler.preemptions == 1


def test_a_resting_sequence_yields_before_a_busy_one() -> None:
    """Even an older sequence gives way while it has nothing to do."""
    desk = Desk(budget=16, blocks=4)
    resting = desk.add(9, busy=False)
    desk.step()
    assert len(resting.block_table) == 2
    desk.add(12)
    assert counts(desk.step()) == [(2, 12)]
    assert resting.block_table == []


def test_a_preempted_resting_sequence_waits_for_its_next_request() -> None:
    """It does not fight for blocks that nobody asked it to use."""
    desk = Desk(budget=16, blocks=4)
    resting = desk.add(9, busy=False)
    desk.step()
    desk.scheduler.remove(desk.add(1, busy=False))
    desk.add(12)
    desk.step()
    assert desk.step() == []
    resting.begin((), None, 0)
    assert counts(desk.step()) == [(1, 9)]


def test_a_younger_sequence_waits_for_an_older_busy_one() -> None:
    """It takes nothing, and nobody is preempted in vain."""
    desk = Desk(budget=16, blocks=4)
    desk.add(13)
    desk.add(8)
    assert counts(desk.step()) == [(1, 13)]
    assert desk.scheduler.waiting == 1
    assert desk.scheduler.preemptions == 0


def test_an_older_busy_sequence_is_never_preempted() -> None:
    """Not even by one that has waited longer: it takes its turn, and the younger one goes on waiting."""
    desk = Desk(budget=8, blocks=2)
    older = desk.add(4)
    desk.step()
    older.begin((), None, 0)
    younger = desk.add(5)
    younger.waited = True
    assert counts(desk.step()) == [(1, 1)]
    assert younger.waited
    assert desk.scheduler.preemptions == 0
