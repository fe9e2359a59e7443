"""Which sessions are taken for alike."""

from __future__ import annotations

from itertools import product

from draftmesh.coordinator.learning.traffic import temperature_band, traffic_of
from draftmesh.core.sampling import Method


def test_bands_tell_greedy_from_sampled() -> None:
    """Temperature 0 is a band of its own, and hot texts are not judged by cool ones."""
    assert [temperature_band(temperature) for temperature in (0.0, 0.3, 0.7, 1.0, 1.5)] == [0, 1, 2, 3, 4]


def test_a_target_has_sixty_kinds_of_traffic_at_most() -> None:
    """Whatever clients ask for."""
    drafting = [method for method in Method if method not in {Method.AUTO, Method.OFF}]
    temperatures, lengths = [step / 20 for step in range(41)], [2**power for power in range(17)]
    kinds = {
        traffic_of(b"target", method, temperature=temperature, prompt_tokens=length)
        for method, temperature, length in product(drafting, temperatures, lengths)
    }
    assert len(kinds) == 60


def test_methods_that_draft_and_judge_alike_are_one_kind() -> None:
    """``tli`` and ``rejection`` alone."""
    kinds = {method: traffic_of(b"", method, temperature=1.0, prompt_tokens=9) for method in Method}
    assert kinds[Method.TLI] == kinds[Method.REJECTION]
    drafting = (Method.EXACT, Method.TLI, Method.TLI_EXACT, Method.SLRS)
    assert len({kinds[method] for method in drafting}) == 4
