"""Who may speak for a session."""

from __future__ import annotations

import pytest

from draftmesh.core.errors import AlreadyOpenError, FencedError
from draftmesh.core.fence import Fence
from draftmesh.transport.fences import FenceRegistry


class Calls:
    """Counts how often it is called."""

    def __init__(self) -> None:
        """None yet."""
        self.count = 0

    def __call__(self) -> None:
        """One more."""
        self.count += 1


def nobody() -> None:
    """For streams that no test supersedes."""


def test_a_higher_fence_supersedes_the_older_stream() -> None:
    """The older stream's callback runs once, and its claim knows."""
    registry, calls = FenceRegistry(), Calls()
    with registry.claim("s", Fence(1, 1), calls) as older, registry.claim("s", Fence(1, 2), nobody) as newer:
        assert (calls.count, older.superseded, newer.superseded) == (1, True, False)


def test_a_lower_fence_is_refused_and_changes_nothing() -> None:
    """A stream that comes late does not disturb the newer one."""
    registry, calls = FenceRegistry(), Calls()
    with registry.claim("s", Fence(2, 1), calls) as newer:
        refused = registry.claim("s", Fence(1, 9), nobody)
        with pytest.raises(FencedError, match="epoch 1 attempt 9 is below epoch 2 attempt 1"), refused:
            pass
        assert (calls.count, newer.superseded) == (0, False)


def test_a_lower_fence_is_refused_after_the_newer_stream_has_ended() -> None:
    """The registry remembers fences of closed streams."""
    registry = FenceRegistry()
    with registry.claim("s", Fence(2, 1), nobody):
        pass
    with pytest.raises(FencedError), registry.claim("s", Fence(1, 1), nobody):
        pass


def test_the_same_fence_twice_is_already_open() -> None:
    """A second open of one stream is a mistake of its own kind."""
    registry = FenceRegistry()
    with registry.claim("s", Fence(), nobody), pytest.raises(AlreadyOpenError), registry.claim("s", Fence(), nobody):
        pass


def test_the_same_fence_may_come_again_after_its_stream_has_ended() -> None:
    """A closed stream holds nothing that a second one could disturb."""
    registry = FenceRegistry()
    for _ in range(2):
        with registry.claim("s", Fence(), nobody) as claim:
            assert claim.superseded is False


def test_the_end_of_a_superseded_stream_leaves_the_newer_one() -> None:
    """Closing in any order keeps the newest fence."""
    registry = FenceRegistry()
    older = registry.claim("s", Fence(1, 1), nobody)
    older.__enter__()
    with registry.claim("s", Fence(1, 2), nobody):
        older.__exit__(None, None, None)
        with pytest.raises(FencedError), registry.claim("s", Fence(1, 1), nobody):
            pass


def test_sessions_do_not_know_each_other() -> None:
    """A fence belongs to its session."""
    registry, calls = FenceRegistry(), Calls()
    with registry.claim("a", Fence(1, 1), calls), registry.claim("b", Fence(2, 1), nobody):
        assert calls.count == 0


def test_memory_of_closed_streams_is_bounded() -> None:
    """The longest unused fence is forgotten first."""
    registry = FenceRegistry(capacity=2)
    for session in "abc":
        with registry.claim(session, Fence(5, 1), nobody):
            pass
    with registry.claim("a", Fence(1, 1), nobody) as forgotten:
        assert (2, Fence(1, 1)) == (registry.remembered, forgotten.fence)
    with pytest.raises(FencedError), registry.claim("c", Fence(1, 1), nobody):
        pass


@pytest.mark.parametrize("fence", [Fence(1, 1), Fence(2, 2)])
def test_a_message_of_another_fence_is_refused(fence: Fence) -> None:
    """Messages carry their stream's own fence, neither a lower nor a higher one."""
    with FenceRegistry().claim("s", Fence(2, 1), nobody) as claim, pytest.raises(FencedError):
        claim.check(fence)


def test_a_message_on_a_superseded_stream_is_refused() -> None:
    """Even with its own fence."""
    registry = FenceRegistry()
    with (
        registry.claim("s", Fence(1, 1), nobody) as older,
        registry.claim("s", Fence(1, 2), nobody),
        pytest.raises(FencedError, match="no longer speaks"),
    ):
        older.check(Fence(1, 1))


def test_the_own_fence_passes() -> None:
    """The ordinary message."""
    with FenceRegistry().claim("s", Fence(2, 1), nobody) as claim:
        claim.check(Fence(2, 1))
        assert not claim.superseded
