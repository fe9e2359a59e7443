"""How threads wait, in this process and in those that it starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from draftmesh.engine.wait_policy import users_own, wait_briefly

SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"


def told_to_a_child() -> tuple[str, str]:
    """What a process that is started now has been told."""
    code = f"import os; print(os.environ.get({SPINS!r}, '-'), os.environ.get({POLICY!r}, '-'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    spins, policy = said.split()
    return spins, policy


def test_threads_wait_briefly_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children inherit it, but for those of a context that wants the user's own choice."""
    for name in (SPINS, POLICY):
        monkeypatch.delenv(name, raising=False)
    wait_briefly()
    assert told_to_a_child() == ("20000", "-")
    with users_own():
        assert told_to_a_child() == ("-", "-")
    assert told_to_a_child() == ("20000", "-")
    del os.environ[SPINS]


@pytest.mark.parametrize(("name", "chosen"), [(POLICY, "ACTIVE"), (POLICY, "PASSIVE"), (SPINS, "7")])
def test_the_users_choice_stays(name: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere."""
    for each in (SPINS, POLICY):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, chosen)
    wait_briefly()
    expected = tuple(chosen if each == name else "-" for each in (SPINS, POLICY))
    with users_own():
        assert told_to_a_child() == expected
    assert told_to_a_child() == expected
