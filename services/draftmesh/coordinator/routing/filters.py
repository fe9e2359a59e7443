"""Which members could serve a session at all."""

from __future__ import annotations

from draftmesh.coordinator.routing.candidate import Candidate, Wish
from draftmesh.core.sampling import Method


def has_target(candidate: Candidate, wish: Wish) -> bool:
    """Only the same weights, dtype and tokenizer give the same text."""
    return candidate.digest == wish.target_digest


def offers_method(candidate: Candidate, wish: Wish) -> bool:
    """It knows how."""
    return wish.method in candidate.methods


def has_name(candidate: Candidate, wish: Wish) -> bool:
    """It is the model that was asked for."""
    return not wish.name or candidate.name == wish.name


def has_digest(candidate: Candidate, wish: Wish) -> bool:
    """It draws the same as the drafter that it is to stand in for."""
    return wish.digest is None or candidate.digest == wish.digest


def shares_vocabulary(candidate: Candidate, wish: Wish) -> bool:
    """Plain rejection sampling compares id with id."""
    return wish.method is not Method.REJECTION or candidate.vocabulary_digest == wish.vocabulary_digest


def has_room(candidate: Candidate, wish: Wish) -> bool:
    """Its context holds the session."""
    return wish.context_tokens <= candidate.max_context_tokens


def has_free_slot(candidate: Candidate, wish: Wish) -> bool:
    """It would take one more session."""
    del wish
    return candidate.free_share > 0


def is_allowed(candidate: Candidate, wish: Wish) -> bool:
    """The session has not banned it."""
    return candidate.address not in wish.banned
