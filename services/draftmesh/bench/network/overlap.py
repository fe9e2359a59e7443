"""Drafting that looks ahead, and drafting that does not."""

from __future__ import annotations

from dataclasses import replace

from draftmesh.coordinator.config import CoordinatorConfig


def without_overlap(config: CoordinatorConfig) -> CoordinatorConfig:
    """A shard whose sessions do one thing after the other: draft, then verify, then draft again.

    No round is sent before the verdict on the one before it, and the drafter is asked for no more than the tokens of
    one draft, and a few that its end may have to be held back for, and for no branches; so it rests while the verifier
    works, and the verifier while a draft is on its way.
    """
    generation = config.generation
    feed = replace(generation.feed, max_ahead_tokens=config.draft_tokens)
    # Nothing is wanted beyond the draft that is waited for.
    length = replace(generation.draft_length, least_use=1.0, branches=0, late_branches=0)
    pace = replace(generation.pace, takes_free_steps=False)
    alone = replace(generation, rounds_ahead=0, pace=pace, feed=feed, draft_length=length)
    return replace(config, generation=alone)
