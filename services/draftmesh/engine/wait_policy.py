"""How the CPU threads of a forward wait for each other: asleep, unless the user wants otherwise.

OpenMP's threads spin while they wait, which is quickest if each has a core to itself. Where a drafter, a coordinator or
anything else runs on the same cores, the spinning takes them away from whoever has work: measured with a verifier of
two threads and a drafter on two cores, asleep was faster by a quarter, and no slower without the drafter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "OMP_WAIT_POLICY"
_OURS = "passive"  # users spell it as the standard does, in capitals


def sleep_while_waiting() -> None:
    """Have threads sleep, in this process and those that it starts; to be called before torch is loaded.

    What the environment says already stays.
    """
    os.environ.setdefault(_VARIABLE, _OURS)


@contextmanager
def users_own() -> Iterator[None]:
    """Processes that are started in this context have the policy that the user has chosen, or none."""
    ours = os.environ.pop(_VARIABLE) if os.environ.get(_VARIABLE) == _OURS else None
    try:
        yield
    finally:
        if ours is not None:
            os.environ[_VARIABLE] = ours
