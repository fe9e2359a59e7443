"""Who takes part at which temperature."""

from __future__ import annotations

from draftmesh.bench.peers.lineup import Clients, lineup, peer_labels
from draftmesh.bench.peers.result import OFF, PLAIN, SLEM, TLI
from tests.unit.bench.peers.scripted import ScriptedContestant
from tests.unit.inspection.scripted_generator import ScriptedGenerator


def test_tli_needs_a_temperature() -> None:
    """It samples; without an assistant there is plain generation alone."""
    assert peer_labels(0.0, is_assisted=True) == (PLAIN, SLEM)
    assert peer_labels(1.0, is_assisted=True) == (PLAIN, SLEM, TLI)
    assert peer_labels(1.0, is_assisted=False) == (PLAIN,)


async def test_off_has_the_target_alone_and_methods_have_the_pair() -> None:
    """``auto`` warms up longer than the others."""
    alone, pair = ScriptedGenerator({"off": 0}), ScriptedGenerator({"exact": 4, "tli": 4, "auto": 4})
    peers = {label: ScriptedContestant(1.0) for label in (PLAIN, TLI)}
    entries = lineup(peers, Clients(alone, pair), {0.0: ("exact",), 1.0: ("tli", "auto")}, auto_warm_up=9)
    assert [(entry.label, entry.temperature, entry.warm_up_tasks) for entry in entries] == [
        (PLAIN, 0.0, 1),
        (OFF, 0.0, 1),
        ("exact", 0.0, 1),
        (PLAIN, 1.0, 1),
        (TLI, 1.0, 1),
        (OFF, 1.0, 1),
        ("tli", 1.0, 1),
        ("auto", 1.0, 9),
    ]
