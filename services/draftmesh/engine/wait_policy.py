"""How the CPU threads of a forward wait for each other: awake for a moment, then asleep.

OpenMP's threads spin while they wait, GNU's for 3 ms if nothing is said. That is quickest if each has a core to itself.
Where a drafter, a coordinator or anything else runs on the same cores, the spinning takes them away from whoever has
work. Threads that sleep at once, on the other hand, have to be woken for every product, and a step has a hundred.
Between two products of a step lie some 20 to 50 µs, so threads stay awake for a fifth of a millisecond: measured on two
threads of two cores, the products of a step of one row (220 M parameters) take 33 ms so, and 45 ms where they sleep at
once. Drafting beside a verifier on the same cores was no slower.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "GOMP_SPINCOUNT"
_SPINS = "20000"  # GNU's library takes 100,000 for a millisecond
_USERS_VARIABLES = (_VARIABLE, "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Have threads go to sleep soon, in this process and those that it starts; to be called before torch is loaded.

    What the environment says already stays.
    """
    if not any(name in os.environ for name in _USERS_VARIABLES):
        os.environ[_VARIABLE] = _SPINS


@contextmanager
def users_own() -> Iterator[None]:
    """Processes that are started in this context wait as the user has chosen, or as OpenMP does by itself."""
    ours = os.environ.pop(_VARIABLE) if os.environ.get(_VARIABLE) == _SPINS else None
    try:
        yield
    finally:
        if ours is not None:
            os.environ[_VARIABLE] = ours
