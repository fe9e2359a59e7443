"""Puts a session's drafting together: how a draft is kept, and what binds to a drafter, depend on the method."""

from __future__ import annotations

from draftmesh.coordinator.drafting.block_drafts import BlockDrafts
from draftmesh.coordinator.drafting.bound_feed import BoundFeed
from draftmesh.coordinator.drafting.drafts import Drafts
from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.drafting.flow import DraftLimits
from draftmesh.coordinator.drafting.id_drafts import IdDrafts
from draftmesh.coordinator.drafting.stage import FeedConfig, Stage
from draftmesh.coordinator.drafting.text_drafts import TextDrafts, Translator
from draftmesh.coordinator.instruments import Instruments
from draftmesh.coordinator.openings import Job
from draftmesh.coordinator.pools.seats import SeatSource
from draftmesh.coordinator.round_trace import RoundTrace
from draftmesh.core.protocols import Drafter
from draftmesh.core.sampling import Method


def make_feed(
    job: Job,
    source: SeatSource[Drafter] | None,
    stage: Stage,
    translator: Translator,
    *,
    config: FeedConfig,
    trace: RoundTrace,
    instruments: Instruments,
) -> DraftFeed | None:
    """The feed of a session; None if it does not draft."""
    if source is None or not job.draft_tokens or job.method is Method.OFF:
        return None
    drafts: Drafts
    limits = DraftLimits(config.max_ahead_tokens)
    if job.method is Method.SLRS:
        drafts = BlockDrafts(stage.vocabulary)
    elif job.method.proposes_ids:
        drafts = IdDrafts(limits, job.method, stage.vocabulary)
    else:
        drafts = TextDrafts(limits, translator, trace)
    make = BoundFeed if job.method is Method.SLRS else DraftFeed
    return make(source, stage, drafts, config, instruments)
