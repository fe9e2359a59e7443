"""Loads, in virtual time on a server that is a clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from draftmesh.bench.serve.figures import figures, throughput
from draftmesh.bench.serve.load import Done, LoadRun, closed_loop, open_loop
from draftmesh.bench.serve.requests import Request
from draftmesh.core.errors import ExhaustedError, UnavailableError
from draftmesh.core.ledger import Ledger
from tests.helpers.virtual_time import run_virtual
from tests.unit.bench.builders import times

REQUESTS = tuple(Request("a", tokens, number) for number, tokens in enumerate((4, 2, 2, 2)))


@dataclass
class Server:
    """Takes a second for each token, however many it serves."""

    refuses: frozenset[int] = frozenset()
    fails: bool = False
    began: list[tuple[float, int]] = field(default_factory=list)
    most: int = 0
    _serving: int = 0

    async def serve(self, request: Request, due_s: float | None) -> Done:
        """Answer, and note when it was asked for what."""
        now_s = asyncio.get_running_loop().time()
        self.began.append((now_s, request.seed))
        if request.seed in self.refuses:
            raise ExhaustedError("full")
        if self.fails:
            raise UnavailableError("gone")
        self._serving += 1
        self.most = max(self.most, self._serving)
        await asyncio.sleep(request.max_tokens)
        self._serving -= 1
        requested_s = now_s if due_s is None else due_s
        stamps = ((now_s + n, n) for n in range(1, request.max_tokens + 1))
        return Done(times(*stamps, requested_s=requested_s), Ledger(rounds=1, drafted_tokens=4, accepted_tokens=1))


def closed(server: Server, concurrency: int, timeout_s: float = 100.0) -> LoadRun:
    """The requests, so many at a time."""
    return run_virtual(closed_loop(server.serve, REQUESTS, concurrency=concurrency, timeout_s=timeout_s))


def test_a_client_sends_its_next_request_when_its_last_is_answered() -> None:
    """Two clients: one is busy with the long request while the other one gets through two short ones."""
    server = Server()
    run = closed(server, 2)
    assert server.began == [(0.0, 0), (0.0, 1), (2.0, 2), (4.0, 3)]
    assert server.most == 2
    assert (len(run.done), run.refused, run.unfinished) == (4, 0, 0)


def test_the_load_is_whole_until_a_client_finds_nothing_to_do() -> None:
    """What comes after that is served under less load and counts for no throughput."""
    run = closed(Server(), 2)
    assert (run.started_s, run.full_until_s) == (0.0, 4.0)
    # [0, 4): three tokens of the long request, both of the first short one, one of the second; a token at 4 is late.
    assert throughput(run) == 6 / 4


def test_more_clients_than_requests_are_as_many_as_requests() -> None:
    """Nobody waits for work that will not come."""
    assert closed(Server(), 32).full_until_s == 2.0


def test_a_refused_request_is_counted_and_its_client_goes_on() -> None:
    """It has no latency."""
    run = closed(Server(refuses=frozenset({0, 2})), 1)
    assert (len(run.done), run.refused, run.unfinished) == (2, 2, 0)


def test_what_is_not_answered_in_time_is_counted_as_such() -> None:
    """The others are kept, and nothing goes on behind the benchmark's back."""
    run = closed(Server(), 2, timeout_s=3.5)
    assert (len(run.done), run.unfinished, run.full_until_s) == (1, 3, 3.5)


def test_a_server_that_fails_ends_the_benchmark() -> None:
    """With its own error."""
    with pytest.raises(UnavailableError, match="gone"):
        closed(Server(fails=True), 2)


def test_requests_arrive_by_their_timetable_whoever_is_served() -> None:
    """The long one does not hold up those that follow; the load is whole until the last one has arrived."""
    server = Server()
    run = run_virtual(open_loop(server.serve, REQUESTS, (0.5, 1.0, 1.5, 9.0), timeout_s=100.0))
    assert server.began == [(0.5, 0), (1.0, 1), (1.5, 2), (9.0, 3)]
    assert server.most == 3
    assert run.full_until_s == 9.0
    assert [one.times.first_token_s for one in run.done] == [1.0] * 4


def test_the_figures_of_a_load_are_those_of_all_requests_and_repeats() -> None:
    """Throughput by repeat, latencies of all."""
    runs = [closed(Server(), 2), closed(Server(), 1)]
    found = figures(runs, [1.0, 3.0])
    assert found.tokens_per_second.count == 2
    assert (found.tokens, found.requests, found.batch_sequences) == (20, 8, 2.0)
    assert found.duration_ms is not None
    assert found.per_token_ms is not None
    assert (found.duration_ms.p50, found.per_token_ms.p99) == (2000.0, 1000.0)
    assert (found.acceptance_rate, found.draft_length) == (0.25, 4.0)
    assert found.requests_per_second == pytest.approx((4 / 6 + 4 / 10) / 2)


def test_a_load_of_which_nothing_was_answered_has_no_latency() -> None:
    """Rather than one of 0."""
    found = figures([closed(Server(refuses=frozenset(range(4))), 2)])
    assert (found.first_token_ms, found.duration_ms, found.refused, found.requests) == (None, None, 4, 0)
    assert found.batch_sequences is None
