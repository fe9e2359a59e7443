"""How threads wait, in this process and in those that it starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from draftmesh.engine.wait_policy import sleep_while_waiting, users_own

VARIABLE = "OMP_WAIT_POLICY"


def policy_of_a_child() -> str:
    """What a process that is started now has been told."""
    code = f"import os; print(os.environ.get({VARIABLE!r}, ''))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_threads_sleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children inherit it, but for those of a context that wants the user's own choice."""
    monkeypatch.delenv(VARIABLE, raising=False)
    sleep_while_waiting()
    assert policy_of_a_child().upper() == "PASSIVE"
    with users_own():
        assert policy_of_a_child() == ""
    assert policy_of_a_child().upper() == "PASSIVE"
    del os.environ[VARIABLE]


@pytest.mark.parametrize("chosen", ["ACTIVE", "PASSIVE"])
def test_the_users_choice_stays(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere."""
    monkeypatch.setenv(VARIABLE, chosen)
    sleep_while_waiting()
    with users_own():
        assert policy_of_a_child() == chosen
