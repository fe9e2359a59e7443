"""When all sessions that share a target's steps stop to draft."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

import pytest

from draftmesh.coordinator.loop.company import Companies, Company
from draftmesh.coordinator.loop.draft_length import DraftLengthConfig
from draftmesh.core.endpoint import CostPoint, LoadReport
from draftmesh.core.text import TokenPrefix
from draftmesh.core.verify import RoundStatus, Verdict

CONFIG = DraftLengthConfig().company
STEP_MS = 100.0


def load(sessions: int) -> LoadReport:
    """Of a target with so many sessions; its steps take longer the more they are."""
    return LoadReport(active_sessions=sessions, costs=(CostPoint(1, STEP_MS), CostPoint(64, 2 * STEP_MS)))


DRAFT_TOKENS = 8


def tell(company: Company, sessions: int, elapsed_ms: float, tokens: int = 1, *, rows: int = 0) -> None:
    """One of so many sessions has a verdict; its step had so many rows."""
    ids = (1,) * tokens
    verdict = Verdict(1, RoundStatus.DONE, TokenPrefix(), 0, ids, batch_sequences=sessions, batch_rows=rows or sessions)
    company.observe(elapsed_ms, verdict, load(sessions), draft_tokens=DRAFT_TOKENS)


@dataclass
class Crowd:
    """Sessions that draft when they may, in virtual time; a step alone takes 100 ms for all of them."""

    company: Company
    sessions: int
    gain: float
    """Tokens in a time with drafting, by those without."""

    random: Random = field(default_factory=lambda: Random(3))
    tokens: float = 0.0
    """Of all sessions together."""

    elapsed_ms: float = 0.0
    drafted_tokens: int = 0

    def step(self) -> None:
        """Every session has a verdict."""
        drafts = not self.company.rest_tokens(load(self.sessions))
        for _ in range(self.sessions):
            tokens = self.random.choice((1, 1, 2, 4)) if drafts else 1
            elapsed_ms = STEP_MS * (2.0 / self.gain if drafts else 1.0)  # drafts say two tokens in the mean
            tell(self.company, self.sessions, elapsed_ms, tokens)
            self.tokens += tokens
            self.elapsed_ms += elapsed_ms
            self.drafted_tokens += tokens if drafts else 0

    def run(self, tokens: int) -> None:
        """Until each has said so many more, in the mean."""
        enough = self.tokens + tokens * self.sessions
        with ExitStack() as members:
            for _ in range(self.sessions):
                members.enter_context(self.company.joined())
            while self.tokens < enough:
                self.step()

    @property
    def speed(self) -> float:
        """By that of sessions that never draft."""
        return self.tokens * STEP_MS / self.elapsed_ms


def test_one_that_is_alone_never_rests() -> None:
    """It has a rest of its own."""
    company = Company(CONFIG)
    with company.joined():
        for _ in range(100):
            tell(company, 1, 1000.0)
    assert company.rest_tokens(load(1)) == 0


@pytest.mark.parametrize("sessions", [2, 5, 16, 33])
def test_a_crowd_begins_with_a_rest(sessions: int) -> None:
    """As long for everybody as for one, however many they are."""
    crowd = Crowd(Company(CONFIG), sessions, gain=1.5)
    crowd.run(CONFIG.first_tokens - 1)
    assert (crowd.drafted_tokens, crowd.company.rest_tokens(load(sessions))) == (0, 1)
    crowd.run(2)
    assert crowd.company.rest_tokens(load(sessions)) == 0


@pytest.mark.parametrize("sessions", [2, 4, 16, 32])
@pytest.mark.parametrize("gain", [0.4, 0.7, 0.9])
def test_a_crowd_that_loses_loses_little(sessions: int, gain: float) -> None:
    """Though no curve of the target shows what drafting costs it."""
    crowd = Crowd(Company(CONFIG), sessions, gain)
    crowd.run(400)
    assert crowd.speed > 0.95


@pytest.mark.parametrize("sessions", [2, 4, 16, 32])
def test_a_crowd_that_gains_drafts(sessions: int) -> None:
    """But for its first rest, and bad luck where they are few."""
    crowd = Crowd(Company(CONFIG), sessions, gain=1.4)
    crowd.run(400)
    assert crowd.drafted_tokens > 0.8 * crowd.tokens


def test_what_is_true_of_few_is_not_believed_of_many() -> None:
    """Each doubling is tried for itself, and what was known of fewer is still known when some have left."""
    company = Company(CONFIG)
    Crowd(company, 4, gain=1.5).run(100)
    assert (company.rest_tokens(load(3)), company.rest_tokens(load(5))) == (0, CONFIG.first_tokens)
    Crowd(company, 8, gain=0.5).run(100)
    assert company.rest_tokens(load(8)) > 0
    assert company.rest_tokens(load(4)) == 0


def test_rests_are_as_long_for_one_among_many_who_never_draft() -> None:
    """Only those who would draft tell of what happens to them."""
    company = Company(CONFIG)
    with company.joined():
        for _ in range(CONFIG.first_tokens):
            assert company.rest_tokens(load(32))
            tell(company, 32, STEP_MS)
    assert company.rest_tokens(load(32)) == 0


def test_somebody_s_prompt_is_not_what_drafting_costs() -> None:
    """Neither does it make steps look longer than they are."""
    company = Company(CONFIG)
    with company.joined(), company.joined():
        for _ in range(2 * CONFIG.first_tokens):
            tell(company, 2, 50 * STEP_MS, rows=500)
            tell(company, 2, STEP_MS)
        for _ in range(100):
            assert company.rest_tokens(load(2)) == 0
            tell(company, 2, 50 * STEP_MS, rows=500)
            tell(company, 2, 2 * STEP_MS, 3, rows=8)


def test_one_who_is_held_up_does_not_make_all_rest() -> None:
    """Whatever took so long, it was not drafting."""
    company = Company(CONFIG)
    Crowd(company, 8, gain=1.5).run(60)
    with ExitStack() as members:
        for _ in range(8):
            members.enter_context(company.joined())
        tell(company, 8, 1000 * STEP_MS)
    assert company.rest_tokens(load(8)) == 0


def test_a_crowd_that_drafts_looks_now_and_then_what_a_step_takes() -> None:
    """What drafting gains is counted by what steps take by now: here, much less than when the crowd began."""
    company = Company(CONFIG)
    Crowd(company, 4, gain=1.3).run(40)
    assert company.rest_tokens(load(4)) == 0
    with ExitStack() as members:
        for _ in range(4):
            members.enter_context(company.joined())
        for _ in range(3 * 4 * int(CONFIG.refresh_tokens)):  # a step takes 50 ms, or 60 with drafts of no use
            tell(company, 4, 50.0 if company.rest_tokens(load(4)) else 60.0)
    assert company.rest_tokens(load(4)) > CONFIG.first_tokens


def test_verifiers_have_companies_of_their_own() -> None:
    """Until they have left."""
    companies = Companies(CONFIG)
    first = companies.at("a")
    assert companies.at("a") is first is not companies.at("b")
    companies.forget("a")
    companies.forget("c")
    assert companies.at("a") is not first
